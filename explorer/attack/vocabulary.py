"""What the corpus can show: its labels, their pictures and their words.

Two words are the same here if they share a stem, a word without its commonest English endings.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.bundle import Bundle
from explorer.bundle.shipped import shipped_pictures
from explorer.kept import kept

STOP_WORDS = frozenset(
    {"a", "an", "and", "at", "by", "for", "from", "in", "no", "of", "on", "or", "the", "to", "with"}
)
_ENDINGS = ("ingly", "edly", "ies", "ing", "ers", "er", "ed", "es", "ly", "s", "y", "e")


def stem(word: str) -> str:
    """Return a word without its commonest English endings, lower case."""
    cleaned = word.lower()
    for ending in _ENDINGS:
        if cleaned.endswith(ending) and len(cleaned) - len(ending) >= 3:
            return cleaned[: -len(ending)]
    return cleaned


def stems(texts: Iterable[str]) -> frozenset[str]:
    """Return the stems of all words in some texts, function words left out."""
    words = (word for text in texts for word in re.findall(r"[^\W_]+", text.lower()))
    return frozenset(stem(word) for word in words if word not in STOP_WORDS)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What the corpus can show: its labels, their pictures and their words."""

    labels: tuple[str, ...]
    """Labels of corpus pictures that are texts of the dictionary, sorted."""
    rows: NDArray[np.int64]
    """[label]: row of each in the dictionary."""
    pictures: Mapping[str, tuple[int, ...]]
    """Label -> corpus pictures in colour (line drawings only where there is nothing else).

    Numbers past the bundle's last picture are shipped ones'; see `explorer.attack.gallery`."""
    keywords: Mapping[str, frozenset[str]]
    """Label, held-out ones too -> stems of its pictures' keywords."""
    held_out: Mapping[str, tuple[int, ...]]
    """Label -> held-out pictures."""


def vocabulary(bundle: Bundle) -> Vocabulary:
    """Return what a bundle's pictures can show; kept with the bundle."""
    return kept(bundle, "vocabulary", lambda: _vocabulary(bundle))


def _vocabulary(bundle: Bundle) -> Vocabulary:
    table = _with_shipped(bundle)
    place = {text: row for row, text in enumerate(bundle.texts)}
    shown: dict[str, list[int]] = defaultdict(list)
    drawn: dict[str, list[int]] = defaultdict(list)
    held: dict[str, list[int]] = defaultdict(list)
    words: dict[str, set[str]] = defaultdict(set)
    columns = [table[name].fillna("").astype(str) for name in ("label", "keywords", "kind")]
    for image, (label, keywords, kind, split) in enumerate(
        zip(*columns, table["split"], strict=True)
    ):
        if not label.strip():
            continue
        words[label] |= stems([keywords])
        if split == "heldout":
            held[label].append(image)
        else:
            (drawn if kind == "mono" else shown)[label].append(image)
    pictures = {label: tuple(shown.get(label) or drawn[label]) for label in {*shown, *drawn}}
    labels = tuple(sorted(label for label in pictures if label in place))
    return Vocabulary(
        labels=labels,
        rows=np.array([place[label] for label in labels], np.int64),
        pictures=pictures,
        keywords={label: frozenset(found) for label, found in words.items()},
        held_out={label: tuple(found) for label, found in held.items()},
    )


def _with_shipped(bundle: Bundle) -> pd.DataFrame:
    """Return the bundle's picture table, behind it the shipped pictures that help it out.

    Those of names that none of the bundle's own has, where the bundle has no cut-outs.
    """
    table, store = bundle.pictures.table, shipped_pictures()
    if store is None or any(bundle.pictures.mode(i) == "RGBA" for i in range(len(table))):
        return table
    shipped = store.table[: store.corpus_size]
    told = shipped["label"].isin(bundle.texts) & ~shipped["label"].isin(table["label"])
    return pd.concat([table, shipped.assign(label=shipped["label"].where(told, ""))])

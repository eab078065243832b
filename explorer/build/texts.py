"""The dictionary: texts from wherever `--texts` says, less those that the text tower can't tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.build.settings import BuildSettings
from explorer.build.unwanted import unwanted_words, without_unwanted
from explorer.bundle import Bundle
from explorer.bundle.manifest import all_stay
from explorer.bundle.pictures import PictureStore, picture_words
from explorer.describe.dictionary import TextDictionary, common_words, read_texts, uniform
from explorer.describe.drivers import WordTable
from explorer.describe.told import told_texts
from explorer.errors import InputError
from explorer.lens.models import LoadedModel, encode_texts
from explorer.resumable import Say

FEW = 64
"""Texts that are read at once to find two that differ."""
ALIKE = 2e-3
"""Distance of two embeddings of unit norm that may be rounding alone."""
EXAMPLES = 5
"""Texts left out that the build names."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The texts of a bundle."""

    dictionary: TextDictionary
    table: pd.DataFrame
    """One row per text: text, source."""
    left_out: int
    """How many more were given that the text tower can't tell."""
    told: int | None
    """How many it can tell; None where there are too few to test."""


def make_vocabulary(
    table: pd.DataFrame,
    loaded: LoadedModel,
    images: NDArray[np.float16],
    store: PictureStore,
    settings: BuildSettings,
    say: Say,
) -> Vocabulary:
    """Embed the texts in `table`, and leave out those that the text tower can't tell.

    `images` is [image, embed], unit norm, of the corpus; see `explorer.describe.told`.
    """
    embeddings = encode_texts(loaded, table["text"].tolist()).numpy()
    whole = TextDictionary.from_embeddings(table["text"].tolist(), embeddings, np.float16)
    corpus = store.table[: store.corpus_size]
    told, passed = told_texts(
        whole.texts,
        whole.atoms(),
        images.astype(np.float32) - images.mean(0, dtype=np.float32),
        WordTable.of(picture_words(corpus, ("label", "concept", "keywords", "looks"))),
        frozenset().union(*picture_words(corpus, ("label",))),
        settings.nulls,
        settings.seed,
    )
    left_out = int((~told).sum())
    if left_out:
        examples = ", ".join(table["text"][~told][:EXAMPLES])
        say(
            f"texts: {left_out:,} of {len(told):,} left out, their nearest pictures are no better "
            f"than chance ({examples}, …)"
        )
    elif passed is not None and passed < len(told):
        say(f"texts: {all_stay(passed, len(told))}")
    kept = table[told].reset_index(drop=True)
    dictionary = TextDictionary.from_embeddings(kept["text"].tolist(), embeddings[told], np.float16)
    return Vocabulary(dictionary, kept, left_out, passed)


def check_different(texts: Sequence[str], loaded: LoadedModel) -> None:
    """Refuse texts that all have one embedding, before the pass looks at any picture.

    Of most dictionaries a few texts are read.

    Raises:
        InputError: when no two differ.
    """
    first = encode_texts(loaded, texts[:1])
    for start in range(0, len(texts), FEW):
        some = encode_texts(loaded, texts[start : start + FEW])
        if float((some - first).norm(dim=1).max()) > ALIKE:
            return
    raise InputError(f"The model reads all {len(texts):,} texts alike: give different ones.")


def gather_texts(settings: BuildSettings, store: PictureStore) -> pd.DataFrame:
    """Return the dictionary's texts, once each: columns text, source.

    `--texts` is a file, "corpus" (labels, keywords and looks of the pictures), "common" (the
    most frequent English words), "corpus+common", or "bundle:PATH" (another bundle's texts).
    Texts with a word that `--leave-out` names stay out.

    Raises:
        InputError: when the file is missing, or there are too few texts.
    """
    origins = _origins(settings, store)
    kept = without_unwanted(origins, unwanted_words(settings.leave_out))
    if len(kept) < 2:
        raise InputError(
            f"'{settings.texts}' gives {len(kept)} texts; a dictionary needs at least two: "
            "use --texts common or a file of texts."
        )
    return pd.DataFrame({"text": kept, "source": [origins[text] for text in kept]})


def _origins(settings: BuildSettings, store: PictureStore) -> dict[str, str]:
    """Return every text, in one form and none empty, with the first source that has it."""
    spec = settings.texts
    rows: list[tuple[str, str]] = []
    if _is_made(spec):
        if "corpus" in spec:
            rows += _corpus_texts(store)
        if "common" in spec:
            rows += [(word, "common") for word in common_words(settings.words)]
    else:
        rows += _given_texts(spec)
    origins: dict[str, str] = {}
    for text, origin in rows:
        origins.setdefault(uniform(text), origin)
    origins.pop("", None)
    return origins


def check_given(settings: BuildSettings) -> None:
    """Read what `--texts` and `--leave-out` name, before any picture is.

    Raises:
        InputError: when a file is missing or no text.
        BundleError: when a bundle named as a source cannot be read.
    """
    unwanted_words(settings.leave_out)
    if not _is_made(settings.texts):
        _given_texts(settings.texts)


def _is_made(spec: str) -> bool:
    """Return whether the build makes the texts itself, of its pictures or of common words."""
    return set(spec.split("+")) <= {"corpus", "common"}


def _given_texts(spec: str) -> list[tuple[str, str]]:
    """Return the texts of a file or another bundle, and the source of each."""
    if spec.startswith("bundle:"):
        table = Bundle.open(spec.removeprefix("bundle:")).text_table
        return list(zip(table["text"], table["source"], strict=True))
    if not Path(spec).is_file():
        raise InputError(
            f"--texts names no file: '{spec}'. It takes corpus, common, corpus+common, bundle:PATH "
            "or a file with one text per line."
        )
    return [(text, "file") for text in read_texts(spec)]


def _corpus_texts(store: PictureStore) -> list[tuple[str, str]]:
    corpus = store.table[: store.corpus_size]
    rows = [(text, "label") for text in sorted({str(text) for text in corpus["label"]} - {""})]
    for column, origin in (("keywords", "keyword"), ("looks", "look")):
        lists = (str(row).split(",") for row in corpus[column])
        rows += [(t, origin) for t in sorted({w.strip() for row in lists for w in row} - {""})]
    return rows

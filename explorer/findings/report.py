"""The polysemy report: a bundle's most polysemantic neurons, their meanings verified by labels.

A neuron's top pictures are clustered by the model's own embeddings (the bundle's
`top_clusters`); the labels, which had no part in that, must confirm each cluster:

1. A cluster of at least `GROUP` pictures is a meaning when a word of their labels or keywords is
   carried by at least `AGREEING` of them and a share of `AGREED`; of several such words the most
   telling stands for it, by share times `log(pictures / pictures with the word)`.
2. Two meanings are different when at most a share of `FOREIGN` of either carries the other's word.
   Of a bundle that was compared with chance only words that are more than chance of the neuron
   stand for a meaning.
3. Neurons with two or more different meanings are listed by their polysemy score times the share
   of their top pictures that carry their meaning's word: a score that the labels confirm widely
   stands above one that they confirm in a few pictures.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from explorer.bundle import Bundle
from explorer.bundle.meaning import passed_words
from explorer.describe.plurals import singular
from explorer.errors import InputError
from explorer.findings.model import TITLE_LENGTH, Finding, NeuronRef, clean_tags
from explorer.findings.notes import literal
from explorer.findings.snapshot import reference

GROUP = 4
AGREEING = 3
AGREED = 0.6
FOREIGN = 0.25
SHORTEST = 3  # letters of a word
MOST = 24
TITLE = "Most polysemantic neurons"
TAG = "polysemy report"


@dataclass(frozen=True)
class Meaning:
    """Top pictures that look alike to the model and share a word."""

    word: str
    agreeing: int  # pictures that carry the word
    images: tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """A neuron of the report, its largest meaning first."""

    layer: int
    neuron: int
    polysemy: float
    verified: float  # share of its top pictures that carry their meaning's word
    meanings: tuple[Meaning, ...]

    @property
    def title(self) -> str:
        """Its meanings in words."""
        words = [meaning.word for meaning in self.meanings]
        return f"{', '.join(words[:-1])} and {words[-1]}"


@dataclass(frozen=True, eq=False)
class _Words:
    """The words of each picture of a bundle, and how many pictures carry each."""

    bundle: Bundle

    @cached_property
    def of(self) -> list[frozenset[str]]:
        table = self.bundle.pictures.table
        columns = [
            table[key].fillna("").astype(str).str.lower()
            for key in ("label", "concept", "keywords")
        ]
        return [frozenset(_split(*texts)) for texts in zip(*columns, strict=True)]

    @cached_property
    def counts(self) -> Counter[str]:
        return Counter(word for words in self.of for word in words)

    def share(self, images: tuple[int, ...], word: str) -> float:
        return sum(word in self.of[image] for image in images) / len(images)


def _split(label: str, concept: str, keywords: str) -> Iterator[str]:
    yield from {label, concept} - {""}
    yield from filter(None, (part.strip() for part in keywords.split(",")))
    yield from (part for part in label.split() if len(part) >= SHORTEST)


def polysemy_report(bundle: Bundle, most: int = MOST) -> list[Entry]:
    """Return the most polysemantic neurons whose meanings the labels verify.

    Raises:
        InputError: when `most` is less than 1.
    """
    if most < 1:
        raise InputError(f"A report lists at least one neuron, not {most}.")
    words = _Words(bundle)
    found = {row: verified_meanings(bundle, row, words) for row in _candidates(bundle)}
    entries = [_entry(bundle, row, kept) for row, kept in found.items() if len(kept) > 1]
    entries.sort(key=lambda entry: -entry.polysemy * entry.verified)
    return entries[:most]


def _candidates(bundle: Bundle) -> list[int]:
    """Return rows with two sizeable clusters of top pictures."""
    clusters = np.asarray(bundle.top_clusters[:, 0])
    numbers = range(int(clusters.max(initial=-1)) + 1)
    sizes = [(clusters == number).sum(axis=1) >= GROUP for number in numbers]
    if not sizes:
        return []
    return [int(row) for row in np.flatnonzero(np.sum(sizes, axis=0) > 1)]


def _entry(bundle: Bundle, row: int, meanings: list[Meaning]) -> Entry:
    record = bundle.neurons.iloc[row]
    shown = int((np.asarray(bundle.top_images[row, 0]) >= 0).sum())
    verified = sum(meaning.agreeing for meaning in meanings) / shown
    place = (int(record["layer"]), int(record["neuron"]))
    return Entry(*place, float(np.nan_to_num(record["polysemy"])), verified, tuple(meanings))


def verified_meanings(bundle: Bundle, row: int, words: _Words | None = None) -> list[Meaning]:
    """Return a neuron's different meanings that the labels verify, the largest first."""
    words = words or _Words(bundle)
    allowed = passed_words(bundle, row) if bundle.tested else None
    images, clusters = bundle.top_images[row, 0], bundle.top_clusters[row, 0]
    kept: list[Meaning] = []
    numbers, sizes = np.unique(clusters[(images >= 0) & (clusters >= 0)], return_counts=True)
    for number in numbers[np.argsort(-sizes, kind="stable")]:
        members = tuple(int(i) for i in images[(clusters == number) & (images >= 0)])
        meaning = _meaning(members, words, allowed) if len(members) >= GROUP else None
        if meaning and all(_different(meaning, other, words) for other in kept):
            kept.append(meaning)
    return kept


def _meaning(
    images: tuple[int, ...], words: _Words, allowed: frozenset[str] | None
) -> Meaning | None:
    """Return what the pictures mean, by a word among those allowed (None: any)."""
    counts = Counter(word for image in images for word in words.of[image])
    total = len(words.of)
    telling = {
        word: (count / len(images) * math.log(total / words.counts[word]), word)
        for word, count in counts.items()
        if count >= AGREEING
        and count >= AGREED * len(images)
        and words.counts[word] < total
        and (allowed is None or word in allowed)
    }
    if not telling:
        return None
    word = max(telling, key=lambda word: telling[word])
    return Meaning(word, counts[word], images)


def _different(one: Meaning, other: Meaning, words: _Words) -> bool:
    if singular(one.word) == singular(other.word):
        return False
    return (
        words.share(one.images, other.word) <= FOREIGN
        and words.share(other.images, one.word) <= FOREIGN
    )


def report_findings(bundle: Bundle, most: int = MOST) -> list[Finding]:
    """Return the report as findings, ready to be saved into a collection titled `TITLE`."""
    about = reference(bundle)
    return [
        Finding(
            bundle=about,
            title=entry.title[:TITLE_LENGTH].strip(),
            neurons=(NeuronRef(entry.layer, entry.neuron),),
            settings={"pictures": "grouped"},
            note=_note(entry),
            tags=clean_tags([TAG]),
        )
        for entry in polysemy_report(bundle, most)
    ]


def _note(entry: Entry) -> str:
    """Say in Markdown which pictures confirm which meaning; labels stand as written."""
    lines = [
        f"- **{literal(meaning.word)}**: {meaning.agreeing} of {len(meaning.images)} top pictures "
        "that look alike to the model carry this word"
        for meaning in entry.meanings
    ]
    return (
        f"Polysemy {entry.polysemy:.2f}. Its strongest pictures fall into groups that share a "
        "label within and not between them:\n\n" + "\n".join(lines)
    )

"""Striking polysemantic neurons: chosen by the bundle's scores, checked on their pictures.

A neuron is striking when its top pictures fall into several sizeable groups, each of which agrees
on a word that the others don't carry: clocks and fireworks, say. Scores alone also favour neurons
whose pictures have nothing in common at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.ui import grouping
from explorer.ui.grouping import PictureGroup
from explorer.ui.loaders import View

SCORES = ("polysemy", "explained_variance", "selectivity")
CANDIDATES = 400
GROUP_SIZE = 4  # pictures a meaning must have to count
AGREEING = 3  # of them, those that carry the group's word
MEANINGS = 3
FOREIGN = 0.25  # share of a group that may carry another group's word


@dataclass(frozen=True)
class Highlight:
    """A neuron worth showing first."""

    row: int
    score: float
    groups: tuple[PictureGroup, ...]

    @property
    def words(self) -> list[str]:
        """What its groups have in common, each by a word."""
        return [group.word for group in self.groups]


def striking(view: View, most: int = 9) -> list[Highlight]:
    """The most striking neurons, best first, no word in two of them while there are others."""
    rows, scores = _candidates(view)
    found = [_examine(view, int(row), float(scores[row])) for row in rows]
    found = [highlight for highlight in found if highlight.score > 0]
    found.sort(key=lambda highlight: -highlight.score)
    return _varied(found, most)


def _candidates(view: View) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows with two sizeable picture clusters, best first, and everyone's score so far."""
    ranks = pd.DataFrame({key: view.neurons[key].rank(pct=True) for key in SCORES}).fillna(0)
    merit = 0.4 + 0.6 * np.exp(np.log(ranks.clip(lower=1e-3)).mean(axis=1)).to_numpy()
    clusters = np.asarray(view.bundle.top_clusters[:, grouping.POSITIVE])
    sizes = np.stack([(clusters == n).sum(axis=1) for n in range(clusters.max(initial=0) + 1)], 1)
    sizes = np.where(sizes >= GROUP_SIZE, sizes, 0)
    scores = merit * _spread(sizes, clusters.shape[1]) * ~view.silent
    best = np.argsort(-scores, kind="stable")[:CANDIDATES]
    return best[scores[best] > 0], merit


def _spread(sizes: NDArray[np.int64], shown: int) -> NDArray[np.float64]:
    """How many pictures are in groups, times the chance that two of those are in different ones."""
    total = sizes.sum(axis=-1)
    parts = sizes / np.maximum(total, 1)[..., None]
    spread: NDArray[np.float64] = (total / shown) * (1 - (parts**2).sum(axis=-1)) * (total > 0)
    return spread


def _examine(view: View, row: int, merit: float) -> Highlight:
    """Weigh a candidate by the groups that agree on a word of their own."""
    clusters = grouping.concept_clusters(view, row)
    pictures = grouping.top_pictures(view, row, grouping.POSITIVE, clusters)
    groups = [
        group
        for group in grouping.picture_groups(view, row, grouping.POSITIVE, pictures)
        if len(group.pictures) >= GROUP_SIZE and group.agreeing >= AGREEING
    ]
    kept: list[PictureGroup] = []
    for group in groups:
        if all(_apart(view, group, other) for other in kept):
            kept.append(group)
    if len(kept) < 2:
        return Highlight(row, 0.0, tuple(kept))
    agreeing = np.array([group.agreeing for group in kept[:MEANINGS]])
    telling = np.mean([_telling(view, group) for group in kept[:MEANINGS]])
    pure = agreeing.sum() / sum(len(group.pictures) for group in kept[:MEANINGS])
    score = merit * float(_spread(agreeing, len(pictures)) * telling * pure)
    return Highlight(row, score, tuple(kept[:MEANINGS]))


def _telling(view: View, group: PictureGroup) -> float:
    """How rare the group's word is among all pictures: 1 for a word of few, 0 for one of all."""
    total = len(view.words)
    return float(np.log(total / view.word_counts[group.word]) / np.log(total))


def _apart(view: View, one: PictureGroup, other: PictureGroup) -> bool:
    """Whether neither group carries the other's word."""
    return _carrying(view, one, other.word) and _carrying(view, other, one.word)


def _carrying(view: View, group: PictureGroup, word: str) -> bool:
    foreign = sum(word in view.words[picture.image] for picture in group.pictures)
    return foreign <= FOREIGN * len(group.pictures)


def _varied(found: list[Highlight], most: int) -> list[Highlight]:
    """The best ones, those first that share no word with a better one."""
    chosen: list[Highlight] = []
    seen: set[str] = set()
    for highlight in found:
        if seen.isdisjoint(highlight.words):
            chosen.append(highlight)
            seen.update(highlight.words)
    rest = [highlight for highlight in found if highlight not in chosen]
    return (chosen + rest)[:most]

"""Striking polysemantic neurons: chosen by the bundle's scores, checked on their pictures.

A neuron is striking when its top pictures fall into several sizeable groups, each of which agrees
on a word that the others don't carry: clocks and fireworks, say. Scores alone also favour neurons
whose pictures have nothing in common at all. Where the bundle was compared with chance, only what
passes counts: neurons that are more than chance, and groups that share a word which is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.ui.data import grouping
from explorer.ui.data.grouping import PictureGroup
from explorer.ui.data.loaders import View

SCORES = ("polysemy", "explained_variance", "selectivity", "agreement")
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
        """Return what its groups have in common, each by a word."""
        return [group.word for group in self.groups]


def striking(view: View, most: int = 9) -> list[Highlight]:
    """Return the most striking neurons, best first, no word in two of them while others exist.

    Where the pictures' words confirm too few, those of the best scores follow, without groups.
    """
    merit = _merit(view)
    found = [_examine(view, int(row), float(merit[row])) for row in _candidates(view, merit)]
    found = [highlight for highlight in found if highlight.score > 0]
    found.sort(key=lambda highlight: -highlight.score)
    chosen = _varied(found, most)
    rows = {highlight.row for highlight in chosen}
    rest = [int(row) for row in np.argsort(-merit, kind="stable") if merit[row] > 0]
    spare = [Highlight(row, 0.0, ()) for row in rest[: 2 * most] if row not in rows]
    return (chosen + spare)[:most]


def held(view: View) -> list[Highlight]:
    """Return the striking neurons of a view, found once."""
    return view.held("striking", striking)


def _merit(view: View) -> NDArray[np.float64]:
    """Return every neuron's standing in the scores, up to 1; 0 for silent ones."""
    ranks = pd.DataFrame({key: view.neurons[key].rank(pct=True) for key in SCORES}).fillna(0)
    together = np.exp(np.log(ranks.clip(lower=1e-3)).mean(axis=1)).to_numpy()
    left_out = view.silent | (view.bundle.tested & ~view.passing.either)
    merit: NDArray[np.float64] = np.where(left_out, 0, 0.4 + 0.6 * together)
    return merit


def _candidates(view: View, merit: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the rows whose top pictures form two sizeable picture clusters, best first.

    Where what passes has one meaning, groups of pictures alone show no second one.
    """
    clusters = np.asarray(view.bundle.top_clusters[:, grouping.POSITIVE])
    sizes = np.stack([(clusters == n).sum(axis=1) for n in range(clusters.max(initial=0) + 1)], 1)
    sizes = np.where(sizes >= GROUP_SIZE, sizes, 0)
    single = view.bundle.tested & ~(view.column("polysemy") > 0)
    scores = np.where(single, 0, merit * _spread(sizes, clusters.shape[1]))
    best = np.argsort(-scores, kind="stable")[:CANDIDATES]
    return best[scores[best] > 0]


def _spread(sizes: NDArray[np.int64], shown: int) -> NDArray[np.float64]:
    """Return how many pictures are in groups, times the chance that two are in different ones."""
    total = sizes.sum(axis=-1)
    parts = sizes / np.maximum(total, 1)[..., None]
    spread: NDArray[np.float64] = (total / shown) * (1 - (parts**2).sum(axis=-1)) * (total > 0)
    return spread


def _examine(view: View, row: int, merit: float) -> Highlight:
    """Score a candidate by the groups that agree on a word of their own."""
    clusters = grouping.told_clusters(view, row)
    pictures = grouping.top_pictures(view, row, grouping.POSITIVE, clusters)
    groups = [
        group
        for group in grouping.picture_groups(view, row, grouping.POSITIVE, pictures)
        if (group.sure or not view.bundle.tested)
        and len(group.pictures) >= GROUP_SIZE
        and group.agreeing >= AGREEING
        and group.word not in view.looks
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
    agreement = float(view.column("agreement")[row])
    told = max(2 * agreement - 1, 0.0)  # 0 where texts don't tell its pictures
    score = merit * told * float(_spread(agreeing, len(pictures)) * telling * pure)
    return Highlight(row, score, tuple(kept[:MEANINGS]))


def _telling(view: View, group: PictureGroup) -> float:
    """Return how rare the group's word is: 1 for a word of few pictures, 0 for one of all."""
    total = len(view.words)
    return float(np.log(total / view.word_counts[group.word]) / np.log(total))


def _apart(view: View, one: PictureGroup, other: PictureGroup) -> bool:
    """Return whether two groups agree on nothing common, and carry no word of the other's."""
    return (
        _agreed(view, one).isdisjoint(_agreed(view, other))
        and _carried(view, one, other.word) <= FOREIGN
        and _carried(view, other, one.word) <= FOREIGN
    )


def _agreed(view: View, group: PictureGroup) -> set[str]:
    """Return the words that half of a group's pictures carry."""
    words = set().union(*(view.words[picture.image] for picture in group.pictures))
    return {word for word in words if 2 * _carried(view, group, word) >= 1}


def _carried(view: View, group: PictureGroup, word: str) -> float:
    """Return the share of a group's pictures that carry a word."""
    return sum(word in view.words[p.image] for p in group.pictures) / len(group.pictures)


def _varied(found: list[Highlight], most: int) -> list[Highlight]:
    """Return the best ones, those first that share no word with a better one."""
    chosen: list[Highlight] = []
    seen: set[str] = set()
    for highlight in found:
        if seen.isdisjoint(highlight.words):
            chosen.append(highlight)
            seen.update(highlight.words)
    rest = [highlight for highlight in found if highlight not in chosen]
    return (chosen + rest)[:most]

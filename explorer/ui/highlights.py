"""Striking polysemantic neurons: chosen by the bundle's scores, checked on their pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from explorer.ui import grouping
from explorer.ui.loaders import View

SCORES = ("polysemy", "image_polysemy", "label_diversity", "explained_variance", "selectivity")
CANDIDATES = 150
GROUP_SIZE = 4  # pictures a meaning must have to count
MEANINGS = 3


@dataclass(frozen=True)
class Highlight:
    """A neuron worth showing first."""

    row: int
    score: float
    groups: tuple[tuple[grouping.Cluster, tuple[grouping.Picture, ...]], ...]


def striking(view: View, most: int = 9) -> list[Highlight]:
    """The most striking neurons, best first, no leading concept twice."""
    rows, scores = _candidates(view)
    found = [_examine(view, row, score) for row, score in zip(rows, scores, strict=True)]
    found.sort(key=lambda highlight: -highlight.score)
    return _varied(view, found, most)


def _candidates(view: View) -> tuple[list[int], list[float]]:
    """Rows with the best geometric mean of their ranks in all scores."""
    ranks = pd.DataFrame({key: view.neurons[key].rank(pct=True) for key in SCORES}).fillna(0)
    # a direction that explains nothing, or a neuron that is always on, is not striking at any rank
    floor = (view.neurons["explained_variance"] >= 0.3) & (view.neurons["selectivity"] >= 0.05)
    score = np.exp(np.log(ranks.clip(lower=1e-3)).mean(axis=1)) * np.where(floor, 1, 0.5)
    score = score.where(~pd.Series(view.silent, index=score.index), 0)
    best = score.nlargest(CANDIDATES)
    rows = [view.neurons.index.get_loc(label) for label in best.index]
    return [int(row) for row in rows], [float(value) for value in best]


def _examine(view: View, row: int, score: float) -> Highlight:
    """Weigh a candidate by how many of its concept clusters have pictures of their own."""
    clusters = grouping.concept_clusters(view, row)
    pictures = grouping.top_pictures(view, row, grouping.POSITIVE, clusters)
    groups = [
        (cluster, tuple(members))
        for cluster, members in grouping.picture_groups(pictures, clusters)
        if cluster is not None and len(members) >= GROUP_SIZE
    ]
    meanings = min(len(groups), MEANINGS) / MEANINGS
    shown = sum(len(members) for _, members in groups[:MEANINGS]) / max(len(pictures), 1)
    named = np.mean([_named(view, group) for group in groups[:MEANINGS]]) if groups else 0.0
    return Highlight(row, score * meanings * shown * (0.4 + 0.6 * float(named)), tuple(groups))


def _named(view: View, group: tuple[grouping.Cluster, tuple[grouping.Picture, ...]]) -> float:
    """Share of a group's pictures whose own words contain one of the cluster's texts."""
    cluster, pictures = group
    texts = {concept.text.casefold() for concept in cluster.concepts}
    return float(np.mean([not texts.isdisjoint(view.words[p.image]) for p in pictures]))


def _varied(view: View, found: list[Highlight], most: int) -> list[Highlight]:
    """The best ones, leaving out those whose leading picture or concept was shown already."""
    chosen: list[Highlight] = []
    seen: set[str] = set()
    for highlight in found:
        marks = {c.concepts[0].text for c, _ in highlight.groups[:1]}
        marks |= {view.labels[p.image] for _, pictures in highlight.groups for p in pictures[:1]}
        if seen.isdisjoint(marks):
            chosen.append(highlight)
            seen |= marks
        if len(chosen) == most:
            return chosen
    rest = [highlight for highlight in found if highlight not in chosen]
    return (chosen + rest)[:most]

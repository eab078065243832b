"""Names of regions of the map: words that are common there and rare elsewhere.

Only words above chance count (`explorer.bundle.meaning`), of those that a neuron adds. A region is
a square window of 3 x 3 cells of a grid over the map. A word's score in a window is its count there
times the logarithm of its share there over its share everywhere (a term of the likelihood ratio
test). The highest scores are named first: each word once, at the median place of the neurons that
carry it, where no name stands already.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.bundle import Bundle
from explorer.bundle.meaning import passing
from explorer.kept import kept

MOST = 24
FEWEST = 3
"""Neurons of a region that carry its name, at least."""
COMMON = 0.08
"""Share of a region's described neurons that carry its name, at least."""
CELLS = 24
"""Of the grid, along each side; the map reaches from -1 to 1."""
LONGEST = 22
"""Letters of a name."""
LETTER, LINE = 0.026, 0.075
"""Width of a letter and height of a line where the map is 640 pixels high."""


@dataclass(frozen=True)
class Landmark:
    """The name of a region, and where it stands on the map."""

    text: str
    x: float
    y: float

    def overlaps(self, other: Landmark) -> bool:
        """Return whether two names would lie on each other."""
        wide = LETTER * (len(self.text) + len(other.text) + 2) / 2
        return abs(self.x - other.x) < wide and abs(self.y - other.y) < LINE


def landmarks(bundle: Bundle) -> tuple[Landmark, ...]:
    """Return the names of regions, surest first; computed once and kept with the bundle.

    None where no neuron's words are above chance.
    """
    return kept(bundle, "landmarks", lambda: _landmarks(bundle))


def _landmarks(bundle: Bundle) -> tuple[Landmark, ...]:
    rows, texts = _told(bundle)
    places = np.asarray(bundle.atlas, np.float32)[rows]
    found: list[Landmark] = []
    for text, window in _candidates(rows, texts, places):
        carried = places[(texts == text) & (_cells(places) == window).any(axis=1)]
        name = bundle.texts[text]
        if len(name) > LONGEST or any(name == other.text for other in found):
            continue
        x, y = np.median(carried, axis=0).tolist()
        one = Landmark(name, x, y)
        if not any(one.overlaps(other) for other in found):
            found.append(one)
        if len(found) == MOST:
            break
    return tuple(found)


def _told(bundle: Bundle) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the words above chance that neurons with a place add: rows and texts, [word] each."""
    counts = passing(bundle).counts
    most = int(counts.max(initial=0))
    texts = np.asarray(bundle.concept_ids[:, :most]).astype(np.int64)
    weights = np.asarray(bundle.concept_weights[:, :most], np.float32)
    told: NDArray[np.bool_] = (np.arange(most) < counts[:, None]) & (texts >= 0) & (weights > 0)
    placed = np.isfinite(np.asarray(bundle.atlas)).all(axis=1, keepdims=True)
    told &= placed
    rows, columns = np.nonzero(told)
    return rows, texts[rows, columns]


def _candidates(
    rows: NDArray[np.int64], texts: NDArray[np.int64], places: NDArray[np.float32]
) -> list[tuple[int, int]]:
    """Return texts with a window where they are common, by falling score."""
    if not len(rows):
        return []
    described, first = np.unique(rows, return_index=True)
    windows = (CELLS + 2) ** 2
    there = np.bincount(_cells(places[first]).ravel(), minlength=windows)
    everywhere = np.bincount(texts) / len(described)
    pairs, counts = np.unique(texts[:, None] * windows + _cells(places), return_counts=True)
    text, window = np.divmod(pairs, windows)
    share = counts / there[window]
    scores = counts * np.log(share / everywhere[text])
    able = (counts >= FEWEST) & (share >= COMMON) & (scores > 0)
    order = np.flatnonzero(able)[np.argsort(-scores[able], kind="stable")]
    _, best = np.unique(text[order], return_index=True)  # the best window of each
    chosen = order[np.sort(best)]
    return list(zip(text[chosen].tolist(), window[chosen].tolist(), strict=True))


def _cells(places: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the nine windows that each place [place, coordinate] lies in, [place, window]."""
    cells = np.clip((places + 1) * (CELLS / 2), 0, CELLS - 1).astype(np.int64)
    windows = cells[:, 0] * (CELLS + 2) + cells[:, 1]
    near = np.add.outer(np.arange(3) * (CELLS + 2), np.arange(3)).ravel()
    return np.asarray(windows[:, None] + near)

"""Where neuron-head pairs stand on the map of neurons.

The map (`explorer.describe.atlas`) is laid out by the neurons' directions alone. A pair stands
beside the neuron whose direction is nearest to its own, by cosine in the joint space; pairs beside
one neuron lie around it in a spiral, the nearest innermost. Of the rules tried on the shipped
bundle this keeps most of a pair's true neighbours near it (`docs/method.md`): the mean place of
several nearest neurons lies where none of them is, as they stand apart on the map.

Axes: pair (as in `explorer.bundle.pair_directions`), neuron, coordinate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.bundle import Bundle
from explorer.bundle.pair_directions import pair_directions
from explorer.kept import kept

STEP = 0.002
"""Of the spiral; the map is 2 wide."""
FARTHEST = 0.015
"""From the neuron that a pair stands beside, however many do."""
TURN = np.pi * (3 - np.sqrt(5))
"""The golden angle: no two of a spiral's points lie on one ray."""


@dataclass(frozen=True, eq=False)
class PairMap:
    """The pairs' places on the map."""

    places: NDArray[np.float32]
    """[pair, coordinate], as `atlas`."""
    beside: NDArray[np.int64]
    """[pair]: row of the neuron that each stands beside."""
    cosines: NDArray[np.float32]
    """[pair]: of the two directions."""
    own: float
    """Share of pairs that stand beside their own neuron."""


def pair_map(bundle: Bundle) -> PairMap:
    """Return where a bundle's pairs stand; computed once and kept with it.

    Raises:
        InputError: when the bundle has no pairs, or no neuron with a direction.
    """
    return kept(bundle, "pair map", lambda: _pair_map(bundle))


def _pair_map(bundle: Bundle) -> PairMap:
    found = pair_directions(bundle)
    atlas = np.asarray(bundle.atlas)
    directions = np.array(bundle.directions, np.float32)
    directions[~np.isfinite(atlas).all(axis=1)] = 0  # a neuron without a place has none beside it
    beside, cosines = found.nearest(directions)
    places = atlas[beside] + around(beside, cosines)
    own = float((beside == found.rows).mean()) if len(found) else 0.0
    return PairMap(places.astype(np.float32), beside, cosines, own)


def around(beside: NDArray[np.int64], cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how far each pair stands from its neuron on the map, [pair, coordinate].

    `beside` [pair] is that neuron; of one neuron's pairs the one with the largest cosine, [pair],
    is nearest.
    """
    order = np.lexsort((-cosines, beside))
    starts = np.searchsorted(beside[order], beside[order])
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order)) - starts
    radius = np.minimum(STEP * np.sqrt(ranks + 0.5), FARTHEST)
    offsets = radius[:, None] * np.column_stack([np.cos(TURN * ranks), np.sin(TURN * ranks)])
    return np.asarray(offsets, np.float32)

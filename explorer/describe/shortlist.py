"""Pursuits in large dictionaries: each target among the texts that the search index finds for it.

A pursuit (`explorer.describe.pursuits`) compares every residual with every text. With hundreds of
thousands of texts that is nearly all of a build's time, and nearly all of it is spent on texts far
from the target. Here each target is pursued among its shortlist: the texts nearest to it, and, for
a pursuit that takes texts with negative weights, those farthest from it.

What that misses is a text far from the target and near to a residual. `python -m explorer bench
shortlist` measures it, and finds it too much: builds pursue the whole dictionary, of any size.

Axes: target, text, embed; m counts chosen texts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.decompose import SparseCode, shortlist_codes
from explorer.describe.dictionary import search
from explorer.describe.pursuits import Code, Rows, pursue

SHORTLIST = 256
"""Texts on either side of a target."""
CHUNK = 512
"""Targets that are searched for at once."""

Choose = Callable[..., Code]
"""(targets, dictionary, m, progress=None) -> code."""


def shortlists(
    index: Any, targets: Rows, count: int = SHORTLIST, *, both: bool = True
) -> NDArray[np.int64]:
    """Return the texts nearest to each target and, if `both`, those farthest: [target, text].

    -1 where the index finds no more. `targets` is [target, embed].
    """
    sides = [search(index, sign * targets, count)[0] for sign in ((1, -1) if both else (1,))]
    return np.concatenate(sides, axis=1)


def pursue_short(
    name: str,
    index: Any,
    targets: Rows,
    dictionary: Rows,
    n_nonzero: int,
    progress: Callable[[int], object] | None = None,
    count: int = SHORTLIST,
) -> Code:
    """Return the sparse codes of targets among their shortlists; see `pursue`.

    Raises:
        InputError: as `pursue` does, and when more texts are asked for than a shortlist holds.
    """
    parts = []
    for start in range(0, max(len(targets), 1), CHUNK):
        part = np.ascontiguousarray(targets[start : start + CHUNK])
        lists = shortlists(index, part, max(count, n_nonzero), both=name == "omp")
        if name == "omp":
            parts.append(shortlist_codes(part, dictionary, lists, n_nonzero))
        else:
            parts.append(_one_by_one(name, part, dictionary, lists, n_nonzero))
        if progress is not None:
            progress(min(start + CHUNK, len(targets)))
    ids, weights, cosines = (
        np.concatenate([getattr(part, field) for part in parts])
        for field in ("ids", "weights", "cosines")
    )
    return SparseCode(ids, weights, cosines)


def _one_by_one(
    name: str, targets: Rows, dictionary: Rows, lists: NDArray[np.int64], n_nonzero: int
) -> Code:
    ids = np.full((len(targets), n_nonzero), -1)
    weights = np.zeros((len(targets), n_nonzero), np.float32)
    cosines = np.zeros_like(weights)
    for row, target in enumerate(targets):
        own = np.unique(lists[row][lists[row] >= 0])  # in order of text, for ties
        m = min(n_nonzero, len(own))
        code = pursue(name, target[None], dictionary[own], m)
        ids[row, :m] = np.where(code.ids[0] >= 0, own[np.maximum(code.ids[0], 0)], -1)
        weights[row, :m], cosines[row, :m] = code.weights[0], code.cosines[0]
        cosines[row, m:] = cosines[row, m - 1]
    return SparseCode(ids, weights, cosines)

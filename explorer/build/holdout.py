"""Which of a folder's pictures are held out of a build, to measure its claims on.

A share of every label's pictures is drawn by the seed. Pictures that are near-duplicates of each
other stay on one side: what the model is measured on must not have been in the build in another
size or encoding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SHARE = 0.1
"""Held out of folders with labels, unless another share is asked for."""
SIDE = 8
ALIKE = 7.0
"""Root mean square difference of two pictures' signatures, in levels of 255, up to which they are
near-duplicates. Pictures reduced to 31 pixels and saved as poor JPEG differ by 3 to 6, one in a
hundred cut-outs from its nearest other one by less than this."""
PAIRS = 2**22
"""Near pairs that are held at once, about, if all pictures are near to each other."""
FEWEST = 32
"""Pictures whose near ones are looked for at once, at least."""


def signature(picture: Image.Image) -> NDArray[np.uint8]:
    """Return a picture's colours on a coarse grid, [SIDE * SIDE * 3]; what is clear is white."""
    ground = Image.new("RGBA", (SIDE, SIDE), "white")
    small = picture.convert("RGBA").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    ground.alpha_composite(small)
    return np.asarray(ground.convert("RGB")).ravel()


def alike_groups(signatures: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return each picture's group, [picture]: near-duplicates, and theirs, are in one.

    `signatures` is [picture, channel].
    """
    import faiss

    distinct, places = np.unique(signatures, axis=0, return_inverse=True)
    rows = distinct.astype(np.float32) - 128  # so small that float32 has every distance exactly
    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(rows)
    groups: NDArray[np.int64] = np.arange(len(rows))
    step = max(FEWEST, PAIRS // len(rows))
    for start in range(0, len(rows), step):
        limits, _, near = index.range_search(rows[start : start + step], ALIKE**2 * rows.shape[1])
        own = np.repeat(groups[start : start + step], np.diff(limits).astype(np.int64))
        groups = _joined(groups, own, groups[near])
    return groups[places.ravel()]


def _joined(
    groups: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return groups, [picture] numbers from 0 on, with those of each pair [pair] made one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    apart = first != second
    if not apart.any():
        return groups
    pairs, count = (first[apart], second[apart]), int(groups.max()) + 1
    graph = coo_array((np.ones(len(pairs[0]), bool), pairs), shape=(count, count))
    joined: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return joined[groups]


def draw_held_out(
    labels: Sequence[str], groups: NDArray[np.int64], share: float, seed: int
) -> NDArray[np.bool_]:
    """Return which pictures are held out, [picture]: about `share` of each label's.

    A group counts to the label of its first picture and goes to one side as a whole; no label loses
    all of its groups.
    """
    rng = np.random.default_rng([seed, 23])
    held = np.zeros(len(labels), bool)
    numbers, first, sizes = np.unique(groups, return_index=True, return_counts=True)
    parts = np.split(np.argsort(groups, kind="stable"), np.cumsum(sizes)[:-1])
    members = dict(zip(numbers.tolist(), parts, strict=True))
    by_label: dict[str, list[int]] = {}
    for place in np.sort(first):
        by_label.setdefault(labels[place], []).append(int(groups[place]))
    quotas = _quotas({k: sum(len(members[g]) for g in v) for k, v in by_label.items()}, share, rng)
    for label, own in by_label.items():
        room, left = quotas[label], len(own)
        for group in rng.permutation(own):
            size = len(members[int(group)])
            if size <= room and left > 1:
                held[members[int(group)]] = True
                room, left = room - size, left - 1
    return held


def _quotas(counts: dict[str, int], share: float, rng: np.random.Generator) -> dict[str, int]:
    """Return how many pictures of each label to hold out: largest remainders, ties by chance."""
    exact = {label: share * count for label, count in counts.items()}
    quotas = {label: int(value + 1e-9) for label, value in exact.items()}
    more = round(sum(exact.values())) - sum(quotas.values())
    order = sorted(counts, key=lambda label: (quotas[label] - exact[label], rng.random()))
    return quotas | {label: quotas[label] + 1 for label in order[: max(more, 0)]}

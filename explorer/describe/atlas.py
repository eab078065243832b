"""The atlas: all neurons of a bundle on one map, near each other where directions agree.

1. The leading principal components of the unit directions; they take most of the noise off.
2. t-SNE (van der Maaten & Hinton 2008) of the cosine distances, started from the first two
   components, so that the map's large shape is the data's and not the seed's. From 10,000 neurons
   on openTSNE interpolates the repulsion on a grid (Linderman et al. 2019): its time then grows
   with the neurons, not faster.

A map of this kind keeps neighbourhoods, not distances: what the explorer calls neighbours are
always those of the joint space.
"""

from __future__ import annotations

import numpy as np
from openTSNE import TSNE
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

COMPONENTS = 50
PERPLEXITY = 30.0
FEWEST = 8  # neurons; a map of fewer is their first two components


def lay_out(directions: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return each neuron's place on the map, [neuron, 2] float32 within [-1, 1].

    directions: [neuron, embed], unit rows, or zeros for a dead neuron, whose place is NaN. The
    same directions give the same map: it runs on one thread.
    """
    places = np.full((len(directions), 2), np.nan, np.float32)
    alive = np.linalg.norm(directions, axis=1) > 0.5
    kept = np.asarray(directions[alive], np.float32)
    if len(kept) < 2:
        places[alive] = 0
        return places
    with threadpool_limits(1):
        components = min(COMPONENTS, *kept.shape)
        reduced = PCA(components, svd_solver="full", random_state=seed).fit_transform(kept)
        found = reduced[:, :2] if len(kept) < FEWEST else _tsne(reduced, seed)
    found = found - (found.max(0) + found.min(0)) / 2
    places[alive] = found / max(np.abs(found).max(), np.finfo(np.float32).tiny)
    return places


def _tsne(points: np.ndarray, seed: int) -> np.ndarray:
    start = points[:, :2] / points[:, 0].std() * 1e-4
    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    unit = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    # on the unit sphere squared Euclidean distance is twice the cosine distance
    map_of = TSNE(
        perplexity=perplexity, initialization=start, neighbors="exact", random_state=seed, n_jobs=1
    )
    return np.asarray(map_of.fit(unit))

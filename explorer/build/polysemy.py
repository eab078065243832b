"""Polysemy, counted among meanings that are more than chance, on either side.

A neuron *adds* words and is *driven* by words (`explorer.build.chance`); the two need not agree,
and either may have several unrelated meanings. Only what passes counts: of the words it adds those
that gain more than chance, with weights fitted anew; of what drives it the words whose pictures it
answers to. Texts are related by their embeddings, driving words by the mean embeddings of the
pictures that carry them. A neuron's polysemy is the larger of both sides' scores, its number of
meanings the larger number of clusters (`explorer.describe.polysemy`).

Axes: neuron, text, word, embed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.decompose import SparseCode
from explorer.describe.drivers import WordTable
from explorer.describe.polysemy import (
    ClusterResult,
    concept_clusters,
    image_clusters,
    related_cosine,
)

Rows = NDArray[np.floating[Any]]
LEAST_MASS = 0.05
"""Share of a neuron's mass from which a cluster counts as a meaning."""


def passing_polysemy(
    adds: Sequence[ClusterResult | None], driven: Sequence[ClusterResult | None]
) -> dict[str, NDArray[Any]]:
    """Return the columns `polysemy` and `meanings`, [neuron] each.

    `adds` and `driven` have each neuron's clusters, None where the side does not pass.
    """
    polysemy = np.zeros(len(adds), np.float32)
    meanings = np.zeros(len(adds), np.int16)
    for neuron, sides in enumerate(zip(adds, driven, strict=True)):
        for side in sides:
            if side is not None:
                polysemy[neuron] = max(polysemy[neuron], side.score)
                count = int((side.masses > LEAST_MASS).sum())
                meanings[neuron] = max(meanings[neuron], count)
    return {"polysemy": polysemy, "meanings": meanings}


def added_meanings(
    directions: Rows,
    code: SparseCode[NDArray[Any]],
    atoms: Rows,
    counts: NDArray[np.integer[Any]],
    passed: NDArray[np.bool_],
) -> list[ClusterResult | None]:
    """Return the clusters of the first `counts` texts of each neuron that passed, [neuron].

    `directions` is [neuron, embed], `atoms` [text, embed], `counts` and `passed` [neuron].
    """
    related = related_cosine(atoms)
    found: list[ClusterResult | None] = []
    for neuron, count in enumerate(counts):
        ids = code.ids[neuron, :count]
        chosen = atoms[ids[ids >= 0]]
        if not passed[neuron] or not len(chosen):
            found.append(None)
            continue
        weights = np.linalg.lstsq(chosen.T, directions[neuron], rcond=None)[0]
        found.append(concept_clusters(chosen, weights, related))
    return found


def driving_meanings(
    words: Sequence[Sequence[str]], table: WordTable, embeddings: Rows, passed: NDArray[np.bool_]
) -> list[ClusterResult | None]:
    """Return the clusters of each neuron's driving words, [neuron], all words weighing the same.

    `embeddings` [image, embed] are those of the table's pictures, less their mean; `passed` is
    [neuron].
    """
    if len(table.words) < 2:
        return [None] * len(words)
    sizes = np.asarray(table.carried.sum(axis=0)).ravel()
    means = (table.carried.T @ embeddings) / sizes[:, None]
    related = related_cosine(means)
    place = {word: number for number, word in enumerate(table.words)}
    return [
        image_clusters(means[[place[word] for word in own]], None, related)
        if passes and own
        else None
        for own, passes in zip(words, passed, strict=True)
    ]

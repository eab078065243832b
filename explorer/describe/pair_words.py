"""What texts say of neuron-head pairs, beside what chance gives; and which pairs mean one thing.

As for neurons (`explorer.describe.words`), with two differences that pairs allow:

1. *Fit*: the null directions of a pair have the mean and covariance of its own head's directions
   over all neurons of the layer. A head writes into a small space, and what texts say of the whole
   space must not count for one neuron of it. Cosines are brought to the mean and deviation of the
   head's null cosines; then the null directions of all the layer's heads serve together, so that a
   p-value can be small.
2. *Prediction*: no picture had a part in a pair's direction or its words, so one sample serves, not
   halves: the words must predict the pair's effects better than those of the layer's other pairs.

Pairs of a neuron mean one thing when their directions are more alike than 99 of 100 of the layer's
pairs at random; clusters are those of `explorer.describe.polysemy`.

Axes: neuron, path, pair, sample, text, word, embed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.describe.chance import null_directions, text_p, word_count
from explorer.describe.polysemy import image_clusters, related_cosine
from explorer.describe.prediction import layer_prediction, prefix_sums
from explorer.describe.words import Pursue

Rows = NDArray[np.floating[Any]]
WORDS = 6
"""Texts of a pair."""
NULLS = 400
"""Null directions of a head."""


@dataclass(frozen=True, eq=False)
class PairWords:
    """What texts say of one layer's pairs; NaN, -1 and 0 where a neuron has no further pair."""

    ids: NDArray[np.int32]
    """[neuron, pair, word]: texts in the order of the pursuit; -1 for none."""
    weights: NDArray[np.float32]
    """[neuron, pair, word]."""
    counts: NDArray[np.int8]
    """[neuron, pair]: how many of the first texts gain more than chance."""
    text_p: NDArray[np.float32]
    """[neuron, pair]: chance that a null direction of its head is described as well."""
    prediction: NDArray[np.float32]
    """[neuron, pair]: Pearson correlation of effects with what the words say."""
    prediction_p: NDArray[np.float32]
    """[neuron, pair]: share of the layer's pairs whose words predict its effects better."""


def tell_pairs(
    directions: Rows,
    kept: NDArray[np.integer[Any]],
    effects: Rows,
    embeddings: Rows,
    atoms: Rows,
    pursue: Pursue,
    seed: int = 0,
) -> PairWords:
    """Return what texts say of the pairs of one layer.

    `directions` is [neuron, path, embed] unit norm, of all the layer's pairs; `kept` [neuron,
    pair] the paths that matter, -1 for none; `effects` [neuron, pair, sample] on pictures with
    `embeddings` [sample, embed] less their mean; `atoms` [text, embed].
    """
    rows, places = np.nonzero(kept >= 0)
    paths = kept[rows, places]
    texts, embed = atoms.shape
    words = min(WORDS, embed, max(1, texts - 1))  # centred texts are one fewer than they seem
    shape = (*kept.shape, words)
    found = PairWords(
        np.full(shape, -1, np.int32),
        np.zeros(shape, np.float32),
        np.zeros(kept.shape, np.int8),
        *(np.full(kept.shape, np.nan, np.float32) for _ in range(3)),
    )
    if not len(rows):
        return found
    own = directions[rows, paths]
    code = pursue(own, atoms, words)
    found.ids[rows, places], found.weights[rows, places] = code.ids, code.weights
    fit = fit_of_pairs(directions, paths, code.cosines, atoms, pursue, seed)
    found.text_p[rows, places], found.counts[rows, places] = fit
    sums = prefix_sums(own, atoms, code.ids, np.maximum(found.counts[rows, places], 1))
    tested = layer_prediction([(effects[rows, places], sums @ embeddings.T)])
    found.prediction[rows, places] = tested.correlation
    found.prediction_p[rows, places] = tested.p
    return found


def fit_of_pairs(
    directions: Rows,
    paths: NDArray[np.integer[Any]],
    cosines: Rows,
    atoms: Rows,
    pursue: Pursue,
    seed: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Return the chance that null directions are described as well, and how many texts gain more.

    [pair] both, for pairs on `paths` [pair] with `cosines` [pair, m] to their first texts. NaN and
    0 where a head has too few directions to draw from.
    """
    scaled, nulls = np.full(cosines.shape, np.nan), []
    counts = np.zeros(len(paths), np.int8)
    for path in np.unique(paths):
        of_head = paths == path
        null = null_directions(directions[:, path], NULLS, seed + int(path))
        if not len(null):
            continue
        null_cosines = pursue(null, atoms, cosines.shape[1]).cosines
        middle, spread = null_cosines.mean(axis=0), np.maximum(null_cosines.std(axis=0), 1e-9)
        scaled[of_head] = (cosines[of_head] - middle) / spread
        nulls.append((null_cosines - middle) / spread)
        counts[of_head] = word_count(cosines[of_head], null_cosines)
    tested = np.isfinite(scaled).all(axis=1)
    p = np.full(len(paths), np.nan, np.float32)
    if tested.any():
        p[tested] = text_p(scaled[tested], np.concatenate(nulls))
    return p, counts


def pair_meanings(
    directions: Rows, kept: NDArray[np.integer[Any]], scales: Rows
) -> NDArray[np.int8]:
    """Return the meaning of each pair that matters, [neuron, pair]: 0 the heaviest; -1 for none.

    `directions` and `kept` as in `tell_pairs`, `scales` [neuron, pair] the size of each pair's
    effect.
    """
    meanings = np.full(kept.shape, -1, np.int8)
    rows, places = np.nonzero(kept >= 0)
    own = directions[rows, kept[rows, places]]
    if len(own) < 2:
        meanings[rows, places] = 0
        return meanings
    related = related_cosine(own)
    starts = np.searchsorted(rows, np.arange(len(kept) + 1))
    for first, last in pairwise(starts):
        if first < last:
            at = rows[first:last], places[first:last]
            meanings[at] = image_clusters(
                own[first:last], np.maximum(scales[at], 1e-12), related
            ).labels
    return meanings

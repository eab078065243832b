"""Do a neuron's words predict its effects on pictures that did not choose them?

The corpus falls into two halves; pictures of one drawing never stand in both (`split_halves`).
Each half gives every neuron a direction and words. On the pictures of the *other* half, seen once
more after the pass,

    effect[n, i] = sum over paths k of c[i, k, n] (u[n, k] . d[n])     d from the first half
    score[n, i]  = e[i] . v[n]        e: embedding less its mean; v: sum of the words, first half

prediction      Pearson's correlation of effect and score, the mean over both ways
prediction_p    share of the layer's other neurons whose words score this neuron's pictures better
precision       AUPRC of the top 2 % of pictures by effect, ranked by score; by chance
                `random_precision`

Correlation and AUPRC are among the measures that pass the sanity checks of "Evaluating Neuron
Explanations" (ICML 2025); the area under the ROC curve is not.

Axes: neuron, image, path, embed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError

Rows = NDArray[np.floating[Any]]
TOP = 0.02
"""Share of the pictures, by effect, that scores should find."""
UNSEEN = 0.1
"""Share of the corpus that words are tested on, unless a build says otherwise."""
LEAST_UNSEEN = 256
"""Images of each half that words are tested on, at least, where there are so many."""
CHUNK = 1024
"""Neurons, or pairs, that are looked at together: a layer may have ten thousands of pairs."""
FLAT = 1e-12
"""Spread below which effects or scores are constant and correlate with nothing."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """How well the words of one layer's neurons predict their effects.

    `correlation` [neuron] float32, Pearson's, 0 for a neuron without effect or words; `p` [neuron]
    float32 in (0, 1], NaN where there was nothing to test; `precision` [neuron] float32, AUPRC, 0
    where there was nothing to find.
    """

    correlation: NDArray[np.float32]
    p: NDArray[np.float32]
    precision: NDArray[np.float32]


def split_halves(drawings: Sequence[str], seed: int = 0) -> NDArray[np.int8]:
    """Return each picture's half, [image] int8 of 0 and 1, near equal in size.

    `drawings` is [image], the same for pictures of one source drawing, which stay together; an
    empty one is a drawing of its own.
    """
    names = [name or f"\0{place}" for place, name in enumerate(drawings)]
    _, groups, sizes = np.unique(names, return_inverse=True, return_counts=True)
    rng = np.random.default_rng([seed, 17])
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]  # large ones first, then fill up
    side = np.zeros(len(sizes), np.int8)
    held = [0, 0]
    coin = rng.integers(2, size=len(sizes))
    for group in order:
        lighter = int(coin[group]) if held[0] == held[1] else int(held[0] > held[1])
        side[group] = lighter
        held[lighter] += int(sizes[group])
    halves: NDArray[np.int8] = side[groups.ravel()]
    return halves


def layer_prediction(ways: Sequence[tuple[Rows, Rows]]) -> Prediction:
    """Return the predictions of one layer from each way's (effects, scores), [neuron, image] both.

    A way is one half's directions and words on the other half's pictures. Constant rows, of dead
    neurons or of neurons without words, count as correlation 0 and are not tested.

    Raises:
        InputError: there is no way, or effects and scores do not fit.
    """
    if not ways or any(effects.shape != scores.shape for effects, scores in ways):
        raise InputError(
            "Predictions need effects and scores of the same neurons and pictures, one pair for "
            "each way."
        )
    standard = [(_standard(effects), _standard(scores)) for effects, scores in ways]
    usable = np.all([one.any(axis=1) & other.any(axis=1) for one, other in standard], axis=0)
    count = len(usable)
    own, better = np.empty(count, np.float32), np.empty(count, np.int64)
    for start in range(0, count, CHUNK):
        rows = np.arange(start, min(start + CHUNK, count))
        tables = [one[rows] @ other.T / max(1, one.shape[1]) for one, other in standard]
        correlations = np.mean(tables, axis=0)  # [neuron, whose words]
        own[rows] = correlations[np.arange(len(rows)), rows]
        better[rows] = (correlations[:, usable] >= own[rows, None]).sum(axis=1)  # itself among them
    p = np.where(usable, better / max(1, int(usable.sum())), np.nan)
    precision = np.where(usable, np.mean([average_precision(*way) for way in ways], axis=0), 0)
    return Prediction(own, p.astype(np.float32), precision.astype(np.float32))


def prefix_sums(
    directions: Rows, atoms: Rows, ids: NDArray[np.integer[Any]], counts: NDArray[np.integer[Any]]
) -> NDArray[np.float32]:
    """Return each direction's sum over its first texts: [neuron, embed] float32.

    `directions` is [neuron, embed], `atoms` [text, embed], `ids` [neuron, m] rows of it in the
    order of the pursuit, -1 for none, `counts` [neuron] how many of them. With the least-squares
    weights the sum is the direction's projection on their span.
    """
    sums = np.zeros(directions.shape, np.float32)
    for count in np.unique(counts[counts > 0]):
        told = np.flatnonzero((counts == count) & (ids[:, :count] >= 0).all(axis=1))
        for start in range(0, len(told), CHUNK):
            rows = told[start : start + CHUNK]
            basis = np.linalg.qr(atoms[ids[rows, :count]].transpose(0, 2, 1)).Q
            weights = np.einsum("nem,ne->nm", basis, directions[rows])
            sums[rows] = np.einsum("nem,nm->ne", basis, weights)
    return sums


def prefix_cosines(
    directions: Rows, atoms: Rows, ids: NDArray[np.integer[Any]]
) -> NDArray[np.float32]:
    """Return each direction's cosines with its sums over the first 1..m texts: [neuron, m].

    As `prefix_sums`, for any texts [neuron, m], also such as no pursuit would choose for the
    direction; a place without a text adds nothing.
    """
    chosen = np.where((ids >= 0)[..., None], atoms[np.maximum(ids, 0)], 0).astype(np.float64)
    basis = np.linalg.qr(chosen.transpose(0, 2, 1)).Q
    along = np.where(ids >= 0, np.einsum("nem,ne->nm", basis, directions), 0)
    norms = np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    cosines: NDArray[np.float32] = np.sqrt(np.square(along / norms).cumsum(axis=1))
    return cosines.astype(np.float32)


def average_precision(effects: Rows, scores: Rows) -> NDArray[np.float32]:
    """Return how well scores find the pictures of largest effect: [neuron] float32 in (0, 1].

    The mean, over the top 2 % of pictures by effect (at least one), of the share of such pictures
    among all that score at least as high: `sklearn.metrics.average_precision_score`, row by row.
    Equal scores count in the order of the pictures.
    """
    count = max(1, round(TOP * effects.shape[1]))
    top = np.argpartition(-effects, count - 1, axis=1)[:, :count]
    return mean_precision(top, scores).astype(np.float32)


def mean_precision(positives: NDArray[np.integer[Any]], scores: Rows) -> NDArray[np.float64]:
    """Return the average precision with which scores find the positives: [neuron] float64.

    `positives` is [neuron, count], places on the axis image of `scores` [neuron, image]. Equal
    scores count in the order of the pictures.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(scores.shape[1])[None], axis=1)
    found = np.sort(np.take_along_axis(rank, positives, axis=1), axis=1) + 1
    precision: NDArray[np.float64] = (np.arange(1, found.shape[1] + 1) / found).mean(axis=1)
    return precision


def random_precision(images: int) -> float:
    """Return the mean `average_precision` of a random order of `images` pictures, in (0, 1].

    It is above the share of top pictures where there are few (Bestgen, *Exact Expected Average
    Precision of the Random Baseline*, 2015).
    """
    if images == 1:
        return 1.0
    count = max(1, round(TOP * images))
    harmonic = float((1 / np.arange(1, images + 1)).sum())
    return (count - 1) / (images - 1) + (images - count) * harmonic / (images * (images - 1))


def _standard(rows: Rows) -> NDArray[np.float32]:
    """Return rows less their mean over their deviation; zeros for constant rows and for NaN."""
    values = np.asarray(rows, np.float64)
    values = values - values.mean(axis=1, keepdims=True)
    spread = values.std(axis=1, keepdims=True)
    flat = ~(spread > FLAT)
    return np.where(flat, 0, values / np.where(flat, 1, spread)).astype(np.float32)

"""What chance gives: how well texts describe directions that mean nothing.

A dictionary of thousands of texts describes any vector to some extent. So for each layer *null
directions* are drawn, with the layer's own mean and covariance, and described over the same
dictionary by the same pursuit:

1. `null_directions`: seeded Gaussian vectors, brought to unit length, which then have the mean and
   the covariance of the layer's living directions. Bringing them to unit length flattens the
   spectrum, so the Gaussian's own is found by iteration. Without that null directions are harder
   to describe, and 8 % of meaningless neurons are below a p-value of 5 %; with a covariance
   shrunk towards the identity (Ledoit & Wolf 2004) it is 7 %, so it is not shrunk.
2. `text_p`: for 1, 3 and 6 texts, numbers fixed beforehand, the share of null directions that as
   many texts explain at least as well; the smallest of the three is then ranked among the smallest
   of each null direction (Westfall & Young 1993, the min-P method), which corrects for looking
   three times and costs no power where the three agree. With R null directions the smallest
   p-value is 1 / (R + 1).
3. `word_count`: a sparse set is as long as its texts gain more than 95 % of the null directions
   gain at the same place.
4. `passing`: Benjamini & Hochberg's control of the false discovery rate over neurons.

Axes: neuron, null, embed; m counts texts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from explorer.errors import InputError

Rows = NDArray[np.floating[Any]]
LENGTHS = (1, 3, 6)
"""Numbers of texts that `text_p` looks at."""
LONGEST = 16
"""Most texts that are shown as meaning."""
LEVEL = 0.95
"""Share of the null directions that a text must gain more than."""
FALSE_DISCOVERIES = 0.05
"""Rate of false discoveries among the neurons that pass."""
MATCHING = 25
"""Rounds in which null directions come to a layer's mean and covariance."""
ALIVE = 0.5
"""Length of a stored direction below which the neuron is dead."""


def null_directions(directions: Rows, count: int, seed: int = 0) -> NDArray[np.float32]:
    """Return `count` random directions with the layer's mean and covariance, unit norm.

    `directions` is [neuron, embed], unit norm, zeros for a dead neuron. The result is
    [null, embed] float32; no rows where fewer than two neurons live.
    """
    embed = directions.shape[1]
    living = directions[np.linalg.norm(directions, axis=1) > ALIVE].astype(np.float64)
    if len(living) < 2:
        return np.zeros((0, embed), np.float32)
    values, axes = np.linalg.eigh(np.cov(living, rowvar=False, ddof=0))
    rng = np.random.default_rng([seed, 11])
    normal = rng.standard_normal((count, embed))
    drawn = _matched(normal, living.mean(0) @ axes, values.clip(min=0)) @ axes.T
    null: NDArray[np.float32] = drawn.astype(np.float32)
    return null


def _matched(
    normal: NDArray[np.float64], mean: NDArray[np.float64], variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return unit vectors [null, axis] made of `normal` with this mean and variance per axis."""
    centre, spread = mean.copy(), variance.copy()
    drawn = normal
    for _ in range(MATCHING):
        drawn = centre + normal * np.sqrt(spread)
        norms = np.linalg.norm(drawn, axis=1, keepdims=True)
        drawn = drawn / np.where(norms > 0, norms, 1)
        found = drawn.var(axis=0)
        centre += mean - drawn.mean(0)
        spread *= np.where(found > 0, variance / np.where(found > 0, found, 1), 1)
    return drawn


def text_p(
    cosines: Rows, null_cosines: Rows, lengths: tuple[int, ...] = LENGTHS
) -> NDArray[np.float32]:
    """Return the chance that a null direction is described as well: [neuron] float32 in (0, 1].

    `cosines` [neuron, m] and `null_cosines` [null, m] are cosines with the sums of the first 1..m
    texts. Numbers of texts beyond m are left out.

    Raises:
        InputError: there are no null directions, or the two were described with other numbers of
            texts.
    """
    if not len(null_cosines) or cosines.shape[1] != null_cosines.shape[1]:
        raise InputError(
            f"Cosines {list(cosines.shape)} need null cosines of as many texts and got "
            f"{list(null_cosines.shape)}: describe both by one pursuit."
        )
    looked = [m - 1 for m in lengths if m <= cosines.shape[1]]
    own = np.stack([exceeding(cosines[:, m], null_cosines[:, m]) for m in looked]).min(0)
    # each null direction among the others: without itself, which is always as good as itself
    among = np.stack([exceeding(null_cosines[:, m], null_cosines[:, m]) - 1 for m in looked])
    smallest = np.sort(among.min(0))
    better = np.searchsorted(smallest, own, "right")
    p: NDArray[np.float32] = ((1 + better) / (1 + len(smallest))).astype(np.float32)
    return p


def word_count(cosines: Rows, null_cosines: Rows, level: float = LEVEL) -> NDArray[np.int8]:
    """Return how many of each neuron's first texts gain more than chance: [neuron] int8, 0 to m.

    A text's gain is what it adds to the explained share of the direction, its squared cosine.
    `cosines` is [neuron, m], `null_cosines` [null, m]; at most `LONGEST` texts count.
    """
    longest = min(LONGEST, cosines.shape[1])
    gains, null_gains = (_gains(table[:, :longest]) for table in (cosines, null_cosines))
    if not len(null_gains):
        return np.zeros(len(gains), np.int8)
    above = gains > np.quantile(null_gains, level, axis=0)
    count: NDArray[np.int8] = above.cumprod(axis=1).sum(axis=1).astype(np.int8)
    return count


def passing(p: Rows, rate: float = FALSE_DISCOVERIES) -> NDArray[np.bool_]:
    """Return which neurons pass at a rate of false discoveries: [neuron] bool.

    `p` is [neuron], NaN for a neuron that was not tested, which does not pass and does not count.
    """
    found = np.zeros(len(p), bool)
    tested = np.isfinite(p)
    if tested.any():
        found[tested] = false_discovery_control(p[tested].astype(np.float64)) <= rate
    return found


def _gains(cosines: Rows) -> NDArray[np.float64]:
    squares = np.square(cosines.astype(np.float64))
    return np.diff(squares, axis=1, prepend=0)


def exceeding(values: Rows, null: Rows) -> NDArray[np.int64]:
    """Return how many null values are at least as large as each value: [value]; of NaN, all."""
    below = np.searchsorted(np.sort(null), values, "left")
    return len(null) - np.where(np.isnan(values), 0, below)

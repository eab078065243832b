"""Figures with their bootstrap intervals.

Every figure is a mean (or a ratio of two means) over units, mostly pictures or neurons. Its
interval is the 95 % percentile interval of the same quantity over `RESAMPLES` samples of the units
with replacement (Efron 1979). All figures over as many units share their resamples, so that
differences of figures are compared on the same pictures.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 1000
QUANTILES = (0.025, 0.975)
DIGITS = 5

Figure = dict[str, Any]
"""{"value": float or None, "interval": [low, high] or None, "count": units}."""


def bootstrap_interval(hits: np.ndarray, seed: int, resamples: int = 2000) -> list[float]:
    """Return the 95 % percentile interval of the mean of ``hits`` [picture] bool."""
    rng = np.random.default_rng(seed)
    means = rng.binomial(len(hits), hits.mean(), resamples) / len(hits)
    return [round(float(v), 4) for v in np.quantile(means, QUANTILES)]


@lru_cache(maxsize=4)
def resample_weights(units: int, seed: int) -> NDArray[np.float32]:
    """Return how much each unit counts in each resample: [resample, unit], rows sum to 1."""
    rng = np.random.default_rng([seed, units])
    weights = np.zeros((RESAMPLES, units), np.float32)
    for resample in range(RESAMPLES):
        drawn = rng.integers(units, size=units)
        weights[resample] = np.bincount(drawn, minlength=units)
    return weights / np.float32(units)


def figure(values: ArrayLike, seed: int) -> Figure:
    """Return the mean of ``values`` [unit] with its interval; NaN units are left out."""
    table = np.asarray(values, np.float64)
    table = table[np.isfinite(table)]
    if not len(table):
        return {"value": None, "interval": None, "count": 0}
    means = resample_weights(len(table), seed) @ table.astype(np.float32)
    return _figure(float(table.mean()), means, len(table))


def ratio(above: ArrayLike, below: ArrayLike, seed: int) -> Figure:
    """Return the ratio of the means of two tables [unit] with its interval.

    The value is None where the lower mean is not positive, the interval where that happens in a
    resample: there is then nothing to take a share of.
    """
    top, bottom = np.asarray(above, np.float64), np.asarray(below, np.float64)
    if not len(bottom) or bottom.mean() <= 0:
        return {"value": None, "interval": None, "count": len(bottom)}
    weights = resample_weights(len(bottom), seed)
    lower = weights @ bottom.astype(np.float32)
    value = float(top.mean() / bottom.mean())
    if lower.min() <= 0:
        return {"value": round(value, DIGITS), "interval": None, "count": len(bottom)}
    return _figure(value, (weights @ top.astype(np.float32)) / lower, len(bottom))


def _figure(value: float, resampled: NDArray[np.floating[Any]], count: int) -> Figure:
    low, high = np.quantile(resampled, QUANTILES)
    interval = [round(float(low), DIGITS), round(float(high), DIGITS)]
    return {"value": round(value, DIGITS), "interval": interval, "count": count}

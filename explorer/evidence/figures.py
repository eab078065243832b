"""Figures with their intervals: the one type, the one bootstrap, and how a result is walked.

Every figure is a statistic of units that were measured, mostly pictures, scenes or neurons. Its
interval is the 95 % percentile interval of the same statistic over `RESAMPLES` samples of the units
with replacement (Efron 1979). All figures over as many units share their resamples, so that
differences of figures are compared on the same units. Of fewer than `FEWEST` units resamples differ
too little: of two with a mean of 0, the interval is above 0 in one case of four. They have none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import TypedDict

RESAMPLES = 1000
QUANTILES = (0.025, 0.975)
FEWEST = 10
"""Units that an interval takes: of more, it is above 0 in 5 % of cases or less if the mean is 0."""
DIGITS = 5
MOST_KEPT = 2**24  # weights in a table that is made whole and kept: 64 MiB
PART = 40  # resamples of more at a time; a multiple of 8: each is rounded as in the whole table

Weights = NDArray[np.floating[Any]]
"""How much each unit counts in each sample: [sample, unit], rows sum to 1."""


class Figure(TypedDict):
    """A measured number, as it stands in a result and in JSON."""

    value: float | None
    """None where there is nothing to measure it on."""
    interval: list[float] | None
    """[low, high]; None of fewer than `FEWEST` units, or where a resample has no such statistic."""
    count: int
    """Units that it is measured over."""


def is_figure(part: Any) -> TypeGuard[Figure]:
    """Return whether a part of a result is a figure."""
    return isinstance(part, Mapping) and {"value", "interval", "count"} <= part.keys()


def value_of(figure: Figure) -> float:
    """Return a figure's value; 0 for one that could not be formed."""
    return float(figure["value"] or 0)


def is_positive(figure: Figure) -> bool:
    """Return whether a figure's whole interval is above 0."""
    return bool(figure["interval"] and figure["interval"][0] > 0)


def reaches(figure: Figure, least: float) -> bool:
    """Return whether a figure's whole interval is at `least` or above."""
    return bool(figure["interval"] and figure["interval"][0] >= least)


def stays_below(figure: Figure, most: float) -> bool:
    """Return whether a figure's whole interval is at `most` or below."""
    return bool(figure["interval"] and figure["interval"][1] <= most)


def is_above(figure: Figure, other: Figure) -> bool:
    """Return whether a figure's whole interval is above another's."""
    own, theirs = figure["interval"], other["interval"]
    return bool(own and theirs and own[0] > theirs[1])


def leaves(part: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every figure, plain value and list of plain values of a result, with its key.

    A key is the place in the JSON, such as "layers[3].second_order.drop".
    """
    if isinstance(part, Mapping) and not is_figure(part):
        for name, found in part.items():
            yield from leaves(found, f"{key}.{name}" if key else str(name))
    elif isinstance(part, list) and any(isinstance(item, Mapping | list) for item in part):
        for place, found in enumerate(part):
            yield from leaves(found, f"{key}[{place}]")
    else:
        yield key, part


def bootstrap(statistic: Callable[[Weights], ArrayLike], units: int, seed: int) -> Figure:
    """Return a statistic of `units` units with its interval.

    `statistic` maps weights [sample, unit] to [sample], each sample by itself; NaN where it is not
    defined.
    """
    if not units:
        return {"value": None, "interval": None, "count": 0}
    (value,) = np.asarray(statistic(np.full((1, units), 1 / units)), np.float64)
    if not np.isfinite(value):
        return {"value": None, "interval": None, "count": units}
    if units < FEWEST:
        return {"value": round(float(value), DIGITS), "interval": None, "count": units}
    parts = [np.asarray(statistic(weights), np.float64) for weights in _parts(units, seed)]
    resampled = np.concatenate(parts)
    interval = None
    if np.isfinite(resampled).all():
        interval = [round(float(end), DIGITS) for end in np.quantile(resampled, QUANTILES)]
    return {"value": round(float(value), DIGITS), "interval": interval, "count": units}


def figure(values: ArrayLike, seed: int) -> Figure:
    """Return the mean of `values` [unit] with its interval; NaN units are left out."""
    table = np.asarray(values, np.float64)
    table = table[np.isfinite(table)]
    return bootstrap(lambda weights: weights @ table.astype(weights.dtype), len(table), seed)


def ratio(above: ArrayLike, below: ArrayLike, seed: int) -> Figure:
    """Return the ratio of the means of two tables [unit] with its interval.

    The value is None where the lower mean is not positive, the interval where that happens in a
    resample: there is then nothing to take a share of.
    """
    top, bottom = np.asarray(above, np.float64), np.asarray(below, np.float64)

    def share(weights: Weights) -> NDArray[np.floating[Any]]:
        lower = weights @ bottom.astype(weights.dtype)
        upper = weights @ top.astype(weights.dtype)
        return np.divide(upper, lower, out=np.full_like(upper, np.nan), where=lower > 0)

    return bootstrap(share, len(bottom), seed)


@lru_cache(maxsize=4)
def resample_weights(units: int, seed: int) -> NDArray[np.float32]:
    """Return how much each unit counts in each resample: [resample, unit], rows sum to 1."""
    (weights,) = _drawn(units, seed, RESAMPLES)
    return weights


def _parts(units: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Yield the weights of all resamples, in parts and not kept where they take much memory."""
    if RESAMPLES * units <= MOST_KEPT:
        yield resample_weights(units, seed)
    else:
        yield from _drawn(units, seed, PART)


def _drawn(units: int, seed: int, part: int) -> Iterator[NDArray[np.float32]]:
    """Yield the weights of all resamples, `part` resamples at a time: [resample, unit]."""
    rng = np.random.default_rng([seed, units])
    for _ in range(0, RESAMPLES, part):
        weights = np.empty((part, units), np.float32)
        for row in weights:
            row[:] = np.bincount(rng.integers(units, size=units), minlength=units)
        weights /= np.float32(units)
        yield weights

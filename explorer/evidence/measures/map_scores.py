"""How well a map finds an object, given the object's exact mask.

A map's values below 0 count as 0, and the rest is scaled to 0-1 by its own minimum and maximum. The
measures are those of `explorer.evidence.measures.segmentation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.evidence.figures import Figure, bootstrap

STATISTICS = (
    "pixel_accuracy",
    "mean_iou",
    "mean_average_precision",
    "foreground_average_precision",
    "calibrated_iou",
)
THRESHOLDS = np.round(np.arange(0.02, 1.0, 0.02), 2)


@dataclass(frozen=True, eq=False)
class Scores:
    """What one method scored on every object of a set; sums, so that scenes can be resampled."""

    scene: np.ndarray
    """[object] int: the scene it is in."""
    counts: np.ndarray
    """[object, 4]: true positives, false positives, false negatives, true negatives at 0.5."""
    sweep: np.ndarray
    """[object, threshold, 2]: intersection and union of the foreground."""
    precision: np.ndarray
    """[object, 2]: average precision of both classes, and of the foreground alone."""


PARTS = ("counts", "sweep", "precision")
"""The names of what `score_map` returns, in its order."""
NO_SCORES = (np.zeros(4, np.int64), np.zeros((len(THRESHOLDS), 2), np.int64), np.zeros(2))
"""What stands for an object that cannot be seen."""


def best_threshold(parts: Sequence[Scores]) -> float:
    """Return the threshold with the largest mean of the parts' foreground IoU."""
    ious = np.mean([_ious(part.sweep.sum(axis=0)) for part in parts], axis=0)
    return float(THRESHOLDS[int(np.argmax(ious))])


def summarise(scores: Scores, threshold: float, seed: int = 0) -> dict[str, Any]:
    """Return the figures of one method on one set, each with its interval."""
    place = int(np.argmin(np.abs(THRESHOLDS - threshold)))
    sums = np.concatenate(
        [
            scores.counts,
            scores.sweep[:, place],
            scores.precision,
            np.ones((len(scores.scene), 1)),
        ],
        axis=1,
    )
    by_scene = np.stack(
        [sums[scores.scene == scene].sum(axis=0) for scene in np.unique(scores.scene)]
    )

    def figure(name: str) -> Figure:
        return bootstrap(lambda w: _statistics(w @ by_scene)[name], len(by_scene), seed)

    return {"threshold": threshold, **{name: figure(name) for name in STATISTICS}}


def score_map(found: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (counts, sweep, precision) of one map on one mask, both [row, column].

    As in `Scores`, for a single object.
    """
    positive = np.maximum(found, 0).ravel().astype(np.float64)
    reach = np.ptp(positive)
    scaled = (positive - positive.min()) / reach if reach > 0 else np.zeros_like(positive)
    truth = mask.ravel()
    above = scaled > 0.5
    counts = np.array(
        [(above & truth).sum(), (above & ~truth).sum(), (~above & truth).sum(),
         (~above & ~truth).sum()]
    )  # fmt: skip
    bins = len(THRESHOLDS) - np.searchsorted(THRESHOLDS, scaled, side="left")
    # a pixel is above its first thresholds; counting from the last one makes that a running sum
    inside = np.bincount(bins[truth], minlength=len(THRESHOLDS) + 1)
    outside = np.bincount(bins[~truth], minlength=len(THRESHOLDS) + 1)
    hits = np.cumsum(inside)[:-1][::-1]
    union = truth.sum() + np.cumsum(outside)[:-1][::-1]
    order = np.argsort(-scaled)
    return counts, np.stack([hits, union], axis=1), _precisions(scaled[order], truth[order])


def _precisions(falling: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the average precision of both classes together, and of the foreground alone.

    A pixel's score for the background is 1 less that for the foreground. Both lists of scores are
    sorted already, which a merging sort makes use of.
    """
    scores = np.concatenate([falling, 1 - falling[::-1]])
    order = np.argsort(-scores, kind="stable")
    both = np.concatenate([truth, ~truth[::-1]])[order]
    return np.array([_precision_of(scores[order], both), _precision_of(falling, truth)])


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the average precision of [n] scores; tied scores are taken together.

    `sum_i (recall_i - recall_{i-1}) precision_i` over distinct scores, falling.
    """
    order = np.argsort(-scores)
    return _precision_of(scores[order], truth[order])


def _precision_of(falling: np.ndarray, truth: np.ndarray) -> float:
    """Return `average_precision` of scores that are sorted already."""
    hits = np.cumsum(truth)
    last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    recall = hits[last] / max(hits[-1], 1)
    precision = hits[last] / (last + 1)
    return float(np.sum(np.diff(recall, prepend=0) * precision))


def _statistics(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Return `STATISTICS` of [sample, column] sums, columns as in `summarise`."""
    tp, fp, fn, tn, inside, union, both, foreground, objects = sums.T.astype(np.float64)
    return {
        "pixel_accuracy": (tp + tn) / (tp + fp + fn + tn),
        "mean_iou": (_ratio(tp, tp + fp + fn) + _ratio(tn, tn + fp + fn)) / 2,
        "mean_average_precision": both / objects,
        "foreground_average_precision": foreground / objects,
        "calibrated_iou": _ratio(inside, union),
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    share = np.zeros_like(part)
    np.divide(part, whole, out=share, where=whole > 0)
    return share


def _ious(sweep: np.ndarray) -> np.ndarray:
    return _ratio(sweep[:, 0].astype(np.float64), sweep[:, 1].astype(np.float64))

"""Agreement of predicted with measured effects, column by column."""

from __future__ import annotations

import numpy as np

from explorer.describe.prediction import mean_precision

METRICS = ("pearson", "cosine", "auprc", "f1", "iou")


def agreement(effects: np.ndarray, predicted: np.ndarray, top: int) -> np.ndarray:
    """Return `METRICS` of each column: [column, metric] float64.

    `effects` and `predicted` are [image, column]. Positives are the `top` largest effects of
    a column, predicted positives its `top` largest predictions; so precision, recall and F1 are
    one number. Constant columns correlate 0.
    """
    shared = _shared_top(effects, predicted, top)
    f1 = shared / top
    return np.stack(
        [
            pearson(effects, predicted),
            _cosine(effects, predicted),
            average_precision(effects, predicted, top),
            f1,
            shared / (2 * top - shared),
        ],
        axis=1,
    )


def pearson(effects: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the Pearson correlation of each column; constant columns correlate 0."""
    return _cosine(effects - effects.mean(0), predicted - predicted.mean(0))


def average_precision(effects: np.ndarray, predicted: np.ndarray, top: int) -> np.ndarray:
    """Return the area under the precision-recall curve of each column (average precision).

    Positives are the `top` largest effects; pictures are ordered by `predicted`, ties by place.
    """
    positives = np.argsort(-effects.T, axis=1, kind="stable")[:, :top]
    return mean_precision(positives, predicted.T)


def _cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = one.astype(np.float64), other.astype(np.float64)
    norms = np.linalg.norm(one, axis=0) * np.linalg.norm(other, axis=0)
    cosines = np.zeros(len(norms))
    np.divide((one * other).sum(0), norms, out=cosines, where=norms > 0)
    return cosines


def _shared_top(effects: np.ndarray, predicted: np.ndarray, top: int) -> np.ndarray:
    masks = []
    for values in (effects, predicted):
        mask = np.zeros(values.shape, bool)
        order = np.argsort(-values, axis=0, kind="stable")[:top]
        np.put_along_axis(mask, order, True, axis=0)
        masks.append(mask)
    shared: np.ndarray = (masks[0] & masks[1]).sum(axis=0).astype(np.float64)
    return shared

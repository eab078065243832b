"""Pursuits with positive weights: a neuron's texts as a sum, without texts that cancel each other.

Orthogonal matching pursuit (`explorer.decompose`, the paper's section 4.2) may take a text with a
negative weight: the neuron points *away* from it. Two greedy pursuits avoid that:

non-negative  each step takes the text with the largest product with the residual, then all weights
              are fitted anew by non-negative least squares (Yaghoobi, Wu & Davies 2015, NNOMP).
coherent      the same, but a step weighs that product, over the length of the target, against
              nearness to the texts already chosen, their mean cosine:

                  score(text) = <residual, text> / |target| + coherence * mean cos(text, chosen)

              as COMP does (Gentile et al., "From Weights to Concepts", CVPR 2026). `coherence` 0 is
              the non-negative pursuit.

Axes: target, text, embed; m counts chosen texts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from explorer.decompose import SparseCode
from explorer.errors import InputError

Rows = NDArray[np.floating[Any]]
CHUNK = 256
"""Targets that are pursued at once."""
LEAST = 1e-6
"""Product of text and residual, over the target's length, that is left to explain at least."""


def nonnegative_pursuit(
    targets: Rows, dictionary: Rows, n_nonzero: int, coherence: float = 0.0
) -> SparseCode[NDArray[Any]]:
    """Return the sparse codes with weights of at least 0: ids, weights, cosines [target, m].

    `targets` is [target, embed], `dictionary` [text, embed]; lengths of its rows don't matter, the
    weights are those of unit-norm texts. `cosines` are with the first 1..m texts, each prefix with
    weights of its own. Ids are -1 where no text with a positive product was left. A text whose
    weight falls to 0 later keeps its place.

    Raises:
        InputError: the shapes don't fit, or `n_nonzero` or `coherence` is out of range.
    """
    if targets.ndim != 2 or dictionary.ndim != 2 or targets.shape[1] != dictionary.shape[1]:
        raise InputError(
            f"Targets {list(targets.shape)} and dictionary {list(dictionary.shape)} must be "
            "[target, embed] and [text, embed] of one joint space."
        )
    if not 1 <= n_nonzero <= len(dictionary):
        raise InputError(
            f"Cannot choose {n_nonzero} of {len(dictionary)} texts: ask for 1 to {len(dictionary)}."
        )
    if not 0 <= coherence <= 1:
        raise InputError(f"Coherence is between 0 and 1; got {coherence}.")
    atoms = _unit(dictionary.astype(np.float64))
    parts = [
        _pursue(targets[start : start + CHUNK].astype(np.float64), atoms, n_nonzero, coherence)
        for start in range(0, len(targets), CHUNK)
    ]
    if not parts:
        parts = [_pursue(np.zeros((0, targets.shape[1])), atoms, n_nonzero, coherence)]
    ids, weights, cosines = (np.concatenate(column) for column in zip(*parts, strict=True))
    return SparseCode(ids, weights.astype(np.float32), cosines.astype(np.float32))


def _pursue(
    targets: NDArray[np.float64], atoms: NDArray[np.float64], n_nonzero: int, coherence: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    count = len(targets)
    rows = np.arange(count)
    lengths = np.linalg.norm(targets, axis=1)
    unit = _unit(targets)
    ids = np.full((count, n_nonzero), -1)
    weights = np.zeros((count, n_nonzero))
    cosines = np.zeros((count, n_nonzero))
    chosen = np.zeros((count, n_nonzero, targets.shape[1]))
    nearness = np.zeros((count, len(atoms)))
    residual = unit.copy()
    active = lengths > 0
    for step in range(n_nonzero):
        products = residual @ atoms.T
        np.put_along_axis(products, np.maximum(ids[:, :step], 0), -np.inf, axis=1)
        scores = products + coherence * nearness / max(step, 1) if coherence else products
        # a text that explains nothing is never taken for its nearness
        scores = np.where(products > LEAST, scores, -np.inf)
        best = scores.argmax(axis=1)
        active = active & (products[rows, best] > LEAST)
        if not active.any():
            cosines[:, step:] = cosines[:, step - 1 : step] if step else 0
            break
        ids[active, step] = best[active]
        chosen[active, step] = atoms[best[active]]
        if coherence:
            nearness[active] += atoms[best[active]] @ atoms.T
        sofar = chosen[:, : step + 1]
        weights[:, : step + 1] = _fitted(sofar, unit)
        total = np.einsum("tm,tme->te", weights[:, : step + 1], sofar)
        residual = unit - total
        norms = np.linalg.norm(total, axis=1)
        cosines[:, step] = np.einsum("te,te->t", unit, total) / np.where(norms > 0, norms, 1)
    return ids, weights * lengths[:, None], cosines


def _fitted(chosen: NDArray[np.float64], unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the non-negative least-squares weights, [target, m].

    `chosen` is [target, m, embed], unit or zero rows; `unit` [target, embed].
    """
    return np.stack([nnls(rows.T, goal)[0] for rows, goal in zip(chosen, unit, strict=True)])


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    found: NDArray[np.float64] = rows / np.where(norms > 0, norms, 1)
    return found

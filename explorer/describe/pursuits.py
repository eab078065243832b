"""Pursuits that only add: a neuron's texts as a sum, without texts that it points away from.

Orthogonal matching pursuit (`explorer.decompose`, the paper's section 4.2) may take a text with a
negative weight: the neuron points *away* from it. Two greedy pursuits take texts with a positive
product with the residual only:

non-negative  each step takes the text with the largest product, then all weights are fitted anew by
              non-negative least squares (Yaghoobi, Wu & Davies 2015, NNOMP).
coherent      a step weighs that product, over the length of the target, against nearness to the
              texts already chosen, their mean cosine:

                  score(text) = <residual, text> / |target| + coherence * mean cos(text, chosen)

              as COMP does (Gentile et al., "From Weights to Concepts", CVPR 2026). The residual is
              orthogonal to the texts chosen, as in OMP; weights of the first texts stay positive in
              practice, late ones may turn.

Axes: target, text, embed; m counts chosen texts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear, nnls

from explorer.decompose import SparseCode, sparse_codes
from explorer.errors import InputError

Rows = NDArray[np.floating[Any]]
Code = SparseCode[NDArray[Any]]
Choose = Callable[..., Code]
"""(targets, dictionary, m, progress=None) -> code."""
CHUNK = 256
"""Targets that are pursued at once."""
LEAST = 1e-6
"""Product of text and residual, over the target's length, that is left to explain at least."""
COHERENCE = 0.3
"""Weight of nearness to the texts already chosen."""


def pursue(
    name: str,
    targets: Rows,
    dictionary: Rows,
    n_nonzero: int,
    progress: Callable[[int], object] | None = None,
) -> Code:
    """Return the sparse codes of targets: ids, weights, cosines [target, m].

    `name` is coherent, nonnegative or omp. `targets` is [target, embed], `dictionary` [text,
    embed]; see `SparseCode`. `progress` gets the number of finished targets now and then.

    Raises:
        InputError: the pursuit is unknown, the shapes don't fit, or `n_nonzero` is out of range.
    """
    if name not in _PURSUITS:
        raise InputError(f"There is no pursuit '{name}'; choose among: {', '.join(_PURSUITS)}.")
    return _PURSUITS[name](targets, dictionary, n_nonzero, progress=progress)


def nonnegative_pursuit(
    targets: Rows,
    dictionary: Rows,
    n_nonzero: int,
    progress: Callable[[int], object] | None = None,
) -> Code:
    """Return the sparse codes with weights of at least 0: ids, weights, cosines [target, m].

    `targets` is [target, embed], `dictionary` [text, embed]; lengths of its rows don't matter, the
    weights are those of unit-norm texts. `cosines` are with the first 1..m texts, each prefix with
    weights of its own. Ids are -1 where no text with a positive product was left. A text whose
    weight falls to 0 later keeps its place.

    Raises:
        InputError: the shapes don't fit, or `n_nonzero` is out of range.
    """
    return _in_chunks(targets, dictionary, n_nonzero, 0.0, _NonNegative, progress)


def nonnegative_sums(
    targets: Rows, dictionary: Rows, ids: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """Return the sums of given texts nearest to targets, weights at least 0: [target, embed].

    `targets` is [target, embed], `dictionary` [text, embed], unit norm, `ids` [target, m], -1 for
    none.
    """
    chosen = np.where((ids >= 0)[..., None], dictionary[np.maximum(ids, 0)], 0)
    weights = _nonnegative(chosen, targets)
    sums: NDArray[np.float64] = np.einsum("tm,tme->te", weights, chosen)
    return sums


def coherent_pursuit(
    targets: Rows,
    dictionary: Rows,
    n_nonzero: int,
    coherence: float = COHERENCE,
    progress: Callable[[int], object] | None = None,
) -> Code:
    """Return the sparse codes with texts that are related: ids, weights, cosines [target, m].

    As `nonnegative_pursuit`, with weights by least squares. `coherence` is the weight of nearness
    to the texts already chosen, 0 to 1.

    Raises:
        InputError: the shapes don't fit, or `n_nonzero` or `coherence` is out of range.
    """
    if not 0 <= coherence <= 1:
        raise InputError(f"Coherence is between 0 and 1; got {coherence}.")
    return _in_chunks(targets, dictionary, n_nonzero, coherence, _Orthogonal, progress)


_PURSUITS: dict[str, Callable[..., Code]] = {
    "coherent": coherent_pursuit,
    "nonnegative": nonnegative_pursuit,
    "omp": sparse_codes,
}


class _Fit(Protocol):
    """Weights of the texts chosen so far."""

    weights: NDArray[np.float64]
    """[target, m]; 0 for places not taken."""

    def __init__(self, unit: NDArray[np.float64], n_nonzero: int) -> None: ...

    def add(self, step: int, texts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take the texts of a step, [target, embed], zeros for none; return the sums so far."""

    def finish(self) -> None:
        """Bring the weights up to date."""


class _NonNegative:
    """Weights of at least 0, by SciPy's active-set method."""

    def __init__(self, unit: NDArray[np.float64], n_nonzero: int) -> None:
        self.unit = unit
        self.chosen = np.zeros((len(unit), n_nonzero, unit.shape[1]))
        self.weights = np.zeros((len(unit), n_nonzero))

    def add(self, step: int, texts: NDArray[np.float64]) -> NDArray[np.float64]:
        self.chosen[:, step] = texts
        sofar = self.chosen[:, : step + 1]
        self.weights[:, : step + 1] = _nonnegative(sofar, self.unit)
        sums: NDArray[np.float64] = np.einsum("tm,tme->te", self.weights[:, : step + 1], sofar)
        return sums

    def finish(self) -> None:
        """Weights are those of the last step."""


class _Orthogonal:
    """Weights by least squares, from an orthonormal basis that grows (Gram-Schmidt, twice)."""

    def __init__(self, unit: NDArray[np.float64], n_nonzero: int) -> None:
        self.unit = unit
        self.basis = np.zeros((len(unit), n_nonzero, unit.shape[1]))
        self.triangle = np.zeros((len(unit), n_nonzero, n_nonzero))
        self.along = np.zeros((len(unit), n_nonzero))
        self.weights = np.zeros((len(unit), n_nonzero))
        self.sums: NDArray[np.float64] = np.zeros_like(unit)

    def add(self, step: int, texts: NDArray[np.float64]) -> NDArray[np.float64]:
        part, held = texts.copy(), self.basis[:, :step]
        for _ in range(2):
            products = (held @ part[..., None])[..., 0]
            part -= (held * products[..., None]).sum(axis=1)
            self.triangle[:, :step, step] += products
        norms = np.linalg.norm(part, axis=1)
        self.triangle[:, step, step] = np.where(norms > 0, norms, 1)  # solvable without a text
        self.basis[:, step] = part / self.triangle[:, step, step, None]
        self.along[:, step] = np.einsum("te,te->t", self.basis[:, step], self.unit)
        self.sums = self.sums + self.along[:, step, None] * self.basis[:, step]
        return self.sums

    def finish(self) -> None:
        places = np.arange(self.triangle.shape[1])
        diagonal = self.triangle[:, places, places]
        self.triangle[:, places, places] = np.where(diagonal > 0, diagonal, 1)
        solved = np.linalg.solve(self.triangle, self.along[..., None])[..., 0]
        self.weights = np.asarray(solved, np.float64)


def _in_chunks(
    targets: Rows,
    dictionary: Rows,
    n_nonzero: int,
    coherence: float,
    fit: type[_Fit],
    progress: Callable[[int], object] | None,
) -> Code:
    if targets.ndim != 2 or dictionary.ndim != 2 or targets.shape[1] != dictionary.shape[1]:
        raise InputError(
            f"Targets {list(targets.shape)} and dictionary {list(dictionary.shape)} must be "
            "[target, embed] and [text, embed] of one joint space."
        )
    if not 1 <= n_nonzero <= len(dictionary):
        raise InputError(
            f"Cannot choose {n_nonzero} of {len(dictionary)} texts: ask for 1 to {len(dictionary)}."
        )
    atoms = _unit(dictionary.astype(np.float64))
    parts = []
    for start in range(0, max(len(targets), 1), CHUNK):
        part = targets[start : start + CHUNK].astype(np.float64)
        parts.append(_pursue(part, atoms, n_nonzero, coherence, fit))
        if progress is not None:
            progress(min(start + CHUNK, len(targets)))
    ids, weights, cosines = (np.concatenate(column) for column in zip(*parts, strict=True))
    return SparseCode(ids, weights.astype(np.float32), cosines.astype(np.float32))


def _pursue(
    targets: NDArray[np.float64],
    atoms: NDArray[np.float64],
    n_nonzero: int,
    coherence: float,
    fit: type[_Fit],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    count, rows = len(targets), np.arange(len(targets))
    unit, screen = _unit(targets), atoms.astype(np.float32)
    fitted = fit(unit, n_nonzero)
    ids = np.full((count, n_nonzero), -1)
    cosines = np.zeros((count, n_nonzero))
    nearness = np.zeros((count, len(atoms)), np.float32)
    residual = unit
    active = unit.any(axis=1)
    for step in range(n_nonzero):
        products = residual.astype(np.float32) @ screen.T
        np.put_along_axis(products, np.maximum(ids[:, :step], 0), -np.inf, axis=1)
        scores = products + np.float32(coherence / max(step, 1)) * nearness
        # a text that explains nothing is never taken for its nearness
        scores[products <= LEAST] = -np.inf
        best = scores.argmax(axis=1)
        active = active & (products[rows, best] > LEAST)
        if not active.any():
            cosines[:, step:] = cosines[:, step - 1 : step] if step else 0
            break
        ids[active, step] = best[active]
        if coherence:
            nearness[active] += screen[best[active]] @ screen.T
        sums = fitted.add(step, atoms[best] * active[:, None])
        residual = unit - sums
        norms = np.linalg.norm(sums, axis=1)
        cosines[:, step] = np.einsum("te,te->t", unit, sums) / np.where(norms > 0, norms, 1)
    fitted.finish()
    return ids, fitted.weights * np.linalg.norm(targets, axis=1, keepdims=True), cosines


def _nonnegative(chosen: Rows, targets: Rows) -> NDArray[np.float64]:
    """Return non-negative least-squares weights [target, m] of texts [target, m, embed]."""
    fitted = [_fitted(rows.T, goal) for rows, goal in zip(chosen, targets, strict=True)]
    return np.stack(fitted) if fitted else np.zeros(chosen.shape[:2])


def _fitted(columns: Rows, goal: Rows) -> NDArray[np.float64]:
    """Return the weights of the columns [embed, m] for one target, [m]."""
    try:
        found: NDArray[np.float64] = nnls(columns, goal)[0]
    except RuntimeError:  # texts so alike that the active set goes round in circles
        found = lsq_linear(columns, goal, bounds=(0, np.inf)).x
    return found


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    found: NDArray[np.float64] = rows / np.where(norms > 0, norms, 1)
    return found

"""Pursuits that only add, against slow loops on SciPy and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

from explorer.decompose import sparse_codes
from explorer.describe import pursuits
from explorer.describe.pursuits import COHERENCE, coherent_pursuit, pursue
from explorer.errors import InputError


def slow(
    target: np.ndarray, dictionary: np.ndarray, m: int, name: str
) -> tuple[list[int], np.ndarray, list[float]]:
    """One target, one text at a time, as the module says it."""
    atoms = dictionary / np.linalg.norm(dictionary, axis=1, keepdims=True)
    unit = target / np.linalg.norm(target)
    chosen: list[int] = []
    weights, cosines, residual = np.zeros(0), [], unit
    for _ in range(m):
        products = atoms @ residual
        scores = products.copy()
        if chosen and name == "coherent":
            scores += COHERENCE * (atoms @ atoms[chosen].T).mean(axis=1)
        scores[products <= 1e-6] = -np.inf
        scores[chosen] = -np.inf
        if scores.max() == -np.inf:
            break
        chosen.append(int(scores.argmax()))
        if name == "coherent":
            weights = np.linalg.lstsq(atoms[chosen].T, unit, rcond=None)[0]
        else:
            weights, _ = nnls(atoms[chosen].T, unit)
        total = weights @ atoms[chosen]
        residual = unit - total
        cosines.append(float(total @ unit / np.linalg.norm(total)))
    return chosen, weights * np.linalg.norm(target), cosines


@pytest.mark.parametrize("name", ["coherent", "nonnegative"])
def test_equals_a_slow_loop(name: str) -> None:
    rng = np.random.default_rng(3)
    dictionary = rng.normal(size=(200, 24)) * rng.uniform(0.5, 2, size=(200, 1))
    targets = rng.normal(size=(300, 24))  # more than one chunk
    done: list[int] = []
    found = pursue(name, targets, dictionary, 8, done.append)
    assert done == [256, 300]
    for row in range(0, 300, 23):
        ids, weights, cosines = slow(targets[row], dictionary, 8, name)
        assert found.ids[row].tolist() == ids
        np.testing.assert_allclose(found.weights[row], weights, atol=1e-5)
        np.testing.assert_allclose(found.cosines[row], cosines, atol=1e-5)


def test_omp_is_the_papers() -> None:
    rng = np.random.default_rng(6)
    targets, dictionary = rng.normal(size=(9, 24)), rng.normal(size=(80, 24))
    found, wanted = pursue("omp", targets, dictionary, 5), sparse_codes(targets, dictionary, 5)
    assert np.array_equal(found.ids, wanted.ids)
    assert np.array_equal(found.weights, wanted.weights)
    with pytest.raises(InputError, match="coherent, nonnegative, omp"):
        pursue("best", targets, dictionary, 5)


@pytest.mark.parametrize("name", ["coherent", "nonnegative"])
def test_planted_sums_are_found_and_nothing_is_subtracted(name: str) -> None:
    rng = np.random.default_rng(4)
    dictionary = rng.normal(size=(500, 64))
    atoms = dictionary / np.linalg.norm(dictionary, axis=1, keepdims=True)
    planted = 2 * atoms[7] + atoms[400]
    found = pursue(name, planted[None], dictionary, 6)
    assert found.ids[0, :2].tolist() == [7, 400]
    np.testing.assert_allclose(found.weights[0, :2], [2, 1], atol=1e-6)
    assert (found.weights >= 0).all()
    assert found.ids[0, 2:].tolist() == [-1] * 4  # nothing is left
    np.testing.assert_allclose(found.cosines[0, 1:], 1, atol=1e-6)


def test_texts_too_alike_for_the_active_set_are_fitted_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bug: `evidence` ended with SciPy's "Maximum number of iterations reached"."""
    rng = np.random.default_rng(0)
    texts, targets = rng.normal(size=(40, 12)), rng.normal(size=(3, 12))
    usual = pursue("nonnegative", targets, texts, 5)

    def circles(*_: object) -> None:
        raise RuntimeError("Maximum number of iterations reached.")

    monkeypatch.setattr(pursuits, "nnls", circles)
    found = pursue("nonnegative", targets, texts, 5)
    assert found.ids.tolist() == usual.ids.tolist()
    assert found.weights.min() >= 0
    np.testing.assert_allclose(found.weights, usual.weights, atol=1e-3)


def test_coherence_draws_related_texts() -> None:
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(20, 32))
    dictionary = np.repeat(centres, 10, axis=0) + 0.7 * rng.normal(size=(200, 32))
    targets = rng.normal(size=(60, 32))
    unit = dictionary / np.linalg.norm(dictionary, axis=1, keepdims=True)

    def alike(coherence: float) -> float:
        ids = coherent_pursuit(targets, dictionary, 5, coherence).ids
        return float(np.mean([(unit[row] @ unit[row].T).mean() for row in ids]))

    assert alike(0.5) > alike(0.0) + 0.1


@pytest.mark.parametrize("name", ["coherent", "nonnegative"])
def test_zero_targets_and_bad_input(name: str) -> None:
    dictionary = np.eye(4)
    found = pursue(name, np.zeros((1, 4)), dictionary, 2)
    assert found.ids.tolist() == [[-1, -1]]
    assert not found.weights.any()
    assert pursue(name, np.zeros((0, 4)), dictionary, 2).ids.shape == (0, 2)
    against = pursue(name, -np.eye(4)[:1], np.eye(4)[:1], 1)
    assert against.ids.tolist() == [[-1]]  # only a negative weight would fit
    some = pursue(name, np.array([[1.0, 0, 0, 0], [1, 2, 3, 0]]), dictionary, 4)
    assert some.ids.tolist() == [[0, -1, -1, -1], [2, 1, 0, -1]]
    np.testing.assert_allclose(some.weights, [[1, 0, 0, 0], [3, 2, 1, 0]], atol=1e-6)
    np.testing.assert_allclose(some.cosines[0], 1, atol=1e-6)
    for bad in (
        lambda: pursue(name, np.zeros((1, 3)), dictionary, 2),
        lambda: pursue(name, np.zeros((1, 4)), dictionary, 5),
        lambda: coherent_pursuit(np.zeros((1, 4)), dictionary, 2, coherence=2.0),
    ):
        with pytest.raises(InputError):
            bad()

"""Prediction of effects on unseen pictures: planted cases, scikit-learn and SciPy as oracles."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import average_precision_score

from explorer.describe import prediction
from explorer.describe.prediction import (
    average_precision,
    layer_prediction,
    random_precision,
    split_halves,
)
from explorer.errors import InputError


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(9)


def test_drawings_stay_together_and_halves_are_even(rng: np.random.Generator) -> None:
    drawings = [f"drawing {rng.integers(300)}" for _ in range(1000)] + [""] * 200
    halves = split_halves(drawings, seed=1)
    for name in set(drawings) - {""}:
        assert len({int(half) for half, d in zip(halves, drawings, strict=True) if d == name}) == 1
    assert abs(int((halves == 0).sum()) - 600) <= 5
    loose = halves[1000:]
    assert 0.3 < loose.mean() < 0.7  # pictures without a drawing fall on both sides
    assert np.array_equal(halves, split_halves(drawings, seed=1))
    assert not np.array_equal(halves, split_halves(drawings, seed=2))


def test_one_huge_drawing_fills_a_half() -> None:
    halves = split_halves(["a"] * 50 + ["b"] * 30 + ["c"] * 20)
    assert len(set(halves[:50])) == 1
    assert (halves == halves[0]).sum() == 50


def test_correlation_and_p_against_plain_loops(rng: np.random.Generator) -> None:
    ways = [(rng.normal(size=(12, 90)), rng.normal(size=(12, 90))) for _ in range(2)]
    ways[0][1][3] += 2 * ways[0][0][3]
    ways[1][1][3] += 2 * ways[1][0][3]
    found = layer_prediction(ways)
    table = np.array(
        [
            [np.mean([pearsonr(e[n], s[m]).statistic for e, s in ways]) for m in range(12)]
            for n in range(12)
        ]
    )
    np.testing.assert_allclose(found.correlation, table.diagonal(), atol=1e-6)
    for n in range(12):
        assert found.p[n] == pytest.approx((table[n] >= table[n, n]).sum() / 12)
    assert found.p[3] == pytest.approx(1 / 12)


def test_nan_predicts_nothing(rng: np.random.Generator) -> None:
    effects, scores = rng.normal(size=(2, 4, 90))
    effects[0], scores[1] = np.nan, np.nan
    found = layer_prediction([(effects, scores)])
    assert found.correlation[:2].tolist() == [0, 0]
    assert np.isnan(found.p).tolist() == [True, True, False, False]


def test_the_table_of_all_neurons_by_all_words_is_never_held(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer of ViT-L/14 has 20,480 pairs: such a table, and its copies, took 8 GB."""
    ways = [(rng.normal(size=(3000, 40)), rng.normal(size=(3000, 40))) for _ in range(2)]
    whole = layer_prediction(ways)
    monkeypatch.setattr(prediction, "CHUNK", 128)
    tracemalloc.start()
    found = layer_prediction(ways)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3000 * 3000 * 4 / 2
    np.testing.assert_allclose(found.correlation, whole.correlation, atol=1e-6)
    np.testing.assert_allclose(found.p, whole.p, atol=1.5 / 3000)


def test_sums_over_first_texts_are_projections_on_them(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "CHUNK", 4)
    directions, atoms = rng.normal(size=(30, 16)), rng.normal(size=(50, 16))
    ids = np.array([rng.permutation(50)[:3] for _ in range(30)])
    counts = rng.integers(0, 4, 30)
    sums = prediction.prefix_sums(directions, atoms, ids, counts)
    for row, count in enumerate(counts):
        basis = atoms[ids[row, :count]].T
        wanted = basis @ np.linalg.lstsq(basis, directions[row])[0] if count else np.zeros(16)
        np.testing.assert_allclose(sums[row], wanted, atol=1e-5)


def test_words_dealt_to_other_neurons_predict_nothing(rng: np.random.Generator) -> None:
    meaning = rng.normal(size=(800, 200))
    effects = meaning + rng.normal(size=meaning.shape)
    told = layer_prediction([(effects, meaning)])
    dealt = layer_prediction([(effects, meaning[rng.permutation(800)])])
    assert told.correlation.mean() > 0.6
    assert (told.p <= 0.05).mean() > 0.95
    assert abs(dealt.correlation.mean()) < 0.05
    assert (dealt.p <= 0.05).mean() < 0.07


def test_precision_is_scikit_learns(rng: np.random.Generator) -> None:
    effects, scores = rng.normal(size=(20, 500)), rng.normal(size=(20, 500))
    scores[:10] += effects[:10]
    found = average_precision(effects, scores)
    for row in range(20):
        truth = np.zeros(500)
        truth[np.argsort(-effects[row])[:10]] = 1
        assert found[row] == pytest.approx(average_precision_score(truth, scores[row]), rel=1e-5)


def test_dead_neurons_and_neurons_without_words_are_not_tested(rng: np.random.Generator) -> None:
    effects, scores = rng.normal(size=(6, 80)), rng.normal(size=(6, 80))
    effects[1], scores[2] = 0, 0
    found = layer_prediction([(effects, scores)])
    assert np.isnan(found.p[[1, 2]]).all()
    assert not found.correlation[[1, 2]].any()
    assert not found.precision[[1, 2]].any()  # by the order of the pictures it was 1
    assert np.isfinite(found.p[[0, 3, 4, 5]]).all()


def test_effects_and_scores_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError):
        layer_prediction([])
    with pytest.raises(InputError):
        layer_prediction([(np.zeros((2, 5)), np.zeros((2, 6)))])


@pytest.mark.parametrize("images", [1, 2, 36, 500])
def test_a_random_order_has_the_precision_that_is_said(
    rng: np.random.Generator, images: int
) -> None:
    effects, scores = rng.normal(size=(2, 20_000, images))
    found = average_precision(effects, scores)
    error = found.std() / np.sqrt(len(found))
    assert random_precision(images) == pytest.approx(found.mean(), abs=5 * error + 1e-6)

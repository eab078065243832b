"""Agreement, intervals, clusters and scores, against scikit-learn, SciPy and plain loops."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.metrics import average_precision_score, f1_score, jaccard_score

from explorer.bundle import Bundle
from explorer.evidence import figures
from explorer.evidence.figures import FEWEST, figure, is_positive, ratio, resample_weights
from explorer.evidence.measures import meanings
from explorer.evidence.measures.kinds import choose_pictures, first_directions
from explorer.evidence.measures.metrics import METRICS, agreement
from explorer.evidence.measures.predict import reconstructions, swapped, top_count
from tests.support.evidence import context_of


def test_agreement_is_that_of_scipy_and_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    effects = rng.normal(size=(80, 6))
    predicted = effects + rng.normal(size=effects.shape)
    found = agreement(effects, predicted, top=9)
    assert found.shape == (6, len(METRICS))
    for column in range(6):
        one, other = effects[:, column], predicted[:, column]
        truth = one >= np.sort(one)[-9]
        said = other >= np.sort(other)[-9]
        wanted = [
            pearsonr(one, other).statistic,
            one @ other / np.linalg.norm(one) / np.linalg.norm(other),
            average_precision_score(truth, other),
            f1_score(truth, said),
            jaccard_score(truth, said),
        ]
        np.testing.assert_allclose(found[column], wanted, rtol=1e-9)


def test_constant_predictions_agree_with_nothing() -> None:
    found = agreement(np.arange(10.0)[:, None], np.zeros((10, 1)), top=2)
    assert found[0, 0] == found[0, 1] == 0


def test_few_units_have_no_interval() -> None:
    """A bug: two pictures that were both recognised gave 100 % (100 % to 100 %)."""
    assert figure([1.0, 1.0], 0) == {"value": 1.0, "interval": None, "count": 2}
    assert not is_positive(figure(np.ones(FEWEST - 1), 0))
    assert is_positive(figure(np.ones(FEWEST), 0))
    rng = np.random.default_rng(2)
    above = [is_positive(figure(rng.normal(size=FEWEST), seed)) for seed in range(300)]
    assert np.mean(above) < 0.08


def test_intervals_are_those_of_the_mean() -> None:
    """Against the normal approximation, and in their coverage."""
    rng = np.random.default_rng(1)
    values = rng.normal(5, 2, size=400)
    found = figure(values, seed=0)
    assert found["count"] == 400
    assert found["value"] == pytest.approx(values.mean(), abs=1e-4)
    error = 1.96 * values.std() / 20
    assert found["interval"][0] == pytest.approx(values.mean() - error, abs=0.05)
    assert found["interval"][1] == pytest.approx(values.mean() + error, abs=0.05)
    covered = 0
    for _ in range(200):
        low, high = figure(rng.normal(1, 1, size=100), seed=3)["interval"]
        covered += low <= 1 <= high
    assert 180 <= covered <= 199


def test_what_is_not_a_number_is_left_out() -> None:
    assert figure([1.0, np.nan, 3.0], 0)["value"] == 2
    assert figure([1.0, np.nan, 3.0], 0)["count"] == 2
    assert figure([np.nan], 0) == {"value": None, "interval": None, "count": 0}


def test_ratios_are_resampled_together() -> None:
    rng = np.random.default_rng(2)
    below = rng.uniform(0.5, 1.5, size=300)
    found = ratio(0.25 * below, below, 0)
    assert found["value"] == pytest.approx(0.25)
    assert found["interval"] == pytest.approx([0.25, 0.25], abs=1e-5)
    noisy = ratio(0.25 * below + rng.normal(0, 0.1, 300), below, 0)
    assert noisy["interval"][0] < 0.25 < noisy["interval"][1]


def test_a_share_of_nothing_is_not_defined() -> None:
    assert ratio([1.0, 1.0], [0.0, 0.0], 0)["value"] is None
    assert ratio([1.0], [-1.0], 0)["value"] is None
    assert ratio([], [], 0)["value"] is None
    seldom = ratio(np.ones(50), np.eye(50)[0], 0)  # absent from a third of the resamples
    assert seldom["value"] == 50
    assert seldom["interval"] is None


def test_resamples_draw_every_unit_as_often() -> None:
    weights = resample_weights(40, 5)
    assert weights.shape == (1000, 40)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(weights.mean(0), 1 / 40, rtol=0.2)


def whole_table(units: int, seed: int) -> np.ndarray:
    """All weights at once: [resample, unit]."""
    rng = np.random.default_rng([seed, units])
    weights = np.zeros((figures.RESAMPLES, units), np.float32)
    for resample in range(figures.RESAMPLES):
        drawn = rng.integers(units, size=units)
        weights[resample] = np.bincount(drawn, minlength=units)
    weights /= np.float32(units)
    return weights


@pytest.mark.parametrize("units", [40, 17_000])  # kept whole, and in parts
def test_parts_of_a_large_table_give_the_figure_of_the_whole(
    units: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(2).normal(size=units)
    weights = whole_table(units, 7)
    parts = list(figures._parts(units, 7))
    assert max(part.size for part in parts) <= figures.MOST_KEPT
    np.testing.assert_array_equal(np.concatenate(parts), weights)
    products = [part @ values.astype(np.float32) for part in parts]
    np.testing.assert_array_equal(np.concatenate(products), weights @ values.astype(np.float32))
    found = figure(values, 7), ratio(values, values**2, 7)
    monkeypatch.setattr(figures, "_parts", lambda units, seed: [weights])
    assert found == (figure(values, 7), ratio(values, values**2, 7))


def test_a_large_table_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "resample_weights", lambda units, seed: pytest.fail("kept"))
    assert figure(np.arange(17_000), 3)["count"] == 17_000


def test_monosemanticity_is_the_weighted_mean_over_pairs() -> None:
    rng = np.random.default_rng(3)
    effects = rng.normal(size=(9, 4))
    effects[:, 3] = 2  # constant
    embeddings = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(9, 5))), dim=1)
    found = meanings.monosemanticity(effects, embeddings)
    for column in range(3):
        scaled = effects[:, column] - effects[:, column].min()
        scaled /= scaled.max()
        above = below = 0.0
        for i, j in combinations(range(9), 2):
            weight = scaled[i] * scaled[j]
            above += weight * float(embeddings[i] @ embeddings[j])
            below += weight
        assert found[column] == pytest.approx(above / below)
    assert math.isnan(found[3])


def test_clusters_are_summed_and_confirmed_by_labels() -> None:
    atoms = np.eye(6, dtype=np.float32)
    ids = np.array([0, 1, 2, 3, 4, -1])
    weights = np.array([1, 1, 2, 3, -4, 0], np.float32)
    clusters = np.array([0, 0, 1, -1, 2, -1])
    centres = meanings.cluster_centres(atoms, ids, weights, clusters)
    np.testing.assert_allclose(centres[0], np.array([1, 1, 0, 0, 0, 0]) / math.sqrt(2))
    np.testing.assert_allclose(centres[1], atoms[2])
    assert len(centres) == 2  # negative weights and texts without a cluster have none
    labels = atoms[[0, 1, 2, 5]]
    assert len(meanings.confirmed(centres, labels, 0.5)) == 1  # two of the first, one of the other
    assert len(meanings.confirmed(centres, np.concatenate([labels, atoms[[2]]]), 0.5)) == 2
    assert len(meanings.confirmed(centres, labels, 0.8)) == 0
    assert len(meanings.confirmed(centres[:0], labels, 0.5)) == 0
    assert len(meanings.confirmed(centres, labels[:0], 0.5)) == 0


def test_weights_that_cancel_have_no_centre() -> None:
    atoms = np.array([[1, 0], [-1, 0]], np.float32)
    found = meanings.cluster_centres(atoms, np.arange(2), np.ones(2, np.float32), np.zeros(2))
    assert found.shape == (0, 2)


@pytest.mark.parametrize(("cosine", "unrelated"), [(0.1, True), (0.4, False), (1.0, False)])
def test_meanings_are_unrelated_below_half_of_the_cosine(cosine: float, unrelated: bool) -> None:
    centres = np.array([[1, 0], [cosine, math.sqrt(1 - cosine**2)]])
    assert meanings.unrelated_pair(centres, 0.6) is unrelated
    assert not meanings.unrelated_pair(centres[:1], 0.6)


def test_two_planted_meanings_are_verified_and_not_by_chance(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neuron that answers to two unrelated labels among many others."""
    bundle = Bundle.open(tiny_bundle)
    ids = np.full((384, 8), -1, np.int32)
    weights, clusters = np.zeros((384, 8), np.float16), np.full((384, 8), -1, np.int8)
    ids[5, :2], weights[5, :2], clusters[5, :2] = (0, 1), 1, (0, 1)
    for name, value in (("ids", ids), ("weights", weights), ("clusters", clusters)):
        object.__setattr__(bundle, f"concept_{name}", value)
    atoms = np.eye(40, dtype=np.float32)
    labels = np.repeat(atoms, 5, axis=0)
    effects = np.zeros((200, 384))
    effects[:10, 5] = 1  # the pictures of the first two labels
    effects[:10, 6] = 1
    monkeypatch.setattr(meanings, "related_cosine", lambda found: 0.5)
    found = meanings.verify_labels(bundle, atoms, labels, effects, np.array([5, 6]), 12, 0)
    assert found.related == 0.5
    assert found.verified.tolist() == [2, 0]
    assert found.polysemous.tolist() == [1, 0]
    assert found.permuted[0] < 0.5


def test_another_neuron_is_another_one_of_the_same_layer() -> None:
    layers = np.repeat([0, 1, 2], [5, 2, 9])
    found = swapped(layers, 0)
    assert sorted(found) == list(range(16))
    assert not np.any(found == np.arange(16))
    assert np.array_equal(layers[found], layers)


@pytest.mark.parametrize(("pictures", "top"), [(1033, 21), (100, 5), (4, 2), (1, 1)])
def test_strongest_pictures(pictures: int, top: int) -> None:
    assert top_count(pictures) == top


def test_reconstructions_are_weighted_sums(tiny_bundle: Path) -> None:
    context = context_of(tiny_bundle)
    found, bundle = reconstructions(context), context.bundle
    for row in (0, 130, 383):
        total = np.zeros(24, np.float32)
        for text, weight in zip(bundle.concept_ids[row], bundle.concept_weights[row], strict=True):
            if text >= 0:
                total += np.float32(weight) * context.atoms[text]
        np.testing.assert_allclose(found[row], total / np.linalg.norm(total), atol=1e-5)


def test_first_directions_carry_most_and_point_with_the_strong_effects() -> None:
    rng = np.random.default_rng(4)
    axis = rng.normal(size=(2, 1, 6)) * np.array([5, -5])[:, None, None]
    effects = rng.gamma(1, size=(30, 2, 1)) * axis[:, 0] + rng.normal(0, 0.1, (30, 2, 6))
    found = first_directions(effects.astype(np.float32))
    for neuron in range(2):
        wanted = np.linalg.svd(effects[:, neuron])[2][0]
        assert abs(found[neuron] @ wanted) == pytest.approx(1, abs=1e-4)
        along = effects[:, neuron] @ found[neuron]
        assert (along * np.abs(along)).sum() > 0


def test_pictures_are_each_neurons_strongest_and_as_many_others() -> None:
    peaks = np.random.default_rng(5).normal(size=(100, 4))
    found = choose_pictures(peaks, each=3, most=100, seed=0)
    strongest = {int(i) for column in peaks.T for i in np.argsort(-column)[:3]}
    assert strongest <= set(found.tolist())
    assert len(found) == 2 * len(strongest) == len(set(found.tolist()))
    assert len(choose_pictures(peaks[:5], each=3, most=100, seed=0)) == 5  # there are no more
    few = choose_pictures(peaks, each=3, most=8, seed=0)
    assert len(few) == len(set(few.tolist())) == 8
    assert len(strongest & set(few.tolist())) >= 4

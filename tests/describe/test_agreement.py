"""Agreement of texts and pictures, against scikit-learn's AUROC and on planted cases."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from explorer.describe.agreement import (
    UNKNOWN,
    TopWeights,
    agreement,
    rank_shares,
    text_agreement,
    text_sums,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_text_sums_leave_out_missing_texts(rng: np.random.Generator) -> None:
    atoms = rng.normal(size=(6, 4)).astype(np.float32)
    ids = np.array([[2, 5, -1], [-1, -1, -1]])
    weights = np.array([[0.5, -2.0, 9.0], [1.0, 1.0, 1.0]])
    found = text_sums(ids, weights, atoms, leading=3)
    np.testing.assert_allclose(found[0], 0.5 * atoms[2] - 2 * atoms[5], rtol=1e-6)
    assert not found[1].any()
    heaviest = text_sums(ids, weights, atoms, leading=1)
    np.testing.assert_allclose(heaviest[0], -2 * atoms[5], rtol=1e-6)


def test_agreement_is_the_weighted_area_under_the_curve(rng: np.random.Generator) -> None:
    images = rng.normal(size=(300, 5)).astype(np.float32)
    sums = rng.normal(size=(700, 5)).astype(np.float32)  # more than one chunk
    top = np.stack([rng.permutation(300)[:8].reshape(2, 4) for _ in sums])
    top[3, 1, 2:] = -1
    effects = rng.normal(size=top.shape).astype(np.float32)
    found = agreement(sums, images, top, effects)
    for neuron in (0, 3, 699):
        scores = images @ sums[neuron]
        total, weight = 0.0, 0.0
        for end, sign in ((0, 1), (1, -1)):
            for image, effect in zip(top[neuron, end], effects[neuron, end], strict=True):
                if image < 0:
                    continue
                # one positive against all pictures, itself a tie
                truth = np.r_[1, np.zeros(300)]
                area = roc_auc_score(truth, sign * np.r_[scores[image], scores])
                total, weight = total + area * effect**2, weight + effect**2
        assert found[neuron] == pytest.approx(total / weight, abs=1e-5)


def test_planted_descriptions(rng: np.random.Generator) -> None:
    images = rng.normal(size=(2000, 8)).astype(np.float32)
    along = images[:, 0]
    order = np.argsort(along)
    top = np.stack([order[::-1][:25], order[:25]])[None].repeat(4, 0)
    effects = np.ones(top.shape, np.float32)
    axis = np.eye(8, dtype=np.float32)
    sums = np.stack([axis[0], -axis[0], axis[1], 0 * axis[0]])
    told, against, unrelated, nothing = agreement(sums, images, top, effects)
    assert told > 0.99
    assert against < 0.01
    assert 0.35 < unrelated < 0.65
    assert nothing == UNKNOWN


def test_a_neuron_without_pictures_is_unknown() -> None:
    top = np.full((1, 2, 3), -1)
    images, sums = np.eye(4, dtype=np.float32), np.ones((1, 4), np.float32)
    assert agreement(sums, images, top, np.zeros(top.shape))[0] == UNKNOWN


def test_agreement_with_a_text_is_that_of_neurons_that_say_it(rng: np.random.Generator) -> None:
    images = rng.integers(-2, 3, size=(200, 3)).astype(np.float32)  # many ties
    text = np.array([1, 0, 1], np.float32)
    top = np.stack([rng.permutation(200)[:8].reshape(2, 4) for _ in range(60)])
    top[4, 1, 2:] = -1
    top[5, 0] = -1
    top[6] = -1  # no pictures at all
    effects = rng.normal(size=top.shape).astype(np.float16)
    found = text_agreement(text, images.astype(np.float16), top, effects)
    expected = agreement(np.tile(text, (60, 1)), images, top, effects)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found[6] == UNKNOWN


def test_equal_products_count_by_half() -> None:
    top = np.array([[[0, 1]], [[2, 3]]])
    weights = TopWeights.of(top, np.ones(top.shape), 4)
    ranks = rank_shares(np.array([1, 2, 1, 1], np.float32))
    assert ranks.tolist() == [1.5 / 4, 3.5 / 4, 1.5 / 4, 1.5 / 4]
    assert weights.agreement(ranks).tolist() == [
        (1.5 / 4 + 3.5 / 4) / 2,
        1.5 / 4,
    ]


@pytest.mark.parametrize("neurons", [30, 300])  # of which four are many, and few
def test_some_neurons_agreement_is_theirs_among_all(neurons: int, rng: np.random.Generator) -> None:
    top = np.stack([rng.permutation(50)[:8].reshape(2, 4) for _ in range(neurons)])
    top[4, 1, 2:] = -1
    top[6] = -1
    weights = TopWeights.of(top, rng.normal(size=top.shape), 50)
    ranks = rank_shares(rng.normal(size=50).astype(np.float32))
    rows = np.array([6, 29, 4, 4])
    expected = weights.agreement(ranks)[rows]
    np.testing.assert_allclose(weights.agreement(ranks, rows), expected, atol=1e-6)

"""Chance levels: p-values are uniform where nothing is meant and small where words are planted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from explorer.decompose import sparse_codes
from explorer.describe.chance import (
    LENGTHS,
    exceeding,
    null_directions,
    passing,
    text_p,
    word_count,
)
from explorer.errors import InputError


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def dictionary() -> np.ndarray:
    rng = np.random.default_rng(1)
    return unit(rng.normal(size=(800, 48)) * np.linspace(2, 0.3, 48))


def described(directions: np.ndarray, dictionary: np.ndarray) -> np.ndarray:
    return sparse_codes(directions, dictionary, 8).cosines


def test_null_directions_have_the_layers_mean_and_covariance() -> None:
    rng = np.random.default_rng(2)
    spread = np.linspace(1.5, 0.1, 20)
    layer = unit(rng.normal(size=(3000, 20)) * spread + 0.4)
    layer[5] = 0  # a dead neuron counts for nothing
    drawn = null_directions(layer, 4000, seed=3)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, rtol=1e-5)
    living = np.delete(layer, 5, axis=0)
    np.testing.assert_allclose(drawn.mean(0), living.mean(0), atol=0.03)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(living.T), atol=0.02)
    assert np.array_equal(drawn, null_directions(layer, 4000, seed=3))
    assert not np.array_equal(drawn, null_directions(layer, 4000, seed=4))
    assert null_directions(np.zeros((4, 20), np.float32), 10).shape == (0, 20)


def test_directions_that_mean_nothing_pass_at_the_nominal_rate(dictionary: np.ndarray) -> None:
    rng = np.random.default_rng(6)
    layer = unit(rng.normal(size=(1200, 48)) * np.linspace(1.5, 0.2, 48))
    p = text_p(described(layer, dictionary), described(null_directions(layer, 1500), dictionary))
    assert p.min() >= 1 / 1501
    for level in (0.05, 0.2, 0.5):  # uniform
        assert abs((p <= level).mean() - level) < 0.03
    assert passing(p).mean() < 0.01


def test_planted_words_are_found(dictionary: np.ndarray) -> None:
    rng = np.random.default_rng(7)
    noise = unit(rng.normal(size=(600, 48)) * np.linspace(1.5, 0.2, 48))
    planted = rng.choice(800, size=(200, 2))
    layer = noise.copy()
    layer[:200] = unit(dictionary[planted].sum(1) + 0.5 * noise[:200])
    code = sparse_codes(layer, dictionary, 8)
    null = described(null_directions(layer, 2000), dictionary)
    found = passing(text_p(code.cosines, null))
    assert found[:200].mean() >= 0.9
    assert found[200:].mean() <= 0.07
    count = word_count(code.cosines, null)
    first = [set(code.ids[row, : count[row]]) for row in range(200)]
    both = np.mean([set(pair) <= words for pair, words in zip(planted, first, strict=True)])
    assert both > 0.75
    assert np.median(count[:200]) <= 3
    assert np.mean(count[200:] == 0) > 0.85


def test_text_p_ranks_the_smallest_of_three_looks() -> None:
    rng = np.random.default_rng(8)
    null = np.sort(rng.uniform(size=(400, 6)), axis=1)
    own = np.sort(rng.uniform(size=(5, 6)), axis=1)

    def ranks(row: np.ndarray, others: np.ndarray) -> int:
        return min(int((others[:, m - 1] >= row[m - 1]).sum()) for m in LENGTHS)

    among = [ranks(null[r], np.delete(null, r, axis=0)) for r in range(len(null))]
    for row, p in zip(own, text_p(own, null), strict=True):
        better = sum(rank <= ranks(row, null) for rank in among)
        assert p == pytest.approx((1 + better) / 401)


def test_passing_is_benjamini_hochberg_and_leaves_out_what_was_not_tested() -> None:
    p = np.array([0.001, np.nan, 0.02, 0.5, 0.04])
    told = false_discovery_control(p[[0, 2, 3, 4]]) <= 0.05
    assert passing(p).tolist() == [told[0], False, told[1], told[2], told[3]]
    assert not passing(np.array([np.nan])).any()


def test_nan_is_never_beyond_chance() -> None:
    null = np.arange(9.0)
    assert exceeding(np.array([np.nan, -1, 4, 9]), null).tolist() == [9, 9, 5, 0]


def test_codes_of_other_lengths_are_refused() -> None:
    with pytest.raises(InputError):
        text_p(np.zeros((2, 6)), np.zeros((0, 6)))
    with pytest.raises(InputError):
        text_p(np.zeros((2, 6)), np.zeros((9, 4)))

"""The map of the neurons: likeness, dead neurons, and the same map again."""

import numpy as np
import pytest

from explorer.describe.atlas import lay_out


def clusters(groups: int, each: int, width: int = 32, seed: int = 0) -> np.ndarray:
    """Return unit directions about orthogonal centres, [groups * each, width]."""
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.normal(size=(width, groups)))[0].T
    noisy = np.repeat(centres, each, 0) + rng.normal(scale=0.05, size=(groups * each, width))
    return (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)


def test_neurons_of_a_kind_lie_together() -> None:
    places = lay_out(clusters(4, 30))
    kinds = np.repeat(np.arange(4), 30)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = kinds[np.argsort(apart, axis=1)[:, :5]]
    assert (nearest == kinds[:, None]).mean() > 0.95


def test_the_map_is_bounded_and_the_same_each_time() -> None:
    directions = clusters(3, 20)
    places = lay_out(directions)
    assert places.shape == (60, 2)
    assert places.dtype == np.float32
    assert np.abs(places).max() == pytest.approx(1)
    assert np.array_equal(places, lay_out(directions))


def test_dead_neurons_have_no_place() -> None:
    directions = clusters(3, 20)
    directions[[4, 17]] = 0
    places = lay_out(directions)
    assert np.isnan(places[[4, 17]]).all()
    assert np.isfinite(np.delete(places, [4, 17], 0)).all()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 9])
def test_a_few_neurons_have_a_map_too(count: int) -> None:
    directions = clusters(10, 1)[:count]
    places = lay_out(directions)
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()

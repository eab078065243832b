"""Streaming statistics against effects that are materialised in float64."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pytest
import torch
from torch import Tensor

from explorer.describe.directions import BLOCK, LayerDirections, LayerStatistics, StatisticsSettings
from explorer.errors import InputError

IMAGES, PATHS, NEURONS, EMBED = 1000, 7, 24, 16
WARM = 200
SETTINGS = StatisticsSettings(images=IMAGES, significant=0.03, extremes=9)


def make_paths(paths: int = PATHS, embed: int = EMBED, seed: int = 1) -> Tensor:
    return torch.randn(NEURONS, paths, embed, generator=torch.Generator().manual_seed(seed))


def make_coefficients(images: int = IMAGES, paths: int = PATHS, seed: int = 2) -> Tensor:
    """Sparse, heavy-tailed activations through mixed paths, off centre: [image, path, neuron]."""
    random = np.random.default_rng(seed)
    activation = random.standard_t(3, (images, 1, NEURONS)) ** 2 * random.normal(
        size=(images, 1, NEURONS)
    )
    pattern = random.normal(size=(1, paths, NEURONS))
    noise = random.normal(size=(images, paths, NEURONS)) * 0.3
    offset = random.normal(size=(1, paths, NEURONS)) * 5
    return torch.from_numpy(activation * pattern * (1 + noise) + noise + offset).float()


def run(
    paths: Tensor,
    coefficients: Tensor,
    settings: StatisticsSettings = SETTINGS,
    batch: int = 64,
    warm: int = WARM,
) -> LayerDirections:
    statistics = LayerStatistics(paths, settings)
    statistics.warm_up(coefficients[:warm])
    feed(statistics, coefficients, 0, len(coefficients), batch)
    return statistics.finish()


def feed(
    statistics: LayerStatistics, coefficients: Tensor, start: int, stop: int, batch: int
) -> None:
    for first in range(start, stop, batch):
        last = min(first + batch, stop)
        statistics.update(torch.arange(first, last), coefficients[first:last])


def assert_same(one: LayerDirections, other: LayerDirections) -> None:
    for field in fields(LayerDirections):
        np.testing.assert_array_equal(
            getattr(one, field.name), getattr(other, field.name), err_msg=field.name
        )


@dataclass
class Oracle:
    """The definitions, on effects [neuron, image, embed] in float64."""

    norms: np.ndarray
    significant: np.ndarray
    directions: np.ndarray
    explained: np.ndarray
    projections: np.ndarray

    @classmethod
    def of(cls, paths: Tensor, coefficients: Tensor, count: int) -> Oracle:
        effects = np.einsum("ikn,nkp->nip", coefficients.double().numpy(), paths.double().numpy())
        effects -= effects.mean(axis=1, keepdims=True)
        norms = np.linalg.norm(effects, axis=2)
        significant = np.argsort(-norms, axis=1, kind="stable")[:, :count]
        chosen = np.take_along_axis(effects, significant[..., None], axis=1)
        _, singular, right = np.linalg.svd(chosen, full_matrices=False)
        directions = right[:, 0]
        inside = np.einsum("nip,np->ni", chosen, directions)
        balance = np.sign(inside).sum(axis=1)
        sign = np.where(np.where(balance == 0, inside.sum(axis=1), balance) < 0, -1.0, 1.0)
        directions = directions * sign[:, None]
        squares = singular**2
        explained = (squares.cumsum(axis=1) / squares.sum(axis=1, keepdims=True))[:, :3]
        projections = np.einsum("nip,np->ni", effects, directions)
        return cls(norms, significant, directions, explained, projections)

    def end(self, sign: float, count: int) -> tuple[np.ndarray, np.ndarray]:
        ids = np.argsort(-sign * self.projections, axis=1, kind="stable")[:, :count]
        effects = np.take_along_axis(self.projections, ids, axis=1)
        found = sign * effects > 0
        return np.where(found, ids, -1), np.where(found, effects, 0)


def assert_matches(result: LayerDirections, oracle: Oracle, settings: StatisticsSettings) -> None:
    norms = np.take_along_axis(oracle.norms, oracle.significant, axis=1)
    count = norms.shape[1]
    np.testing.assert_array_equal(result.significant_ids[:, :count], oracle.significant)
    np.testing.assert_array_equal(result.significant_ids[:, count:], -1)
    np.testing.assert_allclose(result.significant_norms[:, :count], norms, rtol=1e-5)
    np.testing.assert_array_equal(result.significant_norms[:, count:], 0)
    np.testing.assert_array_equal(result.threshold, result.significant_norms[:, count - 1])
    np.testing.assert_array_equal(result.max_norm, result.significant_norms[:, 0])
    cosines = (result.directions.astype(np.float64) * oracle.directions).sum(axis=1)
    assert cosines.min() > 1 - 1e-6
    np.testing.assert_allclose(np.linalg.norm(result.directions, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(result.explained_variance, oracle.explained, atol=1e-5)
    total = (oracle.norms**2).sum(axis=1)
    np.testing.assert_allclose(result.selectivity, (norms**2).sum(axis=1) / total, rtol=1e-5)
    np.testing.assert_allclose(result.scale, np.sqrt(total / oracle.norms.shape[1]), rtol=1e-5)
    inside = np.take_along_axis(oracle.projections, oracle.significant, axis=1)
    np.testing.assert_allclose(result.positive_share, (inside > 0).mean(axis=1), rtol=1e-6)
    for end, sign in enumerate((1.0, -1.0)):
        ids, effects = oracle.end(sign, settings.extremes)
        np.testing.assert_array_equal(result.top_ids[:, end], ids)
        np.testing.assert_allclose(result.top_effects[:, end], effects, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "paths, embed",
    [(PATHS, EMBED), (12, 5), (3, 3)],
    ids=["fewer paths", "more paths than dimensions", "square"],
)
def test_matches_effects_that_are_materialised(paths: int, embed: int) -> None:
    table = make_paths(paths, embed)
    coefficients = make_coefficients(paths=paths)
    result = run(table, coefficients)
    oracle = Oracle.of(table, coefficients, SETTINGS.significant_count)
    assert_matches(result, oracle, SETTINGS)
    np.testing.assert_allclose(
        result.mean_coefficients, coefficients.double().mean(dim=0), rtol=1e-5, atol=1e-5
    )


def test_fewer_paths_than_explained_variances() -> None:
    table = make_paths(paths=2)
    result = run(table, make_coefficients(paths=2))
    np.testing.assert_allclose(result.explained_variance[:, 1:], 1, rtol=1e-6)
    assert (result.explained_variance[:, 0] < 1).all()


def test_a_large_common_offset_costs_no_precision() -> None:
    table, coefficients = make_paths(), make_coefficients()
    moved = coefficients + 1024.0
    result = run(table, moved)
    assert_matches(result, Oracle.of(table, moved, SETTINGS.significant_count), SETTINGS)


def test_fields_have_the_stated_shapes_and_types() -> None:
    result = run(make_paths(), make_coefficients())
    count = SETTINGS.significant_count
    assert count == 30
    stated = {
        "directions": ((NEURONS, EMBED), np.float32),
        "explained_variance": ((NEURONS, 3), np.float32),
        "mean_coefficients": ((PATHS, NEURONS), np.float32),
        "significant_ids": ((NEURONS, count), np.int64),
        "significant_norms": ((NEURONS, count), np.float32),
        "threshold": ((NEURONS,), np.float32),
        "max_norm": ((NEURONS,), np.float32),
        "scale": ((NEURONS,), np.float32),
        "selectivity": ((NEURONS,), np.float32),
        "positive_share": ((NEURONS,), np.float32),
        "top_ids": ((NEURONS, 2, 9), np.int64),
        "top_effects": ((NEURONS, 2, 9), np.float32),
        "norm_histogram": ((NEURONS, 48), np.int64),
        "norm_edges": ((49,), np.float32),
        "histogram_unit": ((NEURONS,), np.float32),
        "path_shares": ((NEURONS, PATHS), np.float32),
    }
    assert stated == {
        field.name: (getattr(result, field.name).shape, getattr(result, field.name).dtype.type)
        for field in fields(LayerDirections)
    }


def test_histogram_counts_norms_about_the_warm_up_mean() -> None:
    table, coefficients = make_paths(), make_coefficients()
    result = run(table, coefficients)
    deltas = (coefficients - coefficients[:WARM].mean(dim=0)).double()
    norms = torch.einsum("ikn,nkp->nip", deltas, table.double()).norm(dim=2).numpy()
    ratios = norms / np.sqrt((norms[:, :WARM] ** 2).mean(axis=1, keepdims=True))
    edges = np.logspace(-2, 2, 49)
    np.testing.assert_allclose(result.norm_edges, edges, rtol=1e-6)
    expected = np.stack([np.histogram(row.clip(0.01, 100), edges)[0] for row in ratios])
    assert (result.norm_histogram.sum(axis=1) == IMAGES).all()
    assert np.abs(result.norm_histogram - expected).sum() <= 4  # a norm on an edge may fall over


def test_batches_do_not_matter() -> None:
    table, coefficients = make_paths(), make_coefficients()
    whole = run(table, coefficients, batch=IMAGES)
    for batch in (1, 37, BLOCK):
        assert_same(whole, run(table, coefficients, batch=batch))


@pytest.mark.parametrize("stop", [0, 5, BLOCK, 700])
def test_resumes_to_the_bit(stop: int) -> None:
    table, coefficients = make_paths(), make_coefficients()
    first = LayerStatistics(table, SETTINGS)
    first.warm_up(coefficients[:WARM])
    feed(first, coefficients, 0, stop, 50)
    state = first.state()
    feed(first, coefficients, stop, IMAGES, 50)  # what was saved must not change with it
    second = LayerStatistics(table, SETTINGS)
    second.restore(state)
    assert second.images == stop
    feed(second, coefficients, stop, IMAGES, 64)
    whole = run(table, coefficients)
    assert_same(whole, first.finish())
    assert_same(whole, second.finish())


def test_the_state_is_plain_arrays(tmp_path) -> None:
    table, coefficients = make_paths(), make_coefficients()
    statistics = LayerStatistics(table, SETTINGS)
    statistics.warm_up(coefficients[:WARM])
    feed(statistics, coefficients, 0, 300, 50)
    np.savez(tmp_path / "layer.npz", **statistics.state())
    other = LayerStatistics(table, SETTINGS)
    with np.load(tmp_path / "layer.npz", allow_pickle=False) as saved:
        other.restore(dict(saved))
    assert_same(statistics.finish(), other.finish())


def test_memory_does_not_grow_with_the_images() -> None:
    table, coefficients = make_paths(), make_coefficients()
    statistics = LayerStatistics(table, SETTINGS)
    statistics.warm_up(coefficients[:WARM])
    feed(statistics, coefficients, 0, BLOCK, 64)
    before = {name: array.shape for name, array in statistics.state().items()}
    feed(statistics, coefficients, BLOCK, 7 * BLOCK, 64)
    assert before == {name: array.shape for name, array in statistics.state().items()}


def test_an_unrepresentative_start_costs_candidates_only() -> None:
    """Mean and scale stay exact, and nearly all significant images are found."""
    table = make_paths()
    coefficients = make_coefficients()
    order = coefficients.abs().sum(dim=(1, 2)).argsort()
    coefficients = coefficients[order]
    result = run(table, coefficients, warm=40)
    oracle = Oracle.of(table, coefficients, SETTINGS.significant_count)
    np.testing.assert_allclose(result.scale, np.sqrt((oracle.norms**2).mean(axis=1)), rtol=1e-5)
    found = [
        np.isin(true, seen).mean()
        for true, seen in zip(oracle.significant, result.significant_ids, strict=True)
    ]
    assert np.mean(found) > 0.99


def test_dead_neurons_are_all_zero() -> None:
    table, coefficients = make_paths(), make_coefficients()
    coefficients[..., 3] = 0
    coefficients[..., 5] = torch.linspace(-7, 9, PATHS)  # the same for all images
    coefficients[..., 6] = torch.linspace(-7, 9, PATHS) * (
        1 + 2e-7 * torch.rand(IMAGES, 1, generator=torch.Generator().manual_seed(0))
    )
    table[8] = 0
    dead = [3, 5, 6, 8]
    result = run(table, coefficients)
    for name in ("directions", "explained_variance", "significant_norms", "threshold", "max_norm"):
        assert not getattr(result, name)[dead].any(), name
    for name in ("scale", "selectivity", "positive_share", "top_effects"):
        assert not getattr(result, name)[dead].any(), name
    assert (result.significant_ids[dead] == -1).all()
    assert (result.top_ids[dead] == -1).all()
    np.testing.assert_array_equal(result.norm_histogram.sum(axis=1), IMAGES)
    for field in fields(LayerDirections):
        assert np.isfinite(getattr(result, field.name)).all(), field.name
    living = np.setdiff1d(np.arange(NEURONS), dead)
    oracle = Oracle.of(table[living], coefficients[..., living], SETTINGS.significant_count)
    cosines = (result.directions[living] * oracle.directions).sum(axis=1)
    assert cosines.min() > 1 - 1e-6


def test_a_neuron_may_wake_after_the_warm_up() -> None:
    table, coefficients = make_paths(), make_coefficients()
    coefficients[:WARM, :, 4] = 0
    result = run(table, coefficients)
    oracle = Oracle.of(table, coefficients, SETTINGS.significant_count)
    np.testing.assert_array_equal(result.significant_ids[4], oracle.significant[4])
    assert result.directions[4] @ oracle.directions[4] > 1 - 1e-6


@pytest.mark.parametrize("images", [3, 11])
def test_fewer_images_than_wanted(images: int) -> None:
    table, coefficients = make_paths(), make_coefficients(images)
    result = run(table, coefficients)
    oracle = Oracle.of(table, coefficients, SETTINGS.significant_count)
    assert oracle.significant.shape[1] == images
    np.testing.assert_array_equal(result.significant_ids[:, :images], oracle.significant)
    assert (result.significant_ids[:, images:] == -1).all()
    assert not result.significant_norms[:, images:].any()
    np.testing.assert_allclose(result.selectivity, 1, rtol=1e-6)
    np.testing.assert_allclose(result.threshold, oracle.norms.min(axis=1), rtol=1e-4)
    assert (np.abs((result.directions * oracle.directions).sum(axis=1)) > 1 - 1e-6).all()
    assert ((result.top_ids >= 0) == (result.top_effects != 0)).all()


def test_one_image_has_no_direction() -> None:
    result = run(make_paths(), make_coefficients(1))
    assert not result.directions.any()
    assert (result.significant_ids == -1).all()


def test_the_sign_makes_most_significant_effects_positive() -> None:
    """Five large effects point one way, the others, more of them, the other way."""
    settings = StatisticsSettings(images=400, significant=0.05, extremes=30)
    table = torch.eye(4).repeat(NEURONS, 1, 1)
    coefficients = 0.01 * torch.randn(400, 4, NEURONS, generator=torch.Generator().manual_seed(0))
    coefficients[:5, 0] += 12.0
    coefficients[5:20, 0] -= 5.0
    result = run(table, coefficients, settings)
    assert (result.directions[:, 0] < -0.99).all()
    np.testing.assert_allclose(result.positive_share, 0.75)
    assert (result.top_ids[:, 1, :5] < 5).all()
    assert (result.top_effects[:, 1, :5] < -11).all()
    # With as many on either side, the sum decides.
    coefficients[10:20, 0] += 10.0
    coefficients[15:20, 0] -= 10.0
    result = run(table, coefficients, settings)
    np.testing.assert_allclose(result.positive_share, 0.5)
    assert (result.directions[:, 0] > 0.99).all()


def test_ends_hold_what_projects_to_their_side_only() -> None:
    settings = StatisticsSettings(images=300, significant=0.1, extremes=300)
    result = run(make_paths(), make_coefficients(300), settings)
    ids, effects = result.top_ids, result.top_effects
    assert (effects[:, 0][ids[:, 0] >= 0] > 0).all()
    assert (effects[:, 1][ids[:, 1] >= 0] < 0).all()
    assert ((ids >= 0) == (effects != 0)).all()
    for row in ids:
        kept = row[row >= 0]
        assert len(np.unique(kept)) == len(kept) == 300


def test_settings_count_significant_images() -> None:
    assert StatisticsSettings(14000).significant_count == 280
    assert StatisticsSettings(14001).significant_count == 281
    assert StatisticsSettings(10**6).significant_count == 400
    assert StatisticsSettings(10).significant_count == 2
    assert StatisticsSettings(100, significant=0.07).significant_count == 7


@pytest.mark.parametrize(
    "change",
    [
        {"images": 0},
        {"significant": 0.0},
        {"significant": 1.5},
        {"significant": float("nan")},
        {"significant_cap": 1},
        {"extremes": 0},
        {"margin": 0.5},
        {"bins": 1},
    ],
)
def test_impossible_settings_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(InputError):
        StatisticsSettings(**({"images": 100} | change))  # type: ignore[arg-type]


def test_calls_out_of_order_are_refused() -> None:
    coefficients = make_coefficients(10)
    statistics = LayerStatistics(make_paths(), SETTINGS)
    with pytest.raises(InputError, match="warm_up"):
        statistics.update(torch.arange(10), coefficients)
    with pytest.raises(InputError, match="warm_up"):
        statistics.state()
    with pytest.raises(InputError, match="warm_up"):
        statistics.finish()
    with pytest.raises(InputError, match="no image"):
        statistics.warm_up(coefficients[:0])
    statistics.warm_up(coefficients)
    with pytest.raises(InputError, match="once"):
        statistics.warm_up(coefficients)
    with pytest.raises(InputError, match="no image"):
        statistics.finish()


def test_unusable_images_are_refused_and_leave_no_trace() -> None:
    coefficients = make_coefficients()
    statistics = LayerStatistics(make_paths(), SETTINGS)
    statistics.warm_up(coefficients[:WARM])
    broken = coefficients[:3].clone()
    broken[1, 2, 3] = torch.nan
    with pytest.raises(InputError, match="finite"):
        statistics.update(torch.arange(3), broken)
    with pytest.raises(InputError, match="shape"):
        statistics.update(torch.arange(3), coefficients[:3, 1:])
    with pytest.raises(InputError, match="ids"):
        statistics.update(torch.arange(2), coefficients[:3])
    assert statistics.images == 0
    with pytest.raises(InputError, match=r"neuron, path, embed"):
        LayerStatistics(torch.zeros(3, 4), SETTINGS)


def test_a_state_of_other_settings_is_refused() -> None:
    coefficients = make_coefficients()
    statistics = LayerStatistics(make_paths(), SETTINGS)
    statistics.warm_up(coefficients[:WARM])
    state = statistics.state()
    for other in (
        LayerStatistics(make_paths(), StatisticsSettings(images=2 * IMAGES)),
        LayerStatistics(make_paths(paths=5), SETTINGS),
    ):
        with pytest.raises(InputError, match="do not fit"):
            other.restore(state)
    del state["sums"]
    with pytest.raises(InputError, match="sums"):
        LayerStatistics(make_paths(), SETTINGS).restore(state)


def test_gradients_are_not_kept() -> None:
    coefficients = make_coefficients()
    statistics = LayerStatistics(make_paths().requires_grad_(), SETTINGS)
    statistics.warm_up(coefficients[:WARM].requires_grad_())
    feed(statistics, coefficients.clone().requires_grad_(), 0, IMAGES, 64)
    assert_same(statistics.finish(), run(make_paths(), coefficients))


def test_halves_have_directions_of_their_own_images() -> None:
    paths, coefficients = make_paths(), make_coefficients()
    statistics = LayerStatistics(paths, SETTINGS)
    statistics.warm_up(coefficients[:WARM])
    feed(statistics, coefficients, 0, IMAGES, 64)
    statistics.finish()
    halves = np.random.default_rng(4).integers(2, size=IMAGES)
    found = statistics.half_directions(halves)
    assert found.shape == (2, NEURONS, EMBED)
    centred = (coefficients - coefficients.mean(0)).double()
    effects = torch.einsum("ikn,nke->nie", centred, paths.double()).numpy()
    for half in (0, 1):
        own = effects[:, halves == half]
        norms = np.linalg.norm(own, axis=2)
        count = int(np.ceil(SETTINGS.significant * own.shape[1]))
        for neuron in range(NEURONS):
            rows = own[neuron, np.argsort(-norms[neuron])[:count]]
            first = np.linalg.svd(rows, full_matrices=False)[2][0]
            sign = np.sign(np.sign(rows @ first).sum() or (rows @ first).sum())
            np.testing.assert_allclose(found[half, neuron], sign * first, atol=1e-5)


def test_a_half_without_images_has_no_directions() -> None:
    statistics = LayerStatistics(make_paths(), SETTINGS)
    coefficients = make_coefficients()
    statistics.warm_up(coefficients[:WARM])
    feed(statistics, coefficients, 0, IMAGES, 64)
    statistics.finish()
    found = statistics.half_directions(np.zeros(IMAGES, np.int8))
    assert not found[1].any()
    np.testing.assert_allclose(np.linalg.norm(found[0], axis=1), 1, rtol=1e-5)

"""The statistics of pairs against effects that are formed whole, and against brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from explorer.describe.pair_words import pair_meanings, tell_pairs
from explorer.describe.pairs import HELD, MOST, PLACES, PairStatistics, matter
from explorer.describe.pursuits import coherent_pursuit
from explorer.errors import InputError

NEURONS, PATHS, EMBED, IMAGES = 5, 8, 12, 60


@pytest.fixture(scope="module")
def seen() -> tuple[torch.Tensor, torch.Tensor]:
    """Paths, and coefficients far from 0 that go together; one neuron is constant."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    paths = normal(NEURONS, PATHS, EMBED) * torch.linspace(0.2, 2, PATHS)[:, None]
    common = normal(IMAGES, 1, NEURONS).exp()
    coefficients = 5 + common * (1 + 0.5 * normal(IMAGES, PATHS, NEURONS))
    coefficients[:, :, 4] = 2.0
    return paths, coefficients


def statistics(seen: tuple[torch.Tensor, torch.Tensor], batch: int) -> PairStatistics:
    paths, coefficients = seen
    found = PairStatistics(paths, IMAGES)
    order = np.random.default_rng(1).permutation(IMAGES)
    for start in range(0, IMAGES, batch):
        part = order[start : start + batch]
        found.update(part, coefficients[part])
    return found


def effects_of(seen: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Every pair's centred effect, formed: [image, path, neuron, embed] float64."""
    paths, coefficients = (tensor.double() for tensor in seen)
    centred = coefficients - coefficients.mean(0)
    return centred[..., None] * paths.transpose(0, 1)


def test_shares_and_what_pairs_hold_are_those_of_the_effects(
    seen: tuple[torch.Tensor, torch.Tensor],
) -> None:
    found = statistics(seen, 7).finish()
    effects = effects_of(seen)
    whole = effects.sum(dim=1)
    total = whole.square().sum(dim=(0, 2))
    for neuron in range(4):
        share = (effects[:, :, neuron] * whole[:, None, neuron]).sum(dim=(0, 2)) / total[neuron]
        np.testing.assert_allclose(found.shares[neuron], share, atol=1e-5)
        kept = [int(path) for path in found.kept[neuron] if path >= 0]
        assert len(set(kept)) == len(kept)
        for count in range(1, len(kept) + 1):
            others = [path for path in range(PATHS) if path not in kept[:count]]
            left = effects[:, others, neuron].sum(1).square().sum() / total[neuron]
            assert found.held[neuron, count - 1] == pytest.approx(1 - float(left), abs=1e-5)
        assert found.held[neuron, len(kept) - 1] >= HELD or len(kept) == MOST
        assert (found.held[neuron, : len(kept) - 1] < HELD).all()
    deviations = seen[1].double().std(dim=0, unbiased=False).T
    np.testing.assert_allclose(found.deviations[:4], deviations[:4], rtol=1e-4)
    np.testing.assert_allclose(found.means, seen[1].double().mean(0).T, rtol=1e-5)
    np.testing.assert_allclose(found.sizes, seen[0].norm(dim=2), rtol=1e-5)


def test_a_constant_neuron_has_no_pair(seen: tuple[torch.Tensor, torch.Tensor]) -> None:
    found = statistics(seen, 20).finish()
    assert (found.kept[4] == -1).all()
    assert (found.images[4] == -1).all()
    assert not found.shares[4].any() and not found.held[4].any() and not found.effects[4].any()


def test_pictures_are_those_of_the_largest_effects(
    seen: tuple[torch.Tensor, torch.Tensor],
) -> None:
    found = statistics(seen, 7).finish()
    unit = torch.nn.functional.normalize(seen[0].double(), dim=2)
    along = torch.einsum("ikne,nke->nki", effects_of(seen), unit)
    for neuron in range(4):
        for place, path in enumerate(found.kept[neuron]):
            if path < 0:
                assert (found.images[neuron, place] == -1).all()
                continue
            order = along[neuron, path].argsort(descending=True)[:PLACES]
            assert found.images[neuron, place].tolist() == order.tolist()
            np.testing.assert_allclose(
                found.effects[neuron, place], along[neuron, path][order], rtol=1e-4
            )


def test_batches_and_stops_do_not_matter(seen: tuple[torch.Tensor, torch.Tensor]) -> None:
    whole = statistics(seen, 7).finish()
    other = statistics(seen, 60).finish()
    assert np.array_equal(whole.kept, other.kept)
    assert np.array_equal(whole.images, other.images)
    np.testing.assert_allclose(whole.shares, other.shares, atol=1e-5)
    paths, coefficients = seen
    first = PairStatistics(paths, IMAGES)
    first.update(np.arange(30), coefficients[:30])
    state = {name: values.copy() for name, values in first.state().items()}
    second = PairStatistics(paths, IMAGES)
    second.restore(state)
    for one in (first, second):
        one.update(np.arange(30, IMAGES), coefficients[30:])
    for name, values in vars(first.finish()).items():
        assert np.array_equal(values, getattr(second.finish(), name)), name


def test_wrong_shapes_and_no_images_are_refused(
    seen: tuple[torch.Tensor, torch.Tensor],
) -> None:
    found = PairStatistics(seen[0], IMAGES)
    with pytest.raises(InputError, match="saw no image"):
        found.finish()
    with pytest.raises(InputError, match=r"pass \[image, path, neuron\], \[3, 8, 5\]"):
        found.update(np.arange(3), seen[1][:4])
    other = PairStatistics(seen[0][:3], IMAGES)
    with pytest.raises(InputError, match="another shape"):
        found.restore(other.state())


def test_few_pairs_are_chosen_where_brute_force_finds_none_smaller() -> None:
    generator = torch.Generator().manual_seed(5)
    rows = torch.randn(30, PATHS, generator=generator).double() * torch.logspace(0, -1.5, PATHS)
    energies = rows.mT @ rows
    energies = energies / energies.sum()
    kept, held = matter(energies[None])
    count = int((kept[0] >= 0).sum())

    def holds(chosen: tuple[int, ...]) -> float:
        left = [path for path in range(PATHS) if path not in chosen]
        return 1 - float(energies[left][:, left].sum())

    assert held[0, count - 1] >= HELD
    best = [max(holds(c) for c in combinations(range(PATHS), n)) for n in range(1, count)]
    assert all(value < HELD for value in best)


# --- words and meanings ---------------------------------------------------------------------------


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def test_planted_words_of_pairs_pass_and_others_do_not() -> None:
    rng = np.random.default_rng(0)
    neurons, paths, embed, texts, images = 120, 2, 32, 200, 400
    atoms = unit(rng.normal(size=(texts, embed)))
    directions = unit(rng.normal(size=(neurons, paths, embed)))
    planted = rng.integers(texts, size=60)
    directions[:60, 0] = unit(atoms[planted] + 0.25 * directions[:60, 0])
    shown = rng.integers(texts, size=images)
    effects = rng.normal(size=(neurons, paths, images)).astype(np.float32)
    effects[:60, 0] += 4 * (shown[None] == planted[:, None])
    kept = np.tile(np.array([0, 1], np.int16), (neurons, 1))
    kept[100:, 1] = -1
    told = tell_pairs(directions, kept, effects, atoms[shown], atoms, coherent_pursuit)
    assert (told.ids[:60, 0, 0] == planted).mean() > 0.95
    assert (told.counts[:60, 0] >= 1).mean() > 0.95
    assert np.median(told.text_p[:60, 0]) < 0.01 < np.median(told.text_p[60:, 0])
    assert np.median(told.prediction_p[:60, 0]) < 0.05 < np.nanmedian(told.prediction_p[:, 1])
    assert np.isnan(told.text_p[100:, 1]).all() and (told.ids[100:, 1] == -1).all()
    assert not np.isnan(told.text_p[:100]).any()


def test_pairs_alike_share_a_meaning_and_the_heaviest_comes_first() -> None:
    rng = np.random.default_rng(2)
    directions = unit(rng.normal(size=(40, 5, 64)))
    for neuron in range(40):  # the first two alike, the next two alike, one alone
        one, other = directions[neuron, 0], directions[neuron, 2]
        directions[neuron, 1] = unit(one + 0.05 * rng.normal(size=64))
        directions[neuron, 3] = unit(other + 0.05 * rng.normal(size=64))
    kept = np.tile(np.array([0, 1, 2, 3, 4, -1]), (40, 1))
    scales = np.tile([1.0, 1.0, 3.0, 3.0, 0.5, 0.0], (40, 1)).astype(np.float32)
    meanings = pair_meanings(directions, kept, scales)
    assert (meanings == [1, 1, 0, 0, 2, -1]).all(axis=1).mean() > 0.9
    assert (pair_meanings(directions[:1], np.array([[3, -1]]), np.ones((1, 2))) == [0, -1]).all()

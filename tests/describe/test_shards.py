"""Statistics in parts: whatever the partition, order and grouping, the bits of one stream."""

from __future__ import annotations

import math
from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.describe.directions import (
    BLOCK,
    LayerDirections,
    LayerStatistics,
    StatisticsSettings,
)
from explorer.describe.exact import BoundedSum, ExactSum
from explorer.describe.pairs import LayerPairs, PairStatistics
from explorer.errors import InputError

NEURONS, PATHS, EMBED = 5, 3, 6


@st.composite
def numbers(draw: st.DrawFn) -> list[float]:
    sizes = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30)
    return draw(st.lists(sizes, min_size=1, max_size=30))


@settings(max_examples=100, deadline=None)
@given(numbers(), st.randoms())
def test_exact_sums(values: list[float], rng: object) -> None:
    def total(parts: list[float]) -> ExactSum:
        made = ExactSum((1,), torch.device("cpu"))
        for part in parts:
            made.add(torch.tensor([part], dtype=torch.float64))
        return made

    one = total(values)
    kept = [Fraction(v) - Fraction(v) % Fraction(1, 2**160) for v in map(abs, values)]
    exact = sum(
        int(digit) * Fraction(2) ** (32 * place - 160) for place, digit in enumerate(one.digits)
    )
    assert exact == sum(
        (k if v >= 0 else -k for v, k in zip(values, kept, strict=True)), Fraction(0)
    )
    assert one.value().item() == pytest.approx(float(exact), rel=1e-12, abs=1e-40)
    shuffled = list(values)
    rng.shuffle(shuffled)
    cut = len(values) // 2
    halves = [total(shuffled[:cut] or [0.0]), total(shuffled[cut:])]
    assert torch.equal(halves[1].digits + halves[0].digits, one.digits)


def made_of(seed: int, images: int) -> tuple[torch.Tensor, torch.Tensor, StatisticsSettings]:
    generator = torch.Generator().manual_seed(seed)
    paths = torch.randn(NEURONS, PATHS, EMBED, generator=generator)
    coefficients = torch.randn(images, PATHS, NEURONS, generator=generator).exp()
    coefficients[:, :, 0] = 1.5  # a dead neuron
    copies = torch.randint(images, (images // 3,), generator=generator)
    coefficients[copies] = coefficients[copies.flip(0)]  # images with equal scores
    return paths, coefficients, StatisticsSettings(images=images, significant=0.03, extremes=4)


def started(paths: torch.Tensor, first: torch.Tensor, kept: StatisticsSettings) -> LayerStatistics:
    statistics = LayerStatistics(paths, kept)
    statistics.warm_up(first)
    return statistics


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(30, 7 * BLOCK), st.integers(1, 5), st.randoms())
def test_parts_merge_to_the_bits_of_one_stream(
    seed: int, images: int, shards: int, rng: object
) -> None:
    paths, coefficients, kept = made_of(seed, images)
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    warm = coefficients[order[:40]]
    one = started(paths, warm, kept)
    one.update(order, coefficients[order])

    blocks = list(order.split(BLOCK))
    rng.shuffle(blocks)
    parts = []
    for shard in range(shards):
        part = started(paths, warm, kept)
        for block in blocks[shard::shards]:
            part.update(block, coefficients[block])
            part.close()
        parts.append(part)
    while len(parts) > 1:  # merge two at random, in either direction
        rng.shuffle(parts)
        other = parts.pop()
        parts[0].absorb(other.state())
    whole, merged = one.finish(), parts[0].finish()
    for field in fields(LayerDirections):
        assert np.array_equal(getattr(whole, field.name), getattr(merged, field.name)), field.name
    halves = (np.arange(images) % 2).astype(np.int8)
    assert np.array_equal(one.half_directions(halves), parts[0].half_directions(halves))


def test_equal_scores_keep_the_lower_ids() -> None:
    paths, coefficients, kept = made_of(0, 400)
    coefficients[:] = coefficients[0] + torch.arange(400)[:, None, None].div(100).floor()
    found = []
    for order in (torch.arange(400), torch.arange(400).flip(0)):
        statistics = started(paths, coefficients[:200], kept)
        statistics.update(order, coefficients[order])
        found.append(statistics.finish())
    assert np.array_equal(found[0].significant_ids, found[1].significant_ids)
    assert np.array_equal(found[0].top_ids, found[1].top_ids)


def test_parts_of_another_warm_up_or_with_images_waiting_are_refused() -> None:
    paths, coefficients, kept = made_of(0, 300)
    one, other = (started(paths, coefficients[n:200], kept) for n in (0, 1))
    other.update(torch.arange(128), coefficients[:128])
    with pytest.raises(InputError, match="another warm-up"):
        one.absorb(other.state())
    turned = started(paths, coefficients[:200], kept).state()
    turned["warm_direction"] = -turned["warm_direction"]
    before = one.state()["warm_direction"]
    with pytest.raises(InputError, match="another warm-up"):
        one.absorb(turned)
    assert np.array_equal(one.state()["warm_direction"], before)
    same = started(paths, coefficients[:200], kept)
    same.update(torch.arange(3), coefficients[:3])
    with pytest.raises(InputError, match="close both first"):
        one.absorb(same.state())


# Pairs.


@settings(max_examples=100, deadline=None)
@given(numbers(), st.randoms())
def test_bounded_sums_do_not_depend_on_the_order(values: list[float], rng: object) -> None:
    largest = max(*map(abs, values), 1e-30)
    bound = torch.tensor([2.0 ** math.ceil(math.log2(2 * largest * len(values)))])

    def total(parts: list[float]) -> BoundedSum:
        made = BoundedSum((1,), lambda rows: bound[rows].double())
        made.clear()
        for part in parts:
            made.add(torch.tensor([part], dtype=torch.float32), slice(0, 1))
        return made

    one = total(values)
    shuffled = list(values)
    rng.shuffle(shuffled)
    cut = len(values) // 2
    first, second = total(shuffled[:cut]), total(shuffled[cut:])
    first.merge(second.held)
    assert torch.equal(first.held, one.held)
    exact = sum(map(Fraction, torch.tensor(values, dtype=torch.float32).tolist()), Fraction(0))
    error = abs(Fraction(one.value(slice(0, 1)).item()) - exact)
    assert error <= len(values) * Fraction(bound.item()) / 2**51


def test_a_half_of_the_unit_is_rounded_the_same_way_whatever_is_held() -> None:
    unit = 2.0**-51
    found = []
    for order in ([unit, unit / 2, unit / 2], [unit / 2, unit / 2, unit]):
        made = BoundedSum((1,), lambda rows: torch.ones(1, dtype=torch.float64)[rows])
        made.clear()
        for value in order:
            made.add(torch.tensor([value], dtype=torch.float32), slice(0, 1))
        found.append(made.held.clone())
    assert torch.equal(*found)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(20, 300), st.integers(1, 40), st.randoms())
def test_pairs_in_parts_merge_to_the_bits_of_one_stream(
    seed: int, images: int, batch: int, rng: object
) -> None:
    paths, coefficients, _ = made_of(seed, images)
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    batches = list(order.split(batch))
    one = PairStatistics(paths, images)
    for numbers in batches:
        one.update(numbers.numpy(), coefficients[numbers])

    parts = [PairStatistics(paths, images) for _ in range(3)]
    for part in parts:
        part.begin(one.beginning())
    rng.shuffle(batches)
    for place, numbers in enumerate(batches):
        parts[place % 3].update(numbers.numpy(), coefficients[numbers])
    rng.shuffle(parts)
    for other in parts[1:]:
        parts[0].absorb(other.state())
    assert parts[0].seen == one.seen == images
    whole, merged = one.finish(), parts[0].finish()
    for field in fields(LayerPairs):
        assert np.array_equal(getattr(whole, field.name), getattr(merged, field.name)), field.name


def test_pairs_about_another_reference_are_refused() -> None:
    paths, coefficients, _ = made_of(0, 40)
    one, other = PairStatistics(paths, 40), PairStatistics(paths, 40)
    one.update(np.arange(20), coefficients[:20])
    other.update(np.arange(20, 40), coefficients[20:])
    with pytest.raises(InputError, match="another reference"):
        one.absorb(other.state())


def test_a_part_begins_as_the_others_did_or_is_refused() -> None:
    paths, coefficients, kept = made_of(0, 300)
    one = started(paths, coefficients[:200], kept)
    part = LayerStatistics(paths, kept)
    with pytest.raises(InputError, match="need warm_up"):
        part.beginning()
    part.begin(one.beginning())
    part.update(torch.arange(300), coefficients)
    one.update(torch.arange(300), coefficients)
    part.begin(one.beginning())  # what it had seen is gone
    assert part.images == 0
    part.update(torch.arange(300), coefficients)
    for field in fields(LayerDirections):
        found = getattr(part.finish(), field.name)
        assert np.array_equal(found, getattr(one.finish(), field.name)), field.name
    with pytest.raises(InputError, match="other neurons or paths"):
        LayerStatistics(paths[:3], kept).begin(one.beginning())

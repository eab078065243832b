"""What drives neurons: plain loops, planted drivers, and a null that looks at pixels."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.describe.chance import passing
from explorer.describe.drivers import WordTable, find_drivers, pixel_null, word_scores
from explorer.errors import InputError

IMAGES = 1200


@pytest.fixture(scope="module")
def light() -> np.ndarray:
    """How light each picture is: its only pixel feature besides noise."""
    return np.random.default_rng(1).uniform(size=IMAGES)


@pytest.fixture(scope="module")
def species() -> np.ndarray:
    """What each picture shows, which no pixel tells."""
    return np.random.default_rng(2).integers(40, size=IMAGES)


@pytest.fixture(scope="module")
def table(light: np.ndarray, species: np.ndarray) -> WordTable:
    return WordTable.of(
        [
            frozenset({"night" if light[i] < 0.1 else "day", f"species {species[i]}"})
            for i in range(IMAGES)
        ]
    )


@pytest.fixture(scope="module")
def pixels(light: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(3).normal(size=(IMAGES, 24))
    return light[:, None] + 0.1 * noise


def test_scores_are_what_the_module_says() -> None:
    rng = np.random.default_rng(4)
    carried = [frozenset({"a"} if i % 3 == 0 else {"b", "c"}) for i in range(60)]
    carried[5] = frozenset({"rare"})
    table = WordTable.of(carried)
    assert table.words == ["a", "b", "c"]
    effects = rng.normal(size=(4, 60))
    found = word_scores(table, effects)
    for row in range(4):
        z = (effects[row] - effects[row].mean()) / effects[row].std()
        response = np.sqrt(np.maximum(z - 1, 0))
        response = (response - response.mean()) / response.std()
        for column, word in enumerate(table.words):
            held = [i for i, words in enumerate(carried) if word in words]
            expected = response[held].mean() * np.sqrt(len(held))
            assert found[row, column] == pytest.approx(expected, abs=1e-5)


def test_a_dark_neuron_means_no_night_and_a_bird_neuron_means_birds(
    table: WordTable, pixels: np.ndarray, light: np.ndarray, species: np.ndarray
) -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(3, IMAGES))
    effects = np.stack(
        [
            -5 * light + 0.3 * noise[0],
            4.0 * (species == 3) + noise[1],
            4.0 * np.isin(species, (7, 30)) + noise[2],
        ]
    )
    assert word_scores(table, effects)[0, table.words.index("night")] > 10
    null = pixel_null(table, pixels, 300, seed=1)
    found = find_drivers(table, effects, null)
    assert found.p[0] > 0.05
    assert found.p[1] == pytest.approx(1 / 301)
    assert found.words[1] == ["species 3"]
    assert set(found.words[2]) == {"species 30", "species 7"}


def test_neurons_that_look_at_pixels_pass_at_the_nominal_rate(
    table: WordTable, pixels: np.ndarray
) -> None:
    rng = np.random.default_rng(6)
    effects = rng.normal(size=(800, 24)) @ (pixels - pixels.mean(0)).T
    found = find_drivers(table, effects, pixel_null(table, pixels, 1000, seed=2))
    assert 0.02 < (found.p <= 0.05).mean() < 0.08
    assert passing(found.p).mean() < 0.02
    assert np.mean([bool(words) for words in found.words]) < 0.08


def test_neurons_without_effect_are_not_tested(table: WordTable, pixels: np.ndarray) -> None:
    found = find_drivers(table, np.zeros((2, IMAGES)), pixel_null(table, pixels, 50))
    assert np.isnan(found.p).all()
    assert found.words == [[], []]


def test_pictures_without_words_have_no_drivers(pixels: np.ndarray) -> None:
    bare = WordTable.of([frozenset()] * IMAGES)
    effects = np.random.default_rng(7).normal(size=(3, IMAGES))
    found = find_drivers(bare, effects, pixel_null(bare, pixels, 20))
    assert np.isnan(found.p).all()


def test_the_same_seed_gives_the_same_null(table: WordTable, pixels: np.ndarray) -> None:
    first, again = (pixel_null(table, pixels, 40, seed=3) for _ in range(2))
    assert np.array_equal(first.largest, again.largest)
    assert np.array_equal(first.deviation, again.deviation)


def test_effects_on_other_pictures_are_refused(table: WordTable) -> None:
    with pytest.raises(InputError):
        word_scores(table, np.zeros((2, 5)))

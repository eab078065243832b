"""Shared words, against SciPy and plain counting, and the null that looks at pixels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control, hypergeom

from explorer.describe.drivers import WordTable, driven_p, pixel_extremes, shared_words
from explorer.errors import InputError

WORDS = ("cat", "dog", "ship", "car")


@pytest.fixture(scope="module")
def carried() -> list[frozenset[str]]:
    rng = np.random.default_rng(1)
    rows = [{str(rng.choice(WORDS))} for _ in range(400)]
    for row in rng.choice(400, 60, replace=False):
        rows[row].add("animal")
    rows[0].add("only once")
    return [frozenset(row) for row in rows]


def test_p_values_are_hypergeometric(carried: list[frozenset[str]]) -> None:
    table = WordTable.of(carried)
    assert table.words == ["animal", "car", "cat", "dog", "ship"]
    rng = np.random.default_rng(2)
    top = np.stack([rng.choice(400, 12, replace=False) for _ in range(30)])
    top[4, 8:] = -1
    top[5] = -1
    cats = [image for image, words in enumerate(carried) if "cat" in words]
    top[6] = cats[:12]
    found = shared_words(table, top)
    for row in range(30):
        images = [image for image in top[row] if image >= 0]
        chances = []
        for word in table.words:
            count = sum(word in carried[image] for image in images)
            size = sum(word in words for words in carried)
            chances.append(hypergeom.sf(count - 1, 400, size, len(images)) if count >= 2 else 1.0)
        adjusted = false_discovery_control(chances)
        assert found.p[row] == pytest.approx(min(adjusted), rel=1e-9)
        told = {table.words[word] for word, _ in found.of(row)}
        assert told == {w for w, q in zip(table.words, adjusted, strict=True) if q <= 0.05}
    assert found.p[5] == 1
    assert found.of(6) == [(table.words.index("cat"), 12)]


def test_sets_drawn_at_random_hardly_ever_share_a_word(carried: list[frozenset[str]]) -> None:
    rng = np.random.default_rng(3)
    top = np.stack([rng.choice(400, 12, replace=False) for _ in range(500)])
    assert (shared_words(WordTable.of(carried), top).p <= 0.05).mean() <= 0.06


def test_words_that_pixels_tell_are_no_meaning() -> None:
    """Dark pictures are called night: a dark neuron passes the plain test and not the other."""
    rng = np.random.default_rng(4)
    light = rng.uniform(size=1000)
    pixels = light[:, None] + 0.05 * rng.normal(size=(1000, 192))
    species = rng.integers(40, size=1000)  # what no pixel tells
    carried = [
        frozenset({"night" if light[i] < 0.1 else "day", f"species {species[i]}"})
        for i in range(1000)
    ]
    table = WordTable.of(carried)
    null = shared_words(table, pixel_extremes(pixels, 20, 500, seed=1)).p
    dark = np.argsort(light)[:20]
    bird = np.flatnonzero(species == np.bincount(species).argmax())[:20]
    found = shared_words(table, np.stack([dark, bird]))
    assert found.p[0] < 1e-6
    dark_p, bird_p = driven_p(found.p, null)
    assert dark_p > 0.1
    assert bird_p == pytest.approx(1 / 501)


def test_the_same_seed_gives_the_same_extremes() -> None:
    pixels = np.random.default_rng(5).uniform(size=(90, 12))
    first, again = (pixel_extremes(pixels, 7, 40, seed=2) for _ in range(2))
    assert np.array_equal(first, again)
    assert first.shape == (40, 7)
    assert pixel_extremes(pixels[:5], 7, 3).shape == (3, 5)


def test_pictures_outside_the_table_are_refused(carried: list[frozenset[str]]) -> None:
    with pytest.raises(InputError):
        shared_words(WordTable.of(carried), np.array([[400]]))

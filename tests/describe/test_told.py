"""Texts that the text tower can't tell leave; those with pictures of their own stay."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.describe.drivers import WordTable
from explorer.describe.told import FEWEST, told_p, told_texts
from explorer.errors import InputError

EMBED, SHOWN, RANDOM, EACH = 48, 200, 400, 6
WORDS = [f"thing {n}" for n in range(SHOWN)] + [f"noise {n}" for n in range(RANDOM)]
LABELLED, KEYWORDS = 40, 80
"""The first words are labels, the next keywords; of the other shown ones no picture says a word."""


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, np.ndarray, WordTable]:
    """Texts of which the first 200 have six pictures each, near them; the others have none."""
    rng = np.random.default_rng(0)
    spread = np.linspace(1.5, 0.5, EMBED)
    atoms = unit(rng.normal(size=(SHOWN + RANDOM, EMBED)) * spread)
    shown = np.repeat(np.arange(SHOWN), EACH)
    images = 3 * unit(atoms[shown] + 0.8 * unit(rng.normal(size=(len(shown), EMBED)) * spread))
    carried = [frozenset({WORDS[n]}) if n < KEYWORDS else frozenset[str]() for n in shown]
    return atoms, images, WordTable.of(carried)


def test_words_with_pictures_stay_and_random_ones_leave(
    planted: tuple[np.ndarray, np.ndarray, WordTable],
) -> None:
    labels = frozenset(WORDS[:LABELLED])
    told, passed = told_texts(WORDS, *planted, labels)
    assert told[:KEYWORDS].all()
    assert told[KEYWORDS:SHOWN].mean() >= 0.95  # found without any label
    assert told[SHOWN:].sum() <= 0.07 * told.sum()
    assert passed == told.sum()


def test_a_label_stays_even_where_its_embedding_is_random(
    planted: tuple[np.ndarray, np.ndarray, WordTable],
) -> None:
    told = told_texts(WORDS, *planted, frozenset({WORDS[-1]})).stay
    assert told[-1]
    shouted = [word.upper() for word in WORDS]
    again = told_texts(shouted, *planted, frozenset({WORDS[-1]})).stay
    np.testing.assert_array_equal(told, again)


def test_a_keyword_is_told_by_the_pictures_that_carry_it(
    planted: tuple[np.ndarray, np.ndarray, WordTable],
) -> None:
    """A keyword whose embedding lies at other pictures isn't told, however near these are."""
    atoms, images, carried = planted
    swapped = atoms.copy()
    swapped[:2] = atoms[[100, 101]]
    p = told_p(WORDS, swapped, images, carried, 999, 0)
    assert (p[:2] > 0.05).all()
    assert (p[2:KEYWORDS] == 1 / 1000).all()
    assert p[SHOWN:].min() > 0
    nothing = np.vstack([atoms[:-1], np.zeros((1, EMBED), np.float32)])
    assert np.isnan(told_p(WORDS, nothing, images, carried, 99, 0)[-1])


def test_random_texts_are_told_at_the_nominal_rate() -> None:
    rng = np.random.default_rng(1)
    atoms = unit(rng.normal(size=(1500, EMBED)) * np.linspace(2, 0.2, EMBED))
    images = rng.normal(size=(700, EMBED)) * np.linspace(2, 0.2, EMBED)
    nobody = WordTable.of([frozenset()] * 700)
    names = [str(n) for n in range(1500)]
    p = told_p(names, atoms, images, nobody, 2000, 0)
    assert 0.03 <= (p <= 0.05).mean() <= 0.07
    found = told_texts(names, atoms, images, nobody, frozenset(names[:3]))
    assert found.stay.all()  # too few would be left
    assert 3 <= (found.passed or 0) < FEWEST


def test_few_texts_are_not_tested(planted: tuple[np.ndarray, np.ndarray, WordTable]) -> None:
    atoms, images, carried = planted
    few = FEWEST - 1
    found = told_texts(WORDS[-few:], atoms[-few:], images, carried, frozenset())
    assert found.stay.all()
    assert found.passed is None
    with pytest.raises(InputError, match="do not fit"):
        told_texts(WORDS[1:], atoms, images, carried, frozenset())

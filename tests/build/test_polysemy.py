"""Polysemy counts meanings that pass, on whichever side has more of them."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.build.polysemy import added_meanings, driving_meanings, passing_polysemy
from explorer.decompose import sparse_codes
from explorer.describe.drivers import WordTable

EMBED = 64


@pytest.fixture(scope="module")
def atoms() -> np.ndarray:
    """A hundred things, two related texts each: rows 2k and 2k + 1 are of one thing."""
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.normal(size=(100, EMBED)), 2, axis=0) + 0.3 * rng.normal(size=(200, EMBED))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_only_words_that_pass_are_counted(atoms: np.ndarray) -> None:
    one, two = atoms[:2].sum(0), atoms[0] + atoms[50]
    directions = np.stack([one, two, two, two])
    code = sparse_codes(directions, atoms, 8)
    counts = np.array([2, 2, 1, 2])
    passed = np.array([True, True, True, False])
    adds = added_meanings(directions, code, atoms, counts, passed)
    found = passing_polysemy(adds, [None] * 4)
    assert found["meanings"].tolist() == [1, 2, 1, 0]
    assert found["polysemy"] == pytest.approx([0, 0.5, 0, 0], abs=0.05)


def test_driving_words_of_the_same_pictures_are_one_meaning() -> None:
    rng = np.random.default_rng(1)
    things = rng.normal(size=(150, EMBED))
    shown = np.repeat(np.arange(150), 4)
    embeddings = things[shown] + 0.3 * rng.normal(size=(600, EMBED))
    embeddings -= embeddings.mean(0)
    carried = [frozenset({f"thing {n}", f"synonym {n}"}) for n in shown]
    table = WordTable.of(carried)
    words = [
        ["thing 3", "synonym 3"],
        ["thing 3", "synonym 3", "thing 7", "synonym 7"],
        ["thing 3", "thing 7"],
        [],
    ]
    passed = np.array([True, True, False, True])
    driven = driving_meanings(words, table, embeddings, passed)
    found = passing_polysemy([None] * 4, driven)
    assert found["meanings"].tolist() == [1, 2, 0, 0]
    assert found["polysemy"] == pytest.approx([0, 0.5, 0, 0], abs=0.05)
    nothing = driving_meanings(words, WordTable.of([]), embeddings[:0], passed)
    assert nothing == [None] * 4


def test_the_side_with_more_meanings_counts(atoms: np.ndarray) -> None:
    two = atoms[0] + atoms[50]
    code = sparse_codes(two[None], atoms, 4)
    yes = np.array([True])
    split, whole = (
        added_meanings(two[None], code, atoms, np.array([count]), yes) for count in (2, 1)
    )
    for adds, driven in ((split, whole), (whole, split)):
        assert passing_polysemy(adds, driven)["meanings"].tolist() == [2]
        assert passing_polysemy(adds, driven)["polysemy"][0] == pytest.approx(0.5, abs=0.05)

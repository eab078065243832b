"""Names of regions of the map: what is named, where, and that nothing else is."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from explorer.bundle import Bundle
from explorer.bundle import landmarks as naming
from explorer.bundle.landmarks import FEWEST, MOST, Landmark, _candidates, _cells, landmarks
from explorer.bundle.meaning import words_of


def test_a_word_of_one_region_is_named_and_one_of_everywhere_is_not() -> None:
    generator = np.random.default_rng(0)
    places = generator.uniform(-1, 1, (2000, 2)).astype(np.float32)
    corner = np.flatnonzero((places > 0.8).all(axis=1))
    rows = np.concatenate([np.arange(2000), corner])
    texts = np.concatenate([np.zeros(2000, np.int64), np.full(len(corner), 7)])
    found = _candidates(rows, texts, places[rows])
    text, window = found[0]
    assert text == 7
    assert window in _cells(places[corner])


def test_nothing_is_named_without_words_above_chance() -> None:
    none = np.empty(0, np.int64)
    assert _candidates(none, none, np.empty((0, 2), np.float32)) == []


def test_names_of_the_shipped_bundle_are_its_words_and_lie_apart() -> None:
    bundle = Bundle.open(Path(__file__).parents[2] / "precomputed" / "picto")
    found = landmarks(bundle)
    assert 15 <= len(found) <= MOST
    assert landmarks(bundle) is found, "computed once"
    assert naming._landmarks(bundle) == found, "the same each time"
    assert len({one.text for one in found}) == len(found)
    assert not any(a.overlaps(b) for a in found for b in found if a is not b)
    for one in found[:3]:
        carried = (np.asarray(bundle.atlas) - (one.x, one.y)).astype(np.float32)
        near = np.flatnonzero((np.abs(carried) < 0.25).all(axis=1))
        assert sum(one.text in dict(words_of(bundle, int(row))) for row in near) >= FEWEST


def test_an_untested_bundle_has_no_names(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bundle, "tested", False)
    assert landmarks(Bundle.open(tiny_bundle)) == ()


def test_a_hundred_thousand_neurons_are_soon_named() -> None:
    generator = np.random.default_rng(0)
    places = generator.uniform(-1, 1, (98_304, 2)).astype(np.float32)
    rows = np.repeat(np.arange(98_304), 4)
    texts = generator.integers(0, 30_000, len(rows))
    start = time.process_time()
    _candidates(rows, texts, places[rows])
    assert time.process_time() - start < 8


def test_names_beside_each_other_do_not_overlap() -> None:
    assert Landmark("cat", 0, 0).overlaps(Landmark("dog", 0.05, 0.02))
    assert not Landmark("cat", 0, 0).overlaps(Landmark("dog", 0, 0.2))
    assert not Landmark("cat", 0, 0).overlaps(Landmark("dog", 0.3, 0))

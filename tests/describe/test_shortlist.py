"""Pursuits over shortlists: equal to whole ones where the list is whole, close where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.omp import text_like_vectors
from explorer.build.settings import PURSUITS as NAMES
from explorer.decompose import shortlist_codes, sparse_codes
from explorer.describe.dictionary import build_index
from explorer.describe.pursuits import pursue
from explorer.describe.shortlist import pursue_short, shortlists
from explorer.errors import InputError


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(0, 3))
def test_a_whole_shortlist_is_the_whole_dictionary(seed: int, m: int, twins: int) -> None:
    rng = np.random.default_rng(seed)
    words, aims = text_like_vectors(60, 4, 16, seed)
    words = np.concatenate([words, words[:twins]])  # equal texts: the first one is taken
    lists = np.stack([rng.permutation(len(words)) for _ in aims])
    lists = np.concatenate([lists, lists[:, :5], np.full((4, 2), -1)], axis=1)
    short, whole = shortlist_codes(aims, words, lists, m), sparse_codes(aims, words, m)
    assert np.array_equal(short.ids, whole.ids)
    assert np.allclose(short.weights, whole.weights, atol=1e-10)
    assert np.allclose(short.cosines, whole.cosines, atol=1e-12)


def test_only_texts_of_the_own_shortlist_are_chosen() -> None:
    words, aims = text_like_vectors(200, 5, 16, 0)
    lists = np.stack([np.arange(n, 200, 7)[:28] for n in range(5)])
    code = shortlist_codes(aims, words, lists, 6)
    for row, own in enumerate(lists):
        alone = sparse_codes(aims[row : row + 1], words[own], 6)
        assert np.array_equal(code.ids[row], own[alone.ids[0]])
        assert np.allclose(code.weights[row], alone.weights[0])
    with pytest.raises(InputError, match="shortlists of 28 texts"):
        shortlist_codes(aims, words, lists, 29)


@pytest.mark.parametrize("name", NAMES)
def test_every_pursuit_among_the_nearest(name: str) -> None:
    words, aims = text_like_vectors(3000, 6, 24, 1)
    words, aims = words.astype(np.float32), aims.astype(np.float32)
    index = build_index(words)
    whole = pursue(name, aims, words, 8)
    everything = pursue_short(name, index, aims, words, 8, count=3000)
    assert np.array_equal(everything.ids, whole.ids)
    assert np.allclose(everything.weights, whole.weights, atol=1e-4)
    seen: list[int] = []
    short = pursue_short(name, index, aims, words, 8, seen.append, count=400)
    assert seen == [6]
    lists = shortlists(index, aims, 400, both=name == "omp")
    assert all(set(ids[ids >= 0]) <= set(own) for ids, own in zip(short.ids, lists, strict=True))
    assert (short.cosines[:, -1] > whole.cosines[:, -1] - 0.1).all()
    assert (short.ids[:, 0] == whole.ids[:, 0]).all()  # the nearest text is on the list

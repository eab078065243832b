"""What a neuron may be called: only what is more than chance of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explorer.bundle import Bundle
from explorer.bundle.facts import neuron_facts
from explorer.bundle.meaning import (
    AGAINST,
    NOTHING,
    drivers_of,
    fitted,
    passed_words,
    passing,
    title_of,
    words_of,
)
from explorer.search import search_text
from tests.support.told import KINDS, SHARED, WORDS

BY_WORDS, BY_PICTURES, BY_NOTHING = range(KINDS)  # rows of the planted bundle


@pytest.fixture(scope="module")
def bundle(told_bundle: Path) -> Bundle:
    return Bundle.open(told_bundle)


def test_a_title_holds_the_first_words_alone(bundle: Bundle) -> None:
    for row in range(BY_WORDS, len(bundle.neurons), KINDS):
        first = [bundle.texts[int(text)] for text in bundle.concept_ids[row, :WORDS]]
        title = title_of(bundle, row)
        assert title.claims and title.basis == "words"
        assert set(title.text.removeprefix(AGAINST).split(", ")) <= set(first)
        assert [word for word, _ in words_of(bundle, row)] == first


def test_words_that_it_points_away_from_are_left_out_or_said(bundle: Bundle) -> None:
    for row in range(BY_WORDS, len(bundle.neurons), KINDS):
        words = words_of(bundle, row)
        towards = [word for word, weight in words if weight >= 0]
        away = [word for word, weight in words if weight < 0]
        assert title_of(bundle, row).text == (", ".join(towards) or f"against: {', '.join(away)}")


def test_the_negative_end_has_its_own_title(bundle: Bundle) -> None:
    """A bug: pictures of the negative end stood under the words of the positive one."""
    for row in range(BY_WORDS, len(bundle.neurons), KINDS):
        words = words_of(bundle, row)
        towards = [word for word, weight in words if weight >= 0]
        away = [word for word, weight in words if weight < 0]
        expected = ", ".join(away) or f"against: {', '.join(towards)}"
        assert title_of(bundle, row, end=-1).text == expected
    assert title_of(bundle, BY_PICTURES, end=-1).text == NOTHING


def test_without_words_a_title_says_what_pictures_share(bundle: Bundle) -> None:
    title = title_of(bundle, BY_PICTURES)
    assert (title.text, title.basis) == (f"pictures of {SHARED}", "pictures")
    assert title.claims
    assert drivers_of(bundle, BY_PICTURES) == SHARED.split(", ")
    assert passed_words(bundle, BY_PICTURES) == set(SHARED.split(", "))


def test_what_does_not_pass_is_called_nothing(bundle: Bundle) -> None:
    title = title_of(bundle, BY_NOTHING)
    assert (title.text, title.basis, title.claims) == (NOTHING, "nothing", False)
    assert words_of(bundle, BY_NOTHING) == [] and drivers_of(bundle, BY_NOTHING) == []
    assert passed_words(bundle, BY_NOTHING) == frozenset()


def test_counts_of_neurons_that_do_not_pass_are_not_words(tiny_bundle: Path) -> None:
    """Some random neurons have words that gain more than chance, but none passes over all."""
    bundle = Bundle.open(tiny_bundle)
    assert (bundle.neurons["words"] > 0).any() and (bundle.neurons["driven_by"] != "").any()
    assert not passing(bundle).either.any() and not passing(bundle).counts.any()
    titles = {title_of(bundle, row).text for row in range(len(bundle.neurons))}
    assert titles == {NOTHING}


def test_what_drives_it_counts_where_the_bundle_names_it(bundle: Bundle) -> None:
    found = passing(bundle)
    rows = np.arange(len(bundle.neurons)) % KINDS
    assert (found.words == (rows == BY_WORDS)).all()
    assert (found.drivers == (rows == BY_PICTURES)).all()
    assert (found.either == (rows != BY_NOTHING)).all()


def test_an_untested_bundle_claims_nothing(untested_bundle: Path) -> None:
    bundle = Bundle.open(untested_bundle)
    title = title_of(bundle, 5)
    assert (title.text, title.basis) == (bundle.neurons["concepts"].iloc[5], "untested")
    assert not title.claims and not passing(bundle).either.any()
    assert "text_p" not in neuron_facts(bundle, 1, 5)


def test_weights_are_fitted_to_the_words_alone(bundle: Bundle) -> None:
    row = bundle.row(1, 5)
    atoms = bundle.dictionary.atoms()[bundle.concept_ids[row, :3]].astype(np.float64)
    weights = fitted(bundle, row, 3)
    direction = bundle.directions[row].astype(np.float64)
    residual = direction - weights @ atoms
    assert np.abs(atoms @ residual).max() < 1e-3  # nothing of these texts is left over
    cosine = (weights @ atoms) @ direction / np.linalg.norm(weights @ atoms)
    assert cosine == pytest.approx(float(bundle.concept_cosines[row, 2]), abs=3e-3)


def test_json_names_neurons_by_the_same_rule(bundle: Bundle) -> None:
    layer, neuron = (int(bundle.neurons[key].iloc[BY_PICTURES]) for key in ("layer", "neuron"))
    facts = neuron_facts(bundle, layer, neuron)
    assert (facts["title"], facts["title_rests_on"]) == (f"pictures of {SHARED}", "pictures")
    for hit in search_text(bundle, "red circle")["directions"]:
        title = title_of(bundle, bundle.row(hit["layer"], hit["neuron"]))
        assert (hit["title"], hit["above_chance"]) == (title.text, title.claims)

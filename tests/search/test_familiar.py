"""Nonsense and foreign words are told from what the dictionary's words say."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from explorer.bundle import Bundle
from explorer.search import open_search, search_text
from explorer.search.familiar import (
    STRINGS,
    letters_reach,
    missing_words,
    nearest_known,
    random_letters,
)

PICTO = Path(__file__).parents[2] / "precomputed" / "picto"
FOREIGN = ("Fahrrad", "自転車", "parapluie", "mariposa", "велосипед", "Regenschirm", "chien")


@pytest.fixture(scope="module")
def picto() -> Bundle:
    return Bundle.open(PICTO)


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.open(tiny_bundle)


def far(bundle: Bundle, texts: Iterable[str]) -> list[str]:
    """Return the texts outside the dictionary that are far."""
    found = ((text, open_search(bundle, f'"{text}"')) for text in texts)
    return [text for text, one in found if one.places[0] < 0 and one.neighbour(0).far]


def test_nonsense_and_foreign_words_are_far(picto: Bundle) -> None:
    """A bug: of 60 random strings 9 were called far, of foreign words none."""
    strings = random_letters(20, seed=7)
    assert len(far(picto, strings)) >= 19  # one may be a word
    assert far(picto, FOREIGN) == list(FOREIGN)
    assert open_search(picto, "Fahrrad").neighbour(0).never == ("Fahrrad",)


def test_what_is_made_of_the_dictionarys_words_is_near(picto: Bundle) -> None:
    rng = np.random.default_rng(3)
    single = [text for text in picto.texts if text.isalpha()]
    phrases = [" ".join(rng.choice(single, 2, replace=False)) for _ in range(20)]
    sentences = ["a photo of a red bicycle", "this is a dog", "there’s a cat here", "two foxes"]
    assert far(picto, [*rng.choice(picto.texts, 20), *phrases, *sentences]) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("a photo of RED bicycles", []),
        ("t-shirt, dogs!", []),
        ("xqzzv and a cat", ["xqzzv"]),
        ("Fahrrad Fahrrad", ["Fahrrad"]),
        ("自転車 dog", ["自転車"]),
        ("dog - cat & 🫥", ["🫥"]),
    ],
)
def test_missing_words_are_those_of_no_text(picto: Bundle, text: str, missing: list[str]) -> None:
    assert missing_words(picto, text) == missing


class Tower:
    """Embeds what it was given a vector for as that, anything else as one vector."""

    def __init__(self, other: np.ndarray, **known: np.ndarray) -> None:
        self.other, self.known, self.asked = other, known, list[str]()

    def __call__(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        return np.stack([self.known.get(text, self.other) for text in texts]).astype(np.float32)


def test_where_letters_are_told_from_words_only_the_cosine_counts(bundle: Bundle) -> None:
    """A large model was shown more words than its dictionary has: a rare one is no nonsense."""
    stored = np.asarray(bundle.text_embeddings[5], np.float32)
    nowhere = 2 * bundle.text_mean.astype(np.float32) - stored
    tower = Tower(nowhere / np.linalg.norm(nowhere), daguerreotype=stored)
    atoms = bundle.dictionary.atoms()

    near = nearest_known(bundle, "daguerreotype", atoms[5], tower)
    assert (near.row, near.never, near.far) == (5, (), False)
    assert near.cosine == pytest.approx(1, abs=1e-3)
    opposed = bundle.dictionary.centre(tower.other[None])[0]
    assert near.letters == pytest.approx((atoms @ opposed).max(), abs=1e-3)
    assert nearest_known(bundle, "xqzzv", opposed, tower).far
    assert not nearest_known(bundle, "red circle", opposed, tower).far  # no word is missing


def test_where_letters_come_as_near_as_words_a_rare_word_is_enough(bundle: Bundle) -> None:
    tower = Tower(np.asarray(bundle.text_embeddings[5], np.float32))
    near = nearest_known(bundle, "xqzzv", bundle.dictionary.atoms()[5], tower)
    assert (near.never, near.far) == (("xqzzv",), True)


def test_random_letters_are_embedded_once_and_only_for_unknown_texts(bundle: Bundle) -> None:
    tower = Tower(np.asarray(bundle.text_embeddings[5], np.float32))
    open_search(bundle, "red", tower).towards(3)
    assert tower.asked == []
    assert letters_reach(bundle, tower) == letters_reach(bundle, tower)
    assert len(set(tower.asked)) <= STRINGS == len(random_letters(STRINGS))


def test_the_json_says_what_was_never_shown(picto: Bundle) -> None:
    (term,) = search_text(picto, "Fahrrad", top=1)["terms"]
    assert (term["far"], term["never"]) == (True, ["Fahrrad"])
    assert term["letters"] == pytest.approx(letters_reach(picto), abs=1e-3)

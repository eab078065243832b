"""Slips of the pen are told from words that the dictionary merely lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from explorer.bundle import Bundle
from explorer.search.query import Term, parse_query
from explorer.search.spelling import likely_meant, slips

PICTO = Path(__file__).parents[2] / "precomputed" / "picto"


@pytest.fixture(scope="module")
def picto() -> Bundle:
    return Bundle.open(PICTO)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("bycicle", "bicycle"),
        ("Girafe", "giraffe"),
        ("umbrela", "umbrella"),
        ("strawbery", "strawberry"),
        ("tellescope", "telescope"),
        ("octupus", "octopus"),
        ("zeebra", "zebra"),
        ("brocolli", "broccoli"),
        ("pinapple", "pineapple"),
        ("a photo of a bycicle", "a photo of a bicycle"),
    ],
)
def test_frequent_misspellings_are_understood(picto: Bundle, written: str, meant: str) -> None:
    assert likely_meant(picto, written)[0] == meant


@pytest.mark.parametrize(
    "text",
    [
        "eugene", "niches", "yellowstone", "impetus",  # words that the dictionary lacks
        "qwertyflop", "🚲", "東京", "x", "cet", "",  # near to nothing, or too short
        "the red bicycle", "dog - cat",  # every word is known
    ],
)  # fmt: skip
def test_other_unknown_texts_are_no_slips(picto: Bundle, text: str) -> None:
    assert likely_meant(picto, text) == []


def test_of_equally_close_texts_one_that_pictures_show_is_meant(
    picto: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are one edit away; without the pictures the most frequent one comes first."""

    def first(shown: str) -> str:
        mask = [text == shown for text in picto.texts]
        monkeypatch.setattr("explorer.search.spelling.pictured", lambda bundle: mask)
        return likely_meant(picto, "facee")[0]

    assert first("nothing") == "face"
    assert first("faced") == "faced"


def test_only_unknown_texts_without_quotation_marks_are_slips(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    terms = parse_query('circel + red - "circel" + CIRCLES + red squaer')
    meant = {"circel": ["circle"], "red squaer": ["red square"]}
    assert {term.text: texts for term, texts in slips(bundle, terms).items()} == meant
    assert slips(bundle, [Term("circel", exact=True)]) == {}


def test_no_more_are_offered_than_asked_for(picto: Bundle) -> None:
    assert len(likely_meant(picto, "facee", 5)) > 1
    assert likely_meant(picto, "facee", 1) == likely_meant(picto, "facee", 5)[:1]

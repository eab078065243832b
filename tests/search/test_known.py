"""Which text of the dictionary a text stands for, which ones pictures show, and what is near."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explorer.bundle import Bundle
from explorer.describe.dictionary import TextDictionary
from explorer.search import open_search, unknown_texts
from explorer.search.known import known_row, pictured
from explorer.search.query import Term


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.open(tiny_bundle)


def dictionary_of(*texts: str) -> TextDictionary:
    return TextDictionary.from_embeddings(texts, np.eye(len(texts), 4 + len(texts)))


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("bicycle", "bicycle"),
        ("BICYCLES", "bicycle"),
        ("mice", "mouse"),
        ("mouse", "mouse"),
        ("wolf", "wolves"),
        ("red leaves", "red leaf"),
        ("glass", "glass"),
        ("glasses", "glasses"),  # known as it is: no plural is looked for
        ("bus", None),
        ("news", None),  # not the plural of “new”
        ("", None),
        ("🚲", None),
    ],
)
def test_case_and_number_make_no_other_text(text: str, known: str | None) -> None:
    texts = ("bicycle", "mouse", "wolves", "red leaf", "glass", "glasses", "new")
    row = known_row(dictionary_of(*texts), Term(text))
    assert (None if row is None else texts[row]) == known


def test_a_text_in_quotation_marks_has_its_number() -> None:
    assert known_row(dictionary_of("bicycle", "x"), Term("bicycles", exact=True)) is None
    assert known_row(dictionary_of("bicycle", "x"), Term("Bicycle", exact=True)) == 0


def test_a_plural_is_searched_as_its_singular_without_the_model(bundle: Bundle) -> None:
    plural = open_search(bundle, "Red Circles + blues", lambda texts: pytest.fail("known"))
    assert [term.text for term in plural.terms] == ["red circle", "blue"]
    assert plural.written == ("Red Circles", "blues")
    assert plural.towards(5) == open_search(bundle, "red circle + blue").towards(5)
    assert unknown_texts(bundle, 'circles - "circles"') == ["circles"]


def test_pictured_texts_are_those_of_labels_and_keywords(bundle: Bundle) -> None:
    table = bundle.pictures.table
    words = {w.strip() for row in table["keywords"] for w in row.split(",")} | {*table["label"]}
    assert pictured(bundle).tolist() == [text in words for text in bundle.texts]


def test_near_texts_are_split_by_what_pictures_show(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = np.arange(len(bundle.texts)) % 3 > 0
    monkeypatch.setattr("explorer.search.pictured", lambda bundle: shown.copy())
    found = open_search(bundle, "red circle + green - blue")
    every = found.texts(len(bundle.texts))
    for wanted in (True, False):
        expected = [(row, score) for row, score in every if shown[row] == wanted][:7]
        near = found.near_texts(7, wanted)
        assert [row for row, _ in near] == [row for row, _ in expected]
        assert [s for _, s in near] == pytest.approx([s for _, s in expected], abs=1e-4)
    assert found.near_texts(0, True) == []

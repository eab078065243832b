"""Texts that a dictionary is to do without."""

from __future__ import annotations

from pathlib import Path

import pytest

from explorer.build.texts import gather_texts
from explorer.build.unwanted import PROFANITY, unwanted_words, without_unwanted
from explorer.bundle import Bundle
from explorer.bundle.pictures import PictureStore
from explorer.errors import InputError
from tests.conftest import settings_for

PICTO = Path(__file__).parents[2] / "precomputed" / "picto"


@pytest.fixture(scope="module")
def profanity() -> frozenset[str]:
    return unwanted_words(PROFANITY)


def test_profanity_stays_out_in_any_case_number_and_phrase(profanity: frozenset[str]) -> None:
    rude = ["asshole", "Assholes", "FUCKING", "bullshit", "a pile of shit", "wild-ass"]
    assert without_unwanted(rude, profanity) == []


def test_words_that_merely_look_like_it_stay(profanity: frozenset[str]) -> None:
    """Parts of longer words, rare senses, and words by which people name themselves."""
    fine = ["class", "assess", "cockpit", "Scunthorpe", "control knobs", "sex", "bloody", "naked"]
    fine += ["gay", "lesbian", "queer", "african", "muslim", "jew", "god", "", "☃", "dog - cat"]
    assert without_unwanted(fine, profanity) == fine


def test_a_file_names_words_of_ones_own(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("Mouse\nred dot\n", "utf-8")
    texts = ["mouse", "three MICE", "red dot", "a red dot", "red", "dot", "cat"]
    assert without_unwanted(texts, unwanted_words(str(words))) == ["red", "dot", "cat"]
    assert without_unwanted(texts, unwanted_words("")) == texts
    with pytest.raises(InputError, match=r"missing\.txt"):
        unwanted_words(str(tmp_path / "missing.txt"))


def test_a_build_leaves_them_out_whatever_its_texts_come_from(
    tiny_bundle: Path, tiny_store: Path, tmp_path: Path
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("circle\n", "utf-8")
    store = PictureStore.open(tiny_store)
    every = Bundle.open(tiny_bundle).texts
    kept = [text for text in every if "circle" not in text.split()]
    assert 2 < len(kept) < len(every)
    for source in ("corpus", f"bundle:{tiny_bundle}"):
        settings = settings_for(tmp_path, tmp_path, tiny_store, texts=source, leave_out=str(words))
        assert gather_texts(settings, store)["text"].tolist() == kept


def test_the_shipped_dictionary_holds_what_its_manifest_says(profanity: frozenset[str]) -> None:
    shipped = Bundle.open(PICTO)
    clean = without_unwanted(shipped.texts, profanity) == shipped.texts
    assert clean == (shipped.manifest.settings.get("leave_out") == PROFANITY)

"""A bundle of a user's own photographs: examples, originals, classes, on the pages."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from explorer.attack.gallery import gallery_file, gallery_image, pictures_of
from explorer.attack.pairs import Classes
from explorer.attack.vocabulary import vocabulary
from explorer.build import build
from explorer.bundle import Bundle
from explorer.bundle.shipped import shipped_pictures
from explorer.ui.data import loaders
from explorer.ui.data.loaders import View
from explorer.ui.image import source as image_source
from tests.conftest import settings_for
from tests.support.app import html_of, run_page
from tests.support.photographs import write_photographs


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 photographs in 8 sub-folders."""
    return write_photographs(tmp_path_factory.mktemp("photographs") / "in", 8, 5)


@pytest.fixture(scope="module")
def own(photographs: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle built from them, with thumbnails half their size, and a few texts more."""
    out = tmp_path_factory.mktemp("own") / "mine"
    texts = out.parent / "texts.txt"
    names = [f"thing {n}" for n in range(8)]
    texts.write_text("\n".join([*names, "clock", "banana", "scissors", "umbrella"]), "utf-8")
    settings = settings_for(
        out, tiny_model, photographs,
        images=str(photographs), texts=str(texts), layers="1,2", thumbnail=24,
    )  # fmt: skip
    return build(settings, lambda line: None)


@pytest.fixture
def bundles(own: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(own.parent))
    return own


def test_the_default_holds_out_enough_for_an_attack(own: Path) -> None:
    bundle = Bundle.open(own)
    held = bundle.pictures.table["label"][bundle.pictures.corpus_size :]
    assert len(held) == held.nunique() == 4
    assert Classes.of(bundle).labels == tuple(sorted(held))


def test_shipped_cutouts_stand_for_texts_that_no_picture_shows(own: Path) -> None:
    bundle, store = Bundle.open(own), shipped_pictures()
    assert store is not None
    words = vocabulary(bundle)
    assert {"clock", "banana", "thing 1"} & set(words.labels) >= {"thing 1"}
    helped = [label for label in words.labels if not label.startswith("thing")]
    assert helped, "the shipped pictures have none of the texts"
    for label in helped:
        for number in words.pictures[label]:
            shipped = number - len(bundle.pictures)
            assert store.table["label"].iloc[shipped] == label
            assert gallery_file(bundle, number) == store.encoded(shipped)
    assert gallery_image(bundle, 0).size == (48, 48), "the file itself, no thumbnail"


def test_a_typed_class_has_the_nearest_pictures(own: Path) -> None:
    bundle = Bundle.open(own)
    found = pictures_of(bundle, "something that nobody labelled")
    assert len(found) == 4 == len(set(found))
    assert pictures_of(bundle, "thing 1") != found


def test_examples_are_held_out_pictures_and_shipped_scenes(own: Path) -> None:
    view = View("mine", Bundle.open(own))
    pictures = image_source.example_pictures(view)
    assert len(pictures) == 4
    assert min(pictures) >= view.bundle.pictures.corpus_size
    assert len(image_source.example_scenes(view)) == 10


def test_originals_are_shown_and_thumbnails_at_their_own_size(
    bundles: Path, photographs: Path
) -> None:
    html = html_of(run_page("image"))
    assert "Picture 36: thing" in html, "the first held-out picture is open"
    assert "48 × 48 pixels" in html
    shutil.move(photographs, photographs.with_name("away"))
    try:
        html = html_of(run_page("image", image="36"))
    finally:
        shutil.move(photographs.with_name("away"), photographs)
    assert "24 × 24 pixels" in html
    (style,) = re.findall(r'class="patches" style="([^"]*)"', html)
    assert style.endswith("max-width:24px")


def test_credits_thank_nobody_for_pictures_without_authors(bundles: Path) -> None:
    said = html_of(run_page("about"))
    assert "40 pictures from 1 source. They came without an author or a licence." in said

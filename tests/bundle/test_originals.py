"""Pictures are read from their own files, and from no others, whatever a bundle says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from explorer.build import build
from explorer.build.pairs import add_pairs
from explorer.bundle import Bundle
from explorer.bundle.originals import (
    fingerprint,
    masked_pictures,
    original,
    original_mask,
    whole_picture,
)
from explorer.errors import InputError
from explorer.evidence.evaluation import open_evaluation
from explorer.evidence.reference import corpus_pixels
from explorer.evidence.settings import EvidenceSettings
from explorer.pixels import to_rgb
from explorer.ui.data import loaders
from tests.conftest import settings_for
from tests.support.altered import alter_table, linked_copy, manifest_of, write_manifest
from tests.support.app import html_of, run_page
from tests.support.photographs import photograph, write_photographs
from tests.support.told import unpaired

THUMBNAIL = 24
FIRST = "thing 0/0.png"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 photographs of 48 pixels in five sub-folders; the first two have masks."""
    top = write_photographs(tmp_path_factory.mktemp("photographs") / "in", 5, 4)
    for name in ("0", "1"):
        mask = top / "masks" / "thing 0" / f"{name}.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (48, 48), 255).save(mask)
    return top


@pytest.fixture(scope="module")
def built(photographs: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "mine"
    settings = settings_for(
        out, tiny_model, photographs, images=str(photographs), layers="2", thumbnail=THUMBNAIL
    )
    return build(settings, lambda line: None)


@pytest.fixture
def away(photographs: Path) -> Iterator[None]:
    """While this lasts the folder has another name."""
    shutil.move(photographs, photographs.with_name("away"))
    yield
    shutil.move(photographs.with_name("away"), photographs)


def row_of(bundle: Bundle, name: str = FIRST) -> int:
    return bundle.pictures.table["name"].tolist().index(name)


def as_file(photographs: Path, name: str) -> np.ndarray:
    return np.asarray(Image.open(photographs / name).convert("RGB"))


def test_every_picture_is_its_own_file(built: Path, photographs: Path) -> None:
    bundle = Bundle.open(built)
    assert len(bundle.pictures) == 20 > bundle.pictures.corpus_size
    for image, name in enumerate(bundle.pictures.table["name"]):
        assert original(bundle, image) == (photographs / name).read_bytes()
        shown = np.asarray(whole_picture(bundle, image))
        assert np.array_equal(shown, as_file(photographs, name))
    with pytest.raises(InputError, match="no picture 20"):
        whole_picture(bundle, 20)


def test_claims_are_measured_on_the_files(built: Path, photographs: Path) -> None:
    """Held-out pictures are classified, and means taken, from what the build itself saw."""
    bundle = Bundle.open(built)
    pictures = open_evaluation(bundle, EvidenceSettings())
    for place, image in enumerate(pictures.numbers):
        name = bundle.pictures.table["name"].iloc[image]
        assert np.array_equal(np.asarray(pictures.image(place)), as_file(photographs, name))
    file = to_rgb(Image.open(photographs / FIRST))
    expected = bundle.model.preprocess(file)
    assert corpus_pixels(bundle, bundle.model, [row_of(bundle)])[0].equal(expected)


def test_pairs_added_later_are_those_of_the_build(built: Path, tmp_path: Path) -> None:
    """A bug: they were taken from thumbnails."""
    later = add_pairs(unpaired(built, tmp_path / "later"), lambda line: None)
    ours, theirs = later.pair_shares, Bundle.open(built).pair_shares
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.usefixtures("away")
def test_without_the_folder_thumbnails_serve(built: Path) -> None:
    bundle = Bundle.open(built)
    assert original(bundle, 0) is None
    assert whole_picture(bundle, 0).size == (THUMBNAIL, THUMBNAIL)
    pictures = open_evaluation(bundle, EvidenceSettings())
    assert pictures.image(0).size == (THUMBNAIL, THUMBNAIL)
    assert masked_pictures(bundle) == []


def test_a_file_that_changed_is_no_longer_the_picture(built: Path, photographs: Path) -> None:
    bundle, file = Bundle.open(built), photographs / FIRST
    before = file.read_bytes()
    try:
        photograph(99).save(file)
        assert original(bundle, row_of(bundle)) is None
        assert whole_picture(bundle, row_of(bundle)).size == (THUMBNAIL, THUMBNAIL)
    finally:
        file.write_bytes(before)
    assert original(bundle, row_of(bundle)) == before


def test_masks_are_those_of_the_build(built: Path, photographs: Path) -> None:
    bundle, mask = Bundle.open(built), photographs / "masks" / FIRST
    held = {row_of(bundle, "thing 0/0.png"), row_of(bundle, "thing 0/1.png")}
    assert set(masked_pictures(bundle)) == held
    before = mask.read_bytes()
    assert original_mask(bundle, row_of(bundle)) == before
    try:
        Image.new("L", (48, 48), 7).save(mask)
        assert original_mask(bundle, row_of(bundle)) is None
    finally:
        mask.write_bytes(before)


# What a stranger may write into a bundle, hashes and digest made right again.

Attack = Callable[[Path, Path], tuple[Path, str, str]]
"""Folder outside, folder of photographs -> what the bundle says: folder, name, SHA-256."""


def another_folder(outside: Path, photographs: Path) -> tuple[Path, str, str]:
    """The name of a picture, in a folder whose file of that name is another."""
    return outside, FIRST, fingerprint(photographs / FIRST)


def the_whole_disk(outside: Path, photographs: Path) -> tuple[Path, str, str]:
    return Path("/"), str((outside / FIRST).relative_to("/")), "0" * 64


def no_hash(outside: Path, photographs: Path) -> tuple[Path, str, str]:
    return outside, FIRST, ""


def upwards(outside: Path, photographs: Path) -> tuple[Path, str, str]:
    name = f"../{outside.name}/{FIRST}"
    return outside.parent / "empty", name, fingerprint(outside / FIRST)


def from_the_root(outside: Path, photographs: Path) -> tuple[Path, str, str]:
    return outside.parent / "empty", str(outside / FIRST), fingerprint(outside / FIRST)


def by_a_link(outside: Path, photographs: Path) -> tuple[Path, str, str]:
    (outside.parent / "empty" / "link.png").symlink_to(outside / FIRST)
    return outside.parent / "empty", "link.png", fingerprint(outside / FIRST)


def by_a_linked_folder(outside: Path, photographs: Path) -> tuple[Path, str, str]:
    (outside.parent / "empty" / "sub").symlink_to(outside)
    return outside.parent / "empty", f"sub/{FIRST}", fingerprint(outside / FIRST)


def in_a_circle(outside: Path, photographs: Path) -> tuple[Path, str, str]:
    (outside.parent / "empty" / "a.png").symlink_to(outside.parent / "empty" / "a.png")
    return outside.parent / "empty", "a.png", "0" * 64


def a_pipe(outside: Path, photographs: Path) -> tuple[Path, str, str]:
    """Reading it would never end."""
    os.mkfifo(outside.parent / "empty" / "pipe.png")
    return outside.parent / "empty", "pipe.png", "0" * 64


def a_byte_of_nothing(outside: Path, photographs: Path) -> tuple[Path, str, str]:
    return outside, "thing\0.png", "0" * 64


@pytest.mark.parametrize(
    "attack",
    [
        another_folder, the_whole_disk, no_hash, upwards, from_the_root, by_a_link,
        by_a_linked_folder, in_a_circle, a_pipe, a_byte_of_nothing,
    ],
)  # fmt: skip
def test_a_strangers_bundle_shows_no_other_file(
    attack: Attack,
    built: Path,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither as a picture nor as a mask; the page shows what the bundle itself holds."""
    outside = tmp_path / "outside"
    for file in (outside / FIRST, outside / "masks" / FIRST):
        file.parent.mkdir(parents=True)
        Image.new("RGB", (200, 120), "red").save(file)
    (tmp_path / "empty").mkdir()
    folder, name, digest = attack(outside, photographs)
    theirs = linked_copy(built, tmp_path / "bundles" / "mine")

    def alter(table: pd.DataFrame) -> pd.DataFrame:
        row = table["name"].tolist().index(FIRST)
        table.loc[row, ["name", "original", "mask"]] = [name, digest, digest]
        return table

    alter_table(theirs, "images", alter)
    content = manifest_of(theirs)
    content["images"] |= {"folder": str(folder), "held_out_folder": str(folder)}
    write_manifest(theirs, content)
    bundle = Bundle.open(theirs)
    row = row_of(bundle, name)
    assert original(bundle, row) is None
    assert original_mask(bundle, row) is None
    assert whole_picture(bundle, row).size == (THUMBNAIL, THUMBNAIL)
    if attack is another_folder:
        monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(theirs.parent))
        assert f"{THUMBNAIL} × {THUMBNAIL} pixels" in html_of(run_page("image", image=str(row)))


def test_bundles_from_before_have_no_files(built: Path, tmp_path: Path) -> None:
    older = linked_copy(built, tmp_path / "older")
    alter_table(older, "images", lambda table: table.drop(columns=["original", "mask"]))
    bundle = Bundle.open(older)
    assert original(bundle, 0) is original_mask(bundle, 0) is None
    assert masked_pictures(bundle) == []
    assert whole_picture(bundle, 0).size == (THUMBNAIL, THUMBNAIL)

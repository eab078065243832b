"""The picture store: round trip, order, damage."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from explorer.bundle.pictures import COLUMNS, PictureStore, picture_kind
from explorer.errors import BundleError, InputError
from tests.conftest import HELD_OUT, draw, facts_of, picture_rows, png


def test_a_store_gives_back_what_was_written(tiny_store: Path) -> None:
    store = PictureStore.open(tiny_store)
    rows = list(picture_rows())
    assert len(store) == len(rows)
    assert store.corpus_size == len(rows) - HELD_OUT
    for image, (record, data) in enumerate(rows):
        assert store.encoded(image) == data
        assert store.table.loc[image, list(COLUMNS)].to_dict() == record


def test_pictures_keep_their_alpha_and_are_laid_on_white(tiny_store: Path) -> None:
    store = PictureStore.open(tiny_store)
    picture = store.image(0)
    assert picture.mode == "RGBA"
    assert picture.getpixel((39, 39)) == (0, 0, 0, 0)
    ground = store.rgb(0)
    assert ground.mode == "RGB"
    assert ground.getpixel((39, 39)) == (255, 255, 255)
    assert ground.getpixel((11, 11)) == (255, 0, 0)


@pytest.mark.parametrize("image", [-1, 40, 10**6])
def test_a_number_out_of_range_names_the_range(tiny_store: Path, image: int) -> None:
    with pytest.raises(InputError, match="0 to 39"):
        PictureStore.open(tiny_store).encoded(image)


def test_a_failed_write_leaves_the_old_store(tmp_path: Path) -> None:
    rows = list(picture_rows())
    PictureStore.write(tmp_path, rows[:3])

    def failing():
        yield rows[0]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError):
        PictureStore.write(tmp_path, failing())
    assert len(PictureStore.open(tmp_path)) == 3
    assert PictureStore.open(tmp_path).encoded(2) == rows[2][1]


def test_corpus_pictures_come_first(tmp_path: Path) -> None:
    rows = list(picture_rows())
    with pytest.raises(InputError, match="come first"):
        PictureStore.write(tmp_path, [rows[-1], rows[0]])


@pytest.mark.parametrize("change", [{"split": "train"}, {"label": None}])
def test_records_are_checked(tmp_path: Path, change: dict) -> None:
    record = facts_of("red", "circle", 0) | change
    if record["label"] is None:
        del record["label"]
    with pytest.raises(InputError, match="needs the columns"):
        PictureStore.write(tmp_path, [(record, b"x")])


@pytest.mark.parametrize("name", ["images.parquet", "pictures.bin"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    PictureStore.write(tmp_path, list(picture_rows())[:2])
    (tmp_path / name).unlink()
    with pytest.raises(BundleError, match=name):
        PictureStore.open(tmp_path)


def test_a_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    PictureStore.write(tmp_path, list(picture_rows())[:2])
    (tmp_path / "images.parquet").write_bytes(b"no table")
    with pytest.raises(BundleError, match="cannot be read"):
        PictureStore.open(tmp_path)
    pd.DataFrame({"label": ["a"]}).to_parquet(tmp_path / "images.parquet")
    with pytest.raises(BundleError, match="column 'concept' is missing"):
        PictureStore.open(tmp_path)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    damaged = png(draw("red", "circle"))[:40] + bytes(60)
    store = PictureStore.write(
        tmp_path, [(facts_of("red", "circle", n), d) for n, d in enumerate([damaged, b"text"])]
    )
    for image in range(2):
        with pytest.raises(BundleError, match=f"picture {image} "):
            store.image(image)


def test_only_the_pictures_asked_for_are_read(tiny_store: Path) -> None:
    store = PictureStore.open(tiny_store)
    lengths = store.table["length"].to_numpy()
    assert np.array_equal(store.table["offset"], np.concatenate([[0], lengths.cumsum()[:-1]]))
    assert store.table["offset"].dtype == np.int64


def test_a_pictures_kind_is_read_off_its_first_bytes() -> None:
    shown = draw("red", "circle", 10, 0).convert("RGB")
    for kind in ("webp", "png", "jpeg"):
        buffer = io.BytesIO()
        shown.save(buffer, kind)
        assert picture_kind(buffer.getvalue()) == kind
    with pytest.raises(InputError, match="neither WebP"):
        picture_kind(b"GIF89a")

"""Folders of pictures that people really have."""

import io
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from explorer.build.listed import ListedSource, Reading
from explorer.build.listings import FolderListing
from explorer.errors import InputError


def folder(path):
    Image.new("RGB", (12, 8), "red").save(path / "good.png")
    return ListedSource(FolderListing(path))


def test_a_decompression_bomb_is_skipped_and_named(tmp_path, monkeypatch):
    source = folder(tmp_path)
    Image.new("RGB", (60, 60), "blue").save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    labels = [facts["label"] for facts, _ in source.rows(8)]
    assert labels == ["good"]
    assert [line.split(":")[0] for line in source.skipped] == ["huge.png"]


def open_files():
    """Return the paths of this process's open files."""
    found = []
    for number in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the list itself
            found.append(str(number.readlink()))
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no list of open files")
def test_thumbnails_wait_where_the_build_works_and_leave_nothing(tmp_path):
    source, work = folder(tmp_path), tmp_path / "work"
    work.mkdir()
    rows = source.rows(8, Reading(folder=work))
    next(rows)
    assert any(name.startswith(f"{work}/") for name in open_files())
    assert list(work.iterdir()) == []  # it has no name that a kill could leave
    rows.close()
    assert not any(name.startswith(f"{work}/") for name in open_files())


def test_metadata_in_another_encoding_is_refused_with_the_remedy(tmp_path):
    source = folder(tmp_path)
    (tmp_path / "metadata.csv").write_bytes(b"file,label\ngood.png,caf\xe9\n")
    with pytest.raises(InputError, match="UTF-8"):
        list(source.rows(8))


def test_metadata_names_pictures(tmp_path):
    source = folder(tmp_path)
    (tmp_path / "metadata.csv").write_text("file,label,author\ngood.png,a red card,Ann\n", "utf-8")
    ((facts, _),) = source.rows(8)
    assert (facts["label"], facts["author"], facts["name"]) == ("a red card", "Ann", "good.png")


@pytest.mark.parametrize(
    "data",
    [
        b"file_name,label\ngood.png,a red card\n",
        "file;label\r\ngood.png;a red card\r\n".encode("utf-8-sig"),
        "File_Name\tLabel\ngood.png\ta red card\n".encode("utf-16"),
        ".\\good.png".join(["path,label\n", ",a red card\n"]).encode(),
    ],
    ids=["hugging face", "spreadsheet", "utf-16", "windows"],
)
def test_metadata_as_people_have_it(tmp_path, data):
    source = folder(tmp_path)
    (tmp_path / "metadata.csv").write_bytes(data)
    ((facts, _),) = source.rows(8)
    assert facts["label"] == "a red card"


def test_accents_are_one_form_whatever_the_file_system_writes(tmp_path):
    apart, one = "cafe\u0301", "caf\u00e9"
    (tmp_path / apart).mkdir()
    Image.new("RGB", (12, 8), "red").save(tmp_path / apart / f"{apart}.png")
    source = ListedSource(FolderListing(tmp_path))
    ((facts, _),) = source.rows(8)
    assert (facts["label"], facts["name"]) == (one, f"{apart}/{apart}.png")
    assert source.picture(0).size == (12, 8)  # the file is found by its own name
    table = f"file,label,author\n{one}/{one}.png,cre\u0300me,שלום\n"
    (tmp_path / "metadata.csv").write_text(table, "utf-8")
    ((facts, _),) = source.rows(8)
    assert (facts["label"], facts["author"]) == ("cr\u00e8me", "שלום")


def test_metadata_without_paths_names_the_columns_it_has(tmp_path):
    source = folder(tmp_path)
    (tmp_path / "metadata.csv").write_text("picture_id;label\n1;red\n", "utf-8")
    with pytest.raises(InputError, match="has the columns picture_id, label, and none of paths"):
        list(source.rows(8))


def test_masks_are_no_pictures(tmp_path):
    source = folder(tmp_path)
    (tmp_path / "masks").mkdir()
    Image.new("L", (12, 8), 255).save(tmp_path / "masks" / "good.png")
    assert len(list(source.rows(8))) == 1


def test_an_opaque_alpha_is_dropped_and_a_clear_one_kept(tmp_path):
    for name, alpha in (("opaque", 255), ("clear", 90)):
        Image.new("RGBA", (12, 8), (200, 0, 0, alpha)).save(tmp_path / f"{name}.png")
    rows = {f["name"]: data for f, data in ListedSource(FolderListing(tmp_path)).rows(8)}
    modes = {name: Image.open(io.BytesIO(data)).mode for name, data in rows.items()}
    assert modes == {"opaque.png": "RGB", "clear.png": "RGBA"}

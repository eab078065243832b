"""Pictures from shards, tables and lists of paths: the same as from a folder of them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from explorer.build import build
from explorer.build.files import named
from explorer.build.listed import ListedSource, Listing, Reading
from explorer.build.listings import FolderListing, find_listing
from explorer.build.sources import open_source
from explorer.bundle import Bundle
from explorer.bundle.pictures import PictureStore
from explorer.errors import InputError
from tests.conftest import draw, png, settings_for

COLOURS = ("red", "green", "blue")


def picture(number: int) -> bytes:
    return png(draw(COLOURS[number % 3], "circle", 8 + number, number))


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def rows(listing: Listing, workers: int = 0) -> tuple[list[tuple[str, str]], ListedSource]:
    """Return (label, name) of every picture, which all open again, and their source."""
    source = ListedSource(listing)
    found = [(r["label"], r["name"]) for r, _ in source.rows(16, Reading(workers))]
    assert all(source.picture(n).size == (40, 40) for n in range(len(found)))
    return found, source


def test_shards(tmp_path: Path) -> None:
    for shard in range(2):
        with tarfile.open(tmp_path / f"part-00{shard}.tar", "w") as tar:
            add(tar, "a.png", picture(shard))
            add(tar, "a.cls", b"7\n")
            add(tar, "sub/b.c.PNG", picture(shard + 2))
            add(tar, "sub/b.txt", b"a red  circle\n on white")
            add(tar, "c.png", picture(shard + 4))
            add(tar, "c.json", json.dumps({"label": "blue disc", "author": "Ann"}).encode())
            add(tar, "d.png", b"no picture")
            add(tar, "e.npy", b"something else")
    for spec in (f"{tmp_path}/part-{{000..001}}.tar", str(tmp_path)):
        for workers in (0, 2):
            found, source = rows(find_listing(spec), workers)
            assert found == [
                (label, f"part-00{shard}.tar/{name}")
                for shard in range(2)
                for label, name in (
                    ("7", "a.png"), ("a red circle on white", "sub/b.c.PNG"), ("blue disc", "c.png")
                )
            ]  # fmt: skip
            assert [line.split(":")[0] for line in source.skipped] == [
                "part-000.tar/d.png",
                "part-001.tar/d.png",
            ]
    again = ListedSource(find_listing(str(tmp_path)))  # of a resumed build
    again.keys = [name for _, name in found]
    assert np.array_equal(np.asarray(again.picture(4)), np.asarray(source.picture(4)))
    again.keys[0] = "part-000.tar/gone.png"
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        again.picture(0)


def holder(file: Path, colour: str) -> None:
    """Write a shard or a table with one picture of a colour."""
    data = png(Image.new("RGB", (40, 40), colour))
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".tar":
        with tarfile.open(file, "w") as tar:
            add(tar, "x.png", data)
    else:
        pq.write_table(pa.table({"image": [data]}), file)


@pytest.mark.parametrize(("kind", "member"), [("tar", "x.png"), ("parquet", "0")])
def test_files_of_one_name_in_several_folders(kind: str, member: str, tmp_path: Path) -> None:
    shown = {"red": (255, 0, 0), "blue": (0, 0, 255)}
    for number, colour in enumerate(shown):
        holder(tmp_path / f"a{number}" / f"s.{kind}", colour)
    spec = f"{tmp_path}/a{{0..1}}/s.{kind}"
    source = ListedSource(find_listing(spec))
    store = PictureStore.write(tmp_path / "store", source.rows(40))
    assert store.table["name"].tolist() == [f"a{n}/s.{kind}/{member}" for n in range(2)]
    resumed = ListedSource(find_listing(spec))
    resumed.resume(store.table)
    stored = open_source(f"store:{tmp_path / 'store'}", tmp_path)
    for number, colour in enumerate(shown.values()):
        assert source.picture(number).getpixel((20, 20)) == colour
        assert resumed.picture(number).getpixel((20, 20)) == colour
        assert stored.picture(number).getpixel((20, 20)) == pytest.approx((*colour, 255), abs=12)


def test_names_of_files(tmp_path: Path) -> None:
    alone = [Path("a/0.tar"), Path("b/1.tar")]
    assert named(alone) == {"0.tar": alone[0], "1.tar": alone[1]}
    deep = [tmp_path / "a/0/s.tar", tmp_path / "a/1/s.tar", tmp_path / "a/s.tar"]
    assert list(named(deep)) == ["0/s.tar", "1/s.tar", "s.tar"]
    assert list(named([Path("s.tar"), Path("b/s.tar")])) == ["s.tar", "b/s.tar"]


def test_a_shard_that_is_cut_off_gives_what_it_has(tmp_path: Path) -> None:
    file = tmp_path / "cut.tar"
    with tarfile.open(file, "w") as tar:
        for number in range(3):
            add(tar, f"{number}.png", picture(number) + bytes(3000))
    file.write_bytes(file.read_bytes()[: 2 * 4096 + 512 + 60])  # in the third picture
    found, source = rows(find_listing(str(file)))
    assert [name for _, name in found] == ["cut.tar/0.png", "cut.tar/1.png"]
    assert all(line.startswith("cut.tar") for line in source.skipped) and source.skipped
    file.write_bytes(b"\x1f\x8b" + bytes(100))
    with pytest.raises(InputError, match="no plain tar file"):
        rows(find_listing(str(file)))


def table(count: int, **more: list) -> pa.Table:
    data = [picture(n) for n in range(count)]
    return pa.table({"image": [{"bytes": d, "path": None} for d in data], **more})


def test_tables(tmp_path: Path) -> None:
    features = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    named = table(5, label=[0, 1, 1, 0, 1]).replace_schema_metadata(
        {"huggingface": json.dumps(features)}
    )
    pq.write_table(named, tmp_path / "one.parquet", row_group_size=2)
    plain = pa.table({"id": [1, 2, 3], "picture": [picture(0), b"none", picture(1)],
                      "names": ["tench", None, "goldfish"]})  # fmt: skip
    pq.write_table(plain, tmp_path / "two.parquet")
    for workers in (0, 2):
        found, source = rows(find_listing(str(tmp_path)), workers)
        assert [label for label, _ in found] == [
            "cat", "dog", "dog", "cat", "dog", "tench", "goldfish"
        ]  # fmt: skip
        assert found[-1][1] == "two.parquet/2"
        assert [line.split(":")[0] for line in source.skipped] == ["two.parquet/1"]
    for row in (4, 0, 3):
        data = named.column("image")[row].as_py()["bytes"]
        assert np.array_equal(
            np.asarray(source.picture(row)), np.asarray(draw_of(data)), equal_nan=True
        )


def draw_of(data: bytes) -> object:
    from PIL import Image

    return Image.open(io.BytesIO(data))


def test_arrow_files_as_datasets_leave_them(tmp_path: Path) -> None:
    whole = table(4, text=["a", "b", "c", "d"])
    for name, write in (("stream", pa.ipc.new_stream), ("file", pa.ipc.new_file)):
        folder = tmp_path / name
        folder.mkdir()
        with write(str(folder / "data-00000-of-00001.arrow"), whole.schema) as out:
            for batch in whole.to_batches(max_chunksize=3):
                out.write_batch(batch)
        (folder / "dataset_info.json").write_text("{}", "utf-8")
        found, _ = rows(find_listing(str(folder)))
        assert [label for label, _ in found] == ["a", "b", "c", "d"]


def test_tables_without_pictures(tmp_path: Path) -> None:
    pq.write_table(pa.table({"label": ["a"], "url": ["http"]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="columns label, url, and none of pictures"):
        rows(find_listing(str(tmp_path)))
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no table")
    with pytest.raises(InputError, match="No table can be read"):
        rows(find_listing(str(tmp_path)))


def test_a_list_of_paths(tmp_path: Path) -> None:
    for number in range(3):
        place = tmp_path / "deep" / COLOURS[number]
        place.mkdir(parents=True)
        (place / "x y.png").write_bytes(picture(number))
    elsewhere = tmp_path / "deep" / "blue" / "x y.png"
    (tmp_path / "list.txt").write_text(
        f"deep/red/x y.png\tred one\ndeep/green/x y.png\n\n{elsewhere}\nnone.png\n"
        "deep/red/x y.png\tagain\n\tlabel alone\ndeep\n",
        "utf-8-sig",
    )
    found, source = rows(find_listing(str(tmp_path / "list.txt")))
    assert found == [
        ("red one", "deep/red/x y.png"), ("green", "deep/green/x y.png"), ("blue", str(elsewhere)),
    ]  # fmt: skip
    said = sorted(source.skipped)
    assert said[0] == "deep: not a regular file"
    assert said[1] == "line 6 of list.txt: named before"
    assert said[2] == "line 7 of list.txt: no path"
    assert said[3].startswith("none.png: ") and "No such file" in said[3]
    (tmp_path / "list.txt").write_bytes(b"caf\xe9.png\n")
    with pytest.raises(InputError, match="no text in UTF-8"):
        rows(find_listing(str(tmp_path / "list.txt")))


def test_what_is_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"x")
    for spec in ("a.pdf", "nowhere", "part-{0..1}.tar"):
        with pytest.raises(InputError, match=r"no source|not there"):
            find_listing(str(tmp_path / spec))


def test_a_folder_with_pictures_beside_a_table_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(0))
    pq.write_table(table(2), tmp_path / "t.parquet")
    assert isinstance(find_listing(str(tmp_path)), FolderListing)


def test_a_bundle_from_shards_is_that_of_the_folder(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with tarfile.open(tmp_path / "in.tar", "w") as tar:
        for number in range(8):
            (folder / f"{number}.png").write_bytes(picture(number))
            add(tar, f"{number}.png", picture(number))
    bundles = []
    for name, images in (("a", folder), ("b", tmp_path / "in.tar")):
        settings = settings_for(
            tmp_path / name, tiny_model, folder, images=str(images), texts="common", words=40,
            layers="2", nulls=50,
        )  # fmt: skip
        bundles.append(Bundle.open(build(settings, lambda line: None)))
    for array in ("directions", "top_images", "image_embeddings", "concept_ids"):
        assert np.array_equal(getattr(bundles[0], array), getattr(bundles[1], array))

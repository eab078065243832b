"""What of a folder is a picture to build from, and what is left out with a word."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from explorer.build.files import picture_files
from explorer.build.listed import ListedSource
from explorer.build.listings import FolderListing, TextListing
from explorer.pixels import MAX_PIXELS, open_picture


def test_a_pipe_is_left_out_and_named(tmp_path: Path) -> None:
    """A bug: a FIFO named .png kept a build waiting for ever."""
    os.mkfifo(tmp_path / "pipe.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "real.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    files, skipped = picture_files(tmp_path)
    assert [file.name for file in files] == ["real.png"]
    assert skipped == ["gone.png: not a regular file", "pipe.png: not a regular file"]


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone")
def test_a_name_that_is_no_utf_8_is_left_out_and_named(tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Image.new("RGB", (4, 4)).save(tmp_path / "real.png")
    with open(odd, "wb") as file:  # noqa: PTH123
        file.write((tmp_path / "real.png").read_bytes())
    source = ListedSource(FolderListing(tmp_path))
    assert len(list(source.rows(16))) == 1
    (said,) = source.skipped
    assert said == "caf\ufffd.png: its name is not UTF-8; rename it"
    said.encode()


def test_kinds_that_are_not_read_are_named(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "real.png")
    (tmp_path / "new.jxl").write_bytes(b"\xff\x0a" + bytes(40))
    (tmp_path / "page.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0")
    source = ListedSource(FolderListing(tmp_path))
    assert len(list(source.rows(16))) == 1
    new, page = source.skipped
    assert new.startswith("new.jxl: JPEG XL pictures are not read")
    assert page.startswith("page.png: The file is not a readable picture")


def test_too_many_pixels_are_not_decoded(tmp_path: Path) -> None:
    Image.new("1", (MAX_PIXELS // 1000 + 1, 1000)).save(tmp_path / "wide.png")
    with pytest.raises(ValueError, match="pixels are more than"):
        open_picture(tmp_path / "wide.png")


def test_greys_of_sixteen_bits_are_scaled_not_cut(tmp_path: Path) -> None:
    """A bug: a build saw such a picture as white."""
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    seen = np.asarray(open_picture(tmp_path / "ramp.png").convert("RGB"))[..., 0]
    assert np.abs(seen - ramp / 257).max() <= 1


def noise(kind: str, **how: object) -> bytes:
    """Return a noisy picture of 24 x 20 pixels, of two frames where that is said."""
    values = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, kind, **how)
    return stream.getvalue()


def damaged() -> dict[str, bytes]:
    """Return files that once ended a build: GIFs that are cut off, AVIFs with a byte changed."""
    second = Image.new("RGB", (24, 20), "red")
    whole = noise("GIF", save_all=True, append_images=[second])
    found = {f"cut_{end}.gif": whole[:end] for end in range(12, len(whole), 5)}
    if features.check("avif"):
        whole = noise("AVIF")
        for place in range(len(whole) // 2, len(whole), 9):
            changed = bytearray(whole)
            changed[place] ^= 0xFF
            found[f"byte_{place}.avif"] = bytes(changed)
    return found


def test_damaged_pictures_are_skipped_and_named(tmp_path: Path) -> None:
    """A bug: some decoders raise errors of other kinds, and one such file ended a build."""
    Image.new("RGB", (4, 4)).save(tmp_path / "real.png")
    for name, data in damaged().items():
        (tmp_path / name).write_bytes(data)
    source = ListedSource(FolderListing(tmp_path))
    read = [record["name"] for record, _ in source.rows(16)]
    assert "real.png" in read
    assert len(read) + len(source.skipped) == 1 + len(damaged())
    assert any(".gif: " in line for line in source.skipped)
    assert all(line.partition(": ")[2] for line in source.skipped)


@pytest.mark.parametrize("error", [RuntimeError, IndexError, TypeError, KeyError, EOFError])
def test_whatever_a_decoder_raises_is_a_reason(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(picture: Image.Image) -> None:
        raise error("no such frame")

    Image.new("RGB", (4, 4)).save(tmp_path / "one.png")
    monkeypatch.setattr("explorer.pixels.first_shown", fail)
    with pytest.raises(ValueError, match=r"cannot be decoded .*no such frame"):
        open_picture(tmp_path / "one.png")


def test_a_lack_of_memory_is_no_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(picture: Image.Image) -> None:
        raise MemoryError

    Image.new("RGB", (4, 4)).save(tmp_path / "one.png")
    monkeypatch.setattr("explorer.pixels.first_shown", fail)
    with pytest.raises(MemoryError):
        open_picture(tmp_path / "one.png")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_damaged_exif_leaves_a_picture_readable(kind: str) -> None:
    """A bug: a build ended on it. Orientation 6 is followed if it can still be read."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "abc", 1.5
    whole = noise(kind, exif=exif)
    start = whole.index(b"MM\0*") if b"MM\0*" in whole else whole.index(b"II*\0")
    upright = np.asarray(open_picture(io.BytesIO(whole)).convert("RGB"))
    assert upright.shape == (24, 20, 3)
    seen = set()
    for place in range(start, start + len(exif.tobytes()) - len(b"Exif\0\0")):
        for value in (0, 255):
            changed = bytearray(whole)
            changed[place] = value
            picture = open_picture(io.BytesIO(bytes(changed)))
            seen.add(picture.size)
    assert seen == {(20, 24), (24, 20)}


# Links.


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    """A bug: pictures of linked sub-folders were dropped without a word."""
    top, other = tmp_path / "top", tmp_path / "elsewhere"
    for folder in (top / "cat", other / "deep"):
        folder.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(folder / "one.png")
    (top / "a_dog").symlink_to(other)
    (top / "b_cat").symlink_to("cat")  # by two names
    (top / "cat" / "up").symlink_to(top)  # in a circle
    (other / "deep" / "again").symlink_to(other)
    files, skipped = picture_files(top)
    found = [file.relative_to(top).as_posix() for file in files]
    assert found == ["a_dog/deep/one.png", "cat/one.png"]
    said = "a link to a folder that is read already"
    assert skipped == [f"{link}: {said}" for link in ("b_cat", "cat/up", "a_dog/deep/again")]


def test_a_link_to_the_folder_around_ends(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "cat").mkdir(parents=True)
    (tmp_path / "beside").mkdir()
    for folder in (top / "cat", tmp_path / "beside"):
        Image.new("RGB", (4, 4)).save(folder / "one.png")
    (top / "out").symlink_to(tmp_path)
    files, skipped = picture_files(top)
    assert [f.relative_to(top).as_posix() for f in files] == ["cat/one.png", "out/beside/one.png"]
    assert skipped == []


# Labels.


def labels(folder: Path, *names: str) -> list[str]:
    """Return the labels of pictures with these paths, in order of path."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(folder / name)
    (folder / "list.txt").write_text("\n".join(sorted(names)), "utf-8")
    found = [
        [entry.known["label"] for entry in listing.entries()[0]]
        for listing in (FolderListing(folder), TextListing(folder / "list.txt"))
    ]
    assert found[0] == found[1]
    return found[0]


def test_a_name_that_all_sub_folders_share_is_no_label(tmp_path: Path) -> None:
    """A bug: every picture of Tiny ImageNet had the label "images"."""
    tiny = labels(tmp_path / "a", "n01/images/x.png", "n01/images/y.png", "n02/images/x.png")
    assert tiny == ["n01", "n01", "n02"]
    deeper = labels(tmp_path / "b", "train/red_cat/images/x.png", "train/dog/images/x.png")
    assert deeper == ["dog", "red cat"]


def test_otherwise_a_picture_s_own_folder_labels_it(tmp_path: Path) -> None:
    assert labels(tmp_path / "a", "n01/images/x.png", "n02/others/x.png") == ["images", "others"]
    assert labels(tmp_path / "b", "train/cat/x.png", "train/cat/y.png") == ["cat", "cat"]
    assert labels(tmp_path / "c", "cat/images/x.png", "dog.png") == ["images", "dog"]
    assert labels(tmp_path / "d", "x.png", "y.png") == ["x", "y"]

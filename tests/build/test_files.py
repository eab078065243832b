"""What of a folder is a picture to build from, and what is left out with a word."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.build.files import picture_files
from explorer.build.listed import ListedSource
from explorer.build.listings import FolderListing
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

"""The files that a bundle's pictures were made of, where their folder is still there.

A bundle is data that anybody may have written, and its manifest names a folder of whatever machine
opens it. So a file is taken only if it is the very one that the build read: it lies below that
folder, no link leads out of it, and its SHA-256 is the one in the bundle. Nothing is learned from a
bundle that its author did not know; whatever differs is as if it were not there, and the picture is
the one that the bundle holds.
"""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from pathlib import Path

from PIL import Image

from explorer.bundle import Bundle
from explorer.pixels import open_picture

MASKS = "masks"
"""Sub-folder of masks for scenes, each of its picture's name."""
LARGEST = 2**28
"""Bytes of a file; larger ones are left where they are."""
_MASK_SUFFIXES = (".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jpg")


def fingerprint(file: Path) -> str:
    """Return a file's SHA-256, hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def mask_file(top: Path, name: str) -> Path | None:
    """Return the mask of the picture `name` of the folder `top`; None without one."""
    stem = top / MASKS / Path(name).with_suffix("")
    return next((file for s in _MASK_SUFFIXES if (file := Path(f"{stem}{s}")).is_file()), None)


def whole_picture(bundle: Bundle, image: int) -> Image.Image:
    """Return a picture as the model shall see it: its own file, else what the bundle holds.

    Raises:
        InputError: when there is no such picture.
        BundleError: when the stored bytes are no picture.
    """
    data = original(bundle, image)
    if data is not None:
        with suppress(ValueError, OSError):  # a kind that only the build's machine reads
            picture = open_picture(io.BytesIO(data))
            picture.load()
            return picture
    return bundle.pictures.image(image)


def original(bundle: Bundle, image: int) -> bytes | None:
    """Return the file that a picture was made of; None unless it is still the same."""
    top, name = _place(bundle, image)
    return _same(top, top / name, _recorded(bundle, image, "original")) if top else None


def original_mask(bundle: Bundle, image: int) -> bytes | None:
    """Return the file of a picture's mask; None unless it is the one that the build saw."""
    top, name = _place(bundle, image)
    file = mask_file(top, name) if top else None
    return _same(top, file, _recorded(bundle, image, "mask")) if top and file else None


def masked_pictures(bundle: Bundle) -> list[int]:
    """Return the pictures that had a mask at the build, [image], where their folder is there."""
    table = bundle.pictures.table
    if "mask" not in table:
        return []
    rows = [int(row) for row in table.index[table["mask"] != ""]]
    return [row for row in rows if (top := _place(bundle, row)[0]) and top.is_dir()]


def _place(bundle: Bundle, image: int) -> tuple[Path | None, str]:
    """Return a picture's folder, None where the manifest names none, and its name there."""
    if not 0 <= image < len(bundle.pictures):
        return None, ""
    facts = bundle.pictures.table.iloc[image]
    places = bundle.manifest.images
    folder = places.get("folder")
    if facts["split"] == "heldout":
        folder = places.get("held_out_folder", folder)
    return (Path(folder) if folder else None), str(facts["name"])


def _recorded(bundle: Bundle, image: int, column: str) -> str:
    table = bundle.pictures.table
    return str(table[column].iloc[image]) if column in table else ""


def _same(top: Path, file: Path, digest: str) -> bytes | None:
    """Return a file's bytes if it lies below `top`, links followed, and has that SHA-256."""
    if not digest:
        return None
    try:
        whole, folder = file.resolve(), top.resolve()
        if not whole.is_relative_to(folder) or not whole.is_file():
            return None
        if whole.stat().st_size > LARGEST:
            return None
        data = whole.read_bytes()
    except (OSError, RuntimeError, ValueError):  # gone, not ours to read, links in a circle
        return None
    return data if hashlib.sha256(data).hexdigest() == digest else None

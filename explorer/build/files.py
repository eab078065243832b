"""The picture files below a folder: which there are, and how each is opened."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from explorer.pixels import FORMATS, OTHERS, SUFFIXES, first_shown, refusal, to_srgb

READ = tuple(f".{suffix}" for suffix in SUFFIXES)
NAMED = {*READ, *(f".{suffix}" for suffix in OTHERS)}
"""Suffixes of files that are read, or else named as skipped."""
MAX_PIXELS = 64_000_000  # larger pictures are skipped: a decoder's memory must stay bounded
HEAD = 32  # bytes that tell a file's kind


def picture_files(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the picture files below a folder in order of path, and one line for each left out.

    Pipes and devices are left out, for reading one may never end, and names that are no UTF-8.
    """
    files, skipped = [], []
    for file in sorted(path for path in folder.rglob("*") if path.suffix.lower() in NAMED):
        where = printable(file.relative_to(folder).as_posix())
        if file.is_dir():
            continue
        if not file.is_file():
            skipped.append(f"{where}: not a regular file")
        elif where != file.relative_to(folder).as_posix():
            skipped.append(f"{where}: its name is not UTF-8; rename it")
        else:
            files.append(file)
    return files, skipped


def open_picture(file: Path) -> Image.Image:
    """Return a picture as it is meant to be seen: upright, in sRGB, of an animation one frame.

    Raises:
        ValueError: when it is of a kind that is not read, or has too many pixels.
        OSError: when it cannot be read.
    """
    try:
        picture = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        with file.open("rb") as stream:
            raise ValueError(str(refusal(stream.read(HEAD)))) from error
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError(f"{picture.width} x {picture.height} pixels are more than {MAX_PIXELS:,}")
    first_shown(picture)
    return to_srgb(ImageOps.exif_transpose(picture))


def printable(name: str) -> str:
    """Return a file's name as it can be shown; bytes that are no UTF-8 become question marks."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

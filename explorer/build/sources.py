"""Where a build's pictures come from: a folder of files, or a picture store.

Both become a picture store in the bundle first, so that an image's number is fixed before the
model sees it. Of a folder the model reads the files themselves, of a store its encoded pictures.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from PIL import Image, ImageOps, UnidentifiedImageError

from explorer.bundle.pictures import COLUMNS, PictureStore
from explorer.errors import InputError
from explorer.places import WHERE_SHIPPED

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
METADATA = "metadata.csv"
MAX_PIXELS = 64_000_000  # larger pictures are skipped: a decoder's memory must stay bounded
QUALITY = 80
UNREADABLE = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    OSError,
    EOFError,
    ValueError,
    SyntaxError,
)


class ImageSource(Protocol):
    """Pictures to build from, in a fixed order."""

    name: str
    skipped: list[str]

    def rows(self, thumbnail: int) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield (record, encoded picture for the bundle) of every usable picture."""

    def picture(self, image: int) -> Image.Image:
        """Return picture number `image` as the model shall see it."""


@dataclass
class StoreSource:
    """The pictures of a store or bundle, copied as they are; held-out ones come along."""

    store: PictureStore
    name: str
    skipped: list[str] = field(default_factory=list)

    def rows(self, thumbnail: int) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield the store's own rows."""
        records = self.store.table[list(COLUMNS)].to_dict("records")
        for image, record in enumerate(records):
            yield record, self.store.encoded(image)

    def picture(self, image: int) -> Image.Image:
        """Return a stored picture, RGBA."""
        return self.store.image(image)


@dataclass
class FolderSource:
    """Every picture below a folder, in order of path.

    A `metadata.csv` with a column `file` (relative path) gives the columns of
    `explorer.bundle.pictures`; else the label is the name of the picture's sub-folder, or of the
    file itself where there are no sub-folders.
    """

    folder: Path
    name: str
    files: list[Path] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def rows(self, thumbnail: int) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield records and thumbnails; pictures that cannot be read are skipped and named."""
        self.files, self.skipped = [], []
        metadata = _read_metadata(self.folder / METADATA)
        for file in sorted(p for p in self.folder.rglob("*") if p.suffix.lower() in SUFFIXES):
            where = file.relative_to(self.folder)
            try:
                data = _thumbnail(_open_picture(file), thumbnail)
            except UNREADABLE as error:
                self.skipped.append(f"{where.as_posix()}: {error}")
                continue
            self.files.append(file)
            yield self._record(where, metadata.get(where.as_posix(), {})), data
        if not self.files:
            kinds = ", ".join(sorted(SUFFIXES))
            raise InputError(
                f"{self.folder} holds no readable picture ({kinds}); name another folder."
            )

    def picture(self, image: int) -> Image.Image:
        """Return a picture at its full size."""
        return _open_picture(self.files[image])

    def resume(self, table_names: list[str]) -> None:
        """Take up the files of an interrupted build, by the names its store recorded."""
        self.files = [self.folder / name for name in table_names]

    def _record(self, where: Path, known: dict[str, str]) -> dict[str, Any]:
        words = (
            (where.parent.name if len(where.parts) > 1 else where.stem)
            .replace("_", " ")
            .replace("-", " ")
        )
        record = {name: "" for name in COLUMNS}
        record |= {
            "label": words,
            "source": self.name,
            "author": "",
            "licence": "",
            "kind": "image",
        }
        record |= {name: value for name, value in known.items() if name in COLUMNS and value}
        return {**record, "name": where.as_posix(), "split": "corpus"}


def open_source(spec: str, shipped: Path) -> ImageSource:
    """Return the pictures named by `--images`.

    `bundle-images` are those of the bundle at `shipped`; `bundle:PATH` and `store:PATH`
    those of another; anything else is a folder of picture files.

    Raises:
        InputError: when there is no such folder.
        BundleError: when the store cannot be opened.
    """
    if spec == "bundle-images":
        if not shipped.is_dir():
            raise InputError(f"There is no {shipped}. {WHERE_SHIPPED}")
        return StoreSource(PictureStore.open(shipped), shipped.name)
    kind, _, path = spec.partition(":")
    if kind in ("bundle", "store") and path:
        return StoreSource(PictureStore.open(path), Path(path).resolve().name)
    folder = Path(spec)
    if not folder.is_dir():
        raise InputError(
            f"There is no folder {spec}; give a folder of pictures, 'bundle-images' or "
            "'bundle:PATH'."
        )
    return FolderSource(folder, folder.resolve().name)


def _open_picture(file: Path) -> Image.Image:
    picture = Image.open(file)
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError(f"{picture.width} x {picture.height} pixels are more than {MAX_PIXELS:,}")
    return ImageOps.exif_transpose(picture)


def _thumbnail(picture: Image.Image, side: int) -> bytes:
    mode = "RGBA" if "A" in picture.getbands() or "transparency" in picture.info else "RGB"
    small = picture.convert(mode)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=QUALITY, method=4)
    return buffer.getvalue()


def _read_metadata(file: Path) -> dict[str, dict[str, str]]:
    if not file.is_file():
        return {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            if "file" not in (reader.fieldnames or []):
                raise InputError(f"{file} needs a column 'file' with paths relative to its folder.")
            return {row["file"]: {k: v or "" for k, v in row.items() if k} for row in reader}
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} is no CSV in UTF-8 ({error}); save it as one.") from error

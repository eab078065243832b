"""The picture store: a table and one file of encoded pictures, memory-mapped.

`images.parquet` has one row an image, in the order of the image axis of every array:
pictures of the split "corpus" come first, those of the split "heldout" behind them.
`pictures.bin` holds the encoded files (WebP, PNG or JPEG) one after the other.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from explorer.bundle.arrays import RESTORE
from explorer.bundle.tables import INTEGER, TEXT, Column, read_table
from explorer.errors import BundleError, InputError

TABLE, BLOB = "images.parquet", "pictures.bin"
COLUMNS = (
    "label", "concept", "keywords", "looks", "source", "name", "author", "licence", "kind", "split",
)  # fmt: skip
LISTS = ("keywords", "looks")
"""Columns that hold several words, with commas between."""
SPLITS = ("corpus", "heldout")
FILES = {
    "original": "the SHA-256 of the file that it was made of",
    "mask": "that of its mask",
}
"""Columns of what of a picture lies outside the bundle."""
FORM = (
    *(Column(name, TEXT, "a text, empty where unknown") for name in COLUMNS),
    *(Column(name, TEXT, about, needed=False) for name, about in FILES.items()),
    Column("offset", INTEGER, "where in the blob the picture's file begins, bytes", least=0),
    Column("length", INTEGER, "bytes of the file", least=1),
)
FORMATS = ("WEBP", "PNG", "JPEG")
_KINDS = ((b"RIFF", "webp"), (b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"))


@dataclass(frozen=True)
class PictureStore:
    """Encoded pictures, and a record of what is known of each."""

    folder: Path
    table: pd.DataFrame  # columns COLUMNS, offset, length

    @classmethod
    def open(cls, folder: Path | str) -> PictureStore:
        """Open a store.

        Raises:
            BundleError: when a file is missing, or the table is none of this format.
        """
        folder = Path(folder)
        for name in (TABLE, BLOB):
            if not (folder / name).is_file():
                raise BundleError(
                    f"{folder / name} is missing; restore it or build the bundle again."
                )
        table = read_table(folder / TABLE, FORM)
        if problem := _order_problem(table, (folder / BLOB).stat().st_size):
            raise BundleError(f"{folder / TABLE}: {problem}; {RESTORE}.")
        return cls(folder, table)

    @classmethod
    def write(
        cls, folder: Path | str, rows: Iterable[tuple[dict[str, Any], bytes]]
    ) -> PictureStore:
        """Write (record, encoded picture) pairs one by one; the store appears only when complete.

        Raises:
            InputError: when a column is missing, or a corpus picture follows a held-out one.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        records: list[dict[str, Any]] = []
        offset = 0
        with (folder / f"{BLOB}.new").open("wb") as blob:
            for record, data in rows:
                _check_record(record, records)
                blob.write(data)
                files = {name: record.get(name, "") for name in FILES}
                records.append({**record, **files, "offset": offset, "length": len(data)})
                offset += len(data)
        table = pd.DataFrame(records, columns=[*COLUMNS, *FILES, "offset", "length"])
        table.to_parquet(folder / f"{TABLE}.new", index=False)
        (folder / f"{BLOB}.new").replace(folder / BLOB)
        (folder / f"{TABLE}.new").replace(folder / TABLE)
        return cls.open(folder)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the map of the file behind: a process that gets the store opens its own."""
        return {"folder": self.folder, "table": self.table}

    def __len__(self) -> int:
        """Return the number of pictures, held-out ones included."""
        return len(self.table)

    @property
    def corpus_size(self) -> int:
        """Return how many pictures, the first ones, are of the corpus."""
        return int((self.table["split"] == "corpus").sum())

    def encoded(self, image: int) -> bytes:
        """Return a picture's file as it is stored.

        Raises:
            InputError: when there is no such picture.
        """
        if not 0 <= image < len(self):
            raise InputError(f"There is no picture {image}; this bundle has 0 to {len(self) - 1}.")
        start = int(self._offsets[image])
        return self._map[start : start + int(self._lengths[image])]

    def image(self, image: int) -> Image.Image:
        """Return a picture as RGBA.

        Raises:
            BundleError: when the stored bytes are no picture.
        """
        try:
            return self._opened(image).convert("RGBA")
        except (InputError, BundleError):
            raise
        except Exception as error:  # decoders raise whatever a damaged header leads them to
            raise self._damaged(image) from error

    def mode(self, image: int) -> str:
        """Return a picture's mode, such as "RGBA", read off the head of its file.

        Raises:
            BundleError: when the stored bytes are no picture.
        """
        return str(self._opened(image).mode)

    def rgb(self, image: int) -> Image.Image:
        """Return a picture as RGB on white."""
        picture = self.image(image)
        canvas = Image.new("RGB", picture.size, "white")
        canvas.paste(picture, (0, 0), picture)
        return canvas

    def check_kinds(self) -> None:
        """Check that every picture begins as one that a browser shows.

        Raises:
            BundleError: when one does not; it names the picture.
        """
        for image in range(len(self)):
            try:
                picture_kind(self.encoded(image))
            except InputError as error:
                raise BundleError(
                    f"picture {image} of {self.folder / BLOB} is damaged: {error} {RESTORE}."
                ) from error

    def _opened(self, image: int) -> Image.Image:
        data = self.encoded(image)
        try:
            return Image.open(io.BytesIO(data), formats=FORMATS)
        except Exception as error:  # as above
            raise self._damaged(image) from error

    def _damaged(self, image: int) -> BundleError:
        return BundleError(f"picture {image} of {self.folder / BLOB} is damaged; {RESTORE}.")

    @cached_property
    def _map(self) -> mmap.mmap:
        with (self.folder / BLOB).open("rb") as blob:
            return mmap.mmap(blob.fileno(), 0, access=mmap.ACCESS_READ)

    @cached_property
    def _offsets(self) -> NDArray[np.int64]:
        return np.asarray(self.table["offset"], np.int64)

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        return np.asarray(self.table["length"], np.int64)


def picture_kind(data: bytes) -> str:
    """Return the format of an encoded picture by its first bytes, as MIME types name it.

    Raises:
        InputError: when it is none that a browser shows.
    """
    for mark, kind in _KINDS:
        if data.startswith(mark):
            return kind
    raise InputError("A picture is neither WebP, PNG nor JPEG.")


def _order_problem(table: pd.DataFrame, size: int) -> str:
    """Return what is wrong with the pictures' splits, or with their places in `size` bytes."""
    if odd := sorted(set(table["split"].unique()) - set(SPLITS)):
        return f"column 'split': expected one of {', '.join(SPLITS)}, found {odd[0]!r:.40}"
    held = (table["split"] == SPLITS[1]).to_numpy()
    if np.any(held[:-1] & ~held[1:]):
        return "column 'split': expected the corpus before held-out pictures, found it behind them"
    ends = table["offset"].to_numpy(np.float64) + table["length"].to_numpy(np.float64)
    if len(ends) and ends.max() > size:
        return f"column 'offset': expected pictures within the {size:,} bytes of {BLOB}"
    return ""


def _check_record(record: dict[str, Any], records: list[dict[str, Any]]) -> None:
    absent = set(COLUMNS) - set(record)
    if absent or record["split"] not in SPLITS:
        raise InputError(
            f"A picture needs the columns {COLUMNS} and a split of {SPLITS}; got {record}."
        )
    if records and records[-1]["split"] == "heldout" and record["split"] == "corpus":
        raise InputError("Corpus pictures come first in a store; held-out ones behind them.")


def picture_words(table: pd.DataFrame, columns: Sequence[str]) -> list[frozenset[str]]:
    """Return the words of each picture in some columns of its table, [image], lower case and NFC.

    Commas part the words of keywords and looks; a label or concept is one word, whatever its form.
    Equal texts are read once.
    """

    def words(name: str) -> Iterable[frozenset[str]]:
        @cache
        def parted(text: str) -> frozenset[str]:
            parts = text.split(",") if name in LISTS else [text]
            return frozenset(part.strip() for part in parts) - {""}

        return map(parted, table[name].fillna("").str.lower().str.normalize("NFC").tolist())

    return list(map(frozenset[str].union, *map(words, columns)))

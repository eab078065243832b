"""The picture store: a table of facts and one file of encoded pictures, memory-mapped.

``images.parquet`` has one row an image, in the order of the image axis of every array:
pictures of the split "corpus" come first, those of the split "heldout" behind them.
``pictures.bin`` holds the encoded files (WebP, PNG or JPEG) one after the other.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from explorer.errors import BundleError, InputError

TABLE, BLOB = "images.parquet", "pictures.bin"
FACTS = (
    "label", "concept", "keywords", "looks", "source", "name", "author", "licence", "kind", "split",
)  # fmt: skip
SPLITS = ("corpus", "heldout")


@dataclass(frozen=True)
class PictureStore:
    """Encoded pictures and what is known of each."""

    folder: Path
    table: pd.DataFrame  # columns FACTS, offset, length

    @classmethod
    def open(cls, folder: Path | str) -> PictureStore:
        """Open a store.

        Raises:
            BundleError: a file is missing, or the table is none of this format.
        """
        folder = Path(folder)
        for name in (TABLE, BLOB):
            if not (folder / name).is_file():
                raise BundleError(
                    f"{folder / name} is missing; restore it or build the bundle again."
                )
        try:
            table = pd.read_parquet(folder / TABLE)
        except (OSError, ValueError) as error:
            raise BundleError(f"{folder / TABLE} cannot be read ({error}); restore it.") from error
        absent = {*FACTS, "offset", "length"} - set(table.columns)
        if absent:
            raise BundleError(
                f"{folder / TABLE} lacks the columns {sorted(absent)}; build it again."
            )
        return cls(folder, table)

    @classmethod
    def write(
        cls, folder: Path | str, rows: Iterable[tuple[dict[str, Any], bytes]]
    ) -> PictureStore:
        """Write (facts, encoded picture) pairs one by one; the store appears only when complete.

        Raises:
            InputError: a fact is missing, or a corpus picture follows a held-out one.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        records: list[dict[str, Any]] = []
        offset = 0
        with (folder / f"{BLOB}.new").open("wb") as blob:
            for facts, data in rows:
                _check_facts(facts, records)
                blob.write(data)
                records.append({**facts, "offset": offset, "length": len(data)})
                offset += len(data)
        table = pd.DataFrame(records, columns=[*FACTS, "offset", "length"])
        table.to_parquet(folder / f"{TABLE}.new", index=False)
        (folder / f"{BLOB}.new").replace(folder / BLOB)
        (folder / f"{TABLE}.new").replace(folder / TABLE)
        return cls.open(folder)

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
            InputError: there is no such picture.
        """
        if not 0 <= image < len(self):
            raise InputError(f"There is no picture {image}; this bundle has 0 to {len(self) - 1}.")
        start = int(self._offsets[image])
        return self._map[start : start + int(self._lengths[image])]

    def image(self, image: int) -> Image.Image:
        """Return a picture as RGBA.

        Raises:
            BundleError: the stored bytes are no picture.
        """
        try:
            return Image.open(io.BytesIO(self.encoded(image))).convert("RGBA")
        except (UnidentifiedImageError, OSError) as error:
            raise BundleError(
                f"picture {image} of {self.folder / BLOB} is damaged; restore the file."
            ) from error

    def rgb(self, image: int) -> Image.Image:
        """Return a picture as RGB on white."""
        picture = self.image(image)
        canvas = Image.new("RGB", picture.size, "white")
        canvas.paste(picture, (0, 0), picture)
        return canvas

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


def _check_facts(facts: dict[str, Any], records: list[dict[str, Any]]) -> None:
    absent = set(FACTS) - set(facts)
    if absent or facts["split"] not in SPLITS:
        raise InputError(f"A picture needs the facts {FACTS} and a split of {SPLITS}; got {facts}.")
    if records and records[-1]["split"] == "heldout" and facts["split"] == "corpus":
        raise InputError("Corpus pictures come first in a store; held-out ones behind them.")

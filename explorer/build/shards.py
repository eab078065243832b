"""WebDataset shards: tar files in which files of one stem belong to one picture.

    0001.jpg  0001.cls  0001.txt  0001.json

The label is `label` of the JSON, else the class number, else the text. A shard is read through
once for its table; pictures are then read at their places.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from explorer.build.files import READ, named
from explorer.build.listed import Entry
from explorer.bundle.pictures import COLUMNS
from explorer.errors import InputError, brief
from explorer.pixels import open_picture

TEXTS = (".json", ".cls", ".txt")
LONGEST = 2**20  # bytes of a text that is read


class Place(NamedTuple):
    """Where a picture's bytes are."""

    shard: Path
    offset: int
    length: int


class ShardListing:
    """The pictures of some shards, in the order of the shards."""

    def __init__(self, name: str, shards: Sequence[Path]) -> None:
        """Name the shards; nothing is read yet."""
        self.name, self.shards = name, named(shards)
        self._where: dict[str, Place] = {}

    @property
    def places(self) -> dict[str, str]:
        """Nothing: there are no files to point to."""
        return {}

    def entries(self) -> tuple[list[Entry], list[str]]:
        """Return the pictures, by shard and name, and what is left out.

        Raises:
            InputError: when a shard is no tar file.
        """
        self._where = {}
        entries: list[Entry] = []
        skipped: list[str] = []
        for name in self.shards:
            self._read(name, entries, skipped)
        return entries, skipped

    def files(self, key: str) -> dict[str, str]:
        """Return nothing: a picture here is no file of its own."""
        return {}

    def open(self, key: str) -> Image.Image:
        """Return a picture."""
        if not self._where:
            self.entries()  # of a resumed build
        if key not in self._where:
            raise FileNotFoundError(f"no {key} in the shards of {self.name}")
        place = self._where[key]
        with place.shard.open("rb") as stream:
            stream.seek(place.offset)
            return open_picture(io.BytesIO(stream.read(place.length)))

    def _read(self, name: str, entries: list[Entry], skipped: list[str]) -> None:
        shard = self.shards[name]
        pictures: dict[str, list[str]] = {}
        texts: dict[str, dict[str, bytes]] = {}
        try:
            with tarfile.open(shard, "r:") as tar:
                for member in tar:
                    stem, dot, kind = Path(member.name).name.partition(".")
                    stem, kind = str(Path(member.name).parent / stem), (dot + kind).lower()
                    if not member.isfile():
                        continue
                    if f".{kind.rpartition('.')[2]}" in READ:
                        key = f"{name}/{member.name}"
                        self._where[key] = Place(shard, member.offset_data, member.size)
                        pictures.setdefault(stem, []).append(key)
                    elif kind in TEXTS and member.size <= LONGEST:
                        held = tar.extractfile(member)
                        texts.setdefault(stem, {})[kind] = held.read() if held else b""
        except tarfile.ReadError as error:
            if not pictures:
                raise InputError(
                    f"{shard} is no plain tar file ({brief(error)}); unpack compressed shards."
                ) from error
            skipped.append(f"{name}: cut off ({brief(error)})")
        for stem, keys in pictures.items():
            known = _known(texts.get(stem, {}))
            entries += [Entry(key, known) for key in keys]


def _known(texts: dict[str, bytes]) -> dict[str, str]:
    """Return what a picture's texts say of it, by columns of the store."""
    said = {kind: data.decode("utf-8", "replace").strip() for kind, data in texts.items()}
    found: dict[str, Any] = {}
    try:
        found = json.loads(said.get(".json", "{}"))
    except ValueError:
        found = {}
    known = (
        {name: str(found[name]) for name in COLUMNS if found.get(name) not in (None, "")}
        if isinstance(found, dict)
        else {}
    )
    label = said.get(".cls") or said.get(".txt") or ""
    return {"label": " ".join(label.split()), **known}

"""A source of pictures that are listed first and then read one by one, whatever holds them.

Worker processes open, shrink and view them (`explorer.build.workers`); here they get their numbers:
in the order of the list, held-out ones behind the others.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from explorer.build.holdout import SHARE, alike_groups, draw_held_out, signature
from explorer.build.metadata import composed
from explorer.build.views import KeptViews, View, Viewer
from explorer.build.workers import in_order, worker_count
from explorer.bundle.pictures import COLUMNS, SPLITS
from explorer.errors import InputError, brief
from explorer.resumable import Reporter, Say

READING = "reading"
QUALITY = 80
UNREADABLE = (OSError, ValueError)
"""What `explorer.pixels.open_picture` raises of a file that is no picture, or a damaged one."""


class Entry(NamedTuple):
    """A picture on a list."""

    key: str
    """What the list opens it by; the store's column `name`."""
    known: dict[str, str]
    """What is known of it, by columns of the store."""


class Listing(Protocol):
    """Pictures by key, wherever they are."""

    @property
    def name(self) -> str:
        """What the source is called."""

    @property
    def places(self) -> dict[str, str]:
        """What the manifest keeps of where the files are."""

    def entries(self) -> tuple[list[Entry], list[str]]:
        """Return the pictures in a fixed order, and one line for each that can be none."""

    def files(self, key: str) -> dict[str, str]:
        """Return what tells a picture's files from others, by columns of the store."""

    def open(self, key: str) -> Image.Image:
        """Return a picture at its full size, as it is meant to be seen.

        Raises:
            OSError: when it cannot be read.
            ValueError: when it is no picture, or a damaged one.
        """


@dataclass(frozen=True)
class Reading:
    """How pictures are read for the first time."""

    workers: int | None = 0
    """Processes; None for as many as serve."""
    views: KeptViews | None = None
    """Where to keep what the model will see, as far as there is room."""
    viewer: Viewer | None = None
    """How the model sees; for `views`."""
    say: Say | None = None
    folder: Path | None = None
    """Where thumbnails wait to be put in order; by default where the system has such files."""

    def keeper(self, pictures: int) -> tuple[KeptViews, Viewer] | None:
        """Return where and how to keep the views of so many pictures; None if not."""
        if self.views is None or self.viewer is None or self.viewer.finish is None:
            return None
        return (self.views, self.viewer) if self.views.fit(pictures) else None


class Seen(NamedTuple):
    """What is left of a picture that was read."""

    thumbnail: bytes
    signature: NDArray[np.uint8]
    view: View | None
    files: dict[str, str]
    problem: str = ""


@dataclass
class ListedSource:
    """The pictures of a listing.

    Held out are those whose column `split` says so, or else a share of every label's, by default a
    tenth where there are labels.
    """

    listing: Listing
    hold_out: float | None = 0.0
    """Share of the pictures to hold out; None takes `SHARE` where there are labels."""
    seed: int = 0
    keys: list[str] = field(default_factory=list)
    """[image]: of each picture, in the order of the store."""
    skipped: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The listing's name."""
        return self.listing.name

    @property
    def places(self) -> dict[str, str]:
        """Where the files are."""
        return self.listing.places

    def rows(
        self, thumbnail: int, reading: Reading | None = None
    ) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield records and thumbnails; pictures that cannot be read are skipped and named.

        Raises:
            InputError: when there is no picture, or what is known of them cannot be used.
        """
        self.keys = []
        entries, self.skipped = self.listing.entries()
        found: list[tuple[dict[str, Any], int]] = []
        signatures: list[NDArray[np.uint8]] = []
        how = reading or Reading()
        views, look = how.keeper(len(entries)) or (None, None)
        with ExitStack() as stack:
            # thumbnails, until it is known whose come first
            spool = stack.enter_context(tempfile.TemporaryFile(dir=how.folder))
            blob = None if views is None else stack.enter_context(views.write())
            for entry, seen in self._seen(entries, thumbnail, look, how):
                if seen.problem:
                    self.skipped.append(f"{entry.key}: {seen.problem}")
                    continue
                spool.write(seen.thumbnail)
                if blob is not None and seen.view is not None:
                    blob.write(seen.view.tobytes())
                found.append((self._record(entry, seen.files), len(seen.thumbnail)))
                signatures.append(seen.signature)
            if not found:
                first = f" (first: {self.skipped[0]})" if self.skipped else ""
                raise InputError(
                    f"{self.name} holds no readable picture{first}; name another source."
                )
            held = self._held_out([record for record, _ in found], np.stack(signatures))
            ends = np.cumsum([length for _, length in found])
            order = np.argsort(held, kind="stable")
            if blob is not None and views is not None:
                blob.flush()
                views.seal(order)
            for place in order:
                record, length = found[place]
                spool.seek(int(ends[place]) - length)
                self.keys.append(record["name"])
                yield {**record, "split": SPLITS[int(held[place])]}, spool.read(length)

    def picture(self, image: int) -> Image.Image:
        """Return a picture at its full size."""
        return self.listing.open(self.keys[image])

    def resume(self, table: pd.DataFrame) -> None:
        """Take up the pictures by the names that the store recorded."""
        self.keys = [str(name) for name in table["name"]]

    def _seen(
        self, entries: Sequence[Entry], thumbnail: int, look: Viewer | None, reading: Reading
    ) -> Iterator[tuple[Entry, Seen]]:
        work = partial(see, self.listing, thumbnail, look)
        keys = [entry.key for entry in entries]
        workers = worker_count(reading.workers, len(keys))
        report = Reporter(reading.say or (lambda line: None), READING, len(keys), unit="pictures")
        with in_order(work, keys, workers) as seen:
            for place, one in enumerate(zip(entries, seen, strict=True), 1):
                yield one
                report(place)

    def _record(self, entry: Entry, files: dict[str, str]) -> dict[str, Any]:
        record = {name: "" for name in COLUMNS} | {"source": self.name, "kind": "image"}
        record |= {name: text for name, text in entry.known.items() if name in COLUMNS and text}
        record = {name: composed(value) for name, value in record.items()}
        return {**record, **files, "name": entry.key}

    def _held_out(
        self, records: Sequence[dict[str, Any]], signatures: NDArray[np.uint8]
    ) -> NDArray[np.bool_]:
        """Return which pictures are held out, [picture].

        Raises:
            InputError: when a share is asked for although the source names them.
        """
        named = np.array([record["split"] == "heldout" for record in records])
        if named.any():
            if self.hold_out:
                raise InputError(
                    f"{self.name} names the held-out pictures in its column 'split': leave "
                    "--hold-out out, or remove that column."
                )
            return named
        labels = [record["label"] for record in records]
        labelled = 1 < len(set(labels)) < len(labels)
        share = (SHARE if labelled else 0.0) if self.hold_out is None else self.hold_out
        if not share:
            return named
        classes = labels if labelled else [""] * len(labels)
        held = draw_held_out(classes, alike_groups(signatures), share, self.seed)
        names = {label for label, out in zip(labels, held, strict=True) if out}
        asked = self.hold_out is not None
        return held if asked or len(names) > 1 else named  # one name alone measures nothing


def see(listing: Listing, thumbnail: int, look: Viewer | None, key: str) -> Seen:
    """Read a picture; what is wrong with it stands in the result."""
    try:
        picture = listing.open(key)
        view = None if look is None else look.view(picture)
        return Seen(_thumbnail(picture, thumbnail), signature(picture), view, listing.files(key))
    except UNREADABLE as error:
        return Seen(b"", np.empty(0, np.uint8), None, {}, brief(error))


def _thumbnail(picture: Image.Image, side: int) -> bytes:
    clear = "A" in picture.getbands() or "transparency" in picture.info
    small = picture.convert("RGBA" if clear else "RGB")
    if clear and small.getchannel("A").getextrema()[0] == 255:  # opaque all over
        small = small.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=QUALITY, method=4)
    return buffer.getvalue()

"""Where a build's pictures come from: a list of them, or a picture store.

Both become a picture store in the bundle first, so that an image's number is fixed before the
model sees it. Of a list the model reads the pictures themselves, of a store its encoded pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from PIL import Image

from explorer.build.listed import ListedSource, Reading
from explorer.build.listings import find_listing
from explorer.bundle import Bundle
from explorer.bundle.originals import whole_picture
from explorer.bundle.pictures import COLUMNS, PictureStore
from explorer.errors import InputError
from explorer.places import WHERE_SHIPPED


class ImageSource(Protocol):
    """Pictures to build from, in a fixed order."""

    skipped: list[str]

    @property
    def name(self) -> str:
        """What the source is called."""

    @property
    def places(self) -> dict[str, str]:
        """What the manifest keeps of where the files are."""

    def rows(
        self, thumbnail: int, reading: Reading | None = None
    ) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield (record, encoded picture for the bundle) of every usable picture."""

    def picture(self, image: int) -> Image.Image:
        """Return picture number `image` as the model shall see it."""

    def resume(self, table: pd.DataFrame) -> None:
        """Take up the pictures of an interrupted build, as its store recorded them."""


@dataclass
class StoreSource:
    """The pictures of a store or bundle, copied as they are; held-out ones come along."""

    store: PictureStore
    name: str
    skipped: list[str] = field(default_factory=list)

    @property
    def places(self) -> dict[str, str]:
        """Nothing: a store keeps no files."""
        return {}

    def rows(
        self, thumbnail: int, reading: Reading | None = None
    ) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield the store's own rows."""
        records = self.store.table[list(COLUMNS)].to_dict("records")
        for image, record in enumerate(records):
            yield record, self.store.encoded(image)

    def picture(self, image: int) -> Image.Image:
        """Return a stored picture, RGBA."""
        return self.store.image(image)

    def resume(self, table: pd.DataFrame) -> None:
        """Do nothing: the store is as it was."""


@dataclass(kw_only=True)
class BundleSource(StoreSource):
    """The pictures of a finished bundle as its build saw them: their own files where they are."""

    bundle: Bundle

    def picture(self, image: int) -> Image.Image:
        """Return a picture's own file, else what the bundle holds."""
        return whole_picture(self.bundle, image)


@dataclass
class SplitSource:
    """The pictures of one source, and held out behind them those of another."""

    corpus: ImageSource
    held_out: ImageSource
    corpus_size: int = 0

    @property
    def name(self) -> str:
        """The corpus's name."""
        return self.corpus.name

    @property
    def places(self) -> dict[str, str]:
        """Both folders."""
        return {**self.corpus.places, **_renamed(self.held_out.places)}

    @property
    def skipped(self) -> list[str]:
        """The files skipped in either."""
        return [*self.corpus.skipped, *self.held_out.skipped]

    @skipped.setter
    def skipped(self, lines: list[str]) -> None:
        self.corpus.skipped, self.held_out.skipped = lines, []

    def rows(
        self, thumbnail: int, reading: Reading | None = None
    ) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield the rows of both; whatever they say, the second ones are held out."""
        self.corpus_size = 0
        for record, data in self.corpus.rows(thumbnail, reading):
            self.corpus_size += 1
            yield {**record, "split": "corpus"}, data
        unseen = replace(reading or Reading(), views=None)  # the pass never sees them
        for record, data in self.held_out.rows(thumbnail, unseen):
            yield {**record, "split": "heldout"}, data

    def picture(self, image: int) -> Image.Image:
        """Return a picture of either."""
        place = image - self.corpus_size
        return self.corpus.picture(image) if place < 0 else self.held_out.picture(place)

    def resume(self, table: pd.DataFrame) -> None:
        """Take up the files of both."""
        corpus = table["split"] == "corpus"
        self.corpus_size = int(corpus.sum())
        self.corpus.resume(table[corpus])
        self.held_out.resume(table[~corpus])


def open_source(
    spec: str, shipped: Path, *, hold_out: float | None = 0.0, held_out: str = "", seed: int = 0
) -> ImageSource:
    """Return the pictures named by `--images`, and those that are held out of them.

    `bundle-images` are those of the bundle at `shipped`; `bundle:PATH` and `store:PATH`
    those of another; anything else is a list (`explorer.build.listings`), and so is `held_out`.

    Raises:
        InputError: when there is no such folder, or more than one says what is held out.
        BundleError: when the store cannot be opened.
    """
    if held_out and hold_out:
        raise InputError("Give --hold-out or --held-out: a share of the pictures, or others.")
    if spec == "bundle-images" and not shipped.is_dir():
        raise InputError(f"There is no {shipped}. {WHERE_SHIPPED}")
    kind, _, path = spec.partition(":")
    if spec == "bundle-images":
        source: ImageSource = StoreSource(PictureStore.open(shipped), shipped.name)
    elif kind in ("bundle", "store") and path:
        if not Path(path).is_dir():
            raise InputError(f"There is no folder {path}: check the path after {kind}:.")
        source = StoreSource(PictureStore.open(path), Path(path).resolve().name)
    else:
        source = _listed(spec, 0.0 if held_out else hold_out, seed)
    if held_out:
        return SplitSource(source, _listed(held_out, 0.0, seed))
    if hold_out and isinstance(source, StoreSource):
        raise InputError(
            f"--hold-out is for folders of pictures: {spec} says itself which are held out."
        )
    return source


def _listed(spec: str, hold_out: float | None, seed: int) -> ListedSource:
    return ListedSource(find_listing(spec), hold_out, seed)


def _renamed(places: dict[str, str]) -> dict[str, str]:
    return {f"held_out_{name}": place for name, place in places.items()}

"""Where a build's pictures come from: a folder of files, or a picture store.

Both become a picture store in the bundle first, so that an image's number is fixed before the
model sees it. Of a folder the model reads the files themselves, of a store its encoded pictures.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from explorer.build.files import READ, picture_files, printable
from explorer.build.holdout import SHARE, alike_groups, draw_held_out, signature
from explorer.build.metadata import METADATA, composed, read_metadata
from explorer.bundle.originals import MASKS, fingerprint, mask_file
from explorer.bundle.pictures import COLUMNS, SPLITS, PictureStore
from explorer.errors import InputError
from explorer.pixels import open_picture
from explorer.places import WHERE_SHIPPED

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

    skipped: list[str]

    @property
    def name(self) -> str:
        """What the source is called."""

    @property
    def places(self) -> dict[str, str]:
        """What the manifest keeps of where the files are."""

    def rows(self, thumbnail: int) -> Iterator[tuple[dict[str, Any], bytes]]:
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

    def rows(self, thumbnail: int) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield the store's own rows."""
        records = self.store.table[list(COLUMNS)].to_dict("records")
        for image, record in enumerate(records):
            yield record, self.store.encoded(image)

    def picture(self, image: int) -> Image.Image:
        """Return a stored picture, RGBA."""
        return self.store.image(image)

    def resume(self, table: pd.DataFrame) -> None:
        """Do nothing: the store is as it was."""


@dataclass
class FolderSource:
    """Every picture below a folder, in order of path, held-out ones behind the others.

    A `metadata.csv` (`explorer.build.metadata`) gives the columns of `explorer.bundle.pictures`;
    else the label is the name of the picture's sub-folder, or of the file itself where there are
    no sub-folders. Held out are the pictures that its column `split` names, or else a share of
    every label's, by default a tenth of folders with labels. `masks` below it holds no pictures.
    """

    folder: Path
    name: str
    hold_out: float | None = 0.0
    """Share of the pictures to hold out; None takes `SHARE` where the folder has labels."""
    seed: int = 0
    files: list[Path] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def places(self) -> dict[str, str]:
        """The folder."""
        return {"folder": str(self.folder.resolve())}

    def rows(self, thumbnail: int) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield records and thumbnails; pictures that cannot be read are skipped and named.

        Raises:
            InputError: when there is no picture, or `metadata.csv` cannot be used.
        """
        self.files = []
        found: list[tuple[Path, dict[str, Any], int]] = []
        signatures: list[NDArray[np.uint8]] = []
        with tempfile.TemporaryFile() as spool:  # thumbnails, until it is known whose come first
            for file, record, picture in self._pictures():
                data = _thumbnail(picture, thumbnail)
                spool.write(data)
                found.append((file, record, len(data)))
                signatures.append(signature(picture))
            if not found:
                kinds = ", ".join(sorted(READ))
                raise InputError(
                    f"{self.folder} holds no readable picture ({kinds}); name another folder."
                )
            held = self._held_out([record for _, record, _ in found], np.stack(signatures))
            ends = np.cumsum([length for _, _, length in found])
            for place in np.argsort(held, kind="stable"):
                file, record, length = found[place]
                spool.seek(int(ends[place]) - length)
                self.files.append(file)
                yield {**record, "split": SPLITS[int(held[place])]}, spool.read(length)

    def picture(self, image: int) -> Image.Image:
        """Return a picture at its full size."""
        return open_picture(self.files[image])

    def resume(self, table: pd.DataFrame) -> None:
        """Take up the files by the names that the store recorded."""
        self.files = [self.folder / name for name in table["name"]]

    def _pictures(self) -> Iterator[tuple[Path, dict[str, Any], Image.Image]]:
        metadata = read_metadata(self.folder)
        files, self.skipped = picture_files(self.folder)
        for file in files:
            where = file.relative_to(self.folder)
            if where.parts[0] == MASKS and len(where.parts) > 1:
                continue
            try:
                picture = open_picture(file)
                picture.load()
            except UNREADABLE as error:
                self.skipped.append(f"{where.as_posix()}: {error}")
                continue
            yield file, self._record(where, metadata.get(composed(where.as_posix()), {})), picture

    def _record(self, where: Path, known: dict[str, str]) -> dict[str, Any]:
        words = (
            (where.parent.name if len(where.parts) > 1 else where.stem)
            .replace("_", " ")
            .replace("-", " ")
        )
        record = {name: "" for name in COLUMNS}
        record |= {"label": words, "source": self.name, "kind": "image"}
        record |= {name: value for name, value in known.items() if name in COLUMNS and value}
        record = {name: composed(value) for name, value in record.items()}
        mask = mask_file(self.folder, where.as_posix())
        files = {
            "original": fingerprint(self.folder / where),
            "mask": fingerprint(mask) if mask else "",
        }
        return {**record, **files, "name": where.as_posix()}

    def _held_out(
        self, records: Sequence[dict[str, Any]], signatures: NDArray[np.uint8]
    ) -> NDArray[np.bool_]:
        """Return which pictures are held out, [picture].

        Raises:
            InputError: when a share is asked for although `metadata.csv` names them.
        """
        named = np.array([record["split"] == "heldout" for record in records])
        if named.any():
            if self.hold_out:
                raise InputError(
                    f"{self.folder / METADATA} names the held-out pictures in its column 'split': "
                    "leave --hold-out out, or remove that column."
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
        return {**self.corpus.places, "held_out_folder": self.held_out.places["folder"]}

    @property
    def skipped(self) -> list[str]:
        """The files skipped in either."""
        return [*self.corpus.skipped, *self.held_out.skipped]

    @skipped.setter
    def skipped(self, lines: list[str]) -> None:
        self.corpus.skipped, self.held_out.skipped = lines, []

    def rows(self, thumbnail: int) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield the rows of both; whatever they say, the second ones are held out."""
        self.corpus_size = 0
        for record, data in self.corpus.rows(thumbnail):
            self.corpus_size += 1
            yield {**record, "split": "corpus"}, data
        for record, data in self.held_out.rows(thumbnail):
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
    those of another; anything else is a folder of picture files. `held_out` is a second folder.

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
        source = StoreSource(PictureStore.open(path), Path(path).resolve().name)
    else:
        source = _folder(spec, 0.0 if held_out else hold_out, seed)
    if held_out:
        return SplitSource(source, _folder(held_out, 0.0, seed))
    if hold_out and isinstance(source, StoreSource):
        raise InputError(
            f"--hold-out is for folders of pictures: {spec} says itself which are held out."
        )
    return source


def _folder(spec: str, hold_out: float | None, seed: int) -> FolderSource:
    folder = Path(spec)
    if not folder.is_dir():
        raise InputError(
            f"There is no folder {spec}; give a folder of pictures, 'bundle-images' or "
            "'bundle:PATH'."
        )
    return FolderSource(folder, printable(folder.resolve().name), hold_out, seed)


def _thumbnail(picture: Image.Image, side: int) -> bytes:
    clear = "A" in picture.getbands() or "transparency" in picture.info
    small = picture.convert("RGBA" if clear else "RGB")
    if clear and small.getchannel("A").getextrema()[0] == 255:  # opaque all over
        small = small.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=QUALITY, method=4)
    return buffer.getvalue()

"""The lists that `--images` may name.

    folder            every picture below it; a sub-folder's name, or `metadata.csv`, gives labels
    FILE.txt, .tsv    one path a line, or path, tab, label; relative to the file's folder
    *.tar             WebDataset shards: one, a folder of them, or `shard-{000..131}.tar`
    *.parquet, .arrow tables with the pictures' bytes: one, or a folder, such as Hugging Face's
                      `datasets` leave on disk

All of them open a picture by its key, so that a resumed build finds each one again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from explorer.build.files import READ, picture_files, printable
from explorer.build.listed import Entry, Listing
from explorer.build.metadata import composed, read_metadata
from explorer.build.shards import ShardListing
from explorer.build.tables import TableListing
from explorer.bundle.originals import MASKS, fingerprint, mask_file
from explorer.errors import InputError
from explorer.pixels import open_picture

LISTS = (".txt", ".tsv", ".lst")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def find_listing(spec: str) -> Listing:
    """Return the list of pictures that `--images` names; see the module.

    Raises:
        InputError: when there is none there.
    """
    files = [Path(name) for name in _expanded(spec)]
    if len(files) == 1 and files[0].is_dir():
        return _of_folder(files[0])
    kinds = {file.suffix.lower() for file in files}
    if len(kinds) == 1 and all(file.is_file() for file in files):
        kind, name = kinds.pop(), printable(files[0].stem)
        if kind in LISTS and len(files) == 1:
            return TextListing(files[0])
        if kind in _HOLDERS:
            return _HOLDERS[kind](name, files)
    is_what = "is no source of pictures" if any(f.is_file() for f in files) else "is not there"
    raise InputError(
        f"{spec} {is_what}; give a folder of pictures, WebDataset shards (.tar), tables "
        "with pictures (.parquet, .arrow), a list of paths (.txt), 'bundle-images' or "
        "'bundle:PATH'."
    )


def _of_folder(folder: Path) -> Listing:
    """Return the pictures below a folder, or what its shards or tables hold if there are none."""
    top = [file for file in sorted(folder.iterdir()) if file.is_file()]
    if not any(file.suffix.lower() in READ for file in top):
        for kind, listing in _HOLDERS.items():
            if files := [file for file in top if file.suffix.lower() == kind]:
                return listing(printable(folder.resolve().name), files)
    return FolderListing(folder)


_HOLDERS: dict[str, Callable[[str, Sequence[Path]], Listing]] = {
    ".tar": ShardListing,
    ".parquet": TableListing,
    ".arrow": TableListing,
}


def _expanded(spec: str) -> list[str]:
    """Return the names that `shard-{000..131}.tar` stands for."""
    found = _RANGE.search(spec)
    if not found:
        return [spec]
    first, last = found.groups()
    numbers = range(int(first), int(last) + 1)
    names = [f"{spec[: found.start()]}{n:0{len(first)}}{spec[found.end() :]}" for n in numbers]
    return [name for part in names for name in _expanded(part)] or [spec]


class FolderListing:
    """Every picture below a folder, in order of path.

    A `metadata.csv` (`explorer.build.metadata`) gives columns; else the label is the name of the
    picture's sub-folder, or of the file itself where there are no sub-folders. Where all
    sub-folders with pictures have one name, as in `cat/images/1.jpg`, it is that of the folder
    above. `masks` below it holds no pictures.
    """

    def __init__(self, folder: Path) -> None:
        """Name a folder."""
        self.folder = folder

    @property
    def name(self) -> str:
        """The folder's name."""
        return printable(self.folder.resolve().name)

    @property
    def places(self) -> dict[str, str]:
        """The folder."""
        return {"folder": str(self.folder.resolve())}

    def entries(self) -> tuple[list[Entry], list[str]]:
        """Return its pictures, and what is left out.

        Raises:
            InputError: when `metadata.csv` cannot be used.
        """
        metadata = read_metadata(self.folder)
        files, skipped = picture_files(self.folder)
        places = [file.relative_to(self.folder) for file in files]
        places = [where for where in places if where.parts[0] != MASKS or len(where.parts) == 1]
        entries, labelling = [], _labelling(places)
        for where in places:
            said = metadata.get(composed(where.as_posix()), {})
            known = {name: value for name, value in said.items() if value}
            entries.append(Entry(where.as_posix(), {"label": _words(where, labelling)} | known))
        return entries, skipped

    def files(self, key: str) -> dict[str, str]:
        """Return the fingerprints of a picture's file and of its mask."""
        mask = mask_file(self.folder, key)
        found = {"original": fingerprint(self.folder / key)}
        return found | ({"mask": fingerprint(mask)} if mask else {})

    def open(self, key: str) -> Image.Image:
        """Return a picture."""
        return open_picture(self.folder / key)


class TextListing:
    """The pictures that a text file names, one path a line, with a label behind a tab or without.

    Without one, the label is the name of the picture's folder, or of one above, as of a folder's
    pictures (`FolderListing`).
    """

    def __init__(self, file: Path) -> None:
        """Name the file."""
        self.file = file

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return printable(self.file.stem)

    @property
    def places(self) -> dict[str, str]:
        """The folder that paths are relative to."""
        return {"folder": str(self.file.resolve().parent)}

    def entries(self) -> tuple[list[Entry], list[str]]:
        """Return the pictures of its lines, each path once, and the lines that name none.

        Raises:
            InputError: when the file is no text in UTF-8.
        """
        try:
            lines = self.file.read_text("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise InputError(f"{self.file} is no text in UTF-8; save it as one.") from error
        entries: dict[str, Entry] = {}
        skipped = []
        for number, line in enumerate(lines, 1):
            path, _, label = line.partition("\t")
            path = path.strip()
            if path and path not in entries:
                entries[path] = Entry(path, {"label": label.strip()})
            elif path or label.strip():
                why = "named before" if path else "no path"
                skipped.append(f"line {number} of {self.file.name}: {why}")
        bare = [Path(entry.key) for entry in entries.values() if not entry.known["label"]]
        labelling = _labelling(bare)
        return [
            entry if entry.known["label"] else Entry(key, {"label": _words(Path(key), labelling)})
            for key, entry in entries.items()
        ], skipped

    def files(self, key: str) -> dict[str, str]:
        """Return the fingerprint of a picture's file."""
        return {"original": fingerprint(self.file.parent / key)}

    def open(self, key: str) -> Image.Image:
        """Return a picture."""
        file = self.file.parent / key
        if file.exists() and not file.is_file():
            raise ValueError("not a regular file")
        return open_picture(file)


def _labelling(places: Sequence[Path]) -> int:
    """Return which folder above the pictures gives their labels, 1 for their own.

    It is the first whose names differ; their own where there is none.
    """
    shallowest = min((len(where.parts) for where in places), default=1)
    levels = range(1, shallowest)
    differing = (n for n in levels if len({where.parts[-1 - n] for where in places}) > 1)
    return next(differing, 1)


def _words(where: Path, labelling: int) -> str:
    """Return the label that a picture's path gives; see `_labelling`."""
    name = where.parts[-1 - labelling] if len(where.parts) > 1 else where.stem
    return name.replace("_", " ").replace("-", " ")

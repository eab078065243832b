"""The picture files below a folder, and the names of files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from explorer.pixels import OTHERS, SUFFIXES

READ = tuple(f".{suffix}" for suffix in SUFFIXES)
NAMED = {*READ, *(f".{suffix}" for suffix in OTHERS)}
"""Suffixes of files that are read, or else named as skipped."""


def picture_files(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the picture files below a folder in order of path, and one line for each left out.

    Links to folders are followed. Pipes and devices are left out, for reading one may never end,
    and names that are no UTF-8.
    """
    found, again = _files_below(folder)
    skipped = [f"{_shown(link, folder)}: a link to a folder that is read already" for link in again]
    files = []
    for file in sorted(path for path in found if path.suffix.lower() in NAMED):
        where = _shown(file, folder)
        if not file.is_file():
            skipped.append(f"{where}: not a regular file")
        elif where != file.relative_to(folder).as_posix():
            skipped.append(f"{where}: its name is not UTF-8; rename it")
        else:
            files.append(file)
    return files, skipped


def named(files: Sequence[Path]) -> dict[str, Path]:
    """Return files by name; where two share one, all by their paths below their common folder."""
    if len({file.name for file in files}) == len(files):
        return {file.name: file for file in files}
    common = os.path.commonpath([file.parent for file in files])
    return {file.relative_to(common).as_posix(): file for file in files}


def _files_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return all files below a folder, and the links to folders that are among the others already.

    Every folder is read once: by its own path, or else by the first link to it.
    """
    found: list[Path] = []
    again: list[Path] = []
    read: set[Path] = set()
    links = [folder]
    for top in links:  # grows on the way
        if top.resolve() in read:
            again.append(top)
            continue
        for root, folders, files in os.walk(top):
            here = Path(root)
            read.add(here.resolve())
            found += [here / name for name in files]
            links += [here / name for name in sorted(folders) if (here / name).is_symlink()]
            folders[:] = sorted(name for name in folders if (here / name).resolve() not in read)
    return found, again


def _shown(file: Path, folder: Path) -> str:
    return printable(file.relative_to(folder).as_posix())


def printable(name: str) -> str:
    """Return a file's name as it can be shown; bytes that are no UTF-8 become question marks."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

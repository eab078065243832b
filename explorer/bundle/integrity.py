"""Whether a bundle's files are those that its manifest lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from explorer.bundle.arrays import ARRAYS, RESTORE
from explorer.bundle.manifest import MANIFEST, Manifest, hash_file, list_files
from explorer.errors import BundleError

TABLES = ("neurons.parquet", "texts.parquet", "images.parquet")
OTHER_FILES = ("pictures.bin", "texts.faiss")


def size_problems(folder: Path, manifest: Manifest) -> list[str]:
    """Return every file that is missing, not listed, or of another size; reads no file."""
    problems = []
    for name, listed in manifest.files.items():
        file = folder / name
        if not file.is_file():
            problems.append(f"{file} is missing; {RESTORE}.")
        elif file.stat().st_size != listed["bytes"]:
            problems.append(
                f"{file} has {file.stat().st_size:,} bytes and should have {listed['bytes']:,}; "
                f"{RESTORE}."
            )
    needed = {*TABLES, *OTHER_FILES, *(array.file() for array in ARRAYS.values())}
    problems += [
        f"{folder / MANIFEST} does not list {n}; {RESTORE}."
        for n in sorted(needed - set(manifest.files))
    ]
    return problems


def verify(path: str | Path, progress: Callable[[str], object] | None = None) -> list[str]:
    """Return every problem of a bundle, each with its file and remedy; none if it is whole.

    Reads and hashes all files; `progress` is called with each file's name before it is read.
    """
    folder = Path(path)
    try:
        manifest = Manifest.read(folder)
    except BundleError as error:
        return [str(error)]
    problems = size_problems(folder, manifest)
    if (folder / MANIFEST).read_bytes() != manifest.encoded():  # white space has no digest
        problems.append(f"{folder / MANIFEST} was changed after it was written; {RESTORE}.")
    for name, listed in manifest.files.items():
        file = folder / name
        if progress:
            progress(name)
        if file.is_file() and file.stat().st_size == listed["bytes"] and hash_file(file) != listed:
            problems.append(f"{file} was changed since the bundle was built; {RESTORE}.")
    extra = [n for n in list_files(folder) if n not in manifest.files]
    problems += [f"{folder / n} does not belong to the bundle; remove it." for n in extra]
    return problems

"""Whether a bundle's files are those that its manifest lists, and hold what a bundle holds."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from explorer.bundle.arrays import ARRAYS, MEAN_COEFFICIENTS, PAIR_ARRAYS, RESTORE, Array
from explorer.bundle.manifest import (
    MANIFEST,
    Manifest,
    encoded,
    hash_file,
    leads_out,
    list_files,
)
from explorer.bundle.pictures import SPLITS, PictureStore
from explorer.bundle.tables import TEXTS, read_neurons, read_table
from explorer.errors import BundleError

TABLES = ("neurons.parquet", "texts.parquet", "images.parquet")
OTHER_FILES = ("pictures.bin", "texts.faiss")


def axis_sizes(manifest: Manifest) -> dict[str, int]:
    """Return the lengths of the axes neuron, image, text and embed."""
    counts = manifest.counts
    return {
        "neuron": counts["neurons"],
        "image": counts["images"],
        "text": counts["texts"],
        "embed": manifest.model["embed"],
    }


def is_paired(manifest: Manifest) -> bool:
    """Return whether a manifest lists a file of neuron-head pairs; then it must list them all."""
    return any(array.file() in manifest.files for array in PAIR_ARRAYS.values())


def arrays_of(manifest: Manifest) -> list[Array[Any]]:
    """Return the entries of the arrays that a bundle holds, or should hold."""
    paired = is_paired(manifest)
    return [array for array in ARRAYS.values() if paired or not array.optional]


def open_pictures(folder: Path, manifest: Manifest) -> PictureStore:
    """Open a bundle's pictures and compare their numbers with the manifest's.

    Raises:
        BundleError: when they cannot be read, or are of another form or number.
    """
    store = PictureStore.open(folder)
    corpus = store.corpus_size
    numbers = (corpus, len(store) - corpus)
    for split, key, found in zip(SPLITS, ("count", "held_out"), numbers, strict=True):
        wanted = manifest.images[key]  # type: ignore[literal-required]
        if found != wanted:
            raise BundleError(
                f"{folder / 'images.parquet'}: expected {wanted:,} pictures of the split "
                f"'{split}', found {found:,}; {RESTORE}."
            )
    return store


def size_problems(folder: Path, manifest: Manifest) -> list[str]:
    """Return every file that is missing, not listed, of another size or elsewhere; reads none."""
    problems = [
        f"{folder / name} is a link that leads out of the bundle; put the file itself there, or "
        f"{RESTORE}."
        for name in _links(folder)
        if leads_out(folder, name)
    ]
    if problems:  # then nothing else is looked at
        return problems
    for name, listed in manifest.files.items():
        file = folder / name
        if not file.is_file():
            problems.append(f"{file} is missing; {RESTORE}.")
        elif file.stat().st_size != listed["bytes"]:
            problems.append(
                f"{file} has {file.stat().st_size:,} bytes and should have {listed['bytes']:,}; "
                f"{RESTORE}."
            )
    needed = {*TABLES, *OTHER_FILES, *(array.file() for array in arrays_of(manifest))}
    problems += [
        f"{folder / MANIFEST} does not list {n}; {RESTORE}."
        for n in sorted(needed - set(manifest.files))
    ]
    return problems


def form_problems(folder: Path, manifest: Manifest) -> list[str]:
    """Return every array of other axes or another dtype; reads the files' heads alone."""
    sizes = axis_sizes(manifest)
    problems = []
    for array in arrays_of(manifest):
        try:
            found = array.opened(folder, sizes)
        except BundleError as error:
            problems.append(str(error))
            continue
        plain = zip(array.axes, found.shape, strict=True)
        sizes |= {axis: size for axis, size in plain if "+" not in axis}
    return problems


def verify(path: str | Path, progress: Callable[[str], object] | None = None) -> list[str]:
    """Return every problem of a bundle, each with its file and remedy; none if it is whole.

    Reads, checks and hashes all files; `progress` is called with each one's name before it is read.
    """
    folder = Path(path)
    try:
        manifest = Manifest.read(folder)
    except BundleError as error:
        return [str(error)]
    problems = size_problems(folder, manifest)
    if any(leads_out(folder, name) for name in _links(folder)):
        return problems
    text = (folder / MANIFEST).read_bytes()
    if text != encoded(json.loads(text)):  # white space has no digest
        problems.append(f"{folder / MANIFEST} was changed after it was written; {RESTORE}.")
    for name, listed in manifest.files.items():
        file = folder / name
        if progress:
            progress(name)
        if file.is_file() and file.stat().st_size == listed["bytes"] and hash_file(file) != listed:
            problems.append(f"{file} was changed since the bundle was built; {RESTORE}.")
    extra = [n for n in list_files(folder) if n not in manifest.files]
    return [
        *(problems or content_problems(folder, manifest)),
        *(f"{folder / n} does not belong to the bundle; remove it." for n in extra),
    ]


def content_problems(folder: Path, manifest: Manifest) -> list[str]:
    """Return every array and table that does not hold what a bundle holds; reads them whole."""
    problems = form_problems(folder, manifest)
    if problems:
        return problems
    sizes, rows = axis_sizes(manifest), manifest.counts

    def search_index() -> object:
        from explorer.describe.dictionary import load_index

        return load_index(folder / "texts.faiss", rows["texts"], sizes["embed"])

    checks: list[Callable[[], object]] = [
        search_index,
        lambda: read_neurons(folder / "neurons.parquet", manifest.layers, rows["neurons"]),
        lambda: read_table(folder / "texts.parquet", TEXTS, rows["texts"]),
        lambda: open_pictures(folder, manifest).check_kinds(),
        *(_reading(array, folder, sizes) for array in arrays_of(manifest)),
        *(_reading(MEAN_COEFFICIENTS, folder, {}, layer) for layer in manifest.layers),
    ]
    return [problem for check in checks if (problem := _problem(check))]


def _reading(
    array: Array[Any], folder: Path, sizes: Mapping[str, int], layer: int | None = None
) -> Callable[[], object]:
    return lambda: array.read(folder, sizes, layer)


def _problem(check: Callable[[], object]) -> str:
    try:
        check()
    except BundleError as error:
        return str(error)
    return ""


def _links(folder: Path) -> Iterator[str]:
    """Yield the path of every symbolic link below a folder."""
    for root, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(root) / name
            if path.is_symlink():
                yield path.relative_to(folder).as_posix()

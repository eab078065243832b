"""The on-disk bundle: everything the app shows about one model, memory-mapped.

A bundle is a folder. ``manifest.json`` says what it holds (schema version, model, layers, where
images and texts came from, settings, counts) with the SHA-256 and size of every other file; its own
``digest`` covers the rest of the manifest, so that no byte can change unnoticed. Arrays are plain
``.npy`` files opened memory-mapped, tables are Parquet, pictures one blob: no pickles.

Opening checks the manifest and every file's presence and size; `verify` reads and hashes it all.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from explorer.bundle.pictures import PictureStore
from explorer.errors import BundleError, InputError

if TYPE_CHECKING:
    from explorer.describe.dictionary import TextDictionary
    from explorer.lens.models import LoadedModel

SCHEMA = 1
MANIFEST = "manifest.json"
MODEL_FOLDER = "model"
WORK = ".build"  # an unfinished build's state; never part of a bundle
RESTORE = "restore it from where the bundle came from, or build the bundle again"

# name -> axes; every array is one .npy file of that name
ARRAYS = {
    "directions": "[neuron, embed] float16, unit norm; zeros for a dead neuron",
    "concept_ids": "[neuron, m] int32, row of the texts; -1 where the pursuit had stopped",
    "concept_weights": "[neuron, m] float16, weights of the centred, unit-norm texts",
    "concept_cosines": "[neuron, m] float16, reconstruction cosine with the first 1..m texts",
    "concept_clusters": "[neuron, m] int8, cluster of each concept; -1 for none",
    "top_images": "[neuron, end, image] int32; end 0 the positive one, 1 the negative; -1 for none",
    "top_effects": "[neuron, end, image] float32, centred effect along the direction",
    "top_clusters": "[neuron, end, image] int8, cluster of each top image; -1 for none",
    "norm_histogram": "[neuron, bin] int32, images by effect norm / the neuron's histogram_unit",
    "norm_edges": "[bin + 1] float32",
    "path_shares": "[neuron, path] float16, share of the significant effect each later head "
    "carries; paths of the earliest layer, block by block; zero where a layer lacks one",
    "sample_images": "[sample] int32, pictures drawn at random, the same for all neurons",
    "sample_effects": "[neuron, sample] float16, centred effect along the direction",
    "atlas": "[neuron, 2] float32, place on the map; NaN for a dead neuron",
    "neighbours": "[neuron, rank] int32, rows of the neurons nearest by direction",
    "neighbour_cosines": "[neuron, rank] float16",
    "mean_representation": "[embed] float32",
    "text_embeddings": "[text, embed] float16, unit norm",
    "text_mean": "[embed] float32",
    "image_embeddings": "[image, embed] float16, unit norm, corpus images only",
}
TABLES = ("neurons.parquet", "texts.parquet", "images.parquet")
OTHER_FILES = ("pictures.bin", "texts.faiss")


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds; see the module's text."""

    name: str
    created: str  # ISO date
    model: dict[str, Any]  # source, pretrained, embed, width, image_size, blocks, heads
    layers: list[int]
    centre: bool
    settings: dict[str, Any]
    images: dict[str, Any]  # source, count, held_out, skipped
    texts: dict[str, Any]  # source, count
    counts: dict[str, int]
    files: dict[str, dict[str, Any]]  # path -> {"sha256", "bytes"}
    evidence: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read and check ``folder``'s manifest.

        Raises:
            BundleError: it is missing, altered, or of another schema.
        """
        file = folder / MANIFEST
        if not folder.is_dir():
            raise BundleError(
                f"There is no bundle at {folder}; build one with 'python -m explorer build'."
            )
        if not file.is_file():
            raise BundleError(f"{file} is missing: {folder} is no finished bundle; {RESTORE}.")
        try:
            found = json.loads(file.read_text("utf-8"))
            digest = found.pop("digest")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise BundleError(f"{file} is damaged ({error}); {RESTORE}.") from error
        schema = found.get("schema")
        if schema != SCHEMA:
            raise BundleError(
                f"{file} has schema {schema!r} and this version reads {SCHEMA}; "
                "update the explorer or build the bundle again."
            )
        known = {f.name for f in fields(cls)}
        if set(found) - known or known - set(found):
            odd = sorted(set(found) ^ known)
            raise BundleError(f"{file} has unknown or missing keys {odd}; {RESTORE}.")
        if digest != _digest(found):
            raise BundleError(f"{file} was changed after it was written; {RESTORE}.")
        return cls(**found)

    @property
    def identity(self) -> str:
        """SHA-256 of the manifest without its evidence, which may be measured again.

        Two bundles with one identity hold the same neurons, texts and pictures, byte by byte.
        """
        content = asdict(self)
        del content["evidence"]
        return _digest(content)

    def write(self, folder: Path) -> None:
        """Write the manifest with its digest, atomically."""
        unfinished = folder / f"{MANIFEST}.new"
        unfinished.write_bytes(self.encoded())
        unfinished.replace(folder / MANIFEST)

    def encoded(self) -> bytes:
        """Return the bytes of the manifest's file: JSON in UTF-8 with the digest."""
        content = asdict(self)
        whole = {**content, "digest": _digest(content)}
        return (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode()


def _digest(content: dict[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def hash_file(path: Path) -> dict[str, Any]:
    """Return {"sha256": hex digest, "bytes": size} of a file."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"sha256": digest, "bytes": path.stat().st_size}


def list_files(folder: Path) -> list[str]:
    """Return every file below a bundle's folder but the manifest, as sorted relative paths."""
    found = {
        (Path(root) / name).relative_to(folder).as_posix()
        for root, _, names in os.walk(folder)
        for name in names
    }
    return sorted(found - {MANIFEST})


@dataclass(frozen=True, eq=False)
class Bundle:
    """An opened bundle. Arrays are read-only memory maps, read when first asked for."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Open a bundle after checking its manifest and every file's presence and size.

        Raises:
            BundleError: with the file and the remedy.
        """
        folder = Path(path)
        manifest = Manifest.read(folder)
        for problem in _size_problems(folder, manifest):
            raise BundleError(problem)
        return cls(folder, manifest)

    @staticmethod
    def verify(path: str | Path, progress: Callable[[str], object] | None = None) -> list[str]:
        """Return every problem of the bundle at ``path``; see `verify`."""
        return verify(path, progress)

    @property
    def name(self) -> str:
        """The bundle's name, which addresses carry."""
        return self.manifest.name

    @cached_property
    def neurons(self) -> pd.DataFrame:
        """One row a neuron, by layer and neuron: layer, neuron, explained_variance, ..."""
        return self._table("neurons.parquet")

    @cached_property
    def text_table(self) -> pd.DataFrame:
        """One row a text: text, source."""
        return self._table("texts.parquet")

    @cached_property
    def texts(self) -> list[str]:
        """The dictionary's texts, [text]."""
        return self.text_table["text"].tolist()

    @cached_property
    def pictures(self) -> PictureStore:
        """The pictures and their facts."""
        return PictureStore.open(self.path)

    @cached_property
    def dictionary(self) -> TextDictionary:
        """The texts with their embeddings."""
        from explorer.describe.dictionary import TextDictionary

        return TextDictionary(self.texts, self.text_embeddings, np.array(self.text_mean))

    @cached_property
    def index(self) -> Any:
        """The FAISS index over the text embeddings."""
        from explorer.describe.dictionary import load_index

        rows, embed = self.text_embeddings.shape
        return load_index(self.path / "texts.faiss", rows, embed)

    def __getattr__(self, name: str) -> np.ndarray:
        """Return one of `ARRAYS`, memory-mapped.

        Raises:
            AttributeError: there is no array of that name.
            BundleError: its file cannot be read.
        """
        if name not in ARRAYS:
            raise AttributeError(f"a bundle has no {name!r}")
        array = self._array(f"{name}.npy")
        object.__setattr__(self, name, array)
        return array

    def mean_coefficients(self, layer: int) -> np.ndarray:
        """Return the mean coefficients of a layer, [path, neuron] float32.

        Raises:
            InputError: the bundle has no such layer.
        """
        self._check_layer(layer)
        return self._array(f"mean_coefficients/layer_{layer:02d}.npy")

    def row(self, layer: int, neuron: int) -> int:
        """Return the row of a neuron in every array.

        Raises:
            InputError: with the layers or the range of neurons there are.
        """
        start, count = self._check_layer(layer)
        if not isinstance(neuron, int | np.integer) or not 0 <= neuron < count:
            raise InputError(f"Layer {layer} has no neuron {neuron}; choose 0 to {count - 1}.")
        return start + int(neuron)

    def load_model(self, device: str = "cpu", dtype: str = "float32") -> LoadedModel:
        """Load the model the bundle was built from.

        Raises:
            InputError: its weights cannot be found.
        """
        from explorer.lens.models import load_model

        if (self.path / MODEL_FOLDER).is_dir():
            return load_model(f"local-dir:{self.path / MODEL_FOLDER}", device=device, dtype=dtype)
        model = self.manifest.model
        return load_model(
            model["source"], pretrained=model["pretrained"], device=device, dtype=dtype
        )

    @cached_property
    def _layer_rows(self) -> dict[int, tuple[int, int]]:
        layers = self.neurons["layer"].to_numpy()
        values, starts, counts = np.unique(layers, return_index=True, return_counts=True)
        return {int(v): (int(s), int(c)) for v, s, c in zip(values, starts, counts, strict=True)}

    def _check_layer(self, layer: int) -> tuple[int, int]:
        if layer not in self._layer_rows:
            have = ", ".join(str(known) for known in self._layer_rows)
            raise InputError(
                f"The bundle '{self.name}' has no layer {layer}; choose one of {have}."
            )
        return self._layer_rows[layer]

    def _array(self, file: str) -> np.ndarray:
        try:
            return np.load(self.path / file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise BundleError(f"{self.path / file} cannot be read ({error}); {RESTORE}.") from error

    def _table(self, file: str) -> pd.DataFrame:
        try:
            return pd.read_parquet(self.path / file)
        except (OSError, ValueError) as error:
            raise BundleError(f"{self.path / file} cannot be read ({error}); {RESTORE}.") from error


def _size_problems(folder: Path, manifest: Manifest) -> list[str]:
    problems = []
    for name, facts in manifest.files.items():
        file = folder / name
        if not file.is_file():
            problems.append(f"{file} is missing; {RESTORE}.")
        elif file.stat().st_size != facts["bytes"]:
            problems.append(
                f"{file} has {file.stat().st_size:,} bytes and should have {facts['bytes']:,}; "
                f"{RESTORE}."
            )
    needed = {*TABLES, *OTHER_FILES, *(f"{name}.npy" for name in ARRAYS)}
    problems += [
        f"{folder / MANIFEST} does not list {n}; {RESTORE}."
        for n in sorted(needed - set(manifest.files))
    ]
    return problems


def verify(path: str | Path, progress: Callable[[str], object] | None = None) -> list[str]:
    """Return every problem of a bundle, each with its file and remedy; none if it is whole.

    Reads and hashes all files; ``progress`` is called with each file's name before it is read.
    """
    folder = Path(path)
    try:
        manifest = Manifest.read(folder)
    except BundleError as error:
        return [str(error)]
    problems = _size_problems(folder, manifest)
    if (folder / MANIFEST).read_bytes() != manifest.encoded():  # white space has no digest
        problems.append(f"{folder / MANIFEST} was changed after it was written; {RESTORE}.")
    for name, facts in manifest.files.items():
        file = folder / name
        if progress:
            progress(name)
        if file.is_file() and file.stat().st_size == facts["bytes"] and hash_file(file) != facts:
            problems.append(f"{file} was changed since the bundle was built; {RESTORE}.")
    extra = [n for n in list_files(folder) if n not in manifest.files]
    problems += [f"{folder / n} does not belong to the bundle; remove it." for n in extra]
    return problems


def seal(folder: Path, **facts: Any) -> Manifest:
    """Hash every file below ``folder`` and write the manifest, the last step of a build.

    ``facts`` are `Manifest`'s fields but files and schema.
    """
    names = [name for name in list_files(folder) if not name.startswith(f"{WORK}/")]
    files = {name: hash_file(folder / name) for name in names}
    manifest = Manifest(files=files, **facts)
    manifest.write(folder)
    return manifest


def reseal_evidence(bundle: Bundle, evidence: dict[str, Any]) -> Bundle:
    """Return the bundle with ``evidence`` merged into its manifest on disk."""
    content = asdict(bundle.manifest)
    content["evidence"] = {**content["evidence"], **evidence}
    Manifest(**content).write(bundle.path)
    return Bundle.open(bundle.path)

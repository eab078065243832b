"""The on-disk bundle: everything the app shows about one model, memory-mapped.

A bundle is a folder. `manifest.json` says what it holds (schema version, model, layers, where
images and texts came from, settings, counts) with the SHA-256 and size of every other file; its own
`digest` covers the rest of the manifest, so that no byte can change unnoticed. Arrays are plain
`.npy` files opened memory-mapped, tables are Parquet, pictures one blob: no pickles.
`docs/bundle-format.md` lists them all.

Opening checks the manifest, every file's presence and size, and every array's axes and dtype.
Values are checked when an array or a table is first read; `verify` reads and hashes it all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.bundle.arrays import ARRAYS, MEAN_COEFFICIENTS, Arrays
from explorer.bundle.integrity import (
    OTHER_FILES,
    TABLES,
    axis_sizes,
    form_problems,
    is_paired,
    open_pictures,
    size_problems,
    verify,
)
from explorer.bundle.manifest import MANIFEST, WORK, Manifest, hash_file, list_files, seal
from explorer.bundle.pictures import PictureStore
from explorer.bundle.tables import TEXTS, read_neurons, read_table
from explorer.errors import BundleError, InputError
from explorer.kept import kept

if TYPE_CHECKING:
    from explorer.describe.dictionary import TextDictionary
    from explorer.lens.models import LoadedModel

__all__ = [
    "ARRAYS",
    "MANIFEST",
    "MODEL_FOLDER",
    "OTHER_FILES",
    "TABLES",
    "WORK",
    "Bundle",
    "Manifest",
    "hash_file",
    "list_files",
    "reseal_evidence",
    "seal",
    "seal_files",
    "verify",
]

MODEL_FOLDER = "model"
CHANCE_COLUMN = "words_pass"


@dataclass(frozen=True, eq=False, repr=False)
class Bundle(Arrays):
    """An opened bundle. Arrays are read-only memory maps, read when first asked for.

    The arrays are the attributes listed in `explorer.bundle.arrays`.
    """

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Open a bundle after checking its manifest, every file's size and every array's form.

        Raises:
            BundleError: when one is missing or altered; it names the file and the remedy.
        """
        folder = Path(path)
        manifest = Manifest.read(folder)
        for check in (size_problems, form_problems):
            if problems := check(folder, manifest):
                raise BundleError(problems[0])
        return cls(folder, manifest)

    @staticmethod
    def verify(path: str | Path, progress: Callable[[str], object] | None = None) -> list[str]:
        """Return every problem of the bundle at `path`; see `verify`."""
        return verify(path, progress)

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Lengths of the axes neuron, image, text and embed."""
        return axis_sizes(self.manifest)

    @property
    def name(self) -> str:
        """The bundle's name, which addresses carry."""
        return self.manifest.name

    @cached_property
    def neurons(self) -> pd.DataFrame:
        """One row per neuron, by layer and neuron: layer, neuron, explained_variance, ..."""
        manifest = self.manifest
        file = self.path / "neurons.parquet"
        return read_neurons(file, manifest.layers, manifest.counts["neurons"])

    @cached_property
    def tested(self) -> bool:
        """Whether its neurons were compared with chance; those of older bundles weren't."""
        return CHANCE_COLUMN in self.neurons

    @cached_property
    def paired(self) -> bool:
        """Whether it holds its neuron-head pairs; those of older bundles may be added."""
        return is_paired(self.manifest)

    @cached_property
    def text_table(self) -> pd.DataFrame:
        """One row per text: text, source."""
        return read_table(self.path / "texts.parquet", TEXTS, self.manifest.counts["texts"])

    @cached_property
    def texts(self) -> list[str]:
        """The dictionary's texts, [text]."""
        texts: list[str] = self.text_table["text"].tolist()
        return texts

    @cached_property
    def pictures(self) -> PictureStore:
        """The pictures and what is known of each."""
        return open_pictures(self.path, self.manifest)

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

    def mean_coefficients(self, layer: int) -> NDArray[np.float32]:
        """Return the mean coefficients of a layer, [path, neuron] float32.

        Raises:
            InputError: when the bundle has no such layer.
        """
        self._check_layer(layer)
        return MEAN_COEFFICIENTS.read(self.path, {}, layer)

    def row(self, layer: int, neuron: int) -> int:
        """Return the row of a neuron in every array.

        Raises:
            InputError: when there is no such neuron; it names what there is.
        """
        start, count = self._check_layer(layer)
        if not isinstance(neuron, int | np.integer) or not 0 <= neuron < count:
            raise InputError(f"Layer {layer} has no neuron {neuron}; choose 0 to {count - 1}.")
        return start + int(neuron)

    def neuron(self, layer: int, neuron: int) -> Any:
        """Return one neuron, which a notebook shows with its pictures and words.

        Raises:
            InputError: when there is no such neuron; it names what there is.
        """
        self.row(layer, neuron)
        return _display().Neuron(self, layer, neuron)

    def __repr__(self) -> str:
        """Return its name, place and numbers; the manifest has the rest."""
        counts = ", ".join(f"{count:,} {of}" for of, count in self.manifest.counts.items())
        return f"Bundle({self.name!r} at {self.path}: layers {self.manifest.layers}, {counts})"

    def _repr_html_(self) -> str:
        html: str = _display().bundle_html(self)
        return html

    @property
    def model(self) -> LoadedModel:
        """The model the bundle was built from, on the CPU; loaded once and kept.

        Raises:
            InputError: when its weights cannot be found.
        """
        return kept(self, "model", self.load_model)

    def load_model(self, device: str = "cpu", dtype: str = "float32") -> LoadedModel:
        """Load the model the bundle was built from.

        Raises:
            InputError: when its weights cannot be found.
        """
        from explorer.lens.models import load_model

        if (self.path / MODEL_FOLDER).is_dir():
            return load_model(f"local-dir:{self.path / MODEL_FOLDER}", device=device, dtype=dtype)
        model = self.manifest.model
        return load_model(
            model["source"],
            pretrained=model["pretrained"],
            pretrained_text=model.get("pretrained_text"),
            device=device,
            dtype=dtype,
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
                f"The bundle '{self.name}' has no layer {layer!r}; choose one of {have}."
            )
        return self._layer_rows[layer]


def _display() -> ModuleType:
    """Import what notebooks show; that module reads bundles, so it stands above this one."""
    return import_module("explorer.bundle.display")


def reseal_evidence(bundle: Bundle, evidence: dict[str, Any]) -> Bundle:
    """Return the bundle with `evidence` merged into its manifest on disk."""
    content = bundle.manifest.content()
    content["evidence"] = {**content["evidence"], **evidence}
    Manifest(**content).write(bundle.path)
    return Bundle.open(bundle.path)


def seal_files(bundle: Bundle, names: Sequence[str], **settings: Any) -> Manifest:
    """Write a bundle's manifest anew with some files of its folder, and all else as it was.

    `settings` are added to the manifest's.
    """
    content = bundle.manifest.content()
    content["settings"] |= settings
    content["files"] |= {name: hash_file(bundle.path / name) for name in names}
    manifest = Manifest(**content)
    manifest.write(bundle.path)
    return manifest

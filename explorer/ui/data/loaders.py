"""Find bundles, open each once, and keep what several pages derive from it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain, starmap
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from explorer import places
from explorer.bundle import MANIFEST, Bundle
from explorer.bundle.arrays import NO_PAIRS
from explorer.bundle.meaning import Passing, Title, passing, title_of
from explorer.bundle.measures import TABLE
from explorer.errors import InputError
from explorer.kept import kept
from explorer.ui.address.address import Usual

T = TypeVar("T")

FOLDER_VARIABLE = places.BUNDLES_VARIABLE
TOLD = ("label", "concept", "keywords", "looks")  # columns of the picture table
SHORTEST_WORD = 3  # letters; shorter parts of a label say nothing
QUIET = 0.02  # of its layer's median effect; below it a neuron counts as silent


def find_bundles(folder: Path) -> dict[str, Path]:
    """Find the finished bundles by folder name, the shipped one first."""
    if not folder.is_dir():
        return {}
    found = sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
    return {path.name: path for path in sorted(found, key=lambda path: path.name != places.SHIPPED)}


@dataclass(frozen=True, eq=False)
class View:
    """An opened bundle and what pages derive from it; shared by all sessions, read-only."""

    key: str  # folder name, as addresses carry it
    bundle: Bundle

    @property
    def neurons(self) -> pd.DataFrame:
        """Return the neuron table."""
        return self.bundle.neurons

    @cached_property
    def layers(self) -> list[int]:
        """Return the layers with neurons, in order."""
        return [int(layer) for layer in np.unique(self.neurons["layer"].to_numpy())]

    @cached_property
    def labels(self) -> list[str]:
        """Return the label of each picture; its name where it has none."""
        table = self.bundle.pictures.table
        named = zip(table["label"].tolist(), table["name"].tolist(), strict=True)
        return [label or name or "unlabelled" for label, name in named]

    @cached_property
    def words(self) -> list[frozenset[str]]:
        """Return each picture's label and its words, concept, keywords and looks, in lower case.

        Pictures of which the same is told share one set.
        """
        table = self.bundle.pictures.table
        told = zip(*(table[name].str.lower().tolist() for name in TOLD), strict=True)
        return list(starmap(cache(_words), told))

    @cached_property
    def looks(self) -> frozenset[str]:
        """Return the words for how pictures are drawn, which are no meanings, in lower case."""
        listed = self.bundle.pictures.table["looks"].fillna("").astype(str).str.lower().unique()
        return frozenset(look.strip() for looks in listed for look in looks.split(","))

    @cached_property
    def word_counts(self) -> Counter[str]:
        """Return how many pictures carry each word."""
        return Counter(chain.from_iterable(self.words))

    @cached_property
    def folded_texts(self) -> list[str]:
        """Return the dictionary's texts in lower case."""
        return [text.casefold() for text in self.bundle.texts]

    @cached_property
    def passing(self) -> Passing:
        """Return which neurons are more than chance."""
        return passing(self.bundle)

    @cached_property
    def says_nothing(self) -> bool:
        """Return whether the bundle was compared with chance and no neuron's words pass."""
        return self.bundle.tested and not self.passing.words.any()

    @cached_property
    def sieved(self) -> bool:
        """Return whether lists can leave out what is no more than chance: some neurons pass."""
        return bool(self.passing.either.any())

    @property
    def unpaired(self) -> str:
        """Return that the bundle has no neuron-head pairs, in a sentence; empty where it has."""
        return "" if self.bundle.paired else NO_PAIRS.format(self.bundle.path)

    @property
    def usual(self) -> Usual:
        """Return how neurons are listed unless an address says otherwise."""
        return Usual("prediction" if self.bundle.tested else "agreement", self.sieved)

    def title(self, row: int, end: int = 1) -> Title:
        """Return what one end of a neuron may be called; see `explorer.bundle.meaning`."""
        return title_of(self.bundle, row, end)

    @cached_property
    def trust(self) -> NDArray[np.float32]:
        """Return the weight of each neuron's words, [neuron]: from 0 (guessing) to 1."""
        agreement = self.neurons["agreement"].to_numpy(np.float32)
        trust: NDArray[np.float32] = np.nan_to_num(np.clip(2 * agreement - 1, 0, 1))
        return trust

    @cached_property
    def image_mean(self) -> NDArray[np.float32]:
        """Return the mean of the pictures' embeddings, [embed]."""
        mean: NDArray[np.float32] = np.mean(self.bundle.image_embeddings, axis=0, dtype=np.float32)
        return mean

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """Return the share of neurons at or below each neuron's value, per measure."""
        present = [measure.key for measure in TABLE if measure.key in self.neurons]
        return self.neurons[present].rank(pct=True)

    def share_up_to(self, key: str, value: float) -> float:
        """Return the share of neurons whose measure is at most a value."""
        held = self.column(key)
        held = held[np.isfinite(held)]
        return float((held <= value).mean()) if len(held) else 0.0

    @cached_property
    def silent(self) -> NDArray[np.bool_]:
        """Return which neurons have no effect worth describing, [neuron]."""
        scale = self.neurons["scale"].fillna(0)
        usual = scale.groupby(self.neurons["layer"]).transform("median")
        quiet: NDArray[np.bool_] = (scale <= QUIET * usual).to_numpy()
        return quiet

    @cached_property
    def significant(self) -> int:
        """Return how many strongest pictures a neuron's direction was computed from."""
        chosen = self.bundle.manifest.settings
        images = int(self.bundle.image_embeddings.shape[0])
        count = math.ceil(round(float(chosen.get("significant", 0.02)) * images, 6))
        return min(int(chosen.get("significant_cap", images)), max(2, count), images)

    def column(self, key: str) -> NDArray[Any]:
        """Return a column of the neuron table as an array, [neuron], for quick access to values."""
        return self.held(f"column {key}", lambda view: view.neurons[key].to_numpy())

    def has(self, layer: int, neuron: int) -> bool:
        """Return whether the bundle holds a neuron."""
        try:
            self.bundle.row(layer, neuron)
        except InputError:
            return False
        return True

    def place(self, row: int) -> tuple[int, int]:
        """Return layer and neuron of a row."""
        layers, neurons = self._places
        return int(layers[row]), int(neurons[row])

    def held(self, key: str, make: Callable[[View], T]) -> T:
        """Return what `make` derives from this view, made once however many threads ask."""
        return kept(self, key, lambda: make(self))

    @cached_property
    def _places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self.neurons["layer"].to_numpy(), self.neurons["neuron"].to_numpy()


def _words(label: str, concept: str, keywords: str, looks: str) -> frozenset[str]:
    listed = (part.strip() for part in f"{keywords},{looks}".split(","))
    parts = (part for part in label.split() if len(part) >= SHORTEST_WORD)
    return frozenset({label, concept, *listed, *parts} - {""})


def open_view(key: str, path: Path) -> View:
    """Return the view of a bundle; opened again when its manifest changes.

    Raises:
        BundleError: when it cannot be opened, with the file and the remedy.
    """
    manifest = path / MANIFEST
    stamp = manifest.stat().st_mtime_ns if manifest.is_file() else 0
    return _open(key, str(path), stamp)


@st.cache_resource(max_entries=4, show_spinner=False)
def _open(key: str, path: str, stamp: int) -> View:
    return View(key, Bundle.open(path))

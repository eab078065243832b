"""A made-up bundle of any size, with the form of a built one and no model, picture or text in it.

Embeddings and directions have a falling spectrum and share topics, as real ones do; sparse sets and
top pictures are drawn at random; every picture is the same few pixels.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from benchmarks.omp import text_like_vectors
from explorer.build.describe import write_texts
from explorer.bundle import seal
from explorer.bundle.pictures import PictureStore
from explorer.bundle.tables import NEURONS
from explorer.bundle.writer import ArrayWriter
from explorer.describe.dictionary import TextDictionary

CONCEPTS, PLACES, NEIGHBOURS, BINS, SAMPLE = 64, 25, 12, 48, 192
HEADS, LABELS = 16, 1000
PASSING = 4  # one neuron in so many is more than chance
WHOLE = {"layer": np.int16, "neuron": np.int32, "words": np.int8, "meanings": np.int16}


@dataclass(frozen=True)
class Sizes:
    """Lengths of the axes."""

    layers: int
    width: int
    images: int
    texts: int
    embed: int

    @property
    def neurons(self) -> int:
        """Return the neurons of all layers."""
        return self.layers * self.width


def write_bundle(folder: Path, sizes: Sizes, seed: int = 0) -> Path:
    """Write a bundle of these sizes and return its folder."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    PictureStore.write(folder, _pictures(sizes.images))
    writer = ArrayWriter(folder)
    words = _vectors(sizes.texts, sizes.embed, seed)
    texts = [f"{_word(number)} {number}" for number in range(sizes.texts)]
    table = pd.DataFrame({"text": texts, "source": "made up"})
    write_texts(writer, TextDictionary(texts, words, words.mean(0, dtype=np.float32)), table)
    writer.write("image_embeddings", _vectors(sizes.images, sizes.embed, seed + 1))
    writer.write("mean_representation", rng.normal(size=sizes.embed).astype(np.float32))
    writer.write("directions", _vectors(sizes.neurons, sizes.embed, seed + 2))
    _write_neurons(writer, sizes, rng)
    _neuron_table(sizes, rng).to_parquet(folder / "neurons.parquet", index=False)
    seal(folder, **_manifest(folder.name, sizes))
    return folder


def _vectors(count: int, embed: int, seed: int) -> NDArray[np.float16]:
    return text_like_vectors(count, 1, embed, seed)[0].astype(np.float16)


def _pictures(count: int) -> Iterator[tuple[dict[str, str], bytes]]:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "teal").save(buffer, "PNG")
    for number in range(count):
        label = _word(number % LABELS)
        facts = dict.fromkeys(("looks", "author", "licence", "kind"), "")
        facts |= {"label": label, "concept": label, "keywords": f"{label}, {_word(number % 37)}"}
        yield (
            facts | {"source": "made up", "name": f"{number}", "split": "corpus"},
            buffer.getvalue(),
        )


def _word(number: int) -> str:
    """Return a word of its own for every number."""
    letters = "bdfgklmnprstvz"
    return "".join(f"{letters[number // 14**place % 14]}a" for place in range(4))


def _write_neurons(writer: ArrayWriter, sizes: Sizes, rng: np.random.Generator) -> None:
    neurons = sizes.neurons
    falling = np.arange(1, CONCEPTS + 1) ** -0.5
    writer.write("concept_ids", _drawn(rng, sizes.texts, neurons, CONCEPTS).astype(np.int32))
    writer.write("concept_weights", _normal(rng, neurons, CONCEPTS, scale=falling))
    rising = np.linspace(0.3, 0.9, CONCEPTS, dtype=np.float16)
    writer.write("concept_cosines", np.tile(rising, (neurons, 1)))
    labels = rng.integers(0, 5, (neurons, CONCEPTS), np.int8)
    writer.write("concept_clusters", labels)
    tops = _drawn(rng, sizes.images, neurons, 2 * PLACES).reshape(neurons, 2, PLACES)
    writer.write("top_images", tops.astype(np.int32))
    effects = np.linspace(2, 1, PLACES, dtype=np.float32) * np.array([[1], [-1]], np.float32)
    writer.write("top_effects", np.tile(effects, (neurons, 1, 1)))
    writer.write("top_clusters", rng.integers(0, 4, (neurons, 2, PLACES), np.int8))
    writer.write("norm_histogram", rng.integers(0, 99, (neurons, BINS), np.int32))
    writer.write("norm_edges", np.geomspace(0.01, 100, BINS + 1).astype(np.float32))
    writer.write("path_shares", np.full((neurons, sizes.layers * HEADS), 0.01, np.float16))
    drawn = np.sort(rng.choice(sizes.images, min(SAMPLE, sizes.images), replace=False))
    writer.write("sample_images", drawn.astype(np.int32))
    writer.write("sample_effects", _normal(rng, neurons, len(drawn)))
    writer.write("atlas", rng.uniform(-1, 1, (neurons, 2)).astype(np.float32))
    writer.write("neighbours", _drawn(rng, neurons, neurons, NEIGHBOURS).astype(np.int32))
    writer.write("neighbour_cosines", np.full((neurons, NEIGHBOURS), 0.5, np.float16))
    for layer in range(sizes.layers):
        paths = HEADS * (sizes.layers - layer)
        writer.write_layer(layer, np.full((paths, sizes.width), 0.01, np.float32))


def _drawn(rng: np.random.Generator, among: int, rows: int, count: int) -> NDArray[np.int64]:
    """Return [row, place]: different numbers in each row, evenly spaced from a random start."""
    start, step = rng.integers(among, size=(rows, 1)), max(1, among // (count + 1))
    return (start + step * np.arange(count)) % among


def _normal(
    rng: np.random.Generator, rows: int, columns: int, scale: float | NDArray[Any] = 1.0
) -> NDArray[np.float16]:
    return (rng.standard_normal((rows, columns), np.float32) * scale).astype(np.float16)


def _neuron_table(sizes: Sizes, rng: np.random.Generator) -> pd.DataFrame:
    """Return a table with every column that a neuron table may have."""
    neurons = sizes.neurons
    table = pd.DataFrame(
        {column.name: rng.random(neurons, np.float32) for column in NEURONS}, copy=False
    )
    table["layer"] = np.repeat(np.arange(sizes.layers), sizes.width)
    table["neuron"] = np.tile(np.arange(sizes.width), sizes.layers)
    passes = np.arange(neurons) % PASSING == 0
    table["words_pass"], table["driven_pass"] = passes, passes
    table["words"] = np.where(passes, 3, 0)
    table["meanings"] = np.where(passes, 2, 0)
    names = np.array([_word(number) for number in range(LABELS)], object)
    drawn = names[rng.integers(LABELS, size=(neurons, 2))]
    joined = drawn[:, 0] + ", " + drawn[:, 1]
    table["concepts"], table["driven_by"] = joined, joined
    return table.astype(WHOLE)


def _manifest(name: str, sizes: Sizes) -> dict[str, Any]:
    return {
        "name": name,
        "created": "2026-01-01",
        "model": {
            "source": "made up", "pretrained": None, "embed": sizes.embed,
            "width": max(1, sizes.width // 4), "image_size": 224,
            "blocks": sizes.layers + 1, "heads": HEADS,
        },
        "layers": list(range(sizes.layers)),
        "centre": True,
        "settings": {"significant": 0.02, "significant_cap": 400, "nonzero": CONCEPTS},
        "images": {"source": "made up", "count": sizes.images, "held_out": 0, "skipped": []},
        "texts": {"source": "made up", "count": sizes.texts, "left_out": 0},
        "counts": {"neurons": sizes.neurons, "images": sizes.images, "texts": sizes.texts},
    }  # fmt: skip

"""From directions to what the app shows of each neuron: sparse sets, clusters, neighbours.

Writes the arrays and tables of `explorer.bundle.arrays` that depend on directions and texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from explorer.build.chance import SecondLook, measure_chance
from explorer.build.engine import Engine
from explorer.build.gathering import PassResult
from explorer.build.settings import BuildSettings
from explorer.bundle.pictures import PictureStore
from explorer.bundle.writer import ArrayWriter
from explorer.decompose import SparseCode
from explorer.describe.agreement import agreement, text_sums
from explorer.describe.atlas import lay_out
from explorer.describe.dictionary import TextDictionary, build_index, save_index
from explorer.describe.directions import LayerDirections
from explorer.describe.polysemy import (
    concept_clusters,
    image_clusters,
    label_diversity,
    related_cosine,
)
from explorer.describe.pursuits import Code, pursue
from explorer.errors import InputError
from explorer.resumable import Say

INDEX = "texts.faiss"
NEIGHBOURS = 12
PIECE = 1024  # neurons that are described at once
LEADING = 6  # concepts named in the neuron table


def write_texts(writer: ArrayWriter, dictionary: TextDictionary, table: pd.DataFrame) -> None:
    """Write the texts, their embeddings and the search index."""
    table[["text", "source"]].to_parquet(writer.folder / "texts.parquet", index=False)
    writer.write("text_embeddings", dictionary.embeddings)
    writer.write("text_mean", dictionary.mean.astype(np.float32))
    save_index(build_index(np.asarray(dictionary.embeddings)), writer.folder / INDEX)


def describe_directions(
    writer: ArrayWriter,
    found: PassResult,
    look: SecondLook,
    dictionary: TextDictionary,
    store: PictureStore,
    settings: BuildSettings,
    engine: Engine,
    say: Say,
) -> None:
    """Write every array of neurons, and `neurons.parquet`, for the layers in `found`."""
    layers = [found.directions[number] for number in sorted(found.directions)]
    directions = np.concatenate([layer.directions for layer in layers]).astype(np.float32)
    atoms = dictionary.atoms()
    m = min(settings.nonzero, *atoms.shape)
    choose = partial(pursue, settings.pursuit)
    code = _sparse_sets(directions, partial(choose, dictionary=atoms, n_nonzero=m), engine, say)
    top = _write_layers(writer, layers)
    neighbours, cosines = nearest(directions, min(NEIGHBOURS, len(directions) - 1), engine)
    writer.write("directions", directions.astype(np.float16))
    say("describing: atlas")
    writer.write("atlas", lay_out(directions))
    writer.write("concept_ids", code.ids.astype(np.int32))
    writer.write("concept_weights", half_weights(code.weights))
    writer.write("concept_cosines", code.cosines.astype(np.float16))
    writer.write("neighbours", neighbours.astype(np.int32))
    writer.write("neighbour_cosines", cosines.astype(np.float16))
    images = found.image_embeddings.astype(np.float32)
    meaning = meanings(code, atoms, images - images.mean(0), top, store, say)
    writer.write("concept_clusters", meaning.concept_labels)
    writer.write("top_clusters", meaning.image_labels)
    table = _neuron_table(found.directions).assign(**meaning.columns)
    table["reconstruction"] = code.cosines[:, -1].astype(np.float32)
    table = table.assign(**measure_chance(found, look, code, atoms, choose, store, settings, say))
    table["concepts"] = [_leading(code, row, dictionary.texts) for row in range(len(table))]
    table.to_parquet(writer.folder / "neurons.parquet", index=False)


def half_weights(weights: NDArray[np.floating[Any]]) -> NDArray[np.float16]:
    """Return weights of sparse sets in half precision, [neuron, m].

    Raises:
        InputError: when some are beyond it, as where more texts are summed than differ.
    """
    if np.abs(weights).max(initial=0) > np.finfo(np.float16).max:
        raise InputError(
            f"A sum of {weights.shape[1]} texts needs weights beyond what a bundle holds, because "
            "its texts are too alike: remove what was built, and give a smaller --nonzero, such as "
            f"{max(1, weights.shape[1] // 2)}, or more texts."
        )
    return weights.astype(np.float16)


def _sparse_sets(
    directions: NDArray[np.float32],
    choose: Callable[[NDArray[np.float32]], Code],
    engine: Engine,
    say: Say,
) -> Code:
    """Return the texts of all directions [neuron, embed], a piece at a time."""
    notify = _every(say, "sparse sets", len(directions))
    pieces = [directions[part] for part in _pieces(len(directions))]
    found: list[Code] = []
    for piece in engine.map(choose, pieces):
        found.append(piece)
        notify(sum(len(code.ids) for code in found))
    return SparseCode(
        np.concatenate([code.ids for code in found]),
        np.concatenate([code.weights for code in found]),
        np.concatenate([code.cosines for code in found]),
    )


def nearest(
    directions: NDArray[np.float32], count: int, engine: Engine
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return (rows, cosines) [neuron, count] of the nearest other directions, nearest first.

    directions: [neuron, embed] unit or zero rows; a zero row has neighbours -1 and is nobody's.
    """
    work = partial(_nearest, np.ascontiguousarray(directions, np.float32), count)
    rows, cosines = zip(*engine.map(work, list(_pieces(len(directions)))), strict=True)
    return np.concatenate(rows), np.concatenate(cosines)


def _nearest(
    directions: NDArray[np.float32], count: int, part: slice
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return those of some neurons."""
    unit = torch.from_numpy(directions)
    dead = unit.norm(dim=1) < 0.5
    products = unit[part] @ unit.T
    products[:, dead] = -2
    own = torch.arange(part.start, part.start + len(products))
    products[torch.arange(len(products)), own] = -3
    best = products.topk(count, dim=1)
    lost = dead[own][:, None] | (best.values < -1.5)
    return best.indices.masked_fill(lost, -1).numpy(), best.values.masked_fill(lost, 0).numpy()


def _pieces(neurons: int) -> Iterator[slice]:
    for start in range(0, neurons, PIECE):
        yield slice(start, min(start + PIECE, neurons))


@dataclass(frozen=True, eq=False)
class TopImages:
    """The images at the ends of every neuron's direction."""

    ids: NDArray[np.int32]
    """[neuron, end, place]; -1 for none."""
    effects: NDArray[np.float32]
    """[neuron, end, place]."""


@dataclass(frozen=True, eq=False)
class Meanings:
    """Clusters and scores of every neuron."""

    concept_labels: NDArray[np.int8]
    """[neuron, concept]."""
    image_labels: NDArray[np.int8]
    """[neuron, end, place]."""
    columns: dict[str, NDArray[Any]]
    """Name -> [neuron]."""


def meanings(
    code: SparseCode[NDArray[Any]],
    atoms: NDArray[np.float32],
    images: NDArray[np.float32],
    top: TopImages,
    store: PictureStore,
    say: Say,
) -> Meanings:
    """Cluster every neuron's concepts and top images; atoms and images are centred embeddings."""
    labels = store.table["label"].to_numpy()
    related_texts, related_images = related_cosine(atoms), related_cosine(images)
    neurons = len(code.ids)
    concept_labels = np.full(code.ids.shape, -1, np.int8)
    image_labels = np.full(top.ids.shape, -1, np.int8)
    names = ("concept_polysemy", "image_polysemy", "label_diversity")
    columns: dict[str, NDArray[Any]] = {name: np.zeros(neurons, np.float32) for name in names}
    notify = _every(say, "meanings", neurons)
    for neuron in range(neurons):
        there = code.ids[neuron] >= 0
        shown = top.ids[neuron] >= 0
        if there.any() and shown.any():
            concepts = concept_clusters(
                atoms[code.ids[neuron][there]], code.weights[neuron][there], related_texts
            )
            pictures = image_clusters(
                images[top.ids[neuron][shown]], top.effects[neuron][shown], related_images
            )
            concept_labels[neuron, there] = concepts.labels
            image_labels[neuron, shown] = pictures.labels
            columns["concept_polysemy"][neuron] = concepts.score
            columns["image_polysemy"][neuron] = pictures.score
        positive = top.ids[neuron, 0][shown[0]]
        diversity = label_diversity([str(labels[i]) for i in positive])
        columns["label_diversity"][neuron] = np.nan_to_num(diversity)
        if neuron % 1024 == 1023:
            notify(neuron + 1)
    say("meanings: agreement of texts and pictures")
    stored = code.weights.astype(np.float16)
    sums = text_sums(code.ids, stored, atoms, LEADING)
    columns["agreement"] = agreement(sums, images, top.ids, top.effects)
    return Meanings(concept_labels, image_labels, columns)


def _write_layers(writer: ArrayWriter, layers: Sequence[LayerDirections]) -> TopImages:
    """Write what the pass found of every neuron, layer after layer; return its top images."""

    def stacked(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(layer, name) for layer in layers])

    top = TopImages(stacked("top_ids").astype(np.int32), stacked("top_effects").astype(np.float32))
    writer.write("top_images", top.ids)
    writer.write("top_effects", top.effects)
    writer.write("norm_histogram", stacked("norm_histogram").astype(np.int32))
    writer.write("norm_edges", layers[0].norm_edges.astype(np.float32))
    widest = max(layer.path_shares.shape[1] for layer in layers)
    shares = [
        np.pad(layer.path_shares, ((0, 0), (widest - layer.path_shares.shape[1], 0)))
        for layer in layers
    ]
    writer.write("path_shares", np.concatenate(shares).astype(np.float16))
    return top


def _neuron_table(found: Mapping[int, LayerDirections]) -> pd.DataFrame:
    parts = []
    for number, layer in sorted(found.items()):
        variance = layer.explained_variance
        parts.append(
            pd.DataFrame(
                {
                    "layer": np.int16(number),
                    "neuron": np.arange(len(variance), dtype=np.int32),
                    "explained_variance": variance[:, 0],
                    "explained_variance_2": variance[:, 1],
                    "explained_variance_3": variance[:, 2],
                    "selectivity": layer.selectivity,
                    "threshold": layer.threshold,
                    "max_norm": layer.max_norm,
                    "scale": layer.scale,
                    "histogram_unit": layer.histogram_unit,
                    "positive_share": layer.positive_share,
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    floats = table.select_dtypes("float64").columns
    return table.astype(dict.fromkeys(floats, np.float32))


def _leading(code: SparseCode[NDArray[Any]], row: int, texts: list[str]) -> str:
    """Return the heaviest concepts that a neuron points to; if none, those it points away from."""
    weights, ids = code.weights[row], code.ids[row]
    held = [i for i in np.argsort(-np.abs(weights), kind="stable") if ids[i] >= 0]
    towards = [texts[ids[i]] for i in held if weights[i] > 0]
    away = [f"−{texts[ids[i]]}" for i in held if weights[i] < 0]
    return ", ".join((towards or away)[:LEADING])


def _every(say: Say, what: str, total: int) -> Callable[[int], None]:
    def notify(done: int) -> None:
        say(f"{what}: {done:,} of {total:,} neurons")

    return notify

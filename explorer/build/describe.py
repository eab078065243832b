"""From directions to what the app shows of each neuron: sparse sets, clusters, neighbours.

Writes the bundle's arrays and tables that depend on directions and texts; see `bundle.ARRAYS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from explorer.bundle.pictures import PictureStore
from explorer.decompose import SparseCode, sparse_codes
from explorer.describe.agreement import agreement, text_sums
from explorer.describe.atlas import lay_out
from explorer.describe.dictionary import TextDictionary, build_index, save_index
from explorer.describe.directions import LayerDirections
from explorer.describe.polysemy import (
    concept_clusters,
    image_clusters,
    label_diversity,
    polysemy_score,
    related_cosine,
)

NEIGHBOURS = 12
LEADING = 6  # concepts named in the neuron table
TINY = 1e-12


def write_texts(out: Path, dictionary: TextDictionary, table: pd.DataFrame) -> None:
    """Write the texts, their embeddings and the search index."""
    table[["text", "source"]].to_parquet(out / "texts.parquet", index=False)
    np.save(out / "text_embeddings.npy", dictionary.embeddings)
    np.save(out / "text_mean.npy", dictionary.mean.astype(np.float32))
    save_index(build_index(np.asarray(dictionary.embeddings)), out / "texts.faiss")


def describe_directions(
    out: Path,
    found: dict[int, LayerDirections],
    dictionary: TextDictionary,
    store: PictureStore,
    nonzero: int,
    say: Callable[[str], None],
) -> None:
    """Write every per-neuron array and ``neurons.parquet`` for the layers in ``found``."""
    layers = sorted(found)
    directions = np.concatenate([found[n].directions for n in layers]).astype(np.float32)
    atoms = dictionary.atoms()
    m = min(nonzero, *atoms.shape)
    code = sparse_codes(directions, atoms, m, progress=_every(say, "sparse sets", len(directions)))
    _write_layers(out, found, layers)
    neighbours, cosines = nearest(directions, min(NEIGHBOURS, len(directions) - 1))
    np.save(out / "directions.npy", directions.astype(np.float16))
    say("describing: atlas")
    np.save(out / "atlas.npy", lay_out(directions))
    np.save(out / "concept_ids.npy", code.ids.astype(np.int32))
    np.save(out / "concept_weights.npy", code.weights.astype(np.float16))
    np.save(out / "concept_cosines.npy", code.cosines.astype(np.float16))
    np.save(out / "neighbours.npy", neighbours.astype(np.int32))
    np.save(out / "neighbour_cosines.npy", cosines.astype(np.float16))
    meaning = _meanings(out, code, atoms, store, say)
    np.save(out / "concept_clusters.npy", meaning.concept_labels)
    np.save(out / "top_clusters.npy", meaning.image_labels)
    table = _neuron_table(found, layers).assign(**meaning.columns)
    table["reconstruction"] = code.cosines[:, -1].astype(np.float32)
    table["concepts"] = [_leading(code, row, dictionary.texts) for row in range(len(table))]
    table.to_parquet(out / "neurons.parquet", index=False)


def nearest(directions: np.ndarray, count: int, chunk: int = 1024) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows, cosines) [neuron, count] of the nearest other directions, nearest first.

    directions: [neuron, embed] unit or zero rows; a zero row has neighbours -1 and is nobody's.
    """
    unit = torch.from_numpy(np.ascontiguousarray(directions, np.float32))
    dead = unit.norm(dim=1) < 0.5
    rows, cosines = [], []
    for start in range(0, len(unit), chunk):
        products = unit[start : start + chunk] @ unit.T
        products[:, dead] = -2
        own = torch.arange(start, start + len(products))
        products[torch.arange(len(products)), own] = -3
        best = products.topk(count, dim=1)
        lost = dead[own][:, None] | (best.values < -1.5)
        rows.append(best.indices.masked_fill(lost, -1))
        cosines.append(best.values.masked_fill(lost, 0))
    return torch.cat(rows).numpy(), torch.cat(cosines).numpy()


@dataclass
class Meanings:
    """Clusters and scores of every neuron."""

    concept_labels: np.ndarray  # [neuron, m] int8
    image_labels: np.ndarray  # [neuron, end, image] int8
    columns: dict[str, np.ndarray]


def _meanings(
    out: Path, code: SparseCode, atoms: np.ndarray, store: PictureStore, say: Callable[[str], None]
) -> Meanings:
    """Cluster every neuron's concepts and top images."""
    images = np.load(out / "image_embeddings.npy").astype(np.float32)
    images -= images.mean(0)
    top = np.load(out / "top_images.npy")
    effects = np.load(out / "top_effects.npy")
    labels = store.table["label"].to_numpy()
    related_texts, related_images = related_cosine(atoms), related_cosine(images)
    neurons = len(code.ids)
    concept_labels = np.full(code.ids.shape, -1, np.int8)
    image_labels = np.full(top.shape, -1, np.int8)
    names = ("polysemy", "concept_polysemy", "image_polysemy", "label_diversity")
    columns = {name: np.zeros(neurons, np.float32) for name in names}
    columns["clusters"] = np.zeros(neurons, np.int16)
    notify = _every(say, "meanings", neurons)
    for neuron in range(neurons):
        there = code.ids[neuron] >= 0
        shown = top[neuron] >= 0
        if there.any() and shown.any():
            concepts = concept_clusters(
                atoms[code.ids[neuron][there]], code.weights[neuron][there], related_texts
            )
            pictures = image_clusters(
                images[top[neuron][shown]], effects[neuron][shown], related_images
            )
            concept_labels[neuron, there] = concepts.labels
            image_labels[neuron, shown] = pictures.labels
            columns["polysemy"][neuron] = polysemy_score(concepts, pictures)
            columns["concept_polysemy"][neuron] = concepts.score
            columns["image_polysemy"][neuron] = pictures.score
            columns["clusters"][neuron] = int((concepts.masses > 0.05).sum())
        positive = top[neuron, 0][shown[0]]
        diversity = label_diversity([str(labels[i]) for i in positive])
        columns["label_diversity"][neuron] = np.nan_to_num(diversity)
        if neuron % 1024 == 1023:
            notify(neuron + 1)
    say("meanings: agreement of texts and pictures")
    stored = code.weights.astype(np.float16)
    sums = text_sums(code.ids, stored, atoms, LEADING)
    columns["agreement"] = agreement(sums, images, top, effects)
    return Meanings(concept_labels, image_labels, columns)


def _write_layers(out: Path, found: dict[int, LayerDirections], layers: list[int]) -> None:
    def stacked(name: str) -> np.ndarray:
        return np.concatenate(_each(found, name))

    np.save(out / "top_images.npy", stacked("top_ids").astype(np.int32))
    np.save(out / "top_effects.npy", stacked("top_effects").astype(np.float32))
    np.save(out / "norm_histogram.npy", stacked("norm_histogram").astype(np.int32))
    np.save(out / "norm_edges.npy", found[layers[0]].norm_edges.astype(np.float32))
    widest = max(found[n].path_shares.shape[1] for n in layers)
    shares = [np.pad(s, ((0, 0), (widest - s.shape[1], 0))) for s in _each(found, "path_shares")]
    np.save(out / "path_shares.npy", np.concatenate(shares).astype(np.float16))


def _each(found: dict[int, LayerDirections], name: str) -> list[np.ndarray]:
    return [getattr(found[n], name) for n in sorted(found)]


def _neuron_table(found: dict[int, LayerDirections], layers: list[int]) -> pd.DataFrame:
    parts = []
    for number in layers:
        layer = found[number]
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


def _leading(code: SparseCode, row: int, texts: list[str]) -> str:
    """Return the heaviest concepts that a neuron points to; if none, those it points away from."""
    weights, ids = code.weights[row], code.ids[row]
    held = [i for i in np.argsort(-np.abs(weights), kind="stable") if ids[i] >= 0]
    towards = [texts[ids[i]] for i in held if weights[i] > 0]
    away = [f"−{texts[ids[i]]}" for i in held if weights[i] < 0]
    return ", ".join((towards or away)[:LEADING])


def _every(say: Callable[[str], None], what: str, total: int) -> Callable[[int], None]:
    def notify(done: int) -> None:
        say(f"{what}: {done:,} of {total:,} neurons")

    return notify

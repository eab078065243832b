"""The one pass over the images: statistics of all layers, saved now and then.

Every image goes through the lens once, in a seeded random order. Layers keep running statistics in
path coordinates (`explorer.describe.directions`), so memory does not grow with the images. They
stay on the device that holds the model; the CPU gets them when a state is saved and at the end. A
saved state holds whole batches only: a build that was stopped ends with the same arrays. An engine
(`explorer.build.engine`) says where the work is done.

Axes: image, path, neuron, embed.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from explorer.build.corpus import Corpus
from explorer.build.engine import Engine
from explorer.build.gathering import Gathering, PassResult, states
from explorer.build.memory import grouped
from explorer.build.settings import BuildSettings
from explorer.describe.directions import LayerDirections
from explorer.describe.pairs import LayerPairs
from explorer.lens.shapes import model_shape
from explorer.resumable import Arrays, Say, load_arrays, save_arrays, save_text

PASSES = "passes.json"
"""File of a build's working folder: the layers of each pass, written as the first one begins."""


def run_pass(
    corpus: Corpus, settings: BuildSettings, work: Path, say: Say, engine: Engine
) -> PassResult:
    """Stream every image through the lens, on from the state saved in `work` if there is one.

    Where the statistics of all layers do not fit into memory, groups of layers have passes of their
    own (`explorer.build.memory`).

    Raises:
        InputError: when the saved state is damaged, or a layer fits in no pass.
        Interrupted: after Ctrl-C, with the state saved.
    """
    groups = _groups(corpus, settings, work, engine)
    if len(groups) == 1:
        return _one_pass(corpus, settings, work, say, engine)
    parts = []
    for place, layers in enumerate(groups):
        say(f"pass {place + 1} of {len(groups)}: layers {', '.join(map(str, layers))}")
        folder = work / f"group-{place:02d}"
        folder.mkdir(exist_ok=True)
        if (part := _load_result(folder, layers)) is None:
            part = _one_pass(replace(corpus, layers=layers), settings, folder, say, engine)
            _save_result(folder, part)
            for state in states(folder):
                shutil.rmtree(state)
            for file in folder.glob("paths_*.npy"):
                file.unlink()
        parts.append(part)
    return PassResult(
        {number: layer for part in parts for number, layer in part.directions.items()},
        {number: layer for part in parts for number, layer in part.half_directions.items()},
        parts[0].image_embeddings,
        parts[0].mean_representation,
        {number: layer for part in parts for number, layer in part.pairs.items()},
    )


def _groups(corpus: Corpus, settings: BuildSettings, work: Path, engine: Engine) -> list[list[int]]:
    """Return the layers of each pass; a resumed build keeps to those that it began with."""
    record = work / PASSES
    if record.is_file():
        found: list[list[int]] = json.loads(record.read_text("utf-8"))
        return found
    shape = model_shape(corpus.loaded.model)
    weights = shape.parameters * corpus.loaded.dtype.itemsize
    room = engine.room(settings, weights)
    groups = grouped(shape, corpus.layers, settings, corpus.images, room)
    save_text(record, json.dumps(groups))
    return groups


def _one_pass(
    corpus: Corpus, settings: BuildSettings, work: Path, say: Say, engine: Engine
) -> PassResult:
    gather = Gathering(corpus, settings, work)
    order = np.random.default_rng(settings.seed).permutation(corpus.images).astype(np.int64)
    gather.load(work)
    engine.fill(gather, corpus, order, settings, work, say)
    return gather.finish(corpus.halves)


def _save_result(folder: Path, part: PassResult) -> None:
    for number, layer in part.directions.items():
        save_arrays(folder / f"layer_{number:02d}.npz", dict(vars(layer)))
        save_arrays(folder / f"pairs_{number:02d}.npz", dict(vars(part.pairs[number])))
        save_arrays(folder / f"halves_{number:02d}.npz", {"halves": part.half_directions[number]})
    images: Arrays = {"embeddings": part.image_embeddings, "mean": part.mean_representation}
    save_arrays(folder / "images.npz", images)  # the last file: then the part is complete


def _load_result(folder: Path, layers: list[int]) -> PassResult | None:
    """Return the result of a pass that is over; None where it is not."""
    if not (folder / "images.npz").is_file():
        return None

    def arrays(name: str) -> dict[int, Arrays]:
        return {number: load_arrays(folder / f"{name}_{number:02d}.npz") for number in layers}

    images = load_arrays(folder / "images.npz")
    return PassResult(
        {number: LayerDirections(**found) for number, found in arrays("layer").items()},
        {number: found["halves"] for number, found in arrays("halves").items()},
        images["embeddings"],
        images["mean"],
        {number: LayerPairs(**found) for number, found in arrays("pairs").items()},
    )

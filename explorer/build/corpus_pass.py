"""The one pass over the images: statistics of all layers, saved now and then.

Every image goes through the lens once, in a seeded random order. Layers keep running statistics in
path coordinates (`explorer.describe.directions`), so memory does not grow with the images. They
stay on the device that holds the model; the CPU gets them when a state is saved and at the end. A
saved state holds whole batches only: a build that was stopped ends with the same arrays.

Axes: image, path, neuron, embed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explorer.build.corpus import Corpus
from explorer.build.memory import grouped, room_for, statistics_settings
from explorer.build.pair_pass import PairsOfLayers
from explorer.build.settings import BuildSettings
from explorer.build.stored_paths import StoredPathsLens, lens_for
from explorer.describe.directions import LayerDirections, LayerStatistics
from explorer.describe.pairs import LayerPairs
from explorer.errors import InputError
from explorer.lens import LensOutput
from explorer.lens.shapes import model_shape
from explorer.resumable import Arrays, Say, load_arrays, run_batches, save_arrays, save_text

NAME = "pass"


@dataclass(frozen=True, eq=False)
class PassResult:
    """What the pass over the images gives."""

    directions: Mapping[int, LayerDirections]
    half_directions: Mapping[int, NDArray[np.float32]]
    """Layer -> [half, neuron, embed]: each half's own directions."""
    image_embeddings: NDArray[np.float16]
    """[image, embed], unit norm."""
    mean_representation: NDArray[np.float32]
    """[embed]."""
    pairs: Mapping[int, LayerPairs]


def run_pass(corpus: Corpus, settings: BuildSettings, work: Path, say: Say) -> PassResult:
    """Stream every image through the lens, on from the state saved in `work` if there is one.

    Where the statistics of all layers do not fit into memory, groups of layers have passes of their
    own (`explorer.build.memory`).

    Raises:
        InputError: when the saved state is damaged, or a layer fits in no pass.
        Interrupted: after Ctrl-C, with the state saved.
    """
    groups = _groups(corpus, settings, work)
    if len(groups) == 1:
        return _one_pass(corpus, settings, work, say)
    parts = []
    for place, layers in enumerate(groups):
        say(f"pass {place + 1} of {len(groups)}: layers {', '.join(map(str, layers))}")
        folder = work / f"group-{place:02d}"
        folder.mkdir(exist_ok=True)
        if (part := _load_result(folder, layers)) is None:
            part = _one_pass(replace(corpus, layers=layers), settings, folder, say)
            _save_result(folder, part)
            for state in _states(folder):
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


def _groups(corpus: Corpus, settings: BuildSettings, work: Path) -> list[list[int]]:
    """Return the layers of each pass; a resumed build keeps to those that it began with."""
    record = work / "passes.json"
    if record.is_file():
        found: list[list[int]] = json.loads(record.read_text("utf-8"))
        return found
    shape = model_shape(corpus.loaded.model)
    groups = grouped(shape, corpus.layers, settings, corpus.images, room_for(settings))
    save_text(record, json.dumps(groups))
    return groups


def _one_pass(corpus: Corpus, settings: BuildSettings, work: Path, say: Say) -> PassResult:
    gather = Gathering(corpus, settings, work)
    order = np.random.default_rng(settings.seed).permutation(corpus.images).astype(np.int64)
    gather.load(work)
    stream(corpus, gather, order, settings, lambda done: gather.save(work), say)
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


def stream(
    corpus: Corpus,
    gather: Gathering,
    order: NDArray[np.int64],
    settings: BuildSettings,
    save: Callable[[int], object],
    say: Say,
) -> None:
    """Gather the images of `order` [image] from where `gather` is; `save` is called now and then.

    Raises:
        Interrupted: after Ctrl-C, with the state saved.
    """
    starts = range(gather.done, len(order), settings.batch_size)
    numbers = [order[start : start + settings.batch_size] for start in starts]
    with corpus.batches(numbers, settings.workers) as seen:
        run_batches(
            NAME,
            len(order),
            settings.batch_size,
            lambda places: gather.lens.run(corpus.viewer.tensor(next(seen))),
            lambda places, output: gather.take(order[places.start : places.stop], output),
            save,
            say,
            done=gather.done,
            unit="images",
            save_seconds=60 * settings.save_minutes,
        )


class Gathering:
    """The statistics of all layers, with save and load."""

    def __init__(self, corpus: Corpus, settings: BuildSettings, folder: Path | None = None) -> None:
        """Start empty; what is large and seldom read is kept in `folder`."""
        self.lens = lens_for(corpus.loaded.model, corpus.layers, folder)
        self.images, self.done = corpus.images, 0
        self.embeddings = np.zeros((corpus.images, corpus.loaded.embed), np.float16)
        self.total = np.zeros(corpus.loaded.embed)
        wanted = statistics_settings(settings, corpus.images)
        self.layers = {n: LayerStatistics(self.lens.paths[n], wanted) for n in corpus.layers}
        self.pairs = PairsOfLayers(self.lens)
        if isinstance(self.lens, StoredPathsLens):
            self.lens.forget()
        self._warm_up = min(settings.warm_up, corpus.images)
        self._held: list[tuple[Tensor, dict[int, Tensor]]] = []
        self._warm = False

    def take(self, numbers: NDArray[np.int64], output: LensOutput) -> None:
        """Take what the lens gave of one batch; numbers: [image], whose they are."""
        representation = output.representation.cpu().double().numpy()
        norms = np.linalg.norm(representation, axis=1, keepdims=True)
        self.embeddings[numbers] = representation / np.maximum(norms, 1e-12)
        self.total += representation.sum(0)
        self._held.append((torch.from_numpy(numbers), dict(output.coefficients)))
        self.done += len(numbers)
        held = sum(len(part) for part, _ in self._held)
        if self._warm or held >= self._warm_up:
            self._flush()

    def _flush(self) -> None:
        for number, statistics in self.layers.items():
            if not self._warm:
                statistics.warm_up(torch.cat([c[number] for _, c in self._held]))
            for numbers, coefficients in self._held:
                statistics.update(numbers, coefficients[number])
        for numbers, by_layer in self._held:
            self.pairs.take(numbers.numpy(), by_layer)
        self._warm = True
        self._held = []

    def save(self, work: Path) -> None:
        """Write the state; before the warm-up is over there is nothing worth keeping.

        One folder per state, which gets its name when complete; then older ones go.
        """
        place = work / f"{NAME}-{self.done:09d}"
        if not self._warm or place.is_dir():
            return
        unfinished = work / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        save_arrays(unfinished / "images.npz", {"embeddings": self.embeddings, "total": self.total})
        for number, statistics in self.layers.items():
            save_arrays(unfinished / f"layer_{number:02d}.npz", statistics.state(copies=False))
        save_arrays(unfinished / "pairs.npz", self.pairs.state())
        older = _states(work)
        unfinished.replace(place)
        for folder in older:
            shutil.rmtree(folder)

    def load(self, work: Path) -> None:
        """Go on from the latest saved state if there is one.

        Raises:
            InputError: when it is damaged.
        """
        if not (states := _states(work)):
            return
        state = states[-1]
        try:
            images = load_arrays(state / "images.npz")
            self.embeddings, self.total = images["embeddings"], images["total"]
            for number, statistics in self.layers.items():
                statistics.restore(load_arrays(state / f"layer_{number:02d}.npz"))
            self.pairs.restore(load_arrays(state / "pairs.npz"))
        except (InputError, KeyError, ValueError) as error:
            raise InputError(
                f"The saved state {state} is damaged ({error}); remove that folder and run the "
                "same command again."
            ) from error
        self.done = int(state.name.removeprefix(f"{NAME}-"))
        self._warm = True

    def finish(self, halves: NDArray[np.int8]) -> PassResult:
        """Return directions, of all images and of either half, and means."""
        directions = {number: statistics.finish() for number, statistics in self.layers.items()}
        own = {number: layer.half_directions(halves) for number, layer in self.layers.items()}
        mean = (self.total / self.images).astype(np.float32)
        return PassResult(directions, own, self.embeddings, mean, self.pairs.finish())


def _states(work: Path) -> list[Path]:
    """Return the complete saved states, the latest last."""
    return sorted(work.glob(f"{NAME}-*"))

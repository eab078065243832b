"""The one pass over the images: statistics of all layers, saved now and then.

Every image goes through the lens once, in a seeded random order. Layers keep running statistics in
path coordinates (`explorer.describe.directions`), so memory does not grow with the images. A saved
state holds whole batches only: a build that was stopped ends with the same arrays.

Axes: image, path, neuron, embed.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explorer.build.corpus import Corpus
from explorer.build.pair_pass import PairsOfLayers
from explorer.build.settings import BuildSettings
from explorer.describe.directions import LayerDirections, LayerStatistics, StatisticsSettings
from explorer.describe.pairs import LayerPairs
from explorer.errors import InputError
from explorer.lens import LensOutput, MultiLayerLens
from explorer.resumable import Say, load_arrays, run_batches, save_arrays

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

    Raises:
        InputError: when the saved state is damaged.
        Interrupted: after Ctrl-C, with the state saved.
    """
    images = corpus.images
    gather = Gathering(corpus, settings)
    order = np.random.default_rng(settings.seed).permutation(images).astype(np.int64)
    gather.load(work)
    run_batches(
        NAME,
        images,
        settings.batch_size,
        lambda places: gather.lens.run(corpus.pixels(order[places.start : places.stop])),
        lambda places, output: gather.take(order[places.start : places.stop], output),
        lambda done: gather.save(work),
        say,
        done=gather.done,
        unit="images",
        save_seconds=60 * settings.save_minutes,
    )
    return gather.finish(corpus.halves)


class Gathering:
    """The statistics of all layers, with save and load."""

    def __init__(self, corpus: Corpus, settings: BuildSettings) -> None:
        """Start empty."""
        self.lens = MultiLayerLens(corpus.loaded.model, corpus.layers)
        self.images, self.done = corpus.images, 0
        self.embeddings = np.zeros((corpus.images, corpus.loaded.embed), np.float16)
        self.total = np.zeros(corpus.loaded.embed)
        wanted = StatisticsSettings(
            images=corpus.images,
            significant=settings.significant,
            significant_cap=settings.significant_cap,
        )
        self.layers = {n: LayerStatistics(self.lens.paths[n].cpu(), wanted) for n in corpus.layers}
        self.pairs = PairsOfLayers(self.lens)
        self._warm_up = min(settings.warm_up, corpus.images)
        self._held: list[tuple[Tensor, dict[int, Tensor]]] = []
        self._warm = False

    def take(self, numbers: NDArray[np.int64], output: LensOutput) -> None:
        """Take what the lens gave of one batch; numbers: [image], whose they are."""
        representation = output.representation.cpu().double().numpy()
        norms = np.linalg.norm(representation, axis=1, keepdims=True)
        self.embeddings[numbers] = representation / np.maximum(norms, 1e-12)
        self.total += representation.sum(0)
        self._held.append(
            (torch.from_numpy(numbers), {n: c.cpu() for n, c in output.coefficients.items()})
        )
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
            save_arrays(unfinished / f"layer_{number:02d}.npz", statistics.state())
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

"""The stream behind neuron-head pairs: in a build's own pass, or in one for them alone.

A build feeds `PairsOfLayers` from its pass (`explorer.build.corpus_pass`). A finished bundle gets
its pairs by `stream_pairs`, one more pass over its pictures, and nothing else of it changes. Which
pairs matter is known only then; `PairEffects` looks at these on a sample of the pictures: those
that a build sees once more anyway (`sampled`), or those that the other pass kept (`KeptSample`).

Axes: image, path, neuron, pair, sample, embed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explorer.build.corpus import Corpus
from explorer.describe.pairs import LayerPairs, PairStatistics
from explorer.errors import InputError
from explorer.lens import MultiLayerLens
from explorer.resumable import Arrays, Say, load_arrays, run_batches, save_arrays

NAME = "pairs"
STATE = "pass.npz"
Coefficients = Mapping[int, Tensor]
"""Layer -> [image, path, neuron]."""


class PairsOfLayers:
    """The pair statistics of all layers, with their state as one set of arrays."""

    def __init__(self, lens: MultiLayerLens, images: int) -> None:
        """Start empty, for at most so many images."""
        self.layers = {layer: PairStatistics(lens.paths[layer], images) for layer in lens.layers}

    def beginning(self) -> Arrays:
        """Return what pairs of other images need, so that both merge: see `begin`."""
        parts = {layer: statistics.beginning() for layer, statistics in self.layers.items()}
        return _joined(parts)

    def begin(self, beginning: Arrays) -> None:
        """Start anew, with the reference of other pairs of the same layers."""
        for layer, statistics in self.layers.items():
            statistics.begin(_of_layer(beginning, layer))

    def take(self, numbers: NDArray[np.int64], coefficients: Coefficients) -> None:
        """Take in a batch; numbers: [image], whose coefficients they are."""
        for layer, statistics in self.layers.items():
            statistics.update(numbers, coefficients[layer])

    def state(self) -> Arrays:
        """Return everything that `restore` needs."""
        return _joined({layer: statistics.state() for layer, statistics in self.layers.items()})

    def restore(self, state: Arrays) -> None:
        """Go on from a state.

        Raises:
            InputError: when it is of other layers or neurons.
        """
        for layer, statistics in self.layers.items():
            statistics.restore(_of_layer(state, layer))

    def absorb(self, state: Arrays) -> None:
        """Take in the state of pairs of other images.

        Raises:
            InputError: when it is of other layers or neurons, or began otherwise.
        """
        for layer, statistics in self.layers.items():
            statistics.absorb(_of_layer(state, layer))

    @property
    def seen(self) -> int:
        """How many images it has taken in."""
        return next(iter(self.layers.values())).seen

    def finish(self) -> dict[int, LayerPairs]:
        """Return the pairs of each layer."""
        return {layer: statistics.finish() for layer, statistics in self.layers.items()}


def _joined(layers: Mapping[int, Arrays]) -> Arrays:
    """Return the arrays of all layers as one set."""
    return {f"{layer}/{name}": own[name] for layer, own in layers.items() for name in own}


def _of_layer(state: Arrays, layer: int) -> Arrays:
    """Return one layer's arrays of such a set.

    Raises:
        InputError: when there are none.
    """
    marker = f"{layer}/"
    own = {k.removeprefix(marker): v for k, v in state.items() if k.startswith(marker)}
    if not own:
        raise InputError(f"The saved pairs lack layer {layer}: start anew.")
    return own


class KeptSample:
    """The coefficients of the first images of a pass, on disk, in half precision."""

    def __init__(self, folder: Path, lens: MultiLayerLens, images: int) -> None:
        """Open the files in `folder`, or make them, for so many images."""
        self.images, self._layers = images, {}
        for layer in lens.layers:
            neurons, paths = lens.paths[layer].shape[:2]
            file, shape = folder / f"sample_{layer:02d}.npy", (images, paths, neurons)
            if file.is_file():
                self._layers[layer] = np.load(file, mmap_mode="r+")
            else:
                self._layers[layer] = np.lib.format.open_memmap(file, "w+", np.float16, shape)

    def take(self, first: int, coefficients: Coefficients) -> None:
        """Keep what belongs to the sample of a batch whose first image has that place."""
        for layer, kept in self._layers.items():
            rows = coefficients[layer][: max(0, self.images - first)].float().cpu().numpy()
            kept[first : first + len(rows)] = rows

    def batches(self, images: int, size: int) -> Iterator[Coefficients]:
        """Yield the coefficients of the first `images`, batch by batch."""
        for start in range(0, images, size):
            stop = min(start + size, images)
            yield {
                layer: torch.from_numpy(kept[start:stop].astype(np.float32))
                for layer, kept in self._layers.items()
            }


def stream_pairs(
    corpus: Corpus,
    lens: MultiLayerLens,
    images: NDArray[np.int64],
    sample: KeptSample,
    batch_size: int,
    work: Path,
    say: Say,
) -> PairsOfLayers:
    """Return the statistics of pairs from one pass over some images; the state is kept in `work`.

    `images` [image] are their numbers, in the order of the pass; the first ones are the sample.

    Raises:
        InputError: when the saved state is damaged.
        Interrupted: after Ctrl-C, with the state saved.
    """
    found, done, file = PairsOfLayers(lens, corpus.images), 0, work / STATE
    if file.is_file():
        state = load_arrays(file)
        done = int(state.pop("done"))
        found.restore(state)

    def take(places: range, batch: Coefficients) -> None:
        found.take(images[places.start : places.stop], batch)
        sample.take(places.start, batch)

    run_batches(
        NAME,
        len(images),
        batch_size,
        lambda places: lens.run(corpus.pixels(images[places.start : places.stop])).coefficients,
        take,
        lambda done: save_arrays(file, {**found.state(), "done": np.array(done)}),
        say,
        done=done,
        unit="images",
    )
    return found


class PairEffects:
    """The effects of the pairs that matter on a sample of images, as they come by."""

    def __init__(self, found: Mapping[int, LayerPairs]) -> None:
        """Keep which pairs matter."""
        self.found = found
        self._parts: dict[int, list[NDArray[np.float32]]] = {layer: [] for layer in found}

    def watched(self, batches: Iterable[Coefficients]) -> Iterator[Coefficients]:
        """Yield batches as they are, after a look at each."""
        for batch in batches:
            for layer, pairs in self.found.items():
                self._parts[layer].append(_effects(pairs, batch[layer].float().cpu()))
            yield batch

    def of_layer(self, layer: int) -> NDArray[np.float32]:
        """Return centred effects along the pairs' directions: [neuron, pair, sample] float32.

        0 where a neuron has no further pair.
        """
        return np.concatenate(self._parts[layer], axis=2)


def _effects(pairs: LayerPairs, coefficients: Tensor) -> NDArray[np.float32]:
    there, places = pairs.kept >= 0, np.maximum(pairs.kept, 0).astype(np.int64)
    by_neuron = coefficients.permute(2, 1, 0).numpy()  # [neuron, path, image]
    moved = np.take_along_axis(by_neuron, places[..., None], axis=1)
    moved = moved - np.take_along_axis(pairs.means, places, axis=1)[..., None]
    sizes = np.take_along_axis(pairs.sizes, places, axis=1) * there
    effects: NDArray[np.float32] = moved * sizes[..., None]
    return effects


def sampled(
    corpus: Corpus, lens: MultiLayerLens, images: NDArray[np.integer], batch_size: int
) -> Iterator[Coefficients]:
    """Yield the coefficients of some images, batch by batch."""
    for start in range(0, len(images), batch_size):
        yield lens.run(corpus.pixels(images[start : start + batch_size])).coefficients

"""The stream behind neuron-head pairs: in a build's own pass, or in one for them alone.

A build feeds `PairsOfLayers` from its pass (`explorer.build.corpus_pass`). A finished bundle gets
its pairs by `stream_pairs`, one more pass over its pictures, and nothing else of it changes. Either
way `watched` then looks at the effects of the pairs that matter on a sample of the pictures.

Axes: image, path, neuron, pair, sample, embed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
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

    def __init__(self, lens: MultiLayerLens) -> None:
        """Start empty."""
        self.layers = {layer: PairStatistics(lens.paths[layer]) for layer in lens.layers}

    def take(self, numbers: NDArray[np.int64], coefficients: Coefficients) -> None:
        """Take in a batch; numbers: [image], whose coefficients they are."""
        for layer, statistics in self.layers.items():
            statistics.update(numbers, coefficients[layer])

    def state(self) -> Arrays:
        """Return everything that `restore` needs."""
        return {
            f"{layer}/{name}": values
            for layer, statistics in self.layers.items()
            for name, values in statistics.state().items()
        }

    def restore(self, state: Arrays) -> None:
        """Go on from a state.

        Raises:
            InputError: when it is of other layers or neurons.
        """
        for layer, statistics in self.layers.items():
            marker = f"{layer}/"
            own = {k.removeprefix(marker): v for k, v in state.items() if k.startswith(marker)}
            if not own:
                raise InputError(f"The saved pairs lack layer {layer}: start anew.")
            statistics.restore(own)

    def finish(self) -> dict[int, LayerPairs]:
        """Return the pairs of each layer."""
        return {layer: statistics.finish() for layer, statistics in self.layers.items()}


def stream_pairs(
    corpus: Corpus,
    lens: MultiLayerLens,
    images: NDArray[np.int64],
    batch_size: int,
    work: Path,
    say: Say,
) -> dict[int, LayerPairs]:
    """Return the pairs of each layer from one pass over some images; its state is kept in `work`.

    `images` [image] are their numbers, in the order of the pass.

    Raises:
        InputError: when the saved state is damaged.
        Interrupted: after Ctrl-C, with the state saved.
    """
    found, done, file = PairsOfLayers(lens), 0, work / STATE
    if file.is_file():
        state = load_arrays(file)
        done = int(state.pop("done"))
        found.restore(state)
    run_batches(
        NAME,
        len(images),
        batch_size,
        lambda places: lens.run(corpus.pixels(images[places.start : places.stop])).coefficients,
        lambda places, batch: found.take(images[places.start : places.stop], batch),
        lambda done: save_arrays(file, {**found.state(), "done": np.array(done)}),
        say,
        done=done,
        unit="images",
    )
    return found.finish()


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

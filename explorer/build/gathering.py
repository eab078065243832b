"""The statistics of a pass over images: all layers', pairs', and the images' embeddings.

A `Gathering` sees images one after the other and keeps its state on disk. Several may share a pass:
parts of the images, in whole blocks and with one warm-up, merge to the bit of one stream
(`begin`, `absorb`).

Axes: image, path, neuron, embed; `place` counts images in the order in which they came.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explorer.build.corpus import Corpus
from explorer.build.memory import statistics_settings
from explorer.build.pair_pass import PairsOfLayers
from explorer.build.settings import BuildSettings
from explorer.build.stored_paths import StoredPathsLens, lens_for
from explorer.describe.directions import LayerDirections, LayerStatistics
from explorer.describe.exact import ExactSum
from explorer.describe.pairs import LayerPairs
from explorer.errors import InputError
from explorer.lens import LensOutput
from explorer.resumable import Arrays, Say, load_arrays, run_batches, save_arrays

NAME = "pass"
IMAGES, PAIRS = "images", "pairs"

State = Iterable[tuple[str, Arrays]]
"""Name of a part of the statistics and its arrays."""


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


class Gathering:
    """The statistics of all layers, with save and load."""

    def __init__(
        self,
        corpus: Corpus,
        settings: BuildSettings,
        folder: Path | None = None,
        places: int | None = None,
    ) -> None:
        """Start empty, with room for so many `places`, by default for every image.

        What is large and seldom read is kept in `folder`.
        """
        self.lens = lens_for(corpus.loaded.model, corpus.layers, folder)
        self.images, self.done = corpus.images, 0
        places = corpus.images if places is None else places
        self.numbers = np.zeros(places, np.int64)
        """[place]: number of each image that came."""
        self.embeddings = np.zeros((places, corpus.loaded.embed), np.float16)
        """[place, embed]."""
        self._total = ExactSum((corpus.loaded.embed,), torch.device("cpu"))
        wanted = statistics_settings(settings, corpus.images)
        self.layers = {n: LayerStatistics(self.lens.paths[n], wanted) for n in corpus.layers}
        self.pairs = PairsOfLayers(self.lens, corpus.images)
        if isinstance(self.lens, StoredPathsLens):
            self.lens.forget()
        self.warm_up = min(settings.warm_up, corpus.images)
        self._held: list[tuple[Tensor, dict[int, Tensor]]] = []
        self._warm = False

    def take(self, numbers: NDArray[np.int64], output: LensOutput) -> None:
        """Take what the lens gave of one batch; numbers: [image], whose they are."""
        representation = output.representation.cpu().double()
        norms = representation.norm(dim=1, keepdim=True).clamp(min=1e-12)
        self._put(numbers, (representation / norms).numpy())
        self._total.add(representation.sum(0))
        self._held.append((torch.from_numpy(numbers), dict(output.coefficients)))
        held = sum(len(part) for part, _ in self._held)
        if self._warm or held >= self.warm_up:
            self._flush()

    def _put(self, numbers: NDArray[np.int64], embeddings: NDArray[np.floating]) -> None:
        places = slice(self.done, self.done + len(numbers))
        self.numbers[places], self.embeddings[places] = numbers, embeddings
        self.done = places.stop

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

    def beginning(self) -> dict[str, Arrays]:
        """Return what a gathering of other images needs, so that both merge: see `begin`.

        Raises:
            InputError: before the warm-up is over.
        """
        layers = {_layer(number): layer.beginning() for number, layer in self.layers.items()}
        return {**layers, PAIRS: self.pairs.beginning()}

    def begin(self, beginning: Mapping[str, Arrays]) -> None:
        """Start anew, with the warm-up of another gathering of the same model and settings.

        Raises:
            InputError: when it is of other layers or neurons.
        """
        for number, layer in self.layers.items():
            layer.begin(beginning[_layer(number)])
        self.pairs.begin(beginning[PAIRS])
        self._total.digits.zero_()
        self.done, self._warm, self._held = 0, True, []

    def close(self) -> None:
        """Handle the images that wait, as a block of their own; then `absorb` takes the state."""
        for layer in self.layers.values():
            layer.close()

    def state(self) -> State:
        """Yield everything that `restore` and `absorb` need, a part at a time.

        The arrays change with the next image.
        """
        yield (
            IMAGES,
            {
                "numbers": self.numbers[: self.done],
                "embeddings": self.embeddings[: self.done],
                "total": self._total.digits.numpy(),
            },
        )
        for number, statistics in self.layers.items():
            yield _layer(number), statistics.state(copies=False)
        yield PAIRS, self.pairs.state()

    def absorb(self, read: Callable[[str], Arrays]) -> None:
        """Take in the state of a gathering of other images, which `read` gives by name.

        Exact: the result is to the bit that of one stream of the same blocks and batches.

        Raises:
            InputError: when it does not fit, or began otherwise.
        """
        images = read(IMAGES)
        for number, statistics in self.layers.items():
            statistics.absorb(read(_layer(number)))
        self.pairs.absorb(read(PAIRS))
        self._put(images["numbers"], images["embeddings"])
        self._total.digits += torch.from_numpy(images["total"])

    def save(self, work: Path) -> None:
        """Write the state; before the warm-up is over there is nothing worth keeping.

        One folder per state, which gets its name when complete; then older ones go.
        """
        place = work / f"{NAME}-{self.done:09d}"
        if not self._warm or place.is_dir():
            return
        older = states(work)
        save_state(place, self.state())
        for folder in older:
            shutil.rmtree(folder)

    def load(self, work: Path) -> None:
        """Go on from the latest saved state if there is one.

        Raises:
            InputError: when it is damaged.
        """
        if not (found := states(work)):
            return
        state = found[-1]
        read = reader(state)
        try:
            images = read(IMAGES)
            self._put(images["numbers"], images["embeddings"])
            self._total.digits.copy_(torch.from_numpy(images["total"]))
            for number, statistics in self.layers.items():
                statistics.restore(read(_layer(number)))
            self.pairs.restore(read(PAIRS))
        except (InputError, KeyError, ValueError, RuntimeError) as error:
            raise InputError(
                f"The saved state {state} is damaged ({error}); remove that folder and run the "
                "same command again."
            ) from error
        self._warm = True

    def finish(self, halves: NDArray[np.int8]) -> PassResult:
        """Return directions, of all images and of either half, and means."""
        directions = {number: statistics.finish() for number, statistics in self.layers.items()}
        own = {number: layer.half_directions(halves) for number, layer in self.layers.items()}
        embeddings = np.zeros((self.images, self.embeddings.shape[1]), np.float16)
        embeddings[self.numbers[: self.done]] = self.embeddings[: self.done]
        mean = (self._total.value() / self.images).float().numpy()
        return PassResult(directions, own, embeddings, mean, self.pairs.finish())


def _layer(number: int) -> str:
    return f"layer_{number:02d}"


def states(work: Path) -> list[Path]:
    """Return the complete saved states, the latest last."""
    return sorted(work.glob(f"{NAME}-*"))


def save_state(place: Path, state: State) -> None:
    """Write a state into a folder, which gets its name when it is complete."""
    unfinished = place.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name, arrays in state:
        save_arrays(unfinished / f"{name}.npz", arrays)
    unfinished.replace(place)


def reader(place: Path) -> Callable[[str], Arrays]:
    """Return a function that reads a part of the state in a folder by its name."""
    return lambda name: load_arrays(place / f"{name}.npz")


def stream(
    corpus: Corpus,
    gather: Gathering,
    order: NDArray[np.int64],
    settings: BuildSettings,
    save: Callable[[int], object],
    say: Say,
    name: str = NAME,
) -> None:
    """Gather the images of `order` [image] from where `gather` is; `save` is called now and then.

    Raises:
        Interrupted: after Ctrl-C, with the state saved.
    """
    with corpus.batches(list(batches_of(order, gather.done, settings)), settings.workers) as seen:
        run_batches(
            name,
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


def batches_of(
    order: NDArray[np.int64], done: int, settings: BuildSettings
) -> Iterator[NDArray[np.int64]]:
    """Yield the numbers of each batch, [image], behind the `done` first places."""
    for start in range(done, len(order), settings.batch_size):
        yield order[start : start + settings.batch_size]

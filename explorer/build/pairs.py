"""Neuron-head pairs of a bundle: written by a build, or added to one that is finished.

Both ways end in `write_pairs`. `add_pairs` streams a finished bundle's pictures once more, and
holds the bundle meanwhile (`explorer.build.lock`). Its files wait in the bundle's working folder
until all are written; then they move beside the others, and the manifest is sealed anew. Until it
is, it lists none of them, and the bundle is the one without pairs; no other file changes. A run
that was stopped or killed goes on with the same command.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.nn import functional

from explorer.build.corpus import Corpus
from explorer.build.lock import held, tidy
from explorer.build.pair_pass import KeptSample, PairEffects, stream_pairs
from explorer.build.sources import BundleSource
from explorer.bundle import WORK, Bundle, seal_files
from explorer.bundle.arrays import PAIR_ARRAYS
from explorer.bundle.writer import ArrayWriter
from explorer.describe.chance import passing
from explorer.describe.pair_words import PairWords, pair_meanings, tell_pairs
from explorer.describe.pairs import LayerPairs
from explorer.describe.pursuits import pursue
from explorer.errors import InputError
from explorer.lens import MultiLayerLens, second_order_paths
from explorer.resumable import Say

SAMPLE = 512
"""Pictures at most on which words of pairs must predict effects; a build takes its own sample."""
STAGED = "pairs"
"""Folder of the working folder, of files that are not yet beside the others."""
PAPER = "omp"
"""The pursuit of bundles that do not say which."""


def add_pairs(path: Path, say: Say, *, pictures: int | None = None, batch_size: int = 32) -> Bundle:
    """Return the bundle at `path` with its pairs; nothing is done where it has them.

    `pictures` bounds the pass to as many of its pictures, a seeded draw, or to as many as a stopped
    run has seen already; by default it is all. The manifest's `settings` say how many it was.

    Raises:
        BundleError: when the bundle cannot be opened.
        InputError: when its model cannot be loaded, `pictures` is too few, or a build or another
            run works in it.
        Interrupted: after Ctrl-C, with the state saved.
    """
    if Bundle.open(path).paired:
        say(f"{path} has its pairs already")
    else:
        with held(path, remedy="wait until it is over"):
            try:
                _add_pairs(path, say, pictures, batch_size)
            finally:
                shutil.rmtree(path / WORK / STAGED, ignore_errors=True)
    tidy(path)  # what a run left that was killed behind its last step
    shutil.rmtree(_state_folder(path), ignore_errors=True)
    return Bundle.open(path)


def _state_folder(path: Path) -> Path:
    """Return where the pass over a bundle's pictures is saved."""
    return path.resolve().with_name(f".{path.resolve().name}.pairs")


def _add_pairs(path: Path, say: Say, pictures: int | None, batch_size: int) -> None:
    """Add the pairs to the bundle at `path`, which is held."""
    bundle = Bundle.open(path)
    if bundle.paired:  # another run has added them meanwhile
        return
    images = bundle.manifest.counts["images"]
    count = images if pictures is None else min(pictures, images)
    if count < 2:
        raise InputError(f"Pairs need two pictures or more and got {count}: give --pictures more.")
    folder = _state_folder(path) / bundle.manifest.identity[:12]
    folder.mkdir(parents=True, exist_ok=True)
    chosen: Mapping[str, Any] = bundle.manifest.settings
    seed = int(chosen.get("seed", 0))
    source = BundleSource(bundle.pictures, bundle.name, bundle=bundle)
    halves = np.zeros(images, np.int8)  # pairs need none
    corpus = Corpus(bundle.model, list(bundle.manifest.layers), source, images, halves)
    lens = MultiLayerLens(corpus.loaded.model, corpus.layers, bundle.manifest.centre)
    order = np.random.default_rng(seed).permutation(images).astype(np.int64)
    sample = KeptSample(folder, lens, min(SAMPLE, images))
    statistics = stream_pairs(corpus, lens, order[:count], sample, batch_size, folder, say)
    found = statistics.finish()
    effects = PairEffects(found)
    kept = min(sample.images, statistics.seen)
    for _ in effects.watched(sample.batches(kept, batch_size)):
        pass
    embeddings = np.asarray(bundle.image_embeddings, np.float32)
    staged = path / WORK / STAGED
    staged.mkdir(exist_ok=True)
    writer = ArrayWriter(staged)
    writer.sizes |= bundle.sizes
    write_pairs(
        writer,
        found,
        effects,
        lens,
        embeddings[order[:kept]] - embeddings.mean(0),
        bundle.dictionary.atoms(),
        str(chosen.get("pursuit", PAPER)),
        seed,
        say,
    )
    files = [array.file() for array in PAIR_ARRAYS.values()]
    for name in files:
        (staged / name).replace(path / name)
    bundle = Bundle.open(path)  # its evidence may have been measured anew meanwhile
    seal_files(bundle, files, pair_pictures=statistics.seen)


def write_pairs(
    writer: ArrayWriter,
    found: Mapping[int, LayerPairs],
    effects: PairEffects,
    lens: MultiLayerLens,
    embeddings: NDArray[np.float32],
    atoms: NDArray[np.float32],
    pursuit: str,
    seed: int,
    say: Say,
) -> None:
    """Write every array of pairs.

    `embeddings` [sample, embed], less their mean, are those of the pictures that `effects` saw.
    """
    layers = [found[layer] for layer in sorted(found)]
    told, meanings = [], []
    for layer, pairs in sorted(found.items()):
        say(f"pairs: words of layer {layer}")
        paths = second_order_paths(lens.model, layer, centre=lens.centre)
        directions = functional.normalize(paths.cpu(), dim=2).numpy()
        seen = effects.of_layer(layer)
        choose = partial(pursue, pursuit)
        told.append(tell_pairs(directions, pairs.kept, seen, embeddings, atoms, choose, seed))
        at = np.maximum(pairs.kept, 0).astype(np.int64)
        scales = np.take_along_axis(pairs.sizes * pairs.deviations, at, axis=1)
        meanings.append(pair_meanings(directions, pairs.kept, scales))
    _write_statistics(writer, layers)
    _write_words(writer, told)
    writer.write("pair_meanings", np.concatenate(meanings))


def _write_statistics(writer: ArrayWriter, layers: Sequence[LayerPairs]) -> None:
    widest = max(layer.shares.shape[1] for layer in layers)

    def padded(name: str) -> NDArray[Any]:
        """Bring a layer's paths to the numbering of the earliest one's."""
        tables = (getattr(layer, name) for layer in layers)
        return np.concatenate([np.pad(t, ((0, 0), (widest - t.shape[1], 0))) for t in tables])

    kept = [
        np.where(layer.kept >= 0, layer.kept + (widest - layer.shares.shape[1]), -1)
        for layer in layers
    ]
    writer.write("pair_shares", padded("shares").astype(np.float16))
    writer.write("pair_sizes", padded("sizes"))
    writer.write("pair_means", padded("means"))
    writer.write("pair_deviations", padded("deviations"))
    writer.write("pair_paths", np.concatenate(kept).astype(np.int16))
    writer.write("pair_held", _stacked(layers, "held").astype(np.float16))
    writer.write("pair_images", _stacked(layers, "images"))
    writer.write("pair_effects", _stacked(layers, "effects").astype(np.float16))


def _write_words(writer: ArrayWriter, told: Sequence[PairWords]) -> None:
    p = np.maximum(_stacked(told, "text_p"), _stacked(told, "prediction_p"))  # NaN where one is
    counts = _stacked(told, "counts")
    passes = passing(p.ravel()).reshape(p.shape) & (counts > 0)
    writer.write("pair_texts", _stacked(told, "ids"))
    writer.write("pair_weights", _stacked(told, "weights").astype(np.float16))
    writer.write("pair_words", np.where(passes, counts, 0).astype(np.int8))
    for name in ("text_p", "prediction", "prediction_p"):
        writer.write(f"pair_{name}", _stacked(told, name))


def _stacked(parts: Sequence[Any], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(part, name) for part in parts])

"""The chance levels of a build: which neurons' words and drivers are more than chance.

1. The corpus falls into halves (`explorer.describe.prediction`); the pass gives each half its own
   directions. A sample of each half's images is looked at once more, along the final directions and
   along those of the *other* half (`look_again`).
2. Per layer, texts that describe the directions are compared with those of null directions, and the
   words of one half predict effects on the other.
3. Over the sample, words of labels and keywords that drive a neuron are compared with those of
   untrained features. Pictures of one drawing, and near-duplicates, count once: copies share their
   words whatever these are.
4. Over all neurons of the bundle, Benjamini & Hochberg's rule decides which pass. Words pass by the
   larger of two p-values: they must fit better than null directions' and predict better than those
   of other neurons.
5. Polysemy is counted among what passes (`explorer.build.polysemy`).

Axes: neuron, sample, half, text, embed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explorer.build.corpus import Corpus
from explorer.build.gathering import PassResult
from explorer.build.holdout import alike_groups, signature
from explorer.build.pair_pass import PairEffects, sampled
from explorer.build.polysemy import added_meanings, driving_meanings, passing_polysemy
from explorer.build.settings import BuildSettings
from explorer.bundle.pictures import PictureStore, picture_words
from explorer.decompose import SparseCode
from explorer.describe.chance import LONGEST, null_directions, passing
from explorer.describe.drivers import SIDE, WordTable, find_drivers
from explorer.describe.prediction import LEAST_UNSEEN
from explorer.describe.pursuits import Choose
from explorer.describe.sample import draw_sample, effects_along_directions
from explorer.describe.words import half_sums, judge_words
from explorer.lens import MultiLayerLens
from explorer.resumable import Say

ICONS = ("colour", "mono")
"""Kinds of pictures that come as one drawing in several styles and colours."""
MEANINGS = ("label", "concept", "keywords")
"""Columns of the picture table whose words are meanings; looks are none."""
NAMED = 6
"""Driving words that the neuron table names."""


@dataclass(frozen=True, eq=False)
class SecondLook:
    """Effects on a sample of the corpus."""

    images: NDArray[np.int32]
    """[sample]: image numbers, rising."""
    halves: NDArray[np.int8]
    """[sample]: the half that each image is in."""
    along: NDArray[np.float32]
    """[neuron, sample]: centred effects along the final directions."""
    across: NDArray[np.float32]
    """[neuron, sample]: centred effects along the directions of the other half."""
    pairs: PairEffects
    """The same of the pairs that matter, along directions that no picture chose."""


def drawings(store: PictureStore, images: NDArray[np.integer[Any]]) -> list[str]:
    """Return what each of some pictures is a drawing of, [image]: the same for those of one.

    Icons of one family of sets with one label are one drawing in several styles; of other pictures
    near-duplicates are.
    """
    table = store.table.iloc[images]
    families = table["source"].fillna("").astype(str).str.split("-").str[0]
    labels = table["label"].fillna("").astype(str)
    found = [
        f"{family}: {label}" if kind in ICONS and label else ""
        for kind, family, label in zip(table["kind"], families, labels, strict=True)
    ]
    others = [place for place, drawing in enumerate(found) if not drawing]
    for place, group in zip(others, _copies(store, images[others]), strict=True):
        found[place] = f"copy of {group}"
    return found


def _copies(store: PictureStore, images: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Return the group of near-duplicates that each picture is in, [image].

    Where most pictures look like one another, such as X-rays, coarse colours tell none apart: then
    only those of exactly the same colours are copies.
    """
    if not len(images):
        return np.zeros(0, np.int64)
    signatures = np.stack([signature(store.image(int(image))) for image in images])
    groups = alike_groups(signatures)
    if np.bincount(groups).max() > len(images) / 2:
        groups = np.unique(signatures, axis=0, return_inverse=True)[1].ravel()
    return groups


def one_of_each(drawings: Sequence[str]) -> NDArray[np.int64]:
    """Return the place of the first picture of every drawing, rising, of `drawings` [image]."""
    return np.sort(np.unique(np.asarray(drawings), return_index=True)[1])


def look_again(corpus: Corpus, found: PassResult, settings: BuildSettings) -> SecondLook:
    """Look once more at a sample of each half and at the sample that every bundle keeps."""
    drawn = [draw_sample(corpus.images, settings.sample, settings.seed)]
    for half in (0, 1):
        members = np.flatnonzero(corpus.halves == half)
        count = max(LEAST_UNSEEN, math.ceil(settings.unseen * corpus.images / 2))
        drawn.append(members[draw_sample(len(members), count, settings.seed)])
    images = np.unique(np.concatenate(drawn)).astype(np.int32)
    directions = {
        layer: np.concatenate([result.directions[None], found.half_directions[layer]])
        for layer, result in found.directions.items()
    }
    means = {layer: result.mean_coefficients for layer, result in found.directions.items()}
    lens = MultiLayerLens(corpus.loaded.model, corpus.layers)
    pairs = PairEffects(found.pairs)
    batches = pairs.watched(sampled(corpus, lens, images, settings.batch_size))
    effects = effects_along_directions(lens, directions, means, batches)
    whole, first, second = np.concatenate([effects[n] for n in corpus.layers], axis=1)
    halves = corpus.halves[images]
    return SecondLook(images, halves, whole, np.where(halves == 1, first, second), pairs)


def measure_chance(
    found: PassResult,
    look: SecondLook,
    code: SparseCode[NDArray[Any]],
    atoms: NDArray[np.float32],
    choose: Choose,
    store: PictureStore,
    settings: BuildSettings,
    say: Say,
) -> dict[str, NDArray[Any]]:
    """Return the columns of the neuron table that say what is more than chance; see the module.

    `code` holds all neurons' texts, which `choose` has chosen, `atoms` [text, embed] the
    dictionary's centred embeddings.
    """
    embeddings = found.image_embeddings[look.images].astype(np.float32)
    embeddings -= found.image_embeddings.mean(0, dtype=np.float32)
    layers = [
        _layer(number, rows, found, look, code, atoms, embeddings, choose, settings, say)
        for number, rows in _rows_of(found)
    ]
    columns = {name: np.concatenate([layer[name] for layer in layers]) for name in layers[0]}
    say("chance: what drives neurons")
    once = one_of_each(drawings(store, look.images))
    images = look.images[once]
    table = WordTable.of(picture_words(store.table.iloc[images], MEANINGS))
    along = look.along[:, once]
    drivers = find_drivers(table, along, thumbnails(store, images), seed=settings.seed)
    columns["driven_p"] = drivers.p
    columns["driven_by"] = np.array([", ".join(w[:NAMED]) for w in drivers.words], object)
    both = np.maximum(columns["text_p"], columns["prediction_p"])  # NaN where one is
    columns["words_pass"] = passing(both) & (columns["words"] > 0)
    columns["driven_pass"] = passing(drivers.p)
    directions = np.concatenate([found.directions[n].directions for n, _ in _rows_of(found)])
    adds = added_meanings(directions, code, atoms, columns["words"], columns["words_pass"])
    driven = driving_meanings(drivers.words, table, embeddings[once], columns["driven_pass"])
    return columns | passing_polysemy(adds, driven)


def _rows_of(found: PassResult) -> Iterator[tuple[int, slice]]:
    start = 0
    for number, layer in sorted(found.directions.items()):
        stop = start + len(layer.directions)
        yield number, slice(start, stop)
        start = stop


def _layer(
    number: int,
    rows: slice,
    found: PassResult,
    look: SecondLook,
    code: SparseCode[NDArray[Any]],
    atoms: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    choose: Choose,
    settings: BuildSettings,
    say: Say,
) -> Mapping[str, NDArray[Any]]:
    say(f"chance: words of layer {number}")
    directions = found.directions[number].directions
    longest = min(LONGEST, code.cosines.shape[1])
    cosines = code.cosines[rows, :longest]
    null = null_directions(directions, settings.nulls, settings.seed)
    null_cosines = choose(null, atoms, longest).cosines
    sums = half_sums(found.half_directions[number], atoms, null_cosines, choose)
    test = judge_words(
        directions, cosines, null_cosines, sums, look.across[rows], look.halves, embeddings
    )
    return {
        "text_p": test.text_p,
        "words": test.words,
        "prediction": test.prediction.correlation,
        "prediction_p": test.prediction.p,
        "precision": test.prediction.precision,
    }


def thumbnails(store: PictureStore, images: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """Return small versions of pictures, [image, row, column, channel] in 0 to 1."""
    box = Image.Resampling.BOX
    pictures = [store.rgb(int(image)).resize((SIDE, SIDE), box) for image in images]
    return np.stack([np.asarray(picture, np.float32) for picture in pictures]) / np.float32(255)

"""The build's tests of words and drivers, for the neurons of any tower on a sample.

Axes: image, neuron, half, text, embed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from explorer.build.chance import MEANINGS, drawings, one_of_each, thumbnails
from explorer.bundle.pictures import picture_words
from explorer.decompose import SparseCode
from explorer.describe.chance import LONGEST, null_directions
from explorer.describe.drivers import Drivers, LookNull, WordTable, drivers_of, look_nulls
from explorer.describe.pursuits import pursue
from explorer.describe.words import Pursue, WordTest, half_sums, judge_words
from explorer.evidence.context import Context
from explorer.evidence.reference import corpus_pixels
from explorer.evidence.towers import LayerStudy, Sample, study_tower

NULLS = 1000
"""Null directions of a layer."""
LOOKS = 1000
"""Untrained looks of each kind, and as many for the words' deviations."""
PAPER = "omp"
"""The pursuit of bundles that do not say which."""
Code = SparseCode[NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Labels:
    """The words of pictures, and what untrained features at these pictures give."""

    words: Sequence[frozenset[str]]
    table: WordTable
    nulls: Sequence[LookNull]

    @classmethod
    def of(
        cls, words: Sequence[frozenset[str]], pictures: NDArray[np.float32], seed: int
    ) -> Labels:
        """Return words [image] with their null; `pictures` [image, row, column, channel]."""
        table = WordTable.of(words)
        return cls(words, table, look_nulls(table, pictures, LOOKS, seed))

    def drivers(self, effects: NDArray[np.float32]) -> Drivers:
        """Return what drives neurons with effects [neuron, image]."""
        return drivers_of(self.table, self.nulls, effects)


@dataclass(frozen=True, eq=False)
class Told:
    """What texts say of one layer's neurons."""

    code: Code
    sums: NDArray[np.float32]
    """[half, neuron, embed]: the words of either half."""
    words: WordTest


@dataclass(frozen=True, eq=False)
class JudgedLayer:
    """The tests of one layer's neurons in one tower."""

    study: LayerStudy
    null_cosines: NDArray[np.float32]
    """[null, m]."""
    told: Told
    drivers: Drivers


@dataclass(frozen=True, eq=False)
class JudgedTower:
    """The tests of a tower's neurons."""

    embeddings: NDArray[np.float32]
    """[image, embed], less their mean."""
    layers: Sequence[JudgedLayer]

    @property
    def words_p(self) -> NDArray[np.float64]:
        """[neuron], layer after layer."""
        return np.concatenate([layer.told.words.p for layer in self.layers]).astype(np.float64)

    @property
    def drivers_p(self) -> NDArray[np.float64]:
        """[neuron], layer after layer."""
        return np.concatenate([layer.drivers.p for layer in self.layers]).astype(np.float64)


@dataclass(frozen=True, eq=False)
class TowerTests:
    """What the tests of every tower share."""

    context: Context
    sample: Sample
    pursue: Pursue
    """The bundle's own."""
    once: NDArray[np.int64]
    """[distinct]: places in the sample, one of each drawing, that labels are tested on."""
    thumbnails: NDArray[np.float32]
    """[distinct, row, column, channel] in 0 to 1."""
    labels: Labels
    """Of the distinct pictures."""

    @classmethod
    def of(cls, context: Context, sample: Sample) -> TowerTests:
        """Read the sample's pictures and words."""
        bundle, seed = context.bundle, context.settings.seed
        chosen = partial(pursue, str(bundle.manifest.settings.get("pursuit", PAPER)))
        once = one_of_each(drawings(bundle.pictures, sample.images))
        images = sample.images[once]
        pictures = thumbnails(bundle.pictures, images)
        words = picture_words(bundle.pictures.table.iloc[images], MEANINGS)
        return cls(context, sample, chosen, once, pictures, Labels.of(words, pictures, seed))

    @property
    def seed(self) -> int:
        """The seed of every draw."""
        return self.context.settings.seed

    @property
    def atoms(self) -> NDArray[np.float32]:
        """[text, embed]: the dictionary's atoms."""
        return self.context.atoms

    def judge(self, name: str, model: nn.Module) -> JudgedTower:
        """Return the tests of a tower's neurons; its pass is kept under its name.

        Raises:
            Interrupted: after Ctrl-C.
        """
        context = self.context

        def pixels(places: range) -> torch.Tensor:
            images = self.sample.images[places.start : places.stop]
            return corpus_pixels(context.bundle, context.loaded, images)

        size = context.settings.batch_size
        title = f"controls, {name}"
        tower = study_tower(title, model, self.sample, pixels, size, context.work, context.say)
        context.say(f"controls: testing {name}")
        layers = [self._layer(tower.embeddings, study) for _, study in sorted(tower.layers.items())]
        return JudgedTower(tower.embeddings, layers)

    def told(
        self,
        directions: NDArray[np.float32],
        own: NDArray[np.float32],
        across: NDArray[np.float32],
        null_cosines: NDArray[np.float32],
        embeddings: NDArray[np.float32],
    ) -> Told:
        """Return what texts say of directions [neuron, embed]; see `explorer.describe.words`."""
        code = self.pursue(directions, self.atoms, null_cosines.shape[1])
        sums = half_sums(own, self.atoms, null_cosines, self.pursue)
        halves = self.sample.halves
        test = judge_words(directions, code.cosines, null_cosines, sums, across, halves, embeddings)
        return Told(code, sums, test)

    def _layer(self, embeddings: NDArray[np.float32], study: LayerStudy) -> JudgedLayer:
        directions = study.found.directions
        null = null_directions(directions, NULLS, self.seed)
        null_cosines = self.pursue(null, self.atoms, min(LONGEST, *self.atoms.shape)).cosines
        told = self.told(directions, study.half_directions, study.across, null_cosines, embeddings)
        drivers = self.labels.drivers(study.along[:, self.once])
        return JudgedLayer(study, null_cosines, told, drivers)

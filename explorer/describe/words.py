"""Whether texts say more of neurons than chance: one p-value from two tests.

1. *Fit*: texts describe a neuron's direction better than null directions
   (`explorer.describe.chance`).
2. *Prediction*: the words of one half of the pictures predict effects on the other half better than
   those of the layer's other neurons do (`explorer.describe.prediction`).

A neuron's words pass by the larger of both p-values.

Axes: neuron, half, image, text, embed; m counts texts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.decompose import SparseCode
from explorer.describe.chance import text_p, word_count
from explorer.describe.prediction import Prediction, layer_prediction, prefix_sums

Rows = NDArray[np.floating[Any]]
Pursue = Callable[[Rows, Rows, int], SparseCode[NDArray[Any]]]
"""Targets [target, embed], atoms [text, embed], m -> sparse codes."""


@dataclass(frozen=True, eq=False)
class WordTest:
    """What texts say of one layer's neurons; NaN in both p for a dead neuron."""

    text_p: NDArray[np.float32]
    """[neuron]: chance that a null direction is described as well."""
    words: NDArray[np.int8]
    """[neuron]: how many of the first texts gain more than chance."""
    prediction: Prediction

    @property
    def p(self) -> NDArray[np.float32]:
        """The larger of both p-values, [neuron]."""
        larger: NDArray[np.float32] = np.maximum(self.text_p, self.prediction.p)
        return larger


def half_sums(own: Rows, atoms: Rows, null_cosines: Rows, pursue: Pursue) -> NDArray[np.float32]:
    """Return the sums of each half's words, [half, neuron, embed].

    `own` is [half, neuron, embed], `atoms` [text, embed], `null_cosines` [null, m]. As many texts
    count as gain more than the null directions', at least one.
    """
    found = []
    for directions in own:
        code = pursue(directions, atoms, null_cosines.shape[1])
        counts = np.maximum(word_count(code.cosines, null_cosines), 1)
        found.append(prefix_sums(directions, atoms, code.ids, counts))
    return np.stack(found)


def judge_words(
    directions: Rows,
    cosines: Rows,
    null_cosines: Rows,
    sums: Rows,
    across: Rows,
    halves: NDArray[np.integer[Any]],
    embeddings: Rows,
) -> WordTest:
    """Return the tests of one layer's words.

    `directions` is [neuron, embed], `cosines` [neuron, m] with their first texts, `null_cosines`
    [null, m]; `sums` [half, neuron, embed] each half's words; `across` [neuron, image] the effects
    along the directions of the other half than the image's, in `halves` [image]; `embeddings`
    [image, embed] less their mean. Without null directions no fit is tested.
    """
    ways = []
    for half, told in enumerate(sums):
        seen = halves != half  # the images that this half's words did not see
        ways.append((across[:, seen], told @ embeddings[seen].T))
    alive: NDArray[np.bool_] = np.any(directions != 0, axis=1)
    tested = alive if len(null_cosines) else np.zeros(len(alive), bool)
    p = np.full(len(alive), np.nan, np.float32)
    if tested.any():
        p[tested] = text_p(cosines[tested], null_cosines)
    count = np.where(tested, word_count(cosines, null_cosines), 0).astype(np.int8)
    return WordTest(p, count, layer_prediction(ways))

"""What drives a neuron: words that its pictures share, beyond what pixels alone would give.

A neuron *adds* a direction to the output, and it is *driven* by pictures; the two need not agree.
Here the second is tested, on a sample of pictures with known labels and keywords.

1. A neuron's *response* to a picture is `sqrt(max(0, z - 1))`, with `z` its effect along its
   direction, less the mean, in standard deviations: what it does on most pictures counts nothing,
   and one extreme picture does not count for many.
2. A word's score is the mean standardised response over the pictures that carry it, times the root
   of their number: of unit variance if pictures were dealt at random (`word_scores`).
3. Dealing at random is too weak a null. Pictures alike in their plainest features, dark ones say,
   share words too: of the 25 strongest pictures of a network with random weights one neuron in two
   shares a word by the hypergeometric test at a false discovery rate of 5 %. So scores are compared
   with those of `pixel_null`: random linear looks at thumbnails of 8 x 8 pixels. They give each
   word's own deviation, and, from looks that were not used for it, how large the largest score over
   all words gets.
4. `p` is the share of these looks whose largest score is at least the neuron's; the words that
   drive it are those whose score exceeds 95 % of these largest ones (Westfall & Young 1993: 5 % of
   neurons would have any such word by chance).

Axes: neuron, image, word, null, feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from explorer.errors import InputError

Rows = NDArray[np.floating[Any]]
SIDE = 8
"""Rows and columns of the thumbnails that random looks see."""
NULLS = 2000
"""Random looks for the words' deviations, and as many for the largest scores."""
LEVEL = 0.95
"""Share of the random looks whose largest score a driving word exceeds."""
FEWEST = 3
"""Pictures of the sample that must carry a word for it to count."""
CHUNK = 256


@dataclass(frozen=True, eq=False)
class WordTable:
    """Which pictures carry which words: `words` [word], `carried` [image, word] of 0 and 1."""

    words: list[str]
    carried: sparse.csr_array

    @classmethod
    def of(cls, carried: Sequence[frozenset[str]]) -> WordTable:
        """Return the table of each picture's words, [image], without words of few pictures."""
        counts: dict[str, int] = {}
        for words in carried:
            for word in words:
                counts[word] = counts.get(word, 0) + 1
        kept = sorted(word for word, count in counts.items() if count >= FEWEST)
        place = {word: number for number, word in enumerate(kept)}
        pairs = [
            (image, place[word])
            for image, words in enumerate(carried)
            for word in sorted(words)
            if word in place
        ]
        images, columns = np.array(pairs, np.int64).reshape(-1, 2).T
        ones = np.ones(len(images), np.float32)
        shape = (len(carried), len(kept))
        return cls(kept, sparse.csr_array((ones, (images, columns)), shape=shape))


@dataclass(frozen=True, eq=False)
class PixelNull:
    """What random looks at pixels give.

    `deviation` is [word] float32, at least 1; `largest` [null] float32, in rising order: the
    largest score over words in units of these deviations.
    """

    deviation: NDArray[np.float32]
    largest: NDArray[np.float32]

    @property
    def limit(self) -> float:
        """Score, in deviations, that a driving word exceeds."""
        return float(np.quantile(self.largest, LEVEL))


@dataclass(frozen=True, eq=False)
class Drivers:
    """What drives each neuron.

    `p` is [neuron] float32 in (0, 1], NaN for a neuron without effect; `words` lists for each
    neuron the words that drive it, the surest first.
    """

    p: NDArray[np.float32]
    words: list[list[str]]


def word_scores(table: WordTable, effects: Rows) -> NDArray[np.float32]:
    """Return each word's score, [row, word] float32, for effects [row, image].

    The images are the table's. Scores are 0 where effects are constant.

    Raises:
        InputError: when the effects are of another number of images.
    """
    if effects.ndim != 2 or effects.shape[1] != table.carried.shape[0]:
        raise InputError(
            f"Effects {list(effects.shape)} must be [row, image] with the {table.carried.shape[0]} "
            "images of the table of words."
        )
    response = _standard(np.sqrt(np.maximum(_standard(effects) - 1, 0)))
    sizes = np.asarray(table.carried.sum(axis=0)).ravel()
    sums = (table.carried.T @ response.T).T
    scores: NDArray[np.float32] = (sums / np.sqrt(np.maximum(sizes, 1))).astype(np.float32)
    return scores


def pixel_null(table: WordTable, pixels: Rows, count: int = NULLS, seed: int = 0) -> PixelNull:
    """Return what `2 * count` random looks at thumbnails give; `pixels` is [image, feature].

    Looks are drawn in proportion to how far pictures differ in each pixel: the plainest there are.
    """
    features = np.asarray(pixels, np.float32)
    features = features - features.mean(0)
    rng = np.random.default_rng([seed, 13])

    def looks() -> list[NDArray[np.float32]]:
        return [
            word_scores(
                table,
                rng.standard_normal((min(CHUNK, count - start), features.shape[1]), np.float32)
                @ features.T,
            )
            for start in range(0, count, CHUNK)
        ]

    if not table.words:
        return PixelNull(np.ones(0, np.float32), np.zeros(count, np.float32))
    squares = [np.square(scores).sum(axis=0) for scores in looks()]
    deviation = np.sqrt(np.sum(squares, axis=0) / count).clip(min=1).astype(np.float32)
    largest = np.concatenate([(scores / deviation).max(axis=1) for scores in looks()])
    return PixelNull(deviation, np.sort(largest))


def find_drivers(table: WordTable, effects: Rows, null: PixelNull) -> Drivers:
    """Return what drives neurons, from their effects [neuron, image] on the table's images.

    Raises:
        InputError: when the effects are of another number of images.
    """
    p, words = [], []
    for start in range(0, len(effects), CHUNK):
        part = effects[start : start + CHUNK]
        scores = word_scores(table, part)
        if table.words:
            scores = scores / null.deviation
        top = scores.max(axis=1, initial=-np.inf)
        larger = len(null.largest) - np.searchsorted(null.largest, top, "left")
        p.append(np.where(scores.any(axis=1), (1 + larger) / (1 + len(null.largest)), np.nan))
        words += [
            [table.words[word] for word in np.argsort(-row) if row[word] > null.limit]
            for row in scores
        ]
    return Drivers(np.concatenate([*p, np.zeros(0)]).astype(np.float32), words)


def _standard(rows: Rows) -> NDArray[np.float32]:
    """Return rows less their mean over their deviation; zeros for constant rows."""
    values = np.asarray(rows, np.float32)
    values = values - values.mean(axis=1, keepdims=True)
    spread = values.std(axis=1, keepdims=True)
    standard: NDArray[np.float32] = values / np.where(spread > 0, spread, 1)
    return standard

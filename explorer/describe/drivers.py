"""What drives a neuron: words that its pictures share, beyond what untrained features would give.

A neuron *adds* a direction to the output, and it is *driven* by pictures; the two need not agree.
Here the second is tested, on a sample of pictures with known labels and keywords.

1. A neuron's *response* to a picture is `sqrt(max(0, z - 1))`, with `z` the normal quantile of the
   rank that the picture's effect has among all (along the neuron's direction): what it does on most
   pictures counts nothing, and every neuron has the same responses in another order. Without ranks,
   a neuron that answers to three pictures of a thousand had large scores of whatever words these
   three carry: with labels dealt at random 29 % of such neurons passed. Pictures of equal effect
   share the mean of the responses that their ranks have: a neuron is silent on many, and with the
   response of their mean rank, 0, those that it answers to stood out as no blind look's do.
2. A word's score is the mean standardised response over the pictures that carry it, times the root
   of their number: of unit variance if pictures were dealt at random (`word_scores`).
3. Dealing at random is too weak a null. Pictures alike in their plainest features, dark ones say,
   share words too: of the 25 strongest pictures of a network with random weights one neuron in two
   shares a word by the hypergeometric test at a false discovery rate of 5 %. So scores are compared
   with those of looks that nobody trained (`untrained_looks`), of three kinds: random linear looks
   at thumbnails of 8 x 8 pixels; random bags of patches, much as the class token of a network with
   random weights gathers them; and pictures dealt at random, an exact test by permutation, since
   ranks alone count. Each kind gives every word a deviation and, from looks that were not used for
   it, how large the largest score over all words gets (`LookNull`).
4. `p` is the share of a kind's looks whose largest score is at least the neuron's, the largest over
   the kinds; the words that drive a neuron are those whose score exceeds 95 % of these largest
   ones in every kind (Westfall & Young 1993: 5 % of neurons have any such word by chance).

Axes: neuron, image, word, look, row, column, channel, patch, feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import ndtri
from scipy.stats import rankdata

from explorer.describe.chance import exceeding
from explorer.errors import InputError

Rows = NDArray[np.floating[Any]]
SIDE = 16
"""Rows and columns of the thumbnails that untrained features see."""
COARSE = 2
"""Rows and columns that are averaged for the linear looks."""
PATCH, STRIDE = 4, 2
"""Side of a patch and distance between two, in pixels of a thumbnail."""
FEATURES = 512
"""Random features of a patch."""
LOOKS = 2000
"""Looks of each kind for the words' deviations, and as many for the largest scores."""
LEVEL = 0.95
"""Share of the looks whose largest score a driving word exceeds."""
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
        """Return the table of pictures' words, [image], without those of few pictures or all."""
        counts: dict[str, int] = {}
        for words in carried:
            for word in words:
                counts[word] = counts.get(word, 0) + 1
        kept = sorted(w for w, count in counts.items() if FEWEST <= count < len(carried))
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
class LookNull:
    """What one kind of untrained features gives.

    `deviation` is [word] float32, at least 1; `largest` [look] float32, in rising order: the
    largest score over words in units of these deviations.
    """

    deviation: NDArray[np.float32]
    largest: NDArray[np.float32]

    @classmethod
    def of(cls, table: WordTable, looks: Rows) -> LookNull:
        """Return the null of looks [look, image]: the first half gives deviations."""
        first, second = np.array_split(np.asarray(looks, np.float32), 2)
        squares = np.square(word_scores(table, first)).mean(axis=0)
        deviation = np.sqrt(squares).clip(min=1)
        largest = (word_scores(table, second) / deviation).max(axis=1, initial=0)
        return cls(deviation, np.sort(largest))

    def p(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the share of looks whose largest score is at least that of scores [row, word]."""
        top = (scores / self.deviation).max(axis=1, initial=-np.inf)
        larger = exceeding(top, self.largest)
        p: NDArray[np.float64] = (1 + larger) / (1 + len(self.largest))
        return p

    def beyond(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores [row, word] over what 95 % of the looks' largest ones stay below."""
        limit = float(np.quantile(self.largest, LEVEL)) or 1.0
        ratios: NDArray[np.float32] = scores / (self.deviation * np.float32(limit))
        return ratios


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
    response = _responses(effects)
    sizes = np.asarray(table.carried.sum(axis=0)).ravel()
    sums = (table.carried.T @ response.T).T
    scores: NDArray[np.float32] = (sums / np.sqrt(np.maximum(sizes, 1))).astype(np.float32)
    return scores


def untrained_looks(thumbnails: Rows, count: int, seed: int = 0) -> list[NDArray[np.float32]]:
    """Return `count` looks of each kind, [look, image] float32 each.

    `thumbnails` is [image, row, column, channel], `SIDE` x `SIDE` pixels with channels in 0 to 1.
    Linear looks are drawn in proportion to how far pictures differ in each pixel. A bag's features
    are the mean over patches of `relu(W patch + b)` with random W and b; a look reads them at
    random, each brought to unit deviation. The third kind is blind: a random number per picture.
    """
    pixels = np.asarray(thumbnails, np.float32)
    rng = np.random.default_rng([seed, 13])
    side = SIDE // COARSE
    coarse = pixels.reshape(len(pixels), side, COARSE, side, COARSE, -1).mean(axis=(2, 4))
    coarse = coarse.reshape(len(pixels), -1)
    linear = rng.standard_normal((count, coarse.shape[1]), np.float32)
    bags = _bags(pixels, rng)
    reading = rng.standard_normal((count, FEATURES), np.float32)
    blind = rng.standard_normal((count, len(pixels)), np.float32)
    return [linear @ (coarse - coarse.mean(0)).T, reading @ bags.T, blind]


def _bags(pixels: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return random features of the pictures' patches, [image, feature], each of unit deviation."""
    centred = pixels - pixels.mean(axis=(0, 1, 2))
    windows = np.lib.stride_tricks.sliding_window_view(centred, (PATCH, PATCH), axis=(1, 2))
    patches = windows[:, ::STRIDE, ::STRIDE].reshape(len(pixels), -1, PATCH * PATCH * 3)
    size = np.sqrt(np.square(patches).sum(axis=2).mean()) or 1.0
    weights = rng.standard_normal((patches.shape[2], FEATURES), np.float32) / np.float32(size)
    biases = rng.standard_normal(FEATURES, np.float32) / 2
    bags = np.zeros((len(pixels), FEATURES), np.float32)
    for patch in range(patches.shape[1]):
        bags += np.maximum(patches[:, patch] @ weights + biases, 0)
    return _standard(bags.T).T


def find_drivers(
    table: WordTable, effects: Rows, thumbnails: Rows, looks: int = LOOKS, seed: int = 0
) -> Drivers:
    """Return what drives neurons, from their effects [neuron, image] on the table's images.

    `thumbnails` is [image, row, column, channel]; see `untrained_looks`.

    Raises:
        InputError: when the effects are of another number of images.
    """
    return drivers_of(table, look_nulls(table, thumbnails, looks, seed), effects)


def look_nulls(
    table: WordTable, thumbnails: Rows, looks: int = LOOKS, seed: int = 0
) -> list[LookNull]:
    """Return the null of each kind of untrained features at the table's pictures."""
    return [LookNull.of(table, kind) for kind in untrained_looks(thumbnails, 2 * looks, seed)]


def drivers_of(table: WordTable, nulls: Sequence[LookNull], effects: Rows) -> Drivers:
    """Return what drives neurons, from their effects [neuron, image] and `look_nulls`.

    Raises:
        InputError: when the effects are of another number of images.
    """
    p, words = [np.zeros(0)], []
    for start in range(0, len(effects), CHUNK):
        scores = word_scores(table, effects[start : start + CHUNK])
        tested = scores.any(axis=1)
        p.append(np.where(tested, np.max([null.p(scores) for null in nulls], axis=0), np.nan))
        beyond = np.min([null.beyond(scores) for null in nulls], axis=0)
        words += [
            [table.words[word] for word in np.argsort(-row) if row[word] > 1] for row in beyond
        ]
    return Drivers(np.concatenate(p).astype(np.float32), words)


def _responses(effects: Rows) -> NDArray[np.float32]:
    """Return responses to effects [row, image], standardised, equal effects' the same; see above.

    Without equal effects a row has mean 0 and deviation 1; it is 0 where all are equal.
    """
    images = effects.shape[1]
    quantiles = ndtri((np.arange(images) + 0.5) / images)
    of_rank = _standard(np.sqrt(np.maximum(quantiles - 1, 0))[None])[0].astype(np.float64)
    sums = np.concatenate([np.zeros(1), of_rank.cumsum()])
    first, last = (rankdata(effects, how, axis=1).astype(np.int64) for how in ("min", "max"))
    shared = (sums[last] - sums[first - 1]) / (last - first + 1)
    responses: NDArray[np.float32] = np.where(last - first < images - 1, shared, 0).astype(
        np.float32
    )
    return responses


def _standard(rows: Rows) -> NDArray[np.float32]:
    """Return rows less their mean over their deviation; zeros for constant rows."""
    values = np.asarray(rows, np.float32)
    values = values - values.mean(axis=1, keepdims=True)
    spread = values.std(axis=1, keepdims=True)
    standard: NDArray[np.float32] = values / np.where(spread > 0, spread, 1)
    return standard

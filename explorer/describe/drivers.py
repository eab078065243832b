"""What drives a neuron: the words that its strongest pictures share, beside what pixels alone give.

A neuron *adds* a direction to the output, and it is *driven* by pictures; the two need not agree.
Here the second is tested.

1. `shared_words`: for each word of labels and keywords the chance that so many of a neuron's
   strongest pictures carry it if they were drawn at random (hypergeometric test). Over all words
   Simes' (1986) combination gives one p-value per neuron, Benjamini & Hochberg's the words that
   pass.
2. That null is too weak alone. Pictures that look alike in their plainest features, dark ones say,
   share words too: of the extremes of random directions among 8 x 8 thumbnails four in ten pass. So
   a neuron's Simes p is ranked among those of `pixel_extremes`, the strongest pictures of random
   linear looks at thumbnails; the share at least as small is `driven_p`. A network with random
   weights sees about as much.

Axes: neuron, image, word, null, feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import hypergeom

from explorer.errors import InputError

SIDE = 8
"""Rows and columns of the thumbnails that pixels' directions look at."""
NULLS = 2000
"""Random directions among thumbnails."""
SHARED = 0.05
"""Rate of false discoveries among a neuron's shared words."""
FEWEST = 2
"""Pictures that must carry a word, in the corpus and among the strongest, for it to count."""
CHUNK = 256


@dataclass(frozen=True, eq=False)
class WordTable:
    """Which pictures carry which words.

    `words` are [word]; `carried` is a sparse matrix [image, word] of zeros and ones.
    """

    words: list[str]
    carried: sparse.csr_array

    @classmethod
    def of(cls, carried: Sequence[frozenset[str]]) -> WordTable:
        """Return the table of each picture's words, [image], without words of a single picture."""
        counts: dict[str, int] = {}
        for words in carried:
            for word in words:
                counts[word] = counts.get(word, 0) + 1
        kept = sorted(word for word, count in counts.items() if count >= FEWEST)
        place = {word: number for number, word in enumerate(kept)}
        rows = [
            (image, place[word])
            for image, words in enumerate(carried)
            for word in words
            if word in place
        ]
        images, columns = np.array(rows, np.int64).reshape(-1, 2).T
        shape = (len(carried), len(kept))
        table = sparse.csr_array((np.ones(len(images), np.int32), (images, columns)), shape=shape)
        return cls(kept, table)

    @property
    def images(self) -> int:
        """Number of pictures."""
        return int(self.carried.shape[0])

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Pictures that carry each word, [word]."""
        sizes: NDArray[np.int64] = np.asarray(self.carried.sum(axis=0)).ravel().astype(np.int64)
        return sizes


@dataclass(frozen=True, eq=False)
class SharedWords:
    """What sets of pictures share.

    `p` is [set] float64, Simes' p-value over all words, 1 where no word is shared. The other three
    list the words of each set that pass, a row each, in order of sets and then of p-values:
    `owner` [row] the set, `word` [row] the word's number, `count` [row] how many of the set's
    pictures carry it.
    """

    p: NDArray[np.float64]
    owner: NDArray[np.int64]
    word: NDArray[np.int64]
    count: NDArray[np.int64]

    def of(self, row: int) -> list[tuple[int, int]]:
        """Return (word, count) of one set, the surest first."""
        first, last = np.searchsorted(self.owner, [row, row + 1])
        return [
            (int(w), int(c))
            for w, c in zip(self.word[first:last], self.count[first:last], strict=True)
        ]


def shared_words(table: WordTable, top: NDArray[np.integer[Any]]) -> SharedWords:
    """Return what sets of pictures share: `top` is [set, slot] image numbers, -1 for none.

    Raises:
        InputError: an image number is not of the table.
    """
    if top.size and int(top.max()) >= table.images:
        raise InputError(
            f"Picture {int(top.max())} was named and the words are of {table.images} pictures."
        )
    there = top >= 0
    owners, _ = np.nonzero(there)
    chosen = sparse.csr_array(
        (np.ones(len(owners), np.int32), (owners, top[there])), shape=(len(top), table.images)
    )
    counts = (chosen @ table.carried).tocoo()
    held = counts.data >= FEWEST
    owner, word, count = counts.coords[0][held], counts.coords[1][held], counts.data[held]
    drawn = there.sum(axis=1)[owner]
    chance = _hypergeometric(count, table.images, table.sizes[word], drawn)
    order = np.lexsort((chance, owner))
    owner, word, count, chance = owner[order], word[order], count[order], chance[order]
    starts = np.searchsorted(owner, owner, "left")
    rank = np.arange(len(owner)) - starts + 1
    adjusted = np.minimum(chance * len(table.words) / rank, 1)
    p = np.ones(len(top))
    np.minimum.at(p, owner, adjusted)
    # Benjamini & Hochberg: all words up to the last one that is below its line
    last = np.zeros(len(top), np.int64)
    np.maximum.at(last, owner, np.where(adjusted <= SHARED, rank, 0))
    passed = rank <= last[owner]
    return SharedWords(p, owner[passed], word[passed], count[passed].astype(np.int64))


def pixel_extremes(
    pixels: NDArray[np.floating[Any]], slots: int, count: int = NULLS, seed: int = 0
) -> NDArray[np.int64]:
    """Return the strongest pictures of random directions among thumbnails: [null, slot].

    `pixels` is [image, feature], thumbnails of `SIDE` x `SIDE` pixels, as they are. Directions are
    drawn in proportion to how far pictures differ along each axis: the plainest look there is.
    """
    features = np.asarray(pixels, np.float32)
    features = features - features.mean(0)
    slots = min(slots, len(features))
    rng = np.random.default_rng([seed, 13])
    top = []
    for start in range(0, count, CHUNK):
        drawn = rng.standard_normal((min(CHUNK, count - start), features.shape[1]))
        along = drawn.astype(np.float32) @ features.T
        top.append(np.argpartition(-along, slots - 1, axis=1)[:, :slots])
    return np.concatenate(top)


def driven_p(p: NDArray[np.float64], null_p: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the share of null sets whose pictures share words as surely: [set] float32 in (0, 1].

    `p` [set] and `null_p` [null] are `SharedWords.p`. With R null sets the smallest is 1 / (R + 1).
    """
    as_small = np.searchsorted(np.sort(null_p), p, "right")
    found: NDArray[np.float32] = ((1 + as_small) / (1 + len(null_p))).astype(np.float32)
    return found


def _hypergeometric(
    count: NDArray[Any], images: int, size: NDArray[Any], drawn: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the chance of at least `count` of `size` pictures among `drawn` of all `images`."""
    cases, back = np.unique(np.stack([count, size, drawn]), axis=1, return_inverse=True)
    chance: NDArray[np.float64] = hypergeom.sf(cases[0] - 1, images, cases[1], cases[2])
    return chance[back.ravel()]

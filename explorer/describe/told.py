"""Which texts the text tower can tell: those whose pictures lie nearer than a meaningless text's.

A dictionary of common words holds many that describe no picture to this model ("perfectly", a first
name). They fit directions as well as others do, and say nothing. For each text, against *null
texts* with the mean and covariance of all texts (`explorer.describe.chance.null_directions`):

1. A text that pictures carry, as a keyword, is told if these pictures lie near it: `p` is the share
   of null texts which lie as near to the same pictures, by the mean cosine.
2. For any other text no label is needed: what it shows has pictures of its own, so some lie nearer
   than to a text drawn at random. `p` is the share of null texts whose five nearest pictures lie as
   near.
3. Texts that name a picture, as its label, always stay: a neuron of such pictures must be able to
   say so. Of the others those stay that pass at a false discovery rate of 5 %.

Few texts say too little of their covariance to draw null texts from: below `FEWEST` all stay, and
so they do where fewer would be left, which `Told.passed` then says.

Axes: text, null, image, embed, word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.describe.chance import exceeding, null_directions, passing
from explorer.describe.drivers import WordTable
from explorer.errors import InputError

Rows = NDArray[np.floating[Any]]
NEAREST = 5
"""Pictures that a text which nobody wrote on a picture should lie near."""
FEWEST = 100
"""Texts, at least, of a dictionary that is tested and of one that is left."""
CHUNK = 512


class Told(NamedTuple):
    """Which texts stay in the dictionary, and of how many the text tower can tell what they say."""

    stay: NDArray[np.bool_]
    """[text]."""
    passed: int | None
    """Texts that pass or name a picture; None where there are too few texts to test."""


def told_texts(
    texts: Sequence[str],
    atoms: Rows,
    images: Rows,
    carried: WordTable,
    labels: frozenset[str],
    nulls: int = 2000,
    seed: int = 0,
) -> Told:
    """Return which texts stay in the dictionary.

    `atoms` is [text, embed], centred and of unit norm; `images` [image, embed], centred, of any
    norm. `carried` holds the pictures' words and `labels` those that name a picture, both in lower
    case.

    Raises:
        InputError: when the numbers of texts or images do not fit.
    """
    if len(texts) != len(atoms) or carried.carried.shape[0] != len(images):
        raise InputError(
            f"{len(texts)} texts with {len(atoms)} atoms, and {carried.carried.shape[0]} pictures' "
            f"words with {len(images)} embeddings, do not fit: give one row for each."
        )
    everything = np.ones(len(texts), bool)
    if len(texts) < FEWEST:
        return Told(everything, None)
    names = [text.lower() for text in texts]
    named = np.array([name in labels for name in names])
    told = named.copy()
    told[~named] = passing(told_p(names, atoms, images, carried, nulls, seed)[~named])
    passed = int(told.sum())
    return Told(told if passed >= FEWEST else everything, passed)


def told_p(
    names: Sequence[str], atoms: Rows, images: Rows, carried: WordTable, nulls: int, seed: int
) -> NDArray[np.float64]:
    """Return the chance that a meaningless text lies as near to its pictures: [text] in (0, 1].

    NaN for a text without an atom. See `told_texts`; `names` are in lower case.
    """
    pictures = _unit(images)
    null = null_directions(atoms, nulls, seed)
    p = _share_above(_nearest(atoms, pictures), _nearest(null, pictures))
    centres = carried.carried.T @ pictures  # [word, embed]; a word's cosines by its own length
    place = {word: number for number, word in enumerate(carried.words)}
    for text, name in enumerate(names):
        if name in place:
            centre = centres[place[name]]
            p[text] = _share_above(atoms[text][None] @ centre, null @ centre)[0]
    p[~np.any(atoms, axis=1)] = np.nan
    return p


def _nearest(texts: Rows, pictures: Rows) -> NDArray[np.float32]:
    """Return the mean cosine of each text with its nearest pictures: [text]."""
    count = min(NEAREST, len(pictures))
    found = [
        np.partition(texts[start : start + CHUNK] @ pictures.T, -count, axis=1)[:, -count:].mean(1)
        for start in range(0, len(texts), CHUNK)
    ]
    return np.concatenate(found) if found else np.zeros(0, np.float32)


def _share_above(values: Rows, null: Rows) -> NDArray[np.float64]:
    """Return the share of null values at least as large as each value: [value] in (0, 1]."""
    p: NDArray[np.float64] = (1 + exceeding(values, null)) / (1 + len(null))
    return p


def _unit(rows: Rows) -> NDArray[np.float32]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (rows / np.where(norms > 0, norms, 1)).astype(np.float32)
    return unit

"""Neurons whose top pictures carry texts in so many words: what labels confirm, no embedding asked.

For every text, the pictures whose label or keywords are that text. A neuron's score at one end of
its direction is the least number of its top pictures there that carry an added text, less the
largest number that carry one taken away; equal ones by the share of the squared effects they bear.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from explorer.search import Hit
from explorer.search.query import Term
from explorer.ui.data.loaders import View

SIGNS = (1, -1)  # of the ends


def carriers(view: View, text: str) -> NDArray[np.bool_]:
    """Return whether each picture carries a text, [picture + 1]; the last stands for image -1."""
    folded = text.casefold()
    return np.array([folded in words for words in view.words] + [False])


def labelled(
    view: View,
    terms: Sequence[Term],
    top: int,
    end: int | None = None,
    among: NDArray[np.bool_] | None = None,
) -> list[Hit]:
    """Rank neurons by their pictures' words; at one end (0 positive, 1 negative) if given.

    Of the neurons `among` [neuron] alone, where that is given. A hit's score is the least count,
    and it names every text with its count.
    """
    images = np.asarray(view.bundle.top_images)
    effects = np.square(np.asarray(view.bundle.top_effects, np.float32))
    held = np.stack([carriers(view, term.text)[images] for term in terms], -1)
    counts = held.sum(axis=2)  # [neuron, end, text]
    total = np.maximum(effects.sum(axis=2), np.finfo(np.float32).tiny)
    shares = np.einsum("nei,neit->net", effects, held.astype(np.float32)) / total[..., None]
    added = np.array([term.sign > 0 for term in terms])
    scores = _balance(counts, added)
    merits = scores + 0.5 * np.clip(_balance(shares, added), 0, 1)
    if end is not None:
        merits[:, 1 - end] = -1
    if among is not None:
        merits[~among] = -1
    side = merits.argmax(axis=1)
    rows = np.arange(len(merits))
    order = np.argsort(-merits[rows, side], kind="stable")[:top]
    return [
        Hit(
            int(row),
            float(scores[row, side[row]]),
            tuple(
                (term.text, float(count))
                for term, count in zip(terms, counts[row, side[row]], strict=True)
            ),
            SIGNS[side[row]],
        )
        for row in order
        if scores[row, side[row]] > 0 and merits[row, side[row]] > 0
    ]


def _balance(values: NDArray[np.generic], added: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the added texts' least value less the others' largest: [neuron, end]."""
    if not added.any():
        return np.zeros(values.shape[:2])
    taken = np.asarray(values[..., ~added], np.float64).max(axis=2, initial=0)
    least: NDArray[np.float64] = np.asarray(values[..., added], np.float64).min(axis=2) - taken
    return least

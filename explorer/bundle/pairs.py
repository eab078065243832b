"""The neuron-head pairs of one neuron, as a bundle holds them; for pages and commands.

A head is named by its block and its number in it: `10.3` is head 3 of block 10, both counted from
0. Only the pairs that matter have words and pictures (`explorer.describe.pairs`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.bundle import Bundle
from explorer.bundle.meaning import NOTHING
from explorer.errors import InputError

NEAREST = 2
"""Texts that are named where none is more than chance."""
Head = tuple[int, int]
"""Block, and number in it."""


@dataclass(frozen=True)
class PairImage:
    """One of a pair's strongest pictures, and its centred effect."""

    image: int
    effect: float


@dataclass(frozen=True, eq=False)
class Pair:
    """A neuron and one later head."""

    place: int
    """Among the neuron's pairs, in the order in which they were chosen."""
    block: int
    head: int
    share: float
    """Of the neuron's squared effect; all its pairs' add up to 1."""
    held: float
    """Share that this and the pairs before it hold together."""
    meaning: int
    """Pairs of one number have directions alike; 0 is the heaviest."""
    mean: float
    """Of the coefficient."""
    deviation: float
    size: float
    """Effect of a coefficient of 1."""
    texts: tuple[tuple[str, float], ...]
    """The pursuit's texts with their weights, in its order."""
    words: int
    """How many of the first of them are more than chance."""
    text_p: float
    prediction: float
    prediction_p: float
    images: tuple[PairImage, ...]

    @property
    def key(self) -> Head:
        """Block and number of its head."""
        return self.block, self.head

    @property
    def name(self) -> str:
        """Its head's name, such as 10.3."""
        return f"{self.block}.{self.head}"

    @property
    def scale(self) -> float:
        """Root mean square of its centred effect."""
        return self.size * self.deviation

    @property
    def title(self) -> str:
        """What it may be called: its words, where they are more than chance."""
        return ", ".join(text for text, _ in self.texts[: self.words]) or NOTHING

    @property
    def said(self) -> str:
        """Its words that beat chance; else that none does, and the nearest, which claim nothing."""
        if self.words:
            return self.title
        near = ", ".join(text for text, _ in self.texts[:NEAREST])
        return f"no word above chance (nearest: {near})"


def heads_of(bundle: Bundle, layer: int) -> list[tuple[int, int]]:
    """Return block and head of each place on the axis path for a layer's neurons, its own last.

    The axis is that of the earliest layer: a later layer's paths are the last places.
    """
    model = bundle.manifest.model
    return [
        (block, head)
        for block in range(layer + 1, model["blocks"])
        for head in range(model["heads"])
    ]


def head_of(bundle: Bundle, path: int) -> Head:
    """Return block and head of a number on the axis path."""
    first, heads = bundle.manifest.layers[0] + 1, int(bundle.manifest.model["heads"])
    return first + path // heads, path % heads


def path_of(bundle: Bundle, layer: int, head: Head) -> int:
    """Return the place of a head among the paths of one layer's own neurons."""
    return (head[0] - layer - 1) * int(bundle.manifest.model["heads"]) + head[1]


def place_of(bundle: Bundle, row: int, head: Head) -> int | None:
    """Return the place of a neuron's pair with a head; None where that is none that matters.

    Raises:
        InputError: when the bundle has no pairs; it says how to add them.
    """
    for place, path in enumerate(bundle.pair_paths[row]):
        if path >= 0 and head_of(bundle, int(path)) == head:
            return place
    return None


def pairs_of(bundle: Bundle, row: int) -> list[Pair]:
    """Return the pairs of a neuron that matter, in the order in which they were chosen.

    Raises:
        InputError: when the bundle has no pairs; it says how to add them.
    """
    there = np.flatnonzero(bundle.pair_paths[row] >= 0)
    return [pair_at(bundle, row, int(place)) for place in there]


def pair_at(bundle: Bundle, row: int, place: int) -> Pair:
    """Return one of a neuron's pairs that matter, by its place among them.

    Raises:
        InputError: when the bundle has no pairs; it says how to add them.
    """
    at = row, place
    path = int(bundle.pair_paths[at])
    texts = zip(bundle.pair_texts[at], bundle.pair_weights[at], strict=True)
    images = zip(bundle.pair_images[at], bundle.pair_effects[at], strict=True)
    return Pair(
        place,
        *head_of(bundle, path),
        share=float(bundle.pair_shares[row, path]),
        held=float(bundle.pair_held[at]),
        meaning=int(bundle.pair_meanings[at]),
        mean=float(bundle.pair_means[row, path]),
        deviation=float(bundle.pair_deviations[row, path]),
        size=float(bundle.pair_sizes[row, path]),
        texts=tuple((bundle.texts[int(text)], float(w)) for text, w in texts if text >= 0),
        words=int(bundle.pair_words[at]),
        text_p=float(bundle.pair_text_p[at]),
        prediction=float(bundle.pair_prediction[at]),
        prediction_p=float(bundle.pair_prediction_p[at]),
        images=tuple(PairImage(int(i), float(e)) for i, e in images if i >= 0),
    )


def find_pair(pairs: list[Pair], text: str) -> Pair:
    """Return the pair whose head is named so.

    Raises:
        InputError: when none of the pairs is; it names those that there are.
    """
    found = re.fullmatch(r"\s*([0-9]{1,3})\.([0-9]{1,3})\s*", text)
    wanted = (int(found[1]), int(found[2])) if found else None
    for pair in pairs:
        if (pair.block, pair.head) == wanted:
            return pair
    have = ", ".join(sorted(pair.name for pair in pairs)) or "none"
    raise InputError(
        f"“{text}” is not a head that carries much of this neuron: write block.head, one of {have}."
    )


def pair_facts(bundle: Bundle, layer: int, neuron: int, top: int = 10) -> dict[str, Any]:
    """Return what is known of a neuron's pairs, ready for JSON.

    pairs_hold: the share of its squared effect that the pairs listed hold. `top` bounds pictures.

    Raises:
        InputError: when there is no such neuron, or the bundle has no pairs.
    """
    pairs = pairs_of(bundle, bundle.row(layer, neuron))
    return {
        "pairs_hold": round(pairs[-1].held, 4) if pairs else 0.0,
        "pairs": [_facts(bundle, pair, top) for pair in pairs],
    }


def _facts(bundle: Bundle, pair: Pair, top: int) -> dict[str, Any]:
    labels = bundle.pictures.table["label"]
    measures = ("share", "held", "mean", "deviation", "scale", "text_p", "prediction")
    return {
        "head": pair.name,
        "block": pair.block,
        "number": pair.head,
        "title": pair.title,
        "words": [text for text, _ in pair.texts[: pair.words]],
        "meaning": pair.meaning,
        **{name: _rounded(getattr(pair, name)) for name in (*measures, "prediction_p")},
        "texts": [{"text": text, "weight": round(w, 4)} for text, w in pair.texts],
        "images": [
            {
                "image": shown.image,
                "label": str(labels.iloc[shown.image]),
                "effect": round(shown.effect, 5),
            }
            for shown in pair.images[:top]
        ],
    }


def _rounded(value: float) -> float | None:
    return round(value, 5) if np.isfinite(value) else None

"""Neuron-head pairs for a query: those that matter, by what their directions say of its texts.

A pair has one direction (`explorer.lens`) and words of its own, so what `explorer.search` asks of
neurons is asked of pairs: the cosine of the direction with the combined text, and the texts'
weights in its sparse set. `exact` says whether directions are those of the weights or the sums of
the pairs' texts (`explorer.bundle.pair_directions`).

Axes: pair (those that matter of all neurons together), word, text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.bundle import Bundle
from explorer.bundle.pair_directions import PairDirections, pair_directions
from explorer.bundle.pairs import pair_at
from explorer.describe.agreement import text_agreement
from explorer.kept import kept
from explorer.search import LEAST_WEIGHT, TextSearch, open_search
from explorer.search.texts import Embed


@dataclass(frozen=True)
class PairHit:
    """A pair that was found."""

    row: int
    """Of its neuron."""
    place: int
    """Among its neuron's pairs, in the order of their choice."""
    number: int
    """Along the axis pair."""
    score: float


@dataclass(frozen=True, eq=False)
class PairSearch:
    """What a text search finds among pairs; computed when first asked for."""

    search: TextSearch
    trusted: bool = True
    """Whether the order weighs scores by how well the pairs' pictures show the text."""
    above: bool = False
    """Whether only pairs whose words are more than chance may be found."""

    @property
    def directions(self) -> PairDirections:
        """The directions of the bundle's pairs."""
        return pair_directions(self.search.bundle)

    @cached_property
    def cosines(self) -> NDArray[np.float32]:
        """Cosine of every pair's direction with the combined text, [pair]."""
        return self.directions.cosines(self.search.direction[None])[:, 0]

    @cached_property
    def shown(self) -> NDArray[np.float32]:
        """How well every pair's pictures show the combined text, [pair] in [0, 1].

        The chance that one of them lies nearer to it than a random one; 0.5 is guessing.
        """
        held, own = self.search.bundle, self._own
        images = np.asarray(held.pair_images)[own][:, None]
        effects = np.asarray(held.pair_effects, np.float32)[own][:, None]
        return text_agreement(self.search.direction, held.image_embeddings, images, effects)

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """Signed sum of the texts' weights in every pair's set, [pair]."""
        ids = np.asarray(self.search.bundle.pair_texts)[self._own]
        held = np.asarray(self.search.bundle.pair_weights, np.float32)[self._own]
        found = np.zeros(len(ids), np.float32)
        for text, sign in zip(self.search.places, self.search.signs, strict=True):
            if text >= 0:
                found += sign * np.where(ids == text, held, 0).sum(axis=1)
        return found

    @property
    def _own(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where each pair stands in the bundle's arrays."""
        return self.directions.rows, self.directions.places

    def towards(self, top: int) -> list[PairHit]:
        """Return the pairs whose direction is nearest to the combined text, nearest first."""
        return self._along(1, top)

    def away(self, top: int) -> list[PairHit]:
        """Return the pairs whose direction points most strongly away from the combined text."""
        return self._along(-1, top)

    def sets(self, top: int) -> list[PairHit]:
        """Return pairs whose sparse set holds texts of the query, heaviest signed sum first."""
        sizes = np.abs(self.weights)
        order = np.lexsort((-sizes, -sizes * self._trust))
        return self._first(self.weights, order[sizes[order] >= LEAST_WEIGHT], top)

    def _along(self, sign: int, top: int) -> list[PairHit]:
        order = np.argsort(-sign * self.cosines * self._trust, kind="stable")
        return self._first(self.cosines, order, top)

    @cached_property
    def _trust(self) -> NDArray[np.float32] | float:
        """Return what each pair's score counts for in the order, [pair] from 0 to 1."""
        if not self.trusted:
            return 1.0
        told: NDArray[np.float32] = np.clip(np.sign(self.cosines) * (2 * self.shown - 1), 0, 1)
        return told

    def _first(
        self, scores: NDArray[np.float32], order: NDArray[np.int64], top: int
    ) -> list[PairHit]:
        if self.above:
            order = order[above_chance(self.search.bundle)[order]]
        rows, places = self._own
        return [
            PairHit(int(rows[pair]), int(places[pair]), int(pair), float(scores[pair]))
            for pair in order[:top]
        ]


def above_chance(bundle: Bundle) -> NDArray[np.bool_]:
    """Return which pairs have words that are more than chance, [pair].

    Raises:
        InputError: when the bundle has no pairs; it says how to add them.
    """

    def make() -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = bundle.pair_words[np.asarray(bundle.pair_paths) >= 0] > 0
        return found

    return kept(bundle, "pairs above chance", make)


def search_pairs(
    bundle: Bundle, text: str, top: int = 12, embed: Embed | None = None
) -> dict[str, Any]:
    """Return the pairs that a query leads to, ready for JSON; at most `top` entries of each kind.

    Keys: `exact`, whether directions come from the weights; pairs `towards` and `away` from the
    query (cosine), and `sets` that hold its texts (weight).

    Raises:
        InputError: when the query cannot be read, its texts cancel out, or the bundle has no pairs.
    """
    found = PairSearch(open_search(bundle, text, embed), trusted=False)
    return {
        "bundle": bundle.name,
        "text": found.search.query,
        "exact": found.directions.exact,
        "towards": [_entry(bundle, hit, "cosine") for hit in found.towards(top)],
        "away": [_entry(bundle, hit, "cosine") for hit in found.away(top)],
        "sets": [_entry(bundle, hit, "weight") for hit in found.sets(top)],
    }


def _entry(bundle: Bundle, hit: PairHit, score: str) -> dict[str, Any]:
    record, pair = bundle.neurons.iloc[hit.row], pair_at(bundle, hit.row, hit.place)
    return {
        "layer": int(record["layer"]),
        "neuron": int(record["neuron"]),
        "head": pair.name,
        "title": pair.title,
        "above_chance": pair.words > 0,
        "texts": [text for text, _ in pair.texts],
        "share": round(pair.share, 4),
        score: round(hit.score, 4),
    }

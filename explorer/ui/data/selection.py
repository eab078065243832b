"""Which neurons a query selects, in which order: pure functions of the bundle's tables."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.describe.plurals import plural, singular
from explorer.search.spelling import likely_meant
from explorer.ui.address.address import LISTED, MATCH, PLACES, TABLE, NeuronsQuery, Range
from explorer.ui.data.loaders import View

PER_PAGE = 24
TABLE_PAGE = 50
NEAR_TEXTS = 3
LEAST_WEIGHT = 0.005  # a concept that rounds to nothing is no match
APART = 1e-6  # keeps the two sides apart where trust is nothing


@dataclass(frozen=True, eq=False)
class Selection:
    """Rows in order, and for a word search what matched in each."""

    rows: NDArray[np.int64]
    matched: dict[int, tuple[str, float]]  # row -> the matching concept and its weight
    texts: list[str]  # the dictionary's texts that match the word
    near: list[str]  # texts that a word that matches none was likely meant to be
    hidden: int  # neurons that pass all filters but are no more than chance
    per_page: int = PER_PAGE

    @property
    def pages(self) -> int:
        """Return the number of pages of results, at least 1."""
        return max(1, math.ceil(len(self.rows) / self.per_page))

    def page(self, page: int) -> NDArray[np.int64]:
        """Return the rows of one page, from 1 on."""
        return self.rows[(page - 1) * self.per_page : page * self.per_page]


@dataclass(frozen=True, eq=False)
class Filtered:
    """What the filters of a query leave, in no order, and what matched its word."""

    mask: NDArray[np.bool_]
    """[neuron]: which pass."""
    hidden: int
    """Neurons that pass all filters but are no more than chance."""
    texts: list[str]
    near: list[str]
    """As in a `Selection`."""
    strength: NDArray[np.float32]
    """[neuron]: the weight of the matching concept; 0 without a word."""
    place: NDArray[np.int64]
    """[neuron]: where it stands in the neuron's set."""


def select(view: View, query: NeuronsQuery) -> Selection:
    """Select by list, layers, ranges and word, then sort; rows without a value come last."""
    found = filtered(view, query)
    rows = _ordered(view, np.flatnonzero(found.mask), query, found.strength)
    per_page = TABLE_PAGE if query.view == TABLE else PER_PAGE
    selection = Selection(rows, {}, found.texts, found.near, found.hidden, per_page)
    if query.word:
        shown = selection.page(min(query.page, selection.pages))
        matched = {int(row): _matched(view, int(row), int(found.place[row])) for row in shown}
        selection.matched.update(matched)
    return selection


def filtered(view: View, query: NeuronsQuery) -> Filtered:
    """Select by list, layers, ranges and word."""
    mask = _listed(view, query)
    if query.layers:
        mask &= np.isin(view.neurons["layer"].to_numpy(), query.layers)
    for span in query.ranges:
        mask &= _within(view, span)
    strength, place = np.zeros(len(mask), dtype=np.float32), np.zeros(len(mask), dtype=np.int64)
    texts: list[str] = []
    near: list[str] = []
    if query.word:
        ids = matching_texts(view.folded_texts, query.word)
        texts = [view.bundle.texts[i] for i in ids]
        near = [] if ids else likely_meant(view.bundle, query.word, NEAR_TEXTS)
        strength, place = match_strength(view, ids)
        mask &= np.abs(strength) >= LEAST_WEIGHT
    hidden = 0
    if query.above:
        hidden = int((mask & ~view.passing.either).sum())
        mask &= view.passing.either
    return Filtered(mask, hidden, texts, near, strength, place)


def _listed(view: View, query: NeuronsQuery) -> NDArray[np.bool_]:
    """Return the list's neurons, all without a list."""
    if not query.places:
        return np.ones(len(view.neurons), dtype=bool)
    mask = np.zeros(len(view.neurons), dtype=bool)
    mask[[view.bundle.row(*place) for place in query.places]] = True
    return mask


def _within(view: View, span: Range) -> NDArray[np.bool_]:
    """Return which neurons have a measure in a range; one without a value is never in it."""
    if span.key not in view.neurons:
        return np.zeros(len(view.neurons), dtype=bool)
    values = view.neurons[span.key].to_numpy(dtype=np.float64)
    low = -np.inf if span.low is None else span.low
    high = np.inf if span.high is None else span.high
    # what an address says has six digits
    slack = 1e-6 * np.maximum(np.abs(values), 1e-3)
    inside: NDArray[np.bool_] = (values >= low - slack) & (values <= high + slack)
    return inside


def _matched(view: View, row: int, place: int) -> tuple[str, float]:
    text = view.bundle.texts[int(view.bundle.concept_ids[row, place])]
    return text, float(view.bundle.concept_weights[row, place])


def matching_texts(folded: list[str], word: str) -> list[int]:
    """Return the texts that are the word or contain it as a whole word, singular or plural.

    If there is none: texts in which any word begins with it.
    """
    wanted = word.casefold().strip()
    forms = {wanted, plural(wanted), singular(wanted)} - {""}
    starts = {form[:3] for form in forms}
    padded = [f" {form} " for form in forms]
    whole = [
        i
        for i, text in enumerate(folded)
        if any(start in text for start in starts)
        and any(form in f" {text.replace('-', ' ')} " for form in padded)
    ]
    return whole or [i for i, text in enumerate(folded) if f" {wanted}" in f" {text}"]


def match_strength(view: View, ids: list[int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the weight of each neuron's matching concept (0 for none), and its place.

    Of several the one it stands for most; one that it is opposed to only where there is no other.
    """
    wanted = np.zeros(len(view.bundle.texts) + 1, dtype=bool)  # the last one stands for id -1
    wanted[ids] = True
    hits = wanted[np.asarray(view.bundle.concept_ids)]
    weights = np.where(hits, view.bundle.concept_weights, 0).astype(np.float32)
    stands = weights.max(axis=1) >= LEAST_WEIGHT
    place: NDArray[np.int64] = np.where(stands, weights.argmax(axis=1), weights.argmin(axis=1))
    return np.take_along_axis(weights, place[:, None], axis=1)[:, 0], place


def _ordered(
    view: View, rows: NDArray[np.int64], query: NeuronsQuery, strength: NDArray[np.float32]
) -> NDArray[np.int64]:
    key = query.sort_key
    values = strength * (view.trust + APART) if key == MATCH else _values(view, query, key)
    chosen = values[rows]
    chosen = np.where(np.isnan(chosen), np.inf, -chosen if query.falling else chosen)
    plain = key in (*PLACES, LISTED)
    silent = np.zeros(len(rows), dtype=bool) if plain else view.silent[rows]
    order = np.lexsort((rows, chosen, silent))
    return rows[order]


def _values(view: View, query: NeuronsQuery, key: str) -> NDArray[np.float64]:
    """Return what is sorted by, [neuron]; NaN where a bundle lacks the measure."""
    values = np.full(len(view.neurons), np.nan)
    if key == LISTED:
        values[[view.bundle.row(*place) for place in query.places]] = np.arange(len(query.places))
    elif key in view.neurons:
        values = view.neurons[key].to_numpy(dtype=np.float64)
    return values

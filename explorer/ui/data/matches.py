"""The neurons of two bundles side by side: matched once, ranked as a page asks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from explorer.bundle.match import Matches, match_neurons
from explorer.ui.address.bundles_query import ALIKE, BundlesQuery
from explorer.ui.data import served
from explorer.ui.data.loaders import View

PER_PAGE = 12
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Beside:
    """A neuron of the first bundle beside one of the second."""

    row: int
    other: int  # -1: none shares a picture with it
    overlap: float
    match: int  # the neuron of the second bundle that is most like it, -1 for none
    match_overlap: float


@dataclass(frozen=True, eq=False)
class Ranking:
    """One page of neurons, each beside one of the second bundle, in order."""

    beside: tuple[Beside, ...]
    neurons: int
    page: int
    pages: int


def matches(first: View, second: View) -> Matches:
    """Return the matched neurons of two bundles; computed once for all sessions.

    Raises:
        InputError: when they share no layer of one width, or hardly a picture.
        BundleError: when one cannot be read.
    """
    said = f"Matching the neurons of {first.key} and {second.key} …"
    with st.spinner(said, show_time=True):
        return _matched(served.ticket(first), served.ticket(second), first, second)


@st.cache_resource(max_entries=4, show_spinner=False)
def _matched(ticket: str, other: str, _first: View, _second: View) -> Matches:
    return match_neurons(_first.bundle, _second.bundle)


def ranking(view: View, found: Matches, query: BundlesQuery) -> Ranking:
    """Return a page of the most alike or most changed neurons.

    Alike: by the overlap with the match. Changed: where numbers mean the same neurons, by the
    overlap with the neuron of that number; else by that with the match. Of neurons with one
    overlap, those that are more than chance come first.
    """
    places = np.flatnonzero(found.shown & _in_layer(found, query.layer))
    numbered = found.numbered and query.show != ALIKE
    overlap = found.same if numbered else found.overlap
    order = overlap if query.show != ALIKE else -overlap
    plain = ~view.passing.either[found.rows]
    places = places[np.lexsort((places, plain[places], order[places]))]
    pages = max(1, math.ceil(len(places) / PER_PAGE))
    page = min(query.page, pages)
    beside = tuple(
        Beside(
            int(found.rows[place]),
            int(found.home[place] if numbered else found.best[place]),
            float(overlap[place]),
            int(found.best[place]),
            float(found.overlap[place]),
        )
        for place in places[(page - 1) * PER_PAGE : page * PER_PAGE]
    )
    return Ranking(beside, len(places), page, pages)


def _in_layer(found: Matches, layer: int | None) -> NDArray[np.bool_]:
    chosen = np.full(len(found.rows), layer is None)
    if layer is not None:
        chosen[found.of_layer(layer)] = True
    return chosen


def spread(found: Matches, values: NDArray[np.float32]) -> Mapping[int, NDArray[np.float64]]:
    """Return the `QUANTILES` of some values of the neurons with shared pictures, layer by layer.

    Layers without such a neuron are left out.
    """
    quantiles = {}
    for layer in found.layers:
        rows = found.of_layer(layer)
        if found.shown[rows].any():
            quantiles[layer] = np.quantile(
                values[rows][found.shown[rows]].astype(np.float64), QUANTILES
            )
    return quantiles

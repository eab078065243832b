"""What stands on the map: neurons or their pairs with heads, where, and of which neuron."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from explorer.bundle.pair_directions import pair_directions
from explorer.bundle.pair_map import pair_map
from explorer.bundle.pairs import Head, pair_at
from explorer.errors import InputError
from explorer.search import products, wide
from explorer.ui.address.atlas_query import BLOCK, TEXT, AtlasQuery
from explorer.ui.address.found import HEADS
from explorer.ui.data import loaded_model
from explorer.ui.data.loaders import View


@dataclass(frozen=True, eq=False)
class Points:
    """The points of a map, in the order of their numbers."""

    view: View
    places: NDArray[np.float32]
    """[point, coordinate]; NaN for one without a place."""
    rows: NDArray[np.int64]
    """[point]: the neuron's row."""
    heads: bool = False
    """Whether they are pairs."""

    @property
    def placed(self) -> NDArray[np.bool_]:
        """Return which points have a place, [point]."""
        return np.asarray(np.isfinite(self.places).all(axis=1))

    def head(self, number: int) -> Head | None:
        """Return block and head of a point that is a pair."""
        if not self.heads:
            return None
        place = int(pair_directions(self.view.bundle).places[number])
        return pair_at(self.view.bundle, int(self.rows[number]), place).key

    def column(self, key: str) -> NDArray[np.float32]:
        """Return a measure of each point's neuron, or the block of its head: [point]."""
        if key == BLOCK:
            bundle, places = self.view.bundle, pair_directions(self.view.bundle).places
            paths = np.asarray(bundle.pair_paths)[self.rows, places].astype(np.int64)
            heads = int(bundle.manifest.model["heads"])
            return np.asarray(paths // heads + bundle.manifest.layers[0] + 1, np.float32)
        return np.asarray(self.view.neurons[key].to_numpy(np.float32)[self.rows], np.float32)

    def likeness(self, direction: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return each point's cosine with a text's direction [embed]: [point]."""
        if self.heads:
            return pair_directions(self.view.bundle).cosines(direction[None])[:, 0]
        return products(wide(self.view.bundle, "directions"), direction[None])[:, 0]


def points_of(view: View, query: AtlasQuery) -> Points:
    """Return what the map shows.

    Raises:
        InputError: when there are no pairs to show.
    """
    if query.of == HEADS:
        with st.spinner("Placing the pairs on the map …"):
            places = pair_map(view.bundle).places
        return Points(view, places, pair_directions(view.bundle).rows, heads=True)
    rows = np.arange(len(view.neurons))
    return Points(view, np.asarray(view.bundle.atlas), rows)


def values_of(points: Points, query: AtlasQuery) -> tuple[NDArray[np.float32], str]:
    """Return what colours the points, [point], and a sentence if there is no embedding."""
    if query.coloured_by != TEXT:
        return points.column(query.coloured_by), ""
    usual = points.column(query.usual_colour)
    shown = "blocks" if points.heads else "layers"
    if not query.text:
        return usual, f"Enter a text to colour by similarity to it. Until then {shown} are shown."
    try:
        direction = loaded_model.text_direction(points.view, query.text)
    except InputError as error:
        return usual, f"{error} The colours show {shown}."
    return points.likeness(direction), ""

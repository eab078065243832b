"""The Atlas page: the map of neurons or pairs, what colours it, the neurons chosen on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from markupsafe import Markup
from numpy.typing import NDArray

from explorer.bundle.landmarks import landmarks
from explorer.bundle.pair_directions import pair_directions
from explorer.bundle.pair_map import pair_map
from explorer.bundle.pairs import place_of
from explorer.ui.address import area
from explorer.ui.address.address import LIST_LENGTH, WORD_LENGTH, write_places
from explorer.ui.address.atlas_query import BLOCK, COLOURS, LAYER, TEXT, AtlasQuery
from explorer.ui.address.found import FOUND, OF
from explorer.ui.address.pin import Pin
from explorer.ui.atlas.figure import MANY, Marks, discrete, map_figure, places_in, scale_of
from explorer.ui.atlas.points import Points, points_of, values_of
from explorer.ui.core import glossary
from explorer.ui.core.glossary import MEASURES
from explorer.ui.data import export, selection, served
from explorer.ui.data.loaders import View
from explorer.ui.data.neuron import heads_address
from explorer.ui.html import charts
from explorer.ui.html.cards import card, cards
from explorer.ui.html.elements import Child, caption, joined, tag
from explorer.ui.html.links import actions, anchor, choices, link, neuron_link
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import ranges, save_finding, sieve

SHOWN = 24
CHART = "_atlas"
SUMMED = " This bundle has no weights of its own: the weighted sum of its texts stands for it."
NAMES = "Names on the map: words above chance, common in a region’s neurons and rare elsewhere. "
_HINTS = (Path(__file__).parent / "atlas.js").read_text("utf-8")


def toolbar(page: Page, query: AtlasQuery) -> None:
    """Draw the choice of points, colour, text, layers, word and ranges; each is a new address."""
    frame.title("Atlas")
    frame.draw(tag("div", tag("h1", "Atlas"), _switch(page.view, query), css="neuron-head"))
    state = st.session_state
    state["_colour"], state["_text"] = query.coloured_by, query.text
    state["_word"] = query.filters.word
    state["_layers"] = [str(layer) for layer in query.filters.layers]
    change: dict[str, Any] = {"on_change": _changed, "args": (page, query)}
    with st.container(key="lens_tools"):
        columns = st.columns([1.2, 1.3, 1.5, 1.2, 0.8], gap="small", vertical_alignment="bottom")
    columns[0].selectbox(
        "Colour by", COLOURS[query.of], format_func=colour_name, key="_colour", **change
    )
    columns[1].text_input(
        "Similarity to a text",
        key="_text",
        placeholder="e.g. ship",
        max_chars=WORD_LENGTH,
        **change,
    )
    columns[2].text_input(
        "Only with a concept",
        key="_word",
        placeholder="a word, e.g. bicycle",
        max_chars=WORD_LENGTH,
        **change,
    )
    layers = [str(layer) for layer in page.view.layers]
    columns[3].multiselect("Layers", layers, key="_layers", placeholder="all", **change)
    with columns[4]:
        ranges.popover(page.view, query.filters.ranges, lambda spans: _ranged(page, query, spans))
    ranges.chips(
        page.view, "atlas", query.filters.ranges, lambda spans: _with_ranges(query, spans).params()
    )


def _switch(view: View, query: AtlasQuery) -> Markup:
    """Offer neurons, or their pairs with heads, with the same filters."""

    def way(of: str) -> dict[str, str]:
        colour = query.colour if query.colour in COLOURS[of] else ""
        return replace(query, of=of, colour=colour).params()

    here = {key: value for key, value in way(query.of).items() if key != OF}
    return choices("atlas", "What is shown", FOUND, query.of, OF, bundle=view.key, **here)


def colour_name(key: str) -> str:
    """Return what a colouring is called."""
    names = {LAYER: "Layer", BLOCK: "Block of the head", TEXT: "Similarity to the text"}
    return names.get(key) or MEASURES[key].name


def _changed(page: Page, before: AtlasQuery) -> None:
    state = st.session_state
    text = " ".join(state["_text"].split())
    colour = state["_colour"]
    if text and text != before.text:
        colour = TEXT  # a new text is there to be seen
    filters = replace(
        before.filters,
        layers=tuple(sorted(int(layer) for layer in state["_layers"])),
        word=" ".join(state["_word"].split()),
    )
    if colour == before.usual_colour or (colour == TEXT and not text):
        colour = ""
    query = replace(before, colour=colour, text=text, filters=filters)
    frame.address(page, **query.params())


def _with_ranges(query: AtlasQuery, spans: ranges.Ranges) -> AtlasQuery:
    return replace(query, filters=replace(query.filters, ranges=spans))


def _ranged(page: Page, before: AtlasQuery, spans: ranges.Ranges) -> None:
    frame.address(page, **_with_ranges(before, spans).params())


def chart(page: Page, query: AtlasQuery) -> None:
    """Draw the map; a click opens a neuron, or its head; a lasso or box makes a list."""
    view = page.view
    points = points_of(view, query)
    kept = kept_of(points, query)
    values, problem = values_of(points, query)
    marks, lost = _marks(points, query, kept)
    frame.show_problems([said for said in (problem, lost) if said])
    names = landmarks(view.bundle)
    frame.draw(
        caption(_said(points), NAMES if names else "", _notes(points, kept, query)),
        sieve.line(view, "atlas", query.params(), query.filters.above, _left_out(view, query)),
    )
    _mount_hints(points)
    shown = query.coloured_by if query.text or query.coloured_by != TEXT else query.usual_colour
    levels = discrete(values) if shown in (LAYER, BLOCK) else []
    scale = scale_of(shown, colour_name(shown).lower(), levels)
    st.plotly_chart(
        map_figure(points.places, places_in(levels, values), kept, scale, marks, names),
        config=charts.CONFIG
        | {"displayModeBar": True, "scrollZoom": True, "displaylogo": False}
        | {"plotGlPixelRatio": 1 if len(points.rows) > MANY else 2},
        key=CHART,
        on_select=lambda: _selected(page, query, points),
        selection_mode=("points", "box", "lasso"),
        width="stretch",
        height="stretch",
    )


def _said(points: Points) -> str:
    """Say what the points are, where they stand, and what can be done with them."""
    many = f"Each of the {len(points.rows):,} points is a "
    if not points.heads:
        return (
            f"{many}neuron; points lie near each other "
            "where the neurons’ directions in the joint space of pictures and texts agree (t-SNE: "
            "trust neighbourhoods, not distances). Point at one to see what it means, its pictures "
            "and lines to its nearest neighbours in the joint space itself; click it to open its "
            "neuron; draw a lasso or a box to list the neurons inside. "
        )
    own = glossary.share(pair_map(points.view.bundle).own)
    summed = "" if pair_directions(points.view.bundle).exact else SUMMED
    return (
        f"{many}pair: a neuron and a later head that carries much of it. The map is that of the "
        "neurons, and a pair stands beside the neuron whose direction is nearest to what the pair "
        f"adds: for {own} that is its own neuron, the others turn into something else.{summed} "
        "Point at one to see its words and pictures and a line to its own neuron; click it to open "
        "the head; draw a lasso or a box to list the neurons of the pairs inside. "
    )


def kept_of(points: Points, query: AtlasQuery) -> NDArray[np.bool_]:
    """Return which points’ neurons pass the filters, [point]; the others are small and grey."""
    kept = points.placed
    if query.filters.above or query.filters.params():
        kept &= selection.filtered(points.view, query.filters).mask[points.rows]
    return kept


def _left_out(view: View, query: AtlasQuery) -> int:
    """Return how many neurons are grey for being no more than chance alone."""
    return selection.filtered(view, query.filters).hidden


def _notes(points: Points, kept: NDArray[np.bool_], query: AtlasQuery) -> Markup:
    """Say what the filters leave, where to see it as cards, and what is pointed to."""
    view, filters = points.view, query.filters.params()
    as_cards = anchor("neurons", {"bundle": view.key, **filters}, "the same as cards")
    shown = tag("b", f"{int(kept.sum()):,}")
    passed: list[Child] = (
        ["The neurons of ", shown, " pairs"] if points.heads else [shown, " neurons"]
    )
    notes: list[Child] = (
        [*passed, " pass the filters, the others are small and grey; ", as_cards, "."]
        if filters
        else ["Without a mouse: ", as_cards, "."]
    )
    if query.at:
        name = glossary.neuron_name(*query.at)
        opened = heads_address(query.at.head)
        notes += [
            " The arrow points to ",
            neuron_link(view, view.bundle.row(*query.at.place), name, **opened),
            ".",
        ]
    return joined(notes)


def _marks(points: Points, query: AtlasQuery, kept: NDArray[np.bool_]) -> tuple[Marks, str]:
    """Return what stands out, and a sentence where the address points to a pair that is none."""
    chosen = np.flatnonzero(np.isin(points.rows, _chosen_rows(points, query, kept)))
    marks = Marks(chosen=frozenset(chosen.tolist()))
    if query.at is None:
        return marks, ""
    place = _place_of(points, query.at)
    if place is None:
        return marks, (
            f"The map cannot point to {query.at.written}, as the head carries little of the "
            "neuron: its page names its heads under “Head by head”."
        )
    if not np.isfinite(place).all():
        return marks, ""  # a dead neuron has no place
    x, y = place.tolist()
    return replace(marks, at=(x, y), name=glossary.short_name(*query.at)), ""


def _place_of(points: Points, at: Pin) -> NDArray[np.float32] | None:
    """Return where a neuron or a pair stands, [coordinate]; None for a pair that is none."""
    bundle = points.view.bundle
    row = bundle.row(*at.place)
    if at.head is None or not points.heads:
        place: NDArray[np.float32] = np.asarray(bundle.atlas[row])
        return place
    found = place_of(bundle, row, at.head)
    return None if found is None else points.places[pair_directions(bundle).number(row, found)]


def _mount_hints(points: Points) -> None:
    """Mount the card beside the pointer: words and pictures of a point, and lines from it."""
    hints = st.components.v2.component("lens_hints", js=_HINTS)
    view = points.view
    address = served.pair_hints_address(view) if points.heads else served.hints_address(view)
    with st.sidebar:  # an element without size; here it takes no gap of the page
        hints(key="lens_hints", data={"chart": f"st-key-{CHART}", "hints": address})


def _selected(page: Page, query: AtlasQuery, points: Points) -> None:
    """Open the one point that was clicked; write several as a list in the address."""
    drawn = st.session_state[CHART]["selection"]
    numbers = [int(point["customdata"]) for point in drawn["points"] if "customdata" in point]
    outlines = tuple(area.outline(line["x"], line["y"]) for line in drawn.get("lasso", ()))
    outlines += tuple(area.box(line["x"], line["y"]) for line in drawn.get("box", ()))
    if len(numbers) == 1 and not outlines:
        (number,) = numbers
        layer, neuron = page.view.place(int(points.rows[number]))
        head = heads_address(points.head(number))
        frame.go("neuron", bundle=page.view.key, layer=layer, neuron=neuron, **head)
        return
    rows = np.unique(points.rows[numbers]).tolist()
    named = tuple(page.view.place(row) for row in _ordered(page.view, rows))
    chosen, kept = (named, ()) if len(named) <= LIST_LENGTH else ((), outlines)
    frame.address(page, **replace(query, chosen=chosen, area=kept).params())


def _ordered(view: View, rows: Sequence[int]) -> list[int]:
    """Return the rows, the most polysemantic first."""
    polysemy = view.column("polysemy")
    return sorted(rows, key=lambda row: (-polysemy[row], row))


def _chosen_rows(points: Points, query: AtlasQuery, kept: NDArray[np.bool_]) -> list[int]:
    """Return the neurons of the last lasso, in the order of the list."""
    if query.chosen:
        return [points.view.bundle.row(*place) for place in query.chosen]
    if not query.area:
        return []
    found = kept & area.inside(points.places, query.area)
    return _ordered(points.view, np.unique(points.rows[found]).tolist())


def chosen(page: Page, query: AtlasQuery) -> None:
    """Draw the neurons of the last lasso, most polysemantic first, and their download."""
    if not (query.chosen or query.area):
        return
    view = page.view
    points = points_of(view, query)
    rows = _chosen_rows(points, query, kept_of(points, query))
    clear = anchor(
        "atlas",
        {"bundle": view.key, **replace(query, chosen=(), area=()).params()},
        "Clear the list",
        css="button",
        marks={"data_stay": True},
    )
    if not rows:
        frame.draw(tag("h2", "No neuron in this area"), tag("p", clear), css="empty")
        return
    listed = rows[:LIST_LENGTH]
    as_list = link(
        "neurons",
        "Open as a list" if len(listed) == len(rows) else f"Open the first {LIST_LENGTH} as a list",
        css="button first",
        bundle=view.key,
        list="From the atlas",
        neurons=write_places([view.place(row) for row in listed]),
    )
    more = f", {SHOWN} shown" if len(rows) > SHOWN else ""
    holds = "this list" if query.chosen else "the area"
    frame.draw(
        tag("h2", f"{len(rows):,} neurons chosen"),
        caption(
            f"Most polysemantic first{more}. The address holds {holds}; the CSV has all of them."
        ),
        actions(as_list, clear),
    )
    with st.container(key="lens_downloads", horizontal=True):
        st.download_button(
            "Download as CSV",
            lambda: export.csv_of(view, rows),
            file_name=f"{view.key}-atlas.csv",
            mime="text/csv",
            on_click="ignore",
        )
        save_finding.of_neurons(page, rows, "From the atlas")
    frame.draw(cards(card(view, row) for row in rows[:SHOWN]))

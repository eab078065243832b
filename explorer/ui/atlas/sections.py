"""The Atlas page: the map, what colours it, and the neurons chosen on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from markupsafe import Markup
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.ui.address import area
from explorer.ui.address.address import LIST_LENGTH, WORD_LENGTH, write_places
from explorer.ui.address.atlas_query import COLOURS, LAYER, TEXT, AtlasQuery
from explorer.ui.core import glossary
from explorer.ui.core.glossary import MEASURES
from explorer.ui.data import export, loaded_model, selection, served
from explorer.ui.data.loaders import View
from explorer.ui.html import charts
from explorer.ui.html.cards import card, cards
from explorer.ui.html.elements import Child, caption, joined, tag
from explorer.ui.html.links import actions, anchor, link, neuron_link
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import ranges, save_finding, sieve

SHOWN = 24
HEIGHT = 640
FADED = "rgba(139,145,154,0.22)"
CHART = "_atlas"
MARK = "#5146c9"  # with white on it in light and dark mode
MANY = 20_000  # points from which they are drawn plainer, so that the map still follows the hand
_HINTS = (Path(__file__).parent / "atlas.js").read_text("utf-8")


def toolbar(page: Page, query: AtlasQuery) -> None:
    """Draw the choice of colour, text, layers, word and ranges; each change is a new address."""
    frame.title("Atlas")
    frame.draw(tag("h1", "Atlas"))
    state = st.session_state
    state["_colour"], state["_text"], state["_word"] = query.colour, query.text, query.filters.word
    state["_layers"] = [str(layer) for layer in query.filters.layers]
    change: dict[str, Any] = {"on_change": _changed, "args": (page, query)}
    with st.container(key="lens_tools"):
        columns = st.columns([1.2, 1.3, 1.5, 1.2, 0.8], gap="small", vertical_alignment="bottom")
    columns[0].selectbox("Colour by", COLOURS, format_func=colour_name, key="_colour", **change)
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


def colour_name(key: str) -> str:
    """Return what a colouring is called."""
    names = {LAYER: "Layer", TEXT: "Similarity to the text"}
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
    query = replace(
        before, colour=colour if text or colour != TEXT else LAYER, text=text, filters=filters
    )
    frame.address(page, **query.params())


def _with_ranges(query: AtlasQuery, spans: ranges.Ranges) -> AtlasQuery:
    return replace(query, filters=replace(query.filters, ranges=spans))


def _ranged(page: Page, before: AtlasQuery, spans: ranges.Ranges) -> None:
    frame.address(page, **_with_ranges(before, spans).params())


def chart(page: Page, query: AtlasQuery) -> None:
    """Draw the map; a click opens a neuron, a lasso or box makes a list."""
    view = page.view
    kept = _kept(view, query)
    values, problem = _values(view, query)
    if problem:
        frame.show_problems([problem])
    frame.draw(
        caption(
            f"Each of the {len(view.neurons):,} points is a neuron; points lie near each other "
            "where the neurons’ directions in the joint space of pictures and texts agree (t-SNE: "
            "trust neighbourhoods, not distances). Point at one to see what it means, its pictures "
            "and lines to its nearest neighbours in the joint space itself; click it to open its "
            "neuron; draw a lasso or a box to list the neurons inside. ",
            _notes(view, kept, query),
        ),
        sieve.line(view, "atlas", query.params(), query.filters.above, _left_out(view, query)),
    )
    _mount_hints(view)
    points = len(view.neurons)
    st.plotly_chart(
        map_figure(view, values, kept, _scale_of(query), _marks(view, query, kept)),
        config=charts.CONFIG
        | {"displayModeBar": True, "scrollZoom": True, "displaylogo": False}
        | {"plotGlPixelRatio": 1 if points > MANY else 2},
        key=CHART,
        on_select=lambda: _selected(page, query),
        selection_mode=("points", "box", "lasso"),
        width="stretch",
    )


def _kept(view: View, query: AtlasQuery) -> NDArray[np.bool_]:
    """Return which neurons pass the filters, [neuron]; the others stay on the map in grey."""
    kept = np.isfinite(view.bundle.atlas[:, 0])
    if query.filters.above or query.filters.params():
        passed = np.zeros(len(kept), bool)
        passed[selection.select(view, query.filters).rows] = True
        kept &= passed
    return kept


def _left_out(view: View, query: AtlasQuery) -> int:
    """Return how many neurons are grey for being no more than chance alone."""
    return selection.select(view, query.filters).hidden


def _notes(view: View, kept: NDArray[np.bool_], query: AtlasQuery) -> Markup:
    """Say what the filters leave, where to see it as cards, and which neuron is pointed to."""
    filters = query.filters.params()
    as_cards = anchor("neurons", {"bundle": view.key, **filters}, "the same as cards")
    notes: list[Child] = (
        [
            tag("b", f"{int(kept.sum()):,}"),
            " neurons pass the filters, the others are grey; ",
            as_cards,
            ".",
        ]
        if filters
        else ["Without a mouse: ", as_cards, "."]
    )
    if query.at:
        row = view.bundle.row(*query.at)
        notes += [
            " The arrow points to ",
            neuron_link(view, row, glossary.neuron_name(*query.at)),
            ".",
        ]
    return joined(notes)


def _values(view: View, query: AtlasQuery) -> tuple[NDArray[np.float32], str]:
    """Return what colours the points, [neuron], and a sentence if there is no embedding."""
    layers = view.neurons[LAYER].to_numpy(np.float32)
    if query.colour != TEXT:
        return view.neurons[query.colour].to_numpy(np.float32), ""
    if not query.text:
        return layers, "Enter a text to colour by similarity to it. Until then layers are shown."
    try:
        direction = loaded_model.text_direction(view, query.text)
    except InputError as error:
        return layers, f"{error} The colours show layers."
    return np.asarray(view.bundle.directions, np.float32) @ direction, ""


def _scale_of(query: AtlasQuery) -> dict[str, Any]:
    """Return the colour scale: safe for colour-blind readers, diverging for signed likeness."""
    shown = query.colour if query.text or query.colour != TEXT else LAYER
    name = colour_name(shown).lower()
    bar = {"thickness": 10, "len": 0.6, "title": {"text": name, "side": "right"}, "outlinewidth": 0}
    if shown == TEXT:
        return {"colorscale": charts.DIVERGING, "cmid": 0, "colorbar": bar}
    return {"colorscale": "Cividis", "colorbar": bar}


@dataclass(frozen=True)
class Marks:
    """Rows that stand out on the map: one with an arrow, and the chosen ones."""

    at: int | None = None
    chosen: frozenset[int] = frozenset()


def _marks(view: View, query: AtlasQuery, kept: NDArray[np.bool_]) -> Marks:
    at = view.bundle.row(*query.at) if query.at else None
    if at is not None and not np.isfinite(view.bundle.atlas[at]).all():
        at = None  # a dead neuron has no place
    return Marks(at, frozenset(_chosen_rows(view, query, kept)))


def map_figure(
    view: View,
    values: NDArray[np.float32],
    kept: NDArray[np.bool_],
    scale: Mapping[str, Any],
    marks: Marks = Marks(),
) -> go.Figure:
    """Draw the map in WebGL: grey points first, then the coloured ones."""
    places = np.asarray(view.bundle.atlas)
    many = len(places) > MANY
    rest = np.isfinite(places).all(axis=1) & ~kept
    grey = {
        "type": "scattergl",
        "mode": "markers",
        "x": places[rest, 0],
        "y": places[rest, 1],
        "marker": {"size": 2.5 if many else 3.5, "color": FADED},
        "hoverinfo": "skip",
    }
    rows = np.flatnonzero(kept)
    coloured: dict[str, Any] = {
        "type": "scattergl",
        "mode": "markers",
        "x": places[rows, 0],
        "y": places[rows, 1],
        "customdata": rows.astype(np.int32),
        "marker": {"size": 3 if many else 4.5, "color": values[rows], **scale},
        "hoverinfo": "none",  # atlas.js says more, with pictures
    }
    if marks.chosen:
        coloured["selectedpoints"] = np.flatnonzero(np.isin(rows, list(marks.chosen))).tolist()
    hidden = {"visible": False}
    return charts.figure(
        coloured,
        HEIGHT,
        hidden | {"fixedrange": False, "range": [-1.05, 1.05]},
        hidden | {"fixedrange": False, "range": [-1.05, 1.05]},
        under=[grey],
        dragmode="pan",
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        uirevision="atlas",
        selectionrevision=len(marks.chosen),
        annotations=[] if marks.at is None else [_pointer(view, marks.at)],
    )


def _pointer(view: View, row: int) -> dict[str, Any]:
    """Draw an arrow to one neuron."""
    x, y = np.asarray(view.bundle.atlas)[row].tolist()
    layer, neuron = view.place(row)
    return {
        "x": x,
        "y": y,
        "text": f"{layer} · {neuron:,}",
        "font": {"size": 13, "color": "#ffffff"},
        "bgcolor": MARK,
        "borderpad": 4,
        "arrowcolor": MARK,
        "arrowwidth": 2,
        "arrowhead": 2,
        "ax": 34 if x < 0 else -34,
        "ay": 46 if y > 0 else -46,
    }


def _mount_hints(view: View) -> None:
    """Mount the card beside the pointer: concepts, pictures and true neighbours of a neuron."""
    hints = st.components.v2.component("lens_hints", js=_HINTS)
    with st.sidebar:  # an element without size; here it takes no gap of the page
        hints(
            key="lens_hints", data={"chart": f"st-key-{CHART}", "hints": served.hints_address(view)}
        )


def _selected(page: Page, query: AtlasQuery) -> None:
    """Open the one point that was clicked; write several as a list in the address."""
    drawn = st.session_state[CHART]["selection"]
    rows = [int(point["customdata"]) for point in drawn["points"] if "customdata" in point]
    outlines = tuple(area.outline(line["x"], line["y"]) for line in drawn.get("lasso", ()))
    outlines += tuple(area.box(line["x"], line["y"]) for line in drawn.get("box", ()))
    if len(rows) == 1 and not outlines:
        layer, neuron = page.view.place(rows[0])
        frame.go("neuron", bundle=page.view.key, layer=layer, neuron=neuron)
        return
    named = tuple(page.view.place(row) for row in _ordered(page.view, rows))
    chosen, kept = (named, ()) if len(named) <= LIST_LENGTH else ((), outlines)
    frame.address(page, **replace(query, chosen=chosen, area=kept).params())


def _ordered(view: View, rows: Sequence[int]) -> list[int]:
    """Return the rows, the most polysemantic first."""
    polysemy = view.column("polysemy")
    return sorted(rows, key=lambda row: (-polysemy[row], row))


def _chosen_rows(view: View, query: AtlasQuery, kept: NDArray[np.bool_]) -> list[int]:
    """Return the neurons of the last lasso, in the order of the list."""
    if query.chosen:
        return [view.bundle.row(*place) for place in query.chosen]
    if not query.area:
        return []
    found = kept & area.inside(np.asarray(view.bundle.atlas), query.area)
    return _ordered(view, np.flatnonzero(found).tolist())


def chosen(page: Page, query: AtlasQuery) -> None:
    """Draw the neurons of the last lasso, most polysemantic first, and their download."""
    if not (query.chosen or query.area):
        return
    view = page.view
    rows = _chosen_rows(view, query, _kept(view, query))
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

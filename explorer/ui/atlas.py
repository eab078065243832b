"""The Atlas page: the map, what colours it, and the neurons chosen on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.ui import (
    charts,
    export,
    files,
    frame,
    glossary,
    live,
    parts,
    save_finding,
    selection,
)
from explorer.ui.address import WORD_LENGTH, NeuronsQuery, read_neurons, whole, write_places
from explorer.ui.frame import Page
from explorer.ui.loaders import View

LAYER, TEXT = "layer", "text"
COLOURS = (LAYER, "agreement", "polysemy", "selectivity", "explained_variance", "max_norm", TEXT)
MOST_CHOSEN = 200  # neurons an address carries
SHOWN = 24
HEIGHT = 640
FADED = "rgba(139,145,154,0.22)"
CHART = "_atlas"
_HINTS = (Path(__file__).parent / "atlas.js").read_text("utf-8")


@dataclass(frozen=True)
class AtlasQuery:
    """What the map shows."""

    colour: str = LAYER
    text: str = ""
    layers: tuple[int, ...] = ()
    word: str = ""
    chosen: tuple[int, ...] = ()  # rows

    def params(self, view: View) -> dict[str, str]:
        """The query as address parameters, defaults left out."""
        places = (view.place(row) for row in self.chosen)
        values = {
            "colour": "" if self.colour == LAYER else self.colour,
            "text": self.text,
            "layers": ",".join(map(str, self.layers)),
            "word": self.word,
            "neurons": ",".join(f"{layer}.{neuron}" for layer, neuron in places),
        }
        return {key: value for key, value in values.items() if value}


def read_query(page: Page) -> tuple[AtlasQuery, list[str]]:
    """Read the address; what can't be read is left out and named."""
    view, params = page.view, page.params
    reading = read_neurons({k: params.get(k, "") for k in ("layers", "word")}, view.layers)
    problems = reading.problems
    colour = params.get("colour", LAYER)
    if colour not in COLOURS:
        problems.append(f"“{colour}” colours nothing here. Possible: {', '.join(COLOURS)}.")
        colour = LAYER
    text = " ".join(params.get("text", "").split())[:WORD_LENGTH]
    query = AtlasQuery(colour, text, reading.query.layers, reading.query.word)
    chosen, unknown = _read_rows(view, params.get("neurons", ""))
    if unknown:
        problems.append(
            f"The address names neurons this bundle does not have ({', '.join(unknown[:3])}): "
            "they are left out. Write layer.neuron, for example 8.120."
        )
    return replace(query, chosen=tuple(chosen)), problems


def _read_rows(view: View, text: str) -> tuple[list[int], list[str]]:
    rows, unknown = [], []
    for part in [part.strip() for part in text.split(",") if part.strip()][:MOST_CHOSEN]:
        layer, _, neuron = part.partition(".")
        place = (whole(layer), whole(neuron))
        try:
            if place[0] is None or place[1] is None:
                raise InputError(f"{part} names no neuron.")
            rows.append(view.bundle.row(place[0], place[1]))
        except InputError:
            unknown.append(part)
    return list(dict.fromkeys(rows)), unknown


def toolbar(page: Page, query: AtlasQuery) -> None:
    """Colour, text, layers and word; each change is a new address."""
    frame.draw("<h1>Atlas</h1>")
    state = st.session_state
    state["_colour"], state["_text"], state["_word"] = query.colour, query.text, query.word
    state["_layers"] = [str(layer) for layer in query.layers]
    change: dict[str, Any] = {"on_change": _changed, "args": (page, query)}
    with st.container(key="lens_tools"):
        columns = st.columns([1.2, 1.4, 1.4, 1.4], gap="small")
    columns[0].selectbox("Colour by", COLOURS, format_func=colour_name, key="_colour", **change)
    columns[1].text_input(
        "Likeness to a text", key="_text", placeholder="e.g. ship", max_chars=WORD_LENGTH, **change
    )
    columns[2].text_input(
        "Only neurons whose concepts contain",
        key="_word",
        placeholder="a word",
        max_chars=WORD_LENGTH,
        **change,
    )
    layers = [str(layer) for layer in page.view.layers]
    columns[3].multiselect("Layers", layers, key="_layers", placeholder="all", **change)


def colour_name(key: str) -> str:
    """What a colouring is called."""
    names = {LAYER: "Layer", TEXT: "Likeness to the text"}
    return names.get(key) or glossary.MEASURES[key].name


def _changed(page: Page, before: AtlasQuery) -> None:
    state = st.session_state
    text = " ".join(state["_text"].split())
    colour = state["_colour"]
    if text and text != before.text:
        colour = TEXT  # a new text is there to be seen
    query = AtlasQuery(
        colour if text or colour != TEXT else LAYER,
        text,
        tuple(sorted(int(layer) for layer in state["_layers"])),
        " ".join(state["_word"].split()),
        before.chosen,
    )
    frame.address(page, **query.params(page.view))


def chart(page: Page, query: AtlasQuery) -> None:
    """The map; a click opens a neuron, a lasso or box makes a list."""
    view = page.view
    kept = _kept(view, query)
    values, problem = _values(view, query)
    if problem:
        frame.show_problems([problem])
    frame.draw(
        f'<p class="caption">Each of the {len(view.neurons):,} points is a neuron; '
        "points lie near each other where the neurons’ directions in the joint space of pictures "
        "and texts agree (t-SNE: trust neighbourhoods, not distances). Point at one to see its "
        "concepts and pictures, with lines to its nearest neighbours in the joint space itself; "
        "click it to open its neuron; draw a lasso or a box to list the neurons inside. "
        f"{_kept_note(kept, query)}</p>"
    )
    _mount_hints(view)
    st.plotly_chart(
        map_figure(view, values, kept, _scale_of(query)),
        config=charts.CONFIG | {"displayModeBar": True, "scrollZoom": True, "displaylogo": False},
        key=CHART,
        on_select=lambda: _selected(page, query),
        selection_mode=("points", "box", "lasso"),
        width="stretch",
    )


def _kept(view: View, query: AtlasQuery) -> NDArray[np.bool_]:
    """Which neurons pass the filters, [neuron]; the others stay on the map in grey."""
    kept = np.isfinite(np.asarray(view.bundle.atlas)).all(axis=1)
    if query.layers or query.word:
        rows = selection.select(view, NeuronsQuery(layers=query.layers, word=query.word)).rows
        passed = np.zeros(len(kept), bool)
        passed[rows] = True
        kept &= passed
    return kept


def _kept_note(kept: NDArray[np.bool_], query: AtlasQuery) -> str:
    if not (query.layers or query.word):
        return ""
    return f"<b>{int(kept.sum()):,}</b> neurons pass the filters, the others are grey."


def _values(view: View, query: AtlasQuery) -> tuple[NDArray[np.float32], str]:
    """What colours the points, [neuron], and a sentence if the text cannot be embedded."""
    if query.colour != TEXT:
        return view.neurons[query.colour].to_numpy(np.float32), ""
    try:
        direction = live.text_direction(view, query.text)
    except InputError as error:
        return view.neurons[LAYER].to_numpy(np.float32), f"{error} The colours show layers."
    return np.asarray(view.bundle.directions, np.float32) @ direction, ""


def _scale_of(query: AtlasQuery) -> dict[str, Any]:
    """The colour scale: one that colour-blind readers can tell, diverging for signed likeness."""
    name = colour_name(query.colour).lower()
    bar = {"thickness": 10, "len": 0.6, "title": {"text": name, "side": "right"}, "outlinewidth": 0}
    if query.colour == TEXT:
        return {"colorscale": charts.DIVERGING, "cmid": 0, "colorbar": bar}
    return {"colorscale": "Cividis", "colorbar": bar}


def map_figure(
    view: View, values: NDArray[np.float32], kept: NDArray[np.bool_], scale: dict[str, Any]
) -> go.Figure:
    """The map in WebGL: grey points first, then the coloured ones."""
    places = np.asarray(view.bundle.atlas)
    rest = np.isfinite(places).all(axis=1) & ~kept
    grey = {
        "type": "scattergl",
        "mode": "markers",
        "x": places[rest, 0],
        "y": places[rest, 1],
        "marker": {"size": 3.5, "color": FADED},
        "hoverinfo": "skip",
    }
    rows = np.flatnonzero(kept)
    coloured = {
        "type": "scattergl",
        "mode": "markers",
        "x": places[rows, 0],
        "y": places[rows, 1],
        "customdata": rows.astype(np.int32),
        "marker": {"size": 5, "color": values[rows], "opacity": 0.85, **scale},
        "hoverinfo": "none",  # atlas.js says more, with pictures
    }
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
    )


def _mount_hints(view: View) -> None:
    """The card beside the pointer: a neuron's concepts, pictures and true neighbours."""
    hints = st.components.v2.component("lens_hints", js=_HINTS)
    with st.sidebar:  # an element without size; here it takes no gap of the page
        hints(
            key="lens_hints", data={"chart": f"st-key-{CHART}", "hints": files.hints_address(view)}
        )


def _selected(page: Page, query: AtlasQuery) -> None:
    """A click on one point opens it; several make a list in the address."""
    points = st.session_state[CHART]["selection"]["points"]
    rows = [int(point["customdata"]) for point in points if "customdata" in point]
    if len(rows) == 1:
        layer, neuron = page.view.place(rows[0])
        frame.go("neuron", bundle=page.view.key, layer=layer, neuron=neuron)
        return
    polysemy = page.view.neurons["polysemy"].to_numpy()
    ordered = sorted(rows, key=lambda row: -polysemy[row])[:MOST_CHOSEN]
    frame.address(page, **replace(query, chosen=tuple(ordered)).params(page.view))


def chosen(page: Page, query: AtlasQuery) -> None:
    """The neurons of the last lasso, most polysemantic first, and their table to download."""
    if not query.chosen:
        return
    view, rows = page.view, list(query.chosen)
    clear = parts.link(
        "atlas",
        "Clear the list",
        css="button",
        bundle=view.key,
        **replace(query, chosen=()).params(view),
    )
    as_list = parts.link(
        "neurons",
        "Open as a list",
        css="button first",
        bundle=view.key,
        list="From the atlas",
        neurons=write_places([view.place(row) for row in rows]),
    )
    more = f", {SHOWN} shown" if len(rows) > SHOWN else ""
    frame.draw(
        f"<h2>{len(rows):,} neurons chosen</h2>"
        f'<p class="caption">Most polysemantic first{more}. The address holds this list.</p>',
        f'<div class="actions">{as_list}{clear}</div>',
    )
    st.download_button(
        "Download as CSV",
        lambda: export.csv_of(view, rows),
        file_name=f"{escape(view.key)}-atlas.csv",
        mime="text/csv",
        on_click="ignore",
    )
    save_finding.of_neurons(page, rows, "From the atlas")
    frame.draw(parts.cards(parts.card(view, row) for row in rows[:SHOWN]))

"""Plotly figures of one cut. Streamlit's theme gives fonts and ground in light and dark mode."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.palette import CLUSTER_COLOURS
from explorer.ui.core import glossary
from explorer.ui.core.theme import ACCENT
from explorer.ui.data import grouping
from explorer.ui.data.grouping import Cluster, Concept

CONFIG: dict[str, Any] = {"displayModeBar": False, "responsive": True, "scrollZoom": False}
NEUTRAL = "#8b919a"
# blue to orange through grey, told apart by all readers
DIVERGING = [[0, "#0072B2"], [0.5, "#d9d9dd"], [1, "#D55E00"]]
# the same, pale enough for figures in dark ink on it
PALE = [[0, "#6fb3dc"], [0.5, "#ececf0"], [1, "#f2a766"]]
INK = "#1c2027"
BAR_HEIGHT = 19
TEXT_LENGTH = 26


def figure(
    trace: dict[str, Any],
    height: int,
    xaxis: dict[str, Any],
    yaxis: dict[str, Any],
    under: Sequence[dict[str, Any]] = (),
    **more: Any,
) -> go.Figure:
    """Return a figure in the style of all charts: margins, hover, sizes, no zoom.

    `under`: traces drawn below the main one. It is made in one go, since each of Plotly's
    `update_…` calls costs milliseconds.
    """
    axis = {"fixedrange": True, "automargin": True, "tickfont": {"size": 12}}
    layout = {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 8, "b": 44},
        "showlegend": False,
        "dragmode": False,
        "bargap": 0.22,
        "hoverlabel": {"font": {"size": 13}},
        "font": {"size": 13},
        "xaxis": axis | xaxis,
        "yaxis": axis | yaxis,
    }
    return go.Figure({"data": [*under, trace], "layout": layout | more})


def axis_title(text: str) -> dict[str, Any]:
    """Return an axis title in the size of all axis titles."""
    return {"text": text, "font": {"size": 12}}


def concept_bars(clusters: list[Cluster], most: int = 24) -> go.Figure:
    """Draw the heaviest concepts as signed bars in their clusters' colours, positive first."""
    shown = _heaviest(clusters, most)
    places = list(range(len(shown)))
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [concept.weight for concept in shown],
        "y": places,
        "marker": {"color": [CLUSTER_COLOURS[concept.colour] for concept in shown]},
        "customdata": [[literal(c.text), glossary.signed(c.weight)] for c in shown],
        "hovertemplate": "<b>%{customdata[0]}</b><br>weight %{customdata[1]}<extra></extra>",
    }
    texts = {
        "tickvals": places,
        "ticktext": [literal(_shortened(concept.text)) for concept in shown],
        "range": [len(shown) - 0.4, -0.6],
        "showgrid": False,
    }
    weights = {"title": axis_title("weight (no unit)"), "zeroline": True}
    return figure(trace, BAR_HEIGHT * len(shown) + 62, weights, texts)


def _heaviest(clusters: list[Cluster], most: int) -> list[Concept]:
    """Return the heaviest concepts, the two sides apart.

    On each side: coloured clusters as blocks, then the rest by weight.
    """
    by_weight = grouping.by_weight(clusters)[:most]
    order = {cluster.number: place for place, cluster in enumerate(clusters)}
    last = len(order)

    def place(concept: Concept) -> tuple[bool, int]:
        alone = concept.colour == grouping.REST
        return concept.weight < 0, last if alone else order[concept.cluster]

    return sorted(by_weight, key=place)  # stable: by weight within a block


def _shortened(text: str) -> str:
    return text if len(text) <= TEXT_LENGTH else text[: TEXT_LENGTH - 1] + "…"


def literal(text: str) -> str:
    """Return a text that Plotly shows as it is written, its own markup included."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def norm_histogram(
    counts: NDArray[np.int32], edges: NDArray[np.float32], significant: int
) -> go.Figure:
    """Draw pictures by effect norm (1: typical effect), a line before the strongest ones.

    The line stands where as many pictures lie right of it as are significant.
    """
    used = np.flatnonzero(counts)
    first, last = (max(used[0] - 1, 0), min(used[-1] + 2, len(counts))) if len(used) else (0, 1)
    bounds = np.log10(edges[first : last + 1])
    middles = (bounds[:-1] + bounds[1:]) / 2
    line = _tail_start(counts[first:last], bounds, significant)
    trace = {
        "type": "bar",
        "x": middles.tolist(),
        "y": counts[first:last].tolist(),
        "marker": {"color": [ACCENT if middle >= line else NEUTRAL for middle in middles]},
        "customdata": [[f"{10**low:.2g} to {10**high:.2g}"] for low, high in pairwise(bounds)],
        "hovertemplate": "<b>%{y:,} pictures</b><br>%{customdata[0]} × typical<extra></extra>",
    }
    heights = {
        "type": "log",
        "title": axis_title("pictures (log scale)"),
        "dtick": 1,
        "tickformat": ",",
        # room above the bars for the line's name
        "range": [-0.25, float(np.log10(max(int(counts.max()), 10))) * 1.18],
    }
    marks = _line(line, f"strongest {significant:,}") if len(used) else {}
    return figure(trace, 260, _log_axis(edges[first], edges[last]), heights, **marks, bargap=0.06)


def _tail_start(counts: NDArray[np.int32], bounds: NDArray[np.floating[Any]], tail: int) -> float:
    """Return where on the axis the last `tail` pictures begin, within a bin by its share."""
    above = np.cumsum(counts[::-1])[::-1]
    inside = np.flatnonzero(above >= tail)
    if not len(inside):
        return float(bounds[0])
    place = int(inside[-1])
    beyond = int(above[place]) - int(counts[place])
    part = (tail - beyond) / max(int(counts[place]), 1)
    return float(bounds[place + 1] - part * (bounds[place + 1] - bounds[place]))


def _line(place: float, name: str) -> dict[str, Any]:
    """Draw a named vertical line."""
    shape = {
        "type": "line",
        "x0": place,
        "x1": place,
        "y0": 0,
        "y1": 1,
        "yref": "y domain",
        "line": {"color": ACCENT, "width": 2, "dash": "dot"},
    }
    text = {
        "x": place,
        "y": 1,
        "yref": "y domain",
        "text": name,
        "font": {"size": 12},
        "showarrow": False,
        "xanchor": "right",
        "yanchor": "top",
    }
    return {"shapes": [shape], "annotations": [text]}


def _log_axis(low: float, high: float) -> dict[str, Any]:
    """Label a logarithmic axis that is linear in log10 (equal bar widths) with plain numbers."""
    ticks = [t for t in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100) if low <= t <= high]
    return {
        "tickvals": [float(np.log10(tick)) for tick in ticks],
        "ticktext": [f"{tick:g}" for tick in ticks],
        "title": axis_title("effect norm ÷ typical effect (log scale)"),
    }

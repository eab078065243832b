"""Plotly figures of one cut. Streamlit's theme gives fonts and ground in light and dark mode."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.ui import glossary, grouping
from explorer.ui.grouping import Cluster, Concept
from explorer.ui.theme import ACCENT, CLUSTER_COLOURS

CONFIG: dict[str, Any] = {"displayModeBar": False, "responsive": True, "scrollZoom": False}
NEUTRAL = "#8b919a"
BAR_HEIGHT = 19
TEXT_LENGTH = 26


def styled(figure: go.Figure, height: int) -> go.Figure:
    """The one cut of all charts: margins, hover, no zoom."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 12, "t": 8, "b": 44},
        showlegend=False,
        dragmode=False,
        bargap=0.22,
        hoverlabel={"font": {"size": 13}},
        font={"size": 13},
    )
    figure.update_xaxes(fixedrange=True, title_font_size=12, tickfont_size=12, automargin=True)
    figure.update_yaxes(fixedrange=True, title_font_size=12, tickfont_size=12, automargin=True)
    return figure


def concept_bars(clusters: list[Cluster], most: int = 24) -> go.Figure:
    """The heaviest concepts as signed bars, by cluster, in the clusters' colours."""
    shown = _heaviest(clusters, most)
    places = np.arange(len(shown))
    figure = go.Figure(
        go.Bar(
            orientation="h",
            x=[concept.weight for concept in shown],
            y=places,
            marker_color=[CLUSTER_COLOURS[concept.colour] for concept in shown],
            customdata=[[concept.text, glossary.signed(concept.weight)] for concept in shown],
            hovertemplate="<b>%{customdata[0]}</b><br>weight %{customdata[1]}<extra></extra>",
        )
    )
    styled(figure, BAR_HEIGHT * len(shown) + 62)
    figure.update_yaxes(
        tickvals=places,
        ticktext=[_plain(concept.text) for concept in shown],
        range=[len(shown) - 0.4, -0.6],
        showgrid=False,
    )
    figure.update_xaxes(title_text="weight (no unit)", zeroline=True)
    return figure


def _heaviest(clusters: list[Cluster], most: int) -> list[Concept]:
    """The heaviest concepts: coloured clusters as blocks, then the rest by weight."""
    by_weight = sorted(
        (concept for cluster in clusters for concept in cluster.concepts),
        key=lambda concept: -abs(concept.weight),
    )[:most]
    order = {cluster.number: place for place, cluster in enumerate(clusters)}
    coloured = [concept for concept in by_weight if concept.colour != grouping.REST]
    coloured.sort(key=lambda concept: order[concept.cluster])  # stable: by weight within
    return coloured + [concept for concept in by_weight if concept.colour == grouping.REST]


def _plain(text: str) -> str:
    """A text as an axis label: shortened, Plotly's own markup taken literally."""
    short = text if len(text) <= TEXT_LENGTH else text[: TEXT_LENGTH - 1] + "…"
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def norm_histogram(
    counts: NDArray[np.int32], edges: NDArray[np.float32], significant: int
) -> go.Figure:
    """Pictures by effect norm (1: the neuron's typical effect), a line before the strongest ones.

    The line stands where as many pictures lie right of it as are significant.
    """
    used = np.flatnonzero(counts)
    first, last = (max(used[0] - 1, 0), min(used[-1] + 2, len(counts))) if len(used) else (0, 1)
    bounds = np.log10(edges[first : last + 1])
    middles = (bounds[:-1] + bounds[1:]) / 2
    line = _tail_start(counts[first:last], bounds, significant)
    ranges = [f"{10**low:.2g} to {10**high:.2g}" for low, high in pairwise(bounds)]
    figure = go.Figure(
        go.Bar(
            x=middles,
            y=counts[first:last],
            marker_color=[ACCENT if middle >= line else NEUTRAL for middle in middles],
            customdata=[[text] for text in ranges],
            hovertemplate="<b>%{y:,} pictures</b><br>%{customdata[0]} × typical<extra></extra>",
        )
    )
    styled(figure, 260)
    figure.update_layout(bargap=0.06)
    _log_ticks(figure, edges[first], edges[last])
    highest = np.log10(max(int(counts.max()), 10))
    figure.update_yaxes(
        type="log",
        title_text="pictures (log scale)",
        dtick=1,
        tickformat=",",
        range=[-0.25, highest * 1.18],  # room above the bars for the line's name
    )
    if len(used):
        _mark_line(figure, line, f"strongest {significant:,}")
    return figure


def _tail_start(counts: NDArray[np.int32], bounds: NDArray[np.floating[Any]], tail: int) -> float:
    """Where on the axis the last `tail` pictures begin, within a bin by its share."""
    above = np.cumsum(counts[::-1])[::-1]
    inside = np.flatnonzero(above >= tail)
    if not len(inside):
        return float(bounds[0])
    place = int(inside[-1])
    beyond = int(above[place]) - int(counts[place])
    part = (tail - beyond) / max(int(counts[place]), 1)
    return float(bounds[place + 1] - part * (bounds[place + 1] - bounds[place]))


def _mark_line(figure: go.Figure, place: float, text: str) -> None:
    figure.add_vline(
        x=place,
        line={"color": ACCENT, "width": 2, "dash": "dot"},
        annotation={"text": text, "font": {"size": 12}, "yshift": -2},
        annotation_position="top left",
    )


def _log_ticks(figure: go.Figure, low: float, high: float) -> None:
    """Plain numbers on a logarithmic axis that is linear in log10 (bars then have equal width)."""
    ticks = [t for t in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100) if low <= t <= high]
    figure.update_xaxes(
        tickvals=[float(np.log10(tick)) for tick in ticks],
        ticktext=[f"{tick:g}" for tick in ticks],
        title_text="effect norm ÷ typical effect (log scale)",
    )

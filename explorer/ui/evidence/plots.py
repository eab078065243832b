"""Draw what claims describe (`explorer.evidence.drawing`) with Plotly, in one cut."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from explorer.evidence.drawing import Band, Dots, Drawing, Heads, Lines, Scale, Steps, Tone, percent
from explorer.evidence.figures import Figure, value_of
from explorer.palette import COLOURS
from explorer.ui.html import charts
from explorer.ui.html.charts import NEUTRAL, axis_title

TONES = {
    Tone.SECOND: COLOURS[0],
    Tone.DIRECT: COLOURS[1],
    Tone.INDIRECT: COLOURS[2],
    Tone.JOINT: COLOURS[3],
    Tone.FURTHER: COLOURS[4],
    Tone.ABLATED: COLOURS[5],
    Tone.CONTROL: NEUTRAL,
}
SECOND = TONES[Tone.SECOND]
ROW = 36
WRAP = 22  # characters of a row's name before it goes on below
HEIGHT = 300
NEAR = 0.5  # figures above this share of the largest are near each other
ROOM = 0.08  # beyond the outermost figures, as a share of their span
SPREAD = 0.16  # between series at one place of the axis
LEGEND = {
    "orientation": "h",
    "yanchor": "bottom",
    "y": 1.02,
    "xanchor": "left",
    "x": 0,
    "font": {"size": 12},
}


def draw(drawing: Drawing) -> go.Figure:
    """Draw what a claim describes."""
    match drawing:
        case Dots():
            return _dots(drawing)
        case Lines():
            return _lines(drawing)
        case Band():
            return _band(drawing)
        case Steps():
            return _steps(drawing)
        case Heads():
            return _heads(drawing)


def _dots(drawing: Dots) -> go.Figure:
    rows, scale = drawing.rows, drawing.scale
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": _values([row.figure for row in rows], scale),
        "y": list(range(len(rows))),
        "error_x": _bars([row.figure for row in rows], scale),
        "marker": {"color": [TONES[row.tone] for row in rows], "size": 10},
        "cliponaxis": False,
        "customdata": [[row.name, scale.text(row.figure)] for row in rows],
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]}<extra></extra>",
    }
    names = {
        "tickvals": list(range(len(rows))),
        "ticktext": ["<br>".join(wrap(charts.literal(row.name), WRAP)) for row in rows],
        "range": [len(rows) - 0.5, -0.5],
        "showgrid": False,
        "zeroline": False,
    }
    across = _axis([row.figure for row in rows], scale, drawing.reference)
    across |= {"showgrid": True, "zeroline": True}
    rule = _rule(drawing.reference, "x", scale.factor)
    return charts.figure(trace, ROW * len(rows) + 66, across, names, **rule)


def _lines(drawing: Lines) -> go.Figure:
    series, places, scale, axis = drawing.series, drawing.places, drawing.scale, drawing.axis
    middle = (len(series) - 1) / 2
    step = min(SPREAD, 0.7 / max(len(series), 1))
    traces = []
    for number, line in enumerate(series):
        colour = TONES[line.tone]
        trace = {
            "type": "scatter",
            "mode": "lines+markers",
            "name": line.name,
            "x": [place + (number - middle) * step for place in range(len(places))],
            "y": _values(line.figures, scale),
            "error_y": _bars(line.figures, scale) | {"color": colour},
            "line": {"color": colour, "width": 2},
            "marker": {"color": colour, "size": 8},
            "customdata": [
                [f"{axis} {place}", scale.text(figure)]
                for place, figure in zip(places, line.figures, strict=True)
            ],
            "hovertemplate": f"<b>{charts.literal(line.name)}</b><br>%{{customdata[0]}}<br>"
            "%{customdata[1]}<extra></extra>",
        }
        traces.append(trace)
    across = {
        "tickvals": list(range(len(places))),
        "ticktext": list(places),
        "title": axis_title(axis),
        "showgrid": False,
        "zeroline": False,
    }
    figures = [figure for line in series for figure in line.figures]
    up = _axis(figures, scale, drawing.reference)
    rule = _rule(drawing.reference, "y", scale.factor)
    return charts.figure(
        traces[-1], HEIGHT, across, up, under=traces[:-1], showlegend=True, legend=LEGEND, **rule
    )


def _band(drawing: Band) -> go.Figure:
    """Draw a median with its quartiles, without zeros, which have no logarithm."""
    places, scale = drawing.places, drawing.scale

    def points(values: Sequence[float]) -> list[float | None]:
        return [scale.factor * value if value > 0 else None for value in values]

    edge = {"type": "scatter", "mode": "lines", "x": list(places), "hoverinfo": "skip"} | {
        "line": {"color": SECOND, "width": 1}
    }
    under = [
        edge | {"y": points(drawing.upper), "name": "three quarters"},
        edge
        | {"y": points(drawing.lower), "name": "a quarter"}
        | {"fill": "tonexty", "fillcolor": "rgba(0,114,178,0.18)"},
    ]
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "median neuron",
        "x": list(places),
        "y": points(drawing.median),
        "line": {"color": SECOND, "width": 2},
        "marker": {"color": SECOND, "size": 7},
        "hovertemplate": f"<b>%{{y:.2f}}{scale.suffix}</b><br>{drawing.axis}: %{{x}}"
        "<extra></extra>",
    }
    across = {
        "type": "log",
        "title": axis_title(drawing.axis),
        "tickvals": [0.1, 0.2, 0.5, 1, 2, 3],
        "ticktext": ["0.1", "0.2", "0.5", "1", "2", "3"],
    }
    up = {"type": "log", "title": axis_title(scale.title), "dtick": 1, "tickformat": "~g"}
    rule = _rule(drawing.reference, "x")
    return charts.figure(trace, HEIGHT, across, up, under=under, **rule)


def _steps(drawing: Steps) -> go.Figure:
    edges = drawing.edges
    traces = []
    for name, tone, heights in drawing.counts:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": [edge for edge in edges for _ in range(2)],
                "y": [0, *(height for height in heights for _ in range(2)), 0],
                "line": {"color": TONES[tone], "width": 2},
                "fill": "tozeroy",
                "opacity": 0.9,
                "hovertemplate": f"<b>{charts.literal(name)}</b><br>%{{y:,}} neurons at "
                "%{x:.2f}<extra></extra>",
            }
        )
    return charts.figure(
        traces[-1],
        HEIGHT,
        {"title": axis_title(drawing.axis), "zeroline": False},
        {"title": axis_title("neurons"), "rangemode": "tozero"},
        under=traces[:-1],
        showlegend=True,
        legend=LEGEND,
    )


def _heads(drawing: Heads) -> go.Figure:
    blocks = sorted({block for block, _, _ in drawing.shares})
    count = 1 + max(head for _, head, _ in drawing.shares)
    table: list[list[float]] = [[0.0] * count for _ in blocks]
    for block, head, share in drawing.shares:
        table[blocks.index(block)][head] = 100 * value_of(share)
    reach = max((abs(value) for line in table for value in line), default=0.0) or 1.0
    trace = {
        "type": "heatmap",
        "z": table,
        "x": [str(head) for head in range(count)],
        "y": [f"block {block}" for block in blocks],
        "text": [[percent("").one(value / 100) for value in line] for line in table],
        "texttemplate": "%{text}" if count <= 8 else "",
        "textfont": {"size": 11},
        "colorscale": charts.DIVERGING,
        "zmin": -reach,
        "zmax": reach,
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
        "hovertemplate": "%{y}, head %{x}<br><b>%{z:.2f} %</b> of the lead<extra></extra>",
    }
    across = {"title": axis_title("attention head"), "showgrid": False, "type": "category"}
    down = {"autorange": "reversed", "showgrid": False, "type": "category"}
    return charts.figure(trace, 26 * len(blocks) + 76, across, down)


def _axis(figures: Sequence[Figure], scale: Scale, reference: float | None) -> dict[str, Any]:
    """Return an axis from 0; around the figures where all of them lie near a reference.

    There, differences would not be seen from 0, and the axis says that it does not start there.
    """
    ends = [end for figure in figures for end in _ends(figure)]
    if reference is not None and ends:
        low, high = min(*ends, reference), max(*ends, reference)
        if 0 < NEAR * high < low < high:
            room = ROOM * (high - low)
            return {
                "title": axis_title(f"{scale.title}; the axis does not start at 0"),
                "range": [scale.factor * (low - room), scale.factor * (high + room)],
            }
    return {"title": axis_title(scale.title), "rangemode": "tozero"}


def _ends(figure: Figure) -> Sequence[float]:
    """Return value and interval of a figure; nothing where it is not defined."""
    value = figure["value"]
    return () if value is None else (value, *(figure["interval"] or ()))


def _values(figures: Sequence[Figure], scale: Scale) -> list[float | None]:
    return [None if f["value"] is None else scale.factor * f["value"] for f in figures]


def _bars(figures: Sequence[Figure], scale: Scale) -> dict[str, Any]:
    """Return error bars from the intervals, which need not be symmetric."""
    above, below = [], []
    for figure in figures:
        value, interval = figure["value"], figure["interval"]
        low, high = interval if interval and value is not None else (value or 0, value or 0)
        above.append(scale.factor * (high - (value or 0)))
        below.append(scale.factor * ((value or 0) - low))
    return {
        "type": "data",
        "symmetric": False,
        "array": above,
        "arrayminus": below,
        "thickness": 1.5,
        "width": 4,
        "color": NEUTRAL,
    }


def _rule(place: float | None, axis: str, factor: float = 1.0) -> dict[str, Any]:
    """Return the layout of a dotted line across the plot; nothing without a place."""
    if place is None:
        return {}
    other = "y" if axis == "x" else "x"
    line = {
        "type": "line",
        f"{axis}0": factor * place,
        f"{axis}1": factor * place,
        f"{axis}ref": axis,
        f"{other}0": 0,
        f"{other}1": 1,
        f"{other}ref": f"{other} domain",
        "line": {"color": NEUTRAL, "width": 1.5, "dash": "dot"},
    }
    return {"shapes": [line]}

"""Plots of measured figures with their 95 % intervals, in the one cut of all charts.

A figure is what the evidence command prints: {"value", "interval", "count"}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from explorer.palette import COLOURS
from explorer.ui.html import charts
from explorer.ui.html.charts import NEUTRAL, axis_title

Figure = Mapping[str, Any]

SECOND, DIRECT, INDIRECT = COLOURS[0], COLOURS[1], COLOURS[2]
ROW = 36
WRAP = 22  # characters of a row's name before it goes on below
HEIGHT = 300
SPREAD = 0.16  # between series at one place of the axis
LEGEND = {
    "orientation": "h",
    "yanchor": "bottom",
    "y": 1.02,
    "xanchor": "left",
    "x": 0,
    "font": {"size": 12},
}


@dataclass(frozen=True)
class Scale:
    """What an axis counts, and in which unit."""

    title: str
    factor: float = 1.0
    suffix: str = ""
    digits: int = 3

    def text(self, figure: Figure) -> str:
        """A figure as a hover label."""
        if figure["value"] is None:
            return "not defined"
        interval = figure["interval"]
        between = f" ({self.one(interval[0])} to {self.one(interval[1])})" if interval else ""
        return self.one(figure["value"]) + between

    def one(self, value: float, unit: bool = True) -> str:
        """A number as it is written, with its unit; what rounds to 0 has no sign."""
        rounded = round(self.factor * value, self.digits) + 0.0
        return f"{rounded:.{self.digits}f}{self.suffix if unit else ''}".replace("-", "−")


RECALL = Scale("recall@1 (%)", 100, " %", 1)


def percent(title: str) -> Scale:
    """A share of 1, drawn in percent."""
    return Scale(f"{title} (%)", 100, " %", 1)


@dataclass(frozen=True)
class Series:
    """One line: a name, a colour, a figure at each place."""

    name: str
    colour: str
    figures: Sequence[Figure]
    dash: str = "solid"


@dataclass(frozen=True)
class Dot:
    """One row of a dot plot."""

    name: str
    figure: Figure
    colour: str = NEUTRAL


def dots(rows: Sequence[Dot], scale: Scale, reference: float | None = None) -> go.Figure:
    """Figures as dots with their intervals, one a row; a dotted line at `reference`."""
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": _values([row.figure for row in rows], scale),
        "y": list(range(len(rows))),
        "error_x": _bars([row.figure for row in rows], scale),
        "marker": {"color": [row.colour for row in rows], "size": 10},
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
    across = {
        "title": axis_title(scale.title),
        "rangemode": "tozero",
        "showgrid": True,
        "zeroline": True,
    }
    more = {} if reference is None else {"shapes": [_rule(scale.factor * reference, "x")]}
    return charts.figure(trace, ROW * len(rows) + 66, across, names, **more)


def lines(
    series: Sequence[Series],
    places: Sequence[str],
    scale: Scale,
    axis: str,
    reference: float | None = None,
) -> go.Figure:
    """Several lines with intervals over the same named places."""
    middle = (len(series) - 1) / 2
    step = min(SPREAD, 0.7 / max(len(series), 1))
    traces = []
    for number, line in enumerate(series):
        trace = {
            "type": "scatter",
            "mode": "lines+markers",
            "name": line.name,
            "x": [place + (number - middle) * step for place in range(len(places))],
            "y": _values(line.figures, scale),
            "error_y": _bars(line.figures, scale) | {"color": line.colour},
            "line": {"color": line.colour, "width": 2, "dash": line.dash},
            "marker": {"color": line.colour, "size": 8},
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
    up = {"title": axis_title(scale.title), "rangemode": "tozero"}
    marks = {} if reference is None else {"shapes": [_rule(scale.factor * reference, "y")]}
    return charts.figure(
        traces[-1], HEIGHT, across, up, under=traces[:-1], showlegend=True, legend=LEGEND, **marks
    )


def band(
    places: Sequence[float],
    middle: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    axis: str,
    scale: Scale,
    reference: float | None = None,
) -> go.Figure:
    """A line with a band around it, both axes logarithmic; zeros are left out."""

    def points(values: Sequence[float]) -> list[float | None]:
        return [scale.factor * value if value > 0 else None for value in values]

    edge = {"type": "scatter", "mode": "lines", "x": list(places), "hoverinfo": "skip"}
    under = [
        edge | {"y": points(high), "name": "three quarters", "line": {"color": SECOND, "width": 1}},
        edge | {"y": points(low), "name": "a quarter", "line": {"color": SECOND, "width": 1}}
        | {"fill": "tonexty", "fillcolor": "rgba(0,114,178,0.18)"},
    ]  # fmt: skip
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "median neuron",
        "x": list(places),
        "y": points(middle),
        "line": {"color": SECOND, "width": 2},
        "marker": {"color": SECOND, "size": 7},
        "hovertemplate": f"<b>%{{y:.2f}}{scale.suffix}</b><br>{axis}: %{{x}}<extra></extra>",
    }
    across = {
        "type": "log",
        "title": axis_title(axis),
        "tickvals": [0.1, 0.2, 0.5, 1, 2, 3],
        "ticktext": ["0.1", "0.2", "0.5", "1", "2", "3"],
    }
    up = {"type": "log", "title": axis_title(scale.title), "dtick": 1, "tickformat": "~g"}
    more = {} if reference is None else {"shapes": [_rule(reference, "x")]}
    return charts.figure(trace, HEIGHT, across, up, under=under, **more)


def histogram(
    edges: Sequence[float], counts: Sequence[tuple[str, str, Sequence[int]]], axis: str
) -> go.Figure:
    """Neurons by a value, several ways of measuring it as steps over each other."""
    traces = []
    for name, colour, heights in counts:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": [edge for edge in edges for _ in range(2)],
                "y": [0, *(height for height in heights for _ in range(2)), 0],
                "line": {"color": colour, "width": 2},
                "fill": "tozeroy",
                "opacity": 0.9,
                "hovertemplate": f"<b>{charts.literal(name)}</b><br>%{{y:,}} neurons at "
                "%{x:.2f}<extra></extra>",
            }
        )
    return charts.figure(
        traces[-1],
        HEIGHT,
        {"title": axis_title(axis), "zeroline": False},
        {"title": axis_title("neurons"), "rangemode": "tozero"},
        under=traces[:-1],
        showlegend=True,
        legend=LEGEND,
    )


def heads(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """What goes through each head, as a share of the right answer's lead."""
    blocks = sorted({int(row["block"]) for row in rows})
    count = 1 + max(int(row["head"]) for row in rows)
    table: list[list[float]] = [[0.0] * count for _ in blocks]
    for row in rows:
        value = row["logit_share"]["value"] or 0.0
        table[blocks.index(int(row["block"]))][int(row["head"])] = 100 * value
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


def _values(figures: Sequence[Figure], scale: Scale) -> list[float | None]:
    return [None if f["value"] is None else scale.factor * f["value"] for f in figures]


def _bars(figures: Sequence[Figure], scale: Scale) -> dict[str, Any]:
    """Error bars from the intervals, which need not be symmetric."""
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


def _rule(place: float, axis: str) -> dict[str, Any]:
    """A dotted line across the plot."""
    other = "y" if axis == "x" else "x"
    return {
        "type": "line",
        f"{axis}0": place,
        f"{axis}1": place,
        f"{axis}ref": axis,
        f"{other}0": 0,
        f"{other}1": 1,
        f"{other}ref": f"{other} domain",
        "line": {"color": NEUTRAL, "width": 1.5, "dash": "dot"},
    }

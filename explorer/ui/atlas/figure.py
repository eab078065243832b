"""The map as a figure in WebGL: grey points first, then the coloured ones, and what stands out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.ui.address.atlas_query import BLOCK, LAYER, TEXT
from explorer.ui.html import charts

HEIGHT = 640
FADED = "rgba(139,145,154,0.22)"
MARK = "#5146c9"  # with white on it in light and dark mode
MANY = 20_000  # points from which they are drawn plainer, so that the map still follows the hand


@dataclass(frozen=True)
class Marks:
    """What stands out on the map: one point with an arrow and its name, and the chosen ones."""

    at: tuple[float, float] | None = None
    name: str = ""
    chosen: frozenset[int] = frozenset()
    """Numbers of points."""


def map_figure(
    places: NDArray[np.float32],
    values: NDArray[np.float32],
    kept: NDArray[np.bool_],
    scale: Mapping[str, Any],
    marks: Marks = Marks(),
) -> go.Figure:
    """Draw the points at `places` [point, coordinate], those `kept` [point] coloured by `values`.

    `scale` are attributes of their markers; a point's number is its `customdata`.
    """
    many = len(places) > MANY
    placed = np.isfinite(places).all(axis=1)
    rest = placed & ~kept
    grey = {
        "type": "scattergl",
        "mode": "markers",
        "x": places[rest, 0],
        "y": places[rest, 1],
        "marker": {"size": 2.5 if many else 3.5, "color": FADED},
        "hoverinfo": "skip",
    }
    numbers = np.flatnonzero(kept & placed)
    coloured: dict[str, Any] = {
        "type": "scattergl",
        "mode": "markers",
        "x": places[numbers, 0],
        "y": places[numbers, 1],
        "customdata": numbers.astype(np.int32),
        "marker": {"size": 3 if many else 4.5, "color": values[numbers], **scale},
        "hoverinfo": "none",  # atlas.js says more, with pictures
    }
    if marks.chosen:
        chosen = np.flatnonzero(np.isin(numbers, list(marks.chosen)))
        coloured["selectedpoints"] = chosen.tolist()
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
        annotations=[] if marks.at is None else [_pointer(*marks.at, marks.name)],
    )


def _pointer(x: float, y: float, name: str) -> dict[str, Any]:
    """Draw an arrow to one point."""
    return {
        "x": x,
        "y": y,
        "text": name,
        "font": {"size": 13, "color": "#ffffff"},
        "bgcolor": MARK,
        "borderpad": 4,
        "arrowcolor": MARK,
        "arrowwidth": 2,
        "arrowhead": 2,
        "ax": 34 if x < 0 else -34,
        "ay": 46 if y > 0 else -46,
    }


def scale_of(shown: str, name: str) -> dict[str, Any]:
    """Return the colour scale: safe for colour-blind readers, diverging for signed likeness."""
    bar = {"thickness": 10, "len": 0.6, "title": {"text": name, "side": "right"}, "outlinewidth": 0}
    if shown == TEXT:
        return {"colorscale": charts.DIVERGING, "cmid": 0, "colorbar": bar}
    whole = {"dtick": 1} if shown in (LAYER, BLOCK) else {}
    return {"colorscale": "Cividis", "colorbar": bar | whole}

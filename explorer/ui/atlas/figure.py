"""The map as a figure in WebGL: small grey points, the coloured ones, names, what stands out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.bundle.landmarks import Landmark
from explorer.palette import COLOURS
from explorer.ui.address.atlas_query import BLOCK, LAYER, TEXT
from explorer.ui.html import charts

HEIGHT = 640  # on a phone less: see streamlit.css
BELOW = 58  # for the colour bar
FADED = "rgba(139,145,154,0.45)"
# blue to yellow, ever lighter: told apart by all readers, each seen on a light and a dark ground
SEQUENTIAL = [[0, "#4a6fe3"], [0.35, "#b65fb0"], [0.7, "#e0703c"], [1, "#e59c1c"]]
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
    landmarks: Sequence[Landmark] = (),
) -> go.Figure:
    """Draw the points at `places` [point, coordinate], those `kept` [point] coloured by `values`.

    `scale` are attributes of their markers; a point's number is its `customdata`. The others are
    small, so that no grey of a scale is taken for them. atlas.js hides `landmarks` that would lie
    on others at a screen's width.
    """
    many = len(places) > MANY
    placed = np.isfinite(places).all(axis=1)
    rest = placed & ~kept
    grey = {
        "type": "scattergl",
        "mode": "markers",
        "x": places[rest, 0],
        "y": places[rest, 1],
        "marker": {"size": 1.5 if many else 2, "color": FADED},
        "hoverinfo": "skip",
    }
    numbers = np.flatnonzero(kept & placed)
    coloured: dict[str, Any] = {
        "type": "scattergl",
        "mode": "markers",
        "x": places[numbers, 0],
        "y": places[numbers, 1],
        "customdata": numbers.astype(np.int32),
        "marker": {"size": 3 if many else 5, "color": values[numbers], **scale},
        "hoverinfo": "none",  # atlas.js says more, with pictures
    }
    if marks.chosen:
        chosen = np.flatnonzero(np.isin(numbers, list(marks.chosen)))
        coloured["selectedpoints"] = chosen.tolist()
    # of a map that changes its size the part that is shown stays, not the room that it had
    hidden = {"visible": False, "fixedrange": False, "constrain": "domain"}
    reach = float(np.abs(places[placed, 1]).max(initial=0)) or 1.0
    pointer = [] if marks.at is None else [_pointer(*marks.at, marks.name)]
    return charts.figure(
        coloured,
        HEIGHT,
        hidden | {"range": [-1.05, 1.05]},
        hidden | {"range": [-1.05 * reach, 1.05 * reach], "scaleanchor": "x"},
        under=[grey],
        dragmode="pan",
        margin={"l": 0, "r": 0, "t": 0, "b": BELOW},
        uirevision="atlas",
        selectionrevision=len(marks.chosen),
        annotations=[*pointer, *map(_name, landmarks)],
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


def _name(landmark: Landmark) -> dict[str, Any]:
    """Write the name of a region."""
    return {
        "x": landmark.x,
        "y": landmark.y,
        "text": charts.literal(landmark.text),
        "font": {"size": 13},
        "showarrow": False,
    }


def discrete(values: NDArray[np.float32]) -> list[int]:
    """Return the whole numbers that colour points where each has its own colour, else none."""
    levels = np.unique(values).astype(int).tolist()
    return levels if len(levels) <= len(COLOURS) else []


def scale_of(shown: str, name: str, levels: Sequence[int] = ()) -> dict[str, Any]:
    """Return the colour scale and its bar below the map, safe for colour-blind readers.

    Diverging for signed likeness; a colour each for `levels`, to which `places_in` turns values.
    """
    bar: dict[str, Any] = {
        "orientation": "h",
        "thickness": 12,
        "lenmode": "pixels",
        "len": 300,
        "x": 0.5,
        "xanchor": "center",
        "y": 0,
        "yanchor": "top",
        "title": {"text": name, "side": "bottom", "font": {"size": 12}},
        "outlinewidth": 0,
    }
    if shown == TEXT:
        return {"colorscale": charts.DIVERGING, "cmid": 0, "colorbar": bar}
    if levels:
        count = len(levels)
        steps = [
            [edge / count, COLOURS[place]] for place in range(count) for edge in (place, place + 1)
        ]
        ticks = {"tickvals": list(range(count)), "ticktext": [str(level) for level in levels]}
        return {"colorscale": steps, "cmin": -0.5, "cmax": count - 0.5, "colorbar": bar | ticks}
    whole = {"tickformat": "d"} if shown in (LAYER, BLOCK) else {}
    return {"colorscale": SEQUENTIAL, "colorbar": bar | whole}


def places_in(levels: Sequence[int], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each value's place among `levels`, [point]; the values where there are none."""
    return np.searchsorted(levels, values).astype(np.float32) if levels else values

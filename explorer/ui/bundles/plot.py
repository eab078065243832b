"""The overlaps of two bundles' neurons as boxes, layer by layer, beside those of chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.palette import COLOURS
from explorer.ui.html import charts

BEST = 0
"""The colour of what is measured; chance is grey."""
HEIGHT = 300

Spread = Mapping[int, NDArray[np.float64]]
"""Layer -> five quantiles."""


def overlap_figure(best: Spread, dealt: Spread) -> go.Figure:
    """Draw two boxes a layer: of the best matches, and of what chance gives."""
    return charts.figure(
        _boxes(best, COLOURS[BEST], "best match"),
        HEIGHT,
        {"title": charts.axis_title("layer"), "type": "category", "showgrid": False},
        {"title": charts.axis_title("largest overlap"), "range": [0, 1.02], "hoverformat": ".2f"},
        under=[_boxes(dealt, charts.NEUTRAL, "by chance")],
        boxmode="group",
        boxgap=0.35,
        boxgroupgap=0.2,
    )


def _boxes(spread: Spread, colour: str, name: str) -> dict[str, Any]:
    low, lower, middle, upper, high = np.stack(list(spread.values())).T.round(4).tolist()
    return {
        "type": "box",
        "name": name,
        "x": [str(layer) for layer in spread],
        "lowerfence": low,
        "q1": lower,
        "median": middle,
        "q3": upper,
        "upperfence": high,
        "marker": {"color": colour},
        "line": {"width": 1.5},
    }

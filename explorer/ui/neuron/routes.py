"""Which later attention heads carry a neuron's effect to the output."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.html import charts
from explorer.ui.shell import frame

ROW_HEIGHT = 26


def shares(view: View, row: int) -> tuple[list[int], NDArray[np.float32]]:
    """Later blocks and each of their heads' share of the strong effects: [block, head]."""
    model = view.bundle.manifest.model
    layer, _ = view.place(row)
    blocks = list(range(layer + 1, int(model["blocks"])))
    heads = int(model["heads"])
    stored = np.asarray(view.bundle.path_shares[row], np.float32)
    return blocks, stored[len(stored) - len(blocks) * heads :].reshape(len(blocks), heads)


def section(view: View, row: int) -> None:
    """The section: a map of blocks and heads, and the strongest route in words."""
    blocks, table = shares(view, row)
    if not table.any():
        return
    block, head = np.unravel_index(np.argmax(table), table.shape)
    frame.draw(
        "<h2>On which way</h2>"
        '<p class="caption">Share of its strong effects along its direction that each later '
        "attention head carries; all add up to 100 %, below zero a head works against the rest. "
        f"Most goes through head {int(head)} of block {blocks[int(block)]}: "
        f"{glossary.share(float(table.max()))}.</p>"
    )
    st.plotly_chart(
        heads_figure(blocks, table), config=charts.CONFIG, key="routes", width="stretch"
    )


def heads_figure(blocks: list[int], table: NDArray[np.float32]) -> go.Figure:
    """Blocks down, heads across, coloured by their share."""
    reach = float(np.abs(table).max())
    percent = [[glossary.share(float(value)) for value in line] for line in table]
    trace = {
        "type": "heatmap",
        "z": (100 * table).tolist(),
        "x": [str(head) for head in range(table.shape[1])],
        "y": [f"block {block}" for block in blocks],
        "text": percent,
        "texttemplate": "%{text}" if table.shape[1] <= 8 else "",
        "textfont": {"size": 12, "color": charts.INK},
        "colorscale": charts.PALE,
        "zmin": -100 * reach,
        "zmax": 100 * reach,
        "showscale": table.shape[1] > 8,
        "colorbar": {"thickness": 10, "ticksuffix": " %", "outlinewidth": 0},
        "xgap": 2,
        "ygap": 2,
        "hovertemplate": "%{y}, head %{x}<br><b>%{z:.1f} %</b> of the effect<extra></extra>",
    }
    across = {"title": charts.axis_title("attention head"), "showgrid": False, "type": "category"}
    down = {"autorange": "reversed", "showgrid": False, "type": "category"}
    return charts.figure(trace, ROW_HEIGHT * len(blocks) + 76, across, down)

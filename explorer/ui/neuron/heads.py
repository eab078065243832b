"""Which later attention heads carry a neuron's effect to the output."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from explorer.ui.core import glossary
from explorer.ui.data.neuron import Neuron, head_shares
from explorer.ui.html import charts
from explorer.ui.html.elements import caption, tag
from explorer.ui.shell import frame

ROW_HEIGHT = 24
LOW = 16  # where there are many blocks
BAR = 72  # pixels, so that the scale of a single block can be read
MANY = 4


def section(neuron: Neuron) -> None:
    """Draw a map of blocks and heads, and say which head carries most."""
    blocks, shares = head_shares(neuron.view, neuron.row)
    if not shares.any():
        return
    block, head = np.unravel_index(np.argmax(shares), shares.shape)
    frame.draw(
        tag("h2", "Which heads carry it"),
        caption(
            "Share of its strong effects along its one direction that each later attention head "
            "carries, 100 % together; “Head by head” gives shares of all effects, squared. "
            f"Most goes through head {int(head)} of block {blocks[int(block)]}: "
            f"{glossary.share(float(shares.max()))}."
        ),
    )
    st.plotly_chart(
        heads_figure(blocks, shares), config=charts.CONFIG, key="heads", width="stretch"
    )


def heads_figure(blocks: list[int], shares: NDArray[np.float32]) -> go.Figure:
    """Draw blocks down, heads across, coloured by their share."""
    reach = float(np.abs(shares).max())
    height = (LOW if len(blocks) > MANY else ROW_HEIGHT) * len(blocks)
    scale = {"thickness": 10, "ticksuffix": " %", "outlinewidth": 0, "nticks": 4}
    percent = [[glossary.share(float(value)) for value in line] for line in shares]
    trace = {
        "type": "heatmap",
        "z": (100 * shares).tolist(),
        "x": [str(head) for head in range(shares.shape[1])],
        "y": [f"block {block}" for block in blocks],
        "text": percent,
        "texttemplate": "%{text}" if shares.shape[1] <= 8 else "",
        "textfont": {"size": 12, "color": charts.INK},
        "colorscale": charts.PALE,
        "zmin": -100 * reach,
        "zmax": 100 * reach,
        "showscale": shares.shape[1] > 8,
        "colorbar": scale | {"lenmode": "pixels", "len": max(BAR, height)},
        "xgap": 2,
        "ygap": 2,
        "hovertemplate": "%{y}, head %{x}<br><b>%{z:.1f} %</b> of the effect<extra></extra>",
    }
    across = {"title": charts.axis_title("attention head"), "showgrid": False, "type": "category"}
    down = {"autorange": "reversed", "showgrid": False, "type": "category"}
    return charts.figure(trace, height + 60, across, down)

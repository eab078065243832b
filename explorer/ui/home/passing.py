"""How many neurons of each layer are more than chance: a small chart that leads to the controls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from markupsafe import Markup
from numpy.typing import NDArray

from explorer.evidence import registry
from explorer.palette import COLOURS
from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.html import charts
from explorer.ui.html.elements import caption, tag
from explorer.ui.html.links import link
from explorer.ui.html.pictures import dot
from explorer.ui.shell import frame

CONTROLS = "controls"
NOMINAL = 0.05
"""Share of meaningless neurons that a single test at this level lets pass."""
WORDS, DRIVERS = 0, 1  # colours


@dataclass(frozen=True)
class Shares:
    """Share of each layer's neurons that pass, [layer] each."""

    words: NDArray[np.float64]
    drivers: NDArray[np.float64]


def section(view: View) -> None:
    """Draw the chart with its legend; nothing for a bundle that was not compared with chance."""
    if not view.bundle.tested:
        return
    passing, count = view.passing, len(view.neurons)
    words, drivers = int(passing.words.sum()), int(passing.drivers.sum())
    text, chart = st.columns([1, 1.2], gap="large")
    with text:
        frame.draw(
            tag("h2", "More than chance"),
            caption(
                f"Of {count:,} neurons, words describe {words:,} ({glossary.share(words / count)}) "
                f"better than chance; the pictures of {drivers:,} "
                f"({glossary.share(drivers / count)}) share words more surely than chance. At most "
                "one in twenty of those that pass is expected to do so by chance. The dotted line "
                "is the nominal level: 5 % of all. ",
                controls_link(view),
            ),
            tag(
                "div",
                tag("span", dot(), "words", css=f"c{WORDS}"),
                tag("span", dot(), "what their pictures share", css=f"c{DRIVERS}"),
                css="legend",
            ),
        )
    with chart:
        figure = passing_figure(view.layers, shares(view))
        st.plotly_chart(figure, config=charts.CONFIG, key="passing", width="stretch")


def shares(view: View) -> Shares:
    """Return the share of each layer's neurons that pass, by words and by drivers."""
    layers = view.neurons["layer"].to_numpy()
    words, drivers = (
        np.array([passes[layers == layer].mean() for layer in view.layers])
        for passes in (view.passing.words, view.passing.drivers)
    )
    return Shares(words, drivers)


def controls_link(view: View) -> Markup:
    """Link to the controls on the Evidence page; to the page itself where there are none."""
    known = {claim for section in registry.sections().values() for claim in section.claims}
    claim = CONTROLS if CONTROLS in known else None
    return link("evidence", "See the controls →", bundle=view.key, claim=claim)


def passing_figure(layers: list[int], found: Shares) -> go.Figure:
    """Draw two bars a layer, and the nominal level as a dotted line."""

    def bars(values: NDArray[np.float64], colour: int, name: str) -> dict[str, object]:
        return {
            "type": "bar",
            "x": [str(layer) for layer in layers],
            "y": (100 * values).tolist(),
            "marker": {"color": COLOURS[colour]},
            "hovertemplate": f"layer %{{x}}<br><b>%{{y:.1f}} %</b> pass by {name}<extra></extra>",
        }

    most = 100 * max(found.words.max(initial=0), found.drivers.max(initial=0), 2 * NOMINAL)
    level = 100 * NOMINAL
    return charts.figure(
        bars(found.drivers, DRIVERS, "what their pictures share"),
        190,
        {"title": charts.axis_title("layer"), "type": "category", "showgrid": False},
        {"title": charts.axis_title("neurons that pass (%)"), "range": [0, 1.08 * most]},
        under=[bars(found.words, WORDS, "words")],
        barmode="group",
        shapes=[
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": level,
                "y1": level,
                "line": {"color": charts.NEUTRAL, "width": 2, "dash": "dot"},
            }
        ],
    )

"""The sparse decomposition of a neuron's direction, and how many texts it takes."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from explorer.ui.core import glossary
from explorer.ui.core.theme import ACCENT
from explorer.ui.data.neuron import TEXTS, Neuron
from explorer.ui.html import charts
from explorer.ui.html.cards import UNTESTED, legend
from explorer.ui.html.elements import caption, tag
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page

BARS = 24
CHANCE_SAID = (
    "Any direction of as many dimensions comes as close with enough texts: those beyond the words "
    "above chance say nothing of this neuron."
)


def section(page: Page, neuron: Neuron) -> None:
    """Draw the heaviest texts as bars, and the choice of how many there are."""
    clusters = neuron.shown_clusters
    texts = sum(len(cluster.concepts) for cluster in clusters)
    frame.draw(
        tag("h2", "Sparse decomposition"),
        caption(chance_said(neuron)),
        caption(
            f"The {min(BARS, texts)} heaviest of the {texts} texts whose weighted sum comes "
            "closest to the neuron's direction (cosine "
            f"{glossary.number(float(neuron.cosines[neuron.texts - 1]))} with all of them): first "
            "what it points to, then, with bars to the left, what it points away from. Colours: "
            "clusters of related texts, with their share of the squared weight."
        ),
        legend(clusters),
    )
    st.plotly_chart(
        charts.concept_bars(clusters, BARS), config=charts.CONFIG, key="concepts", width="stretch"
    )
    if neuron.most_texts > 1:
        _slider(page, neuron)


def chance_said(neuron: Neuron) -> str:
    """Say how many of the texts beat chance."""
    if not neuron.view.bundle.tested:
        return f"{UNTESTED}."
    count = int(neuron.view.passing.counts[neuron.row])
    said = ("None of these texts is", "Only the first text is")
    shown = said[count] if count < len(said) else f"The first {count} texts are"
    return f"{shown} above chance. {CHANCE_SAID}"


def _slider(page: Page, neuron: Neuron) -> None:
    """Draw the choice of how many texts; the curve says what each further one adds."""
    count, most = neuron.texts, neuron.most_texts
    st.session_state["_texts"] = count
    st.slider("Number of texts", 1, most, key="_texts", on_change=_changed, args=(page, neuron))
    st.plotly_chart(
        curve(neuron.cosines, count), config=charts.CONFIG, key="curve", width="stretch"
    )
    frame.draw(
        caption(
            "How close the sum of the first texts comes to the direction: with "
            f"{count} of them a cosine of {glossary.number(float(neuron.cosines[count - 1]))}."
        )
    )


def _changed(page: Page, neuron: Neuron) -> None:
    count = int(st.session_state["_texts"])
    frame.change(page, **neuron.params(**{TEXTS: count if count < neuron.most_texts else ""}))


def curve(cosines: NDArray[np.float32], count: int) -> go.Figure:
    """Draw the reconstruction's cosine by number of texts, the chosen number marked."""
    numbers = np.arange(1, len(cosines) + 1)
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": numbers.tolist(),
        "y": cosines.tolist(),
        "line": {"color": charts.NEUTRAL, "width": 2},
        "hovertemplate": "%{x} texts: cosine %{y:.2f}<extra></extra>",
    }
    mark = {
        "type": "scatter",
        "mode": "markers",
        "x": [count],
        "y": [float(cosines[count - 1])],
        "marker": {"color": ACCENT, "size": 10},
        "hoverinfo": "skip",
    }
    return charts.figure(
        mark,
        170,
        {"title": charts.axis_title("number of texts"), "rangemode": "tozero"},
        {"title": charts.axis_title("cosine"), "range": [0, 1.02]},
        under=[line],
    )

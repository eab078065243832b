"""How many texts a neuron needs: the sparse set cut short, and what can be taken away of it."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from explorer.findings import poster
from explorer.ui.address.address import whole
from explorer.ui.core import glossary
from explorer.ui.core.theme import ACCENT
from explorer.ui.data.grouping import Cluster
from explorer.ui.data.loaders import View
from explorer.ui.html import charts, parts
from explorer.ui.neurons import export
from explorer.ui.server import files
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page

TEXTS = "texts"  # the address parameter


def read_count(page: Page, row: int) -> tuple[int, list[str]]:
    """How many texts the address asks for; all of them, and a sentence, where it cannot be had."""
    most = int((np.asarray(page.view.bundle.concept_ids[row]) >= 0).sum())
    asked = page.params.get(TEXTS, "")
    count = whole(asked)
    if not asked or not most:
        return most, []
    if count is None or not 1 <= count <= most:
        return most, [f"“{asked}” texts cannot be shown: choose 1 to {most}. All are shown."]
    return count, []


def cut(view: View, row: int, clusters: list[Cluster], count: int) -> list[Cluster]:
    """The clusters of the first `count` texts of the pursuit, weights fitted anew."""
    ids = np.asarray(view.bundle.concept_ids[row])
    if count >= int((ids >= 0).sum()):
        return clusters
    weights = dict(
        zip((view.bundle.texts[int(i)] for i in ids[:count]), fitted(view, row, count), strict=True)
    )
    total = sum(weight**2 for weight in weights.values()) or 1.0
    kept = []
    for cluster in clusters:
        concepts = tuple(
            replace(concept, weight=float(weights[concept.text]))
            for concept in cluster.concepts
            if concept.text in weights
        )
        if concepts:
            share = float(sum(concept.weight**2 for concept in concepts) / total)
            kept.append(replace(cluster, concepts=concepts, share=share))
    return kept


def fitted(view: View, row: int, count: int) -> NDArray[np.float64]:
    """Least-squares weights of the first `count` texts for the neuron's direction, [count]."""
    bundle = view.bundle
    rows = np.asarray(bundle.concept_ids[row, :count])
    atoms: NDArray[Any] = np.asarray(bundle.text_embeddings[rows], np.float64)
    atoms -= bundle.text_mean
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    direction = np.asarray(bundle.directions[row], np.float64)
    weights: NDArray[np.float64] = np.linalg.lstsq(atoms.T, direction, rcond=None)[0]
    return weights


def slider(page: Page, row: int, count: int) -> None:
    """Choose the number of texts; the curve says what each further one adds."""
    view = page.view
    cosines = np.asarray(view.bundle.concept_cosines[row], np.float32)
    most = int((np.asarray(view.bundle.concept_ids[row]) >= 0).sum())
    if most < 2:
        return
    st.session_state["_texts"] = count
    st.slider("Number of texts", 1, most, key="_texts", on_change=_changed, args=(page, row, most))
    st.plotly_chart(
        curve(cosines[:most], count), config=charts.CONFIG, key="curve", width="stretch"
    )
    frame.draw(
        f'<p class="caption">How close the sum of the first texts comes to the direction: with '
        f"{count} of them a cosine of {glossary.number(float(cosines[count - 1]))}.</p>"
    )


def _changed(page: Page, row: int, most: int) -> None:
    layer, neuron = page.view.place(row)
    count = int(st.session_state["_texts"])
    frame.change(page, layer=layer, neuron=neuron, **{TEXTS: count if count < most else ""})


def curve(cosines: NDArray[np.float32], count: int) -> go.Figure:
    """Reconstruction cosine by number of texts, the chosen number marked."""
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


def downloads(view: View, row: int) -> None:
    """The facts as JSON, to copy or as a file, the direction as NumPy, the neuron on a slide."""
    layer, neuron = view.place(row)
    name = f"{view.key}-layer{layer}-neuron{neuron}"
    frame.draw("<h2>Take it along</h2>")
    with st.container(key="lens_downloads", horizontal=True):
        button = parts.copy_button("Copy as JSON", f"{files.facts_address(view)}{row}")
        st.html(parts.block(button), width="content")
        st.download_button(
            "Facts as JSON",
            lambda: export.neuron_json(view, row),
            file_name=f"{name}.json",
            mime="application/json",
            on_click="ignore",
        )
        st.download_button(
            "Direction as .npy",
            lambda: vector_file(view, row),
            file_name=f"{name}.npy",
            mime="application/octet-stream",
            on_click="ignore",
        )
        st.download_button(
            "Slide (PNG)",
            lambda: poster.neuron_poster(view.bundle, layer, neuron),
            file_name=f"{name}.png",
            mime="image/png",
            on_click="ignore",
        )


def vector_file(view: View, row: int) -> bytes:
    """The direction, [embed] float32, as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(view.bundle.directions[row], np.float32))
    return buffer.getvalue()

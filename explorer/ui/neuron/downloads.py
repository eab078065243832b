"""A neuron to take away: its facts as JSON, its direction as NumPy, itself on a slide."""

from __future__ import annotations

import io

import numpy as np
import streamlit as st

from explorer.findings import poster
from explorer.ui.data import export, served
from explorer.ui.data.loaders import View
from explorer.ui.data.neuron import Neuron
from explorer.ui.html.elements import block, tag
from explorer.ui.html.links import copy_button
from explorer.ui.shell import frame


def section(neuron: Neuron) -> None:
    """Draw the buttons; a file is made when asked for."""
    view, row = neuron.view, neuron.row
    layer, number = neuron.place
    name = f"{view.key}-layer{layer}-neuron{number}"
    frame.draw(tag("h2", "Download"))
    with st.container(key="lens_downloads", horizontal=True):
        copy = copy_button("Copy as JSON", f"{served.facts_address(view)}{row}")
        st.html(block(copy), width="content")
        for label, make, suffix, mime in (
            ("Facts as JSON", lambda: export.neuron_json(view, row), "json", "application/json"),
            (
                "Direction as .npy",
                lambda: vector_file(view, row),
                "npy",
                "application/octet-stream",
            ),
            (
                "Slide (PNG)",
                lambda: poster.neuron_poster(view.bundle, layer, number),
                "png",
                "image/png",
            ),
        ):
            st.download_button(
                label, make, file_name=f"{name}.{suffix}", mime=mime, on_click="ignore"
            )


def vector_file(view: View, row: int) -> bytes:
    """Write the direction, [embed] float32, as a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(view.bundle.directions[row], np.float32))
    return buffer.getvalue()

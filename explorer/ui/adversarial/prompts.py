"""Prompts for text-to-image tools, and pictures of them where whoever serves the app names a model.

The model is no visitor's to choose: diffusers downloads whatever it is told to.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import streamlit as st

from explorer.attack.prompts import generate, load_pipeline, prompts
from explorer.errors import InputError
from explorer.ui.address.attack_query import AttackQuery
from explorer.ui.html import shots
from explorer.ui.html.elements import caption, tag
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page

PROMPTS = 6
MADE = "_attack_generated"
MODEL_VARIABLE = "EXPLORER_DIFFUSION_MODEL"
HOW_TO_GENERATE = (
    "To have pictures generated here as well, install the package diffusers where this app is "
    f"served, and set {MODEL_VARIABLE} to a text-to-image model."
)


def section(page: Page, query: AttackQuery, concepts: Sequence[str]) -> None:
    """Show prompts to copy, and what the server's text-to-image model makes of them, if any."""
    texts = prompts(query.source, concepts, PROMPTS, seed=query.seed)
    frame.draw(
        tag("h2", "As prompts"),
        caption("For any text-to-image tool; each names the source and three of the concepts."),
    )
    st.code("\n".join(texts), language=None, wrap_lines=True)
    model = os.environ.get(MODEL_VARIABLE, "").strip()
    if model and find_spec("diffusers") is not None:
        _generator(query, texts, model)
    else:
        frame.draw(caption(HOW_TO_GENERATE))


@st.fragment
def _generator(query: AttackQuery, texts: list[str], model: str) -> None:
    with st.container(horizontal=True):
        asked = st.button("Generate", key="_generate")
        stop = st.empty()
    key = (query.source, query.target, query.seed)
    if asked:
        st.session_state[MADE] = (key, [])
        stop.button("Stop generating", key="_generate_stop")  # any click ends the run under way
        _generate(query, texts, model)
        stop.empty()
    held = st.session_state.get(MADE)
    if held and held[0] == key and held[1]:
        frame.draw(
            shots.grid(
                shots.shot(picture, text, text)
                for picture, text in zip(held[1], texts, strict=False)
            )
        )


def _generate(query: AttackQuery, texts: list[str], model: str) -> None:
    bar = st.progress(0.0, text="Opening the model …")
    try:
        made = generate(
            _pipeline(model),
            texts,
            seed=query.seed,
            progress=lambda share: bar.progress(min(share, 1.0), text="pictures are generated …"),
        )
        for picture in made:
            st.session_state[MADE][1].append(picture)
    except InputError as error:
        frame.show_problems([str(error)])
    bar.empty()


@st.cache_resource(max_entries=1, show_spinner=False)
def _pipeline(model: str) -> Any:
    return load_pipeline(model)

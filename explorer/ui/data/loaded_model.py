"""The bundle's model while the app runs, and texts outside the dictionary, which need it.

The model is loaded when first asked for, once for all sessions, and the page says so meanwhile.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from explorer.bundle import MANIFEST
from explorer.errors import InputError
from explorer.findings.notes import literal
from explorer.search import TextSearch, open_search, unknown_texts
from explorer.search.texts import outside_dictionary, text_directions
from explorer.ui.data.loaders import View

if TYPE_CHECKING:
    from explorer.picture.model import LensModel


_preparing: set[tuple[str, int]] = set()  # bundles whose model some thread has begun to load


def prepare(view: View) -> threading.Thread | None:
    """Load the model in the background, for a visitor who is about to need it.

    Returns the thread the first time, then None. What goes wrong is said when the model is needed.
    """
    known = stamp(view)
    if known in _preparing:
        return None
    _preparing.add(known)

    def load() -> None:
        from explorer.picture.model import open_lens_model

        with suppress(InputError):
            open_lens_model(view.bundle)

    thread = threading.Thread(target=load, name="prepare the model", daemon=True)
    thread.start()
    return thread


def search(view: View, query: str) -> TextSearch:
    """Open a text search; texts outside the dictionary are embedded by the model.

    Raises:
        InputError: when the query cannot be read, or the model cannot be loaded.
    """
    with _embedding(unknown_texts(view.bundle, query)):
        return open_search(view.bundle, query)


def text_direction(view: View, text: str) -> NDArray[np.float32]:
    """Return a text's embedding without what all texts share: [embed], unit norm.

    Raises:
        InputError: when the text is not in the dictionary and the model cannot be loaded.
    """
    with _embedding(outside_dictionary(view.bundle, [text])):
        direction: NDArray[np.float32] = text_directions(view.bundle, [text])[0]
        return direction


def _embedding(unknown: list[str]) -> AbstractContextManager[None]:
    """Say what the model is loaded for, if it is."""
    if not unknown:
        return nullcontext()
    names = ", ".join(f"“{literal(text)}”" for text in unknown)  # a spinner reads Markdown
    spinner: AbstractContextManager[None] = st.spinner(
        f"{names} is not in the dictionary: loading the model to embed it …"
    )
    return spinner


def opened(view: View) -> LensModel:
    """Return the bundle's model as the lens reads it, loaded once for all sessions.

    Raises:
        InputError: when the model cannot be loaded.
    """
    from explorer.picture.model import open_lens_model

    with st.spinner("Loading the model …"):
        return open_lens_model(view.bundle)


def stamp(view: View) -> tuple[str, int]:
    """Return what a bundle on disk is known by: its folder, and when its manifest was written."""
    path = view.bundle.path
    return str(path), (Path(path) / MANIFEST).stat().st_mtime_ns

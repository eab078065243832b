"""What needs the bundle's model while the app runs: texts outside the dictionary, one's pictures.

The model is loaded when first asked for, once for all sessions, and the page says so meanwhile.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from explorer.bundle import MANIFEST, Bundle
from explorer.errors import InputError
from explorer.search import TextSearch, open_search, unknown_texts
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
        with suppress(InputError):
            opened(*known, view.bundle)

    thread = threading.Thread(target=load, name="prepare the model", daemon=True)
    thread.start()
    return thread


def search(view: View, query: str) -> TextSearch:
    """Open a text search; texts outside the dictionary are embedded live.

    Raises InputError for a query that cannot be read, or a model that cannot be loaded.
    """
    unknown = unknown_texts(view.bundle, query)
    if not unknown:
        return open_search(view.bundle, query)
    names = ", ".join(f"“{text}”" for text in unknown)
    with st.spinner(f"{names} is not in the dictionary: the model is loaded to embed it …"):
        return open_search(
            view.bundle,
            query,
            lambda texts: np.stack([_embedding(*stamp(view), text, view.bundle) for text in texts]),
        )


def text_direction(view: View, text: str) -> NDArray[np.float32]:
    """A text's centred embedding, [embed], unit norm; embedded live if it isn't in the dictionary.

    Raises InputError if the model cannot be loaded.
    """
    dictionary = view.bundle.dictionary
    try:
        embedding = np.asarray(view.bundle.text_embeddings[dictionary.index_of(text)], np.float32)
    except InputError:
        with st.spinner(f"“{text}” is not in the dictionary: the model is loaded to embed it …"):
            embedding = _embedding(*stamp(view), text, view.bundle)
    direction: NDArray[np.float32] = np.ravel(dictionary.centre(embedding))
    return direction


def stored_effects(view: View, image: int) -> NDArray[np.float32]:
    """Every neuron's effect for one of the bundle's pictures, [neuron].

    Raises InputError if there is no such picture, or the model cannot be loaded.
    """
    with st.spinner("The model is loaded and reads the picture …"):
        return _stored_effects(*stamp(view), image, view.bundle)


def upload_effects(view: View, data: bytes, name: str) -> NDArray[np.float32]:
    """Every neuron's effect for an uploaded picture, [neuron].

    Raises InputError if it cannot be read, or the model cannot be loaded.
    """
    with st.spinner("The model is loaded and reads the picture …"):
        return _upload_effects(*stamp(view), data, name, view.bundle)


def lens_model(view: View) -> LensModel:
    """Return the bundle's model as the lens reads it, loaded once for all sessions.

    Raises InputError if the model cannot be loaded.
    """
    with st.spinner("The model is loaded …"):
        return opened(*stamp(view), view.bundle)


def stamp(view: View) -> tuple[str, int]:
    """What a bundle on disk is known by: its folder, and when its manifest was written."""
    path = view.bundle.path
    return str(path), (Path(path) / MANIFEST).stat().st_mtime_ns


@st.cache_resource(max_entries=2, show_spinner=False)
def opened(path: str, stamp: int, _bundle: Bundle) -> LensModel:
    """Return the bundle's model as the lens reads it; `path` and `stamp` as `stamp` gives them."""
    from explorer.picture.model import open_lens_model

    return open_lens_model(_bundle)


@st.cache_data(max_entries=256, show_spinner=False)
def _embedding(path: str, stamp: int, text: str, _bundle: Bundle) -> NDArray[np.float32]:
    from explorer.lens.models import encode_texts

    loaded = opened(path, stamp, _bundle).loaded
    embedding: NDArray[np.float32] = encode_texts(loaded, [text]).numpy()[0]
    return embedding


@st.cache_data(max_entries=64, show_spinner=False)
def _stored_effects(path: str, stamp: int, image: int, _bundle: Bundle) -> NDArray[np.float32]:
    from explorer.picture.effects import picture_effects

    return picture_effects(opened(path, stamp, _bundle), _bundle.pictures.image(image))


@st.cache_data(max_entries=16, show_spinner=False)
def _upload_effects(
    path: str, stamp: int, data: bytes, name: str, _bundle: Bundle
) -> NDArray[np.float32]:
    from explorer.picture.effects import picture_effects
    from explorer.picture.uploads import decode

    try:
        picture = decode(data).picture
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    return picture_effects(opened(path, stamp, _bundle), picture)

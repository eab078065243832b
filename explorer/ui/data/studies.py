"""The pictures under study in this session: each is read once, whichever section or page asks.

Pictures of one visitor are never another's: they are kept in the session alone.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import streamlit as st
from PIL import Image

from explorer.bundle import Bundle
from explorer.ui.data import line
from explorer.ui.data.loaders import View

if TYPE_CHECKING:
    from explorer.picture.study import Study
    from explorer.picture.uploads import Upload

STUDIES, UPLOAD = "_studies", "_studied_upload"
MOST = 2  # studies that are kept; each holds its pass, some ten megabytes


def study(view: View, picture: Image.Image) -> Study:
    """Return the study of a picture; it is read here unless the session knows it.

    Raises:
        InputError: when the model cannot be loaded, or the picture is too long to be read.
    """
    store: dict[str, Study] = st.session_state.setdefault(STUDIES, {})
    digest = pixels_digest(picture)
    if digest not in store or store[digest].bundle is not view.bundle:
        store.pop(digest, None)
        while len(store) >= MOST:
            store.pop(next(iter(store)))
        store[digest] = _read(view, picture)
    return store[digest]


def _read(view: View, picture: Image.Image) -> Study:
    with line.turn("Loading the model and reading the picture …"):
        from explorer.picture.study import Study

        made = Study.of(view.bundle, picture)
        _ = made.effects  # all else follows from its pass
    return made


def whole(bundle: Bundle, image: int) -> Image.Image:
    """Return a bundle's picture as pages study it: RGB, from its own file where that is there.

    Raises:
        InputError: when there is no such picture.
    """
    from explorer.bundle.originals import whole_picture
    from explorer.picture.uploads import shown

    return shown(whole_picture(bundle, image))


def decoded(data: bytes) -> Upload:
    """Return an uploaded file's picture, decoded once: pages run again at every touch of a widget.

    Raises:
        InputError: in one sentence, when it cannot be used.
    """
    from explorer.picture.uploads import decode

    key = hashlib.sha256(data).digest()
    held: tuple[bytes, Upload] | None = st.session_state.get(UPLOAD)
    if held is None or held[0] != key:
        held = key, decode(data)
        st.session_state[UPLOAD] = held
    return held[1]


def pixels_digest(picture: Image.Image) -> str:
    """Return the SHA-256 of a picture's size and pixels."""
    return hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()


def forget() -> None:
    """Drop everything the session keeps of its pictures."""
    for name in (STUDIES, UPLOAD):
        st.session_state.pop(name, None)

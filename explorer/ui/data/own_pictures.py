"""The picture that a visitor sent to a place of the app, kept in the session until it is cleared.

A widget's file is gone as soon as another page runs, and with it what Back would lead to. Each
place keeps its last picture alone, at most as large as the server takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

PICTURES = "_own_pictures"

Place = Literal["image", "picker", "attack"]
"""The Image page, the pages that choose a picture, and the Adversarial page."""


@dataclass(frozen=True)
class OwnPicture:
    """A file as it was sent; nothing of it was checked."""

    name: str
    data: bytes


def sent(place: Place, key: str) -> bool:
    """Keep what a widget was given, from its callback; tell whether it was given anything.

    A widget that was emptied takes the place's picture with it; one whose file the server has no
    more, as after a lost connection, changes nothing.
    """
    file = st.session_state[key]
    if file is None:
        forget(place)
    if not isinstance(file, UploadedFile):
        return False
    st.session_state.setdefault(PICTURES, {})[place] = OwnPicture(file.name, file.getvalue())
    return True


def kept(place: Place) -> OwnPicture | None:
    """Return the place's picture."""
    found: dict[str, OwnPicture] = st.session_state.get(PICTURES, {})
    return found.get(place)


def forget(place: Place) -> None:
    """Drop the place's picture."""
    st.session_state.get(PICTURES, {}).pop(place, None)


def clearing(place: Place, shown: bool) -> None:
    """Offer to drop a picture whose widget is empty; `shown`: the widget itself shows a file."""
    if kept(place) is not None and not shown:
        st.button("Clear my picture", key=f"_forget_{place}", on_click=forget, args=(place,))

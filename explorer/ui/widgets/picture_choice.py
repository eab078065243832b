"""Choose one picture: of the bundle, by a word or its number in the address, or one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import streamlit as st
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from explorer.errors import InputError
from explorer.picture import painting
from explorer.pixels import NAMED
from explorer.ui.address.address import IMAGE, WORD_LENGTH
from explorer.ui.data import own_pictures, studies
from explorer.ui.data.loaders import View
from explorer.ui.html.elements import notice, tag
from explorer.ui.html.links import anchor
from explorer.ui.html.pictures import image as bundle_picture
from explorer.ui.html.pictures import picture_source
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page

FIND = "find"  # the address parameter
OFFERED = 16
SHOWN_SIDE = 480  # pixels at most of an upload that is shown


@dataclass(frozen=True)
class ChosenPicture:
    """A picture of the bundle (its number), or an uploaded one (its bytes)."""

    name: str
    image: int = -1
    data: bytes = b""

    def effects(self, view: View) -> NDArray[np.float32]:
        """Return every neuron's effect for it: [neuron].

        Raises:
            InputError: when the picture cannot be read, or the model cannot be loaded.
        """
        return studies.study(view, self.picture(view)).effects

    def pair_effects(self, view: View) -> NDArray[np.float32]:
        """Return the effect of every neuron-head pair that matters for it: [pair].

        Raises:
            InputError: when the picture cannot be read, or the model cannot be loaded.
        """
        return studies.study(view, self.picture(view)).pair_effects

    def picture(self, view: View) -> Image.Image:
        """Return the picture itself.

        Raises:
            InputError: when it is an upload that cannot be read.
        """
        if self.image >= 0:
            return studies.whole(view.bundle, self.image)
        try:
            return studies.decoded(self.data).picture
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from error

    def shown(self, view: View) -> Markup:
        """Show the picture, its label as alternative text."""
        if self.image >= 0:
            return bundle_picture(view, self.image)
        small = self.picture(view).copy()
        small.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
        source = picture_source(painting.encode(small, "WEBP"))  # browsers show few kinds of files
        return tag("img", src=source, alt=self.name, title=self.name)


def picker(page: Page, image: int | None, params: Mapping[str, str]) -> ChosenPicture | None:
    """Draw the ways to choose; `params` are the page's other address parameters.

    The address decides: an uploaded picture counts only while it names none.
    """
    word = " ".join(page.params.get(FIND, "").split())[:WORD_LENGTH]
    st.session_state["_find"] = word
    left, right = st.columns(2, gap="large")
    left.text_input(
        "Find a picture by a word",
        key="_find",
        placeholder="e.g. clock",
        max_chars=WORD_LENGTH,
        on_change=_find,
        args=(page, params),
    )
    shown = right.file_uploader(
        "Or a picture of your own",
        type=list(NAMED),
        key="_upload",
        on_change=_uploaded,
        args=(page, params),
    )
    with right:
        own_pictures.clearing("picker", shown is not None)
    offered = _offered(page.view, word)
    if not offered:
        frame.draw(notice(f"No picture's label or keywords hold “{word}”."))
    frame.draw(_grid(page, offered, image, {**params, FIND: word}))
    if image is not None:
        return ChosenPicture(page.view.labels[image], image)
    own = own_pictures.kept("picker")
    return ChosenPicture(own.name, data=own.data) if own else None


def _find(page: Page, params: Mapping[str, str]) -> None:
    word = " ".join(st.session_state["_find"].split())
    image = page.params.get(IMAGE, "")
    frame.address(page, **{**params, IMAGE: image, FIND: word})


def _uploaded(page: Page, params: Mapping[str, str]) -> None:
    if own_pictures.sent("picker", "_upload"):
        frame.address(page, **params)  # without the picture it named


def _offered(view: View, word: str) -> list[int]:
    """Return pictures that carry a word; without one, a few from all over the bundle."""
    corpus = view.bundle.pictures.corpus_size
    if not word:
        spread = np.linspace(0, corpus - 1, min(OFFERED, corpus)).round().astype(int)
        return [int(image) for image in spread]
    folded = word.casefold()
    exact = [i for i in range(corpus) if folded in view.words[i]]
    part = [i for i in range(corpus) if folded in view.labels[i].casefold()]
    return list(dict.fromkeys(exact + part))[:OFFERED]


def _grid(page: Page, images: list[int], chosen: int | None, params: Mapping[str, str]) -> Markup:
    cells = (
        anchor(
            page.name,
            {"bundle": page.view.key, **params, IMAGE: image},
            bundle_picture(page.view, image),
            css="pick",
            marks={"data_stay": True, "aria_current": "true" if image == chosen else None},
        )
        for image in images
    )
    return tag("div", cells, css="picks")

"""Where in a picture an effect comes from: over a neuron's top pictures, and over any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st
from markupsafe import Markup
from PIL import Image

from explorer.bundle import Bundle
from explorer.bundle.pairs import Pair
from explorer.ui.address.address import Place
from explorer.ui.data import loaded_model, studies
from explorer.ui.data.grouping import Picture
from explorer.ui.data.loaders import View
from explorer.ui.html.elements import tag
from explorer.ui.html.pictures import picture_source

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.picture.reading import Reading

SIDE = 112  # pixels of a small map's long side
LARGE = 336


def overlays(view: View, row: int, pictures: list[Picture]) -> dict[int, str]:
    """Lay the neuron's map over each picture: image number -> a source of what was painted.

    Raises:
        InputError: when the model cannot be loaded.
    """
    images = tuple(picture.image for picture in pictures)
    signs = tuple(-1 if picture.effect < 0 else 1 for picture in pictures)
    with st.spinner("Reading the pictures …"):
        files = _painted(*loaded_model.stamp(view), *view.place(row), images, signs, view.bundle)
    return dict(zip(images, map(picture_source, files), strict=True))


@st.cache_data(max_entries=64, show_spinner=False)
def _painted(
    path: str,
    stamp: int,
    layer: int,
    neuron: int,
    images: tuple[int, ...],
    signs: tuple[int, ...],
    _bundle: Bundle,
) -> list[bytes]:
    """Return each picture under its map, a WebP file: positive shares of an effect of the sign."""
    from explorer.picture.model import open_lens_model
    from explorer.picture.reading import read

    pictures = [studies.whole(_bundle, image) for image in images]
    reading = read(open_lens_model(_bundle), pictures)
    return _painted_shares(reading, _shares(reading, (layer, neuron)), pictures, signs, SIDE)


@dataclass(frozen=True)
class Subject:
    """What a map is of: a neuron, or its pair with a head."""

    row: int
    sign: int
    """1 to show what drives it, -1 what drives the other end."""
    pair: Pair | None = None


def on_one_picture(view: View, subjects: Sequence[Subject], picture: Image.Image) -> list[str]:
    """Lay the map of each subject over one picture, RGB; one reading serves all.

    Returns a source for each.

    Raises:
        InputError: when the model cannot be loaded.
    """
    from explorer.picture.pair_effects import own_shares

    reading = studies.study(view, picture).reading()
    files = []
    for subject in subjects:
        if subject.pair is None:
            shares = _shares(reading, view.place(subject.row))
        else:
            shares = own_shares(view.bundle, reading, subject.row, subject.pair)
        files += _painted_shares(reading, shares, [picture], [subject.sign], LARGE)
    return [picture_source(file) for file in files]


def _shares(reading: Reading, place: Place) -> Tensor:
    """Return each token's share of a neuron's effect: [image, token]."""
    from explorer.picture.reading import neuron_shares

    layer, neuron = place
    return neuron_shares(reading, layer, [neuron])[:, 0]


def _painted_shares(
    reading: Reading,
    shares: Tensor,
    pictures: Sequence[Image.Image],
    signs: Sequence[int],
    side: int,
) -> list[bytes]:
    """Lay shares of tokens, [image, token], over each picture of a reading; return WebP files."""
    from explorer.picture import painting
    from explorer.picture.framing import Framing
    from explorer.picture.segment import scaled

    grids = shares[:, 1:].unflatten(1, reading.lens_model.grid)
    files = []
    for picture, sign, grid in zip(pictures, signs, grids, strict=True):
        width, height = picture.size
        scale = side / max(width, height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        drawn = scaled(Framing.of(picture.size).to_picture(sign * grid[None, None], size))[0]
        shown = painting.paint(picture, drawn.numpy(), painting.colour_of(0))
        files.append(painting.encode(shown, "WEBP"))
    return files


def shot(source: str, alt: str) -> Markup:
    """Show one large picture."""
    return tag("figure", tag("img", src=source, alt=alt), css="shot")

"""Maps drawn over pictures, and label maps as pictures: pixels in, pixels out."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from explorer.palette import COLOURS

GREY = 0.85  # how far a picture is taken to grey under a map, so that only the map has colour
PALE = 0.25  # and how far to white


def colour_of(place: int) -> tuple[int, int, int]:
    """Return the colour of the text at `place`; after six texts colours come again."""
    red, green, blue = ImageColor.getrgb(COLOURS[place % len(COLOURS)])[:3]
    return red, green, blue


def ground(picture: Image.Image, size: tuple[int, int] | None = None) -> NDArray[np.float64]:
    """Return a picture made pale and nearly grey, [row, column, 3] from 0 to 255."""
    shown = picture.convert("RGB")
    if size and size != shown.size:
        shown = shown.resize(size, Image.Resampling.LANCZOS)
    pixels = np.asarray(shown, np.float64)
    grey = pixels @ (0.299, 0.587, 0.114)
    pale = pixels + GREY * (grey[..., None] - pixels)
    return pale + PALE * (255 - pale)


def paint(
    picture: Image.Image,
    strength: NDArray[np.floating],
    colour: tuple[int, int, int],
    opacity: float = 0.8,
) -> Image.Image:
    """Lay one colour over a picture, as opaque as `strength` [row, column] from 0 to 1 says."""
    rows, columns = strength.shape
    base = ground(picture, (columns, rows))
    alpha = (opacity * strength.clip(0, 1))[..., None]
    return _image(base + alpha * (np.array(colour) - base))


def paint_difference(
    picture: Image.Image,
    values: NDArray[np.floating],
    opacity: float = 0.8,
    pair: tuple[tuple[int, int, int], tuple[int, int, int]] = (colour_of(0), colour_of(1)),
) -> Image.Image:
    """Lay one colour where `values` [row, column] are positive, the other where they aren't."""
    rows, columns = values.shape
    base = ground(picture, (columns, rows))
    peak = float(np.abs(values).max()) or 1.0
    colours = np.where((values >= 0)[..., None], *pair)
    alpha = (opacity * np.abs(values) / peak)[..., None]
    return _image(base + alpha * (colours - base))


def paint_labels(
    picture: Image.Image, labels: NDArray[np.uint8], opacity: float = 0.8
) -> Image.Image:
    """Lay each label's colour over a picture; 0 is background and stays as it is."""
    rows, columns = labels.shape
    base = ground(picture, (columns, rows))
    colours = _colour_table(labels)[labels]
    alpha = np.where(labels > 0, opacity, 0.0)[..., None]
    return _image(base + alpha * (colours - base))


def label_picture(labels: NDArray[np.uint8]) -> Image.Image:
    """Return labels as a palette picture: pixel values are the labels, 0 is black."""
    rows, columns = labels.shape
    found = Image.frombytes("P", (columns, rows), np.ascontiguousarray(labels).tobytes())
    found.putpalette(_colour_table(labels).astype(np.uint8).ravel().tolist())
    return found


def encode(picture: Image.Image, kind: str = "PNG") -> bytes:
    """Return a picture's file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **({"quality": 88} if kind in ("WEBP", "JPEG") else {}))
    return buffer.getvalue()


def _colour_table(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    most = int(labels.max(initial=0))
    return np.array([(0, 0, 0), *(colour_of(place) for place in range(most))])


def _image(pixels: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8))

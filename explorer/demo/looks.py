"""What a picture looks like, in words: how it is drawn and in which colours.

Labels say what a picture shows. Many neurons answer to *how* it shows it (pixel art, line
drawings, yellow things); without words for that, their directions have no text to lie near.
Measured on the pixels, but for the few sets whose manner is known by name.
"""

from __future__ import annotations

import colorsys
from collections import Counter

import numpy as np
from PIL import Image, ImageFilter

MANNERS = {
    "pixel art": ("dinkie-icons", "memory", "pixel", "pixelarticons"),
    "sketch": (
        "line-md", "pepicons-pencil", "streamline-freehand",
        "streamline-freehand-color",
    ),
    "print icon": ("pepicons-print",),
    "low poly drawing": ("glyphs-poly",),
    "two-tone icon": ("duo-icons", "fad", "icon-park-twotone"),
    "glossy emoji": ("fluent-emoji", "fluent-color"),
    "flat emoji": ("emojione-v1", "fluent-emoji-flat", "fxemoji", "streamline-emojis", "twemoji"),
    "shaded emoji": ("emojione", "noto", "noto-v1"),
    "outlined emoji": ("openmoji",),
}  # fmt: skip
SYNONYMS = {
    "photograph": ("photograph", "photo"),
    "clip art": ("clip art",),
    "line drawing": ("line drawing", "line icon", "outline"),
    "silhouette": ("silhouette", "solid icon"),
    "colour icon": ("colour icon", "icon"),
    "glossy emoji": ("glossy emoji", "emoji"),
    "flat emoji": ("flat emoji", "emoji"),
    "shaded emoji": ("shaded emoji", "emoji"),
    "outlined emoji": ("outlined emoji", "emoji"),
    "pixel art": ("pixel art", "pixelated"),
    "sketch": ("sketch", "hand drawn"),
}
COLOURS = (
    "black", "white", "gray", "brown", "red", "orange", "yellow", "green", "turquoise", "blue",
    "purple", "pink",
)  # fmt: skip
STROKE = 0.1  # of the side: what is nowhere thicker is a line drawing
LEAST_SHARE = 0.18  # of the picture's area: what a colour must cover to be named
MANNER_OF_SET = {source: manner for manner, sources in MANNERS.items() for source in sources}


def looks(pixels: np.ndarray, source: str, kind: str) -> tuple[str, ...]:
    """Return the words for a picture's looks, manner first.

    pixels: [row, column, 4] uint8 RGBA; ``source`` and ``kind`` as in `pictures.Picture`.
    """
    manner = MANNER_OF_SET.get(source) or _manner(pixels, kind)
    words = SYNONYMS.get(manner, (manner,))
    return words if kind == "mono" else (*words, *colours(pixels))


def colours(pixels: np.ndarray) -> tuple[str, ...]:
    """Return the names of the two colours that cover most of [row, column, 4] uint8 RGBA.

    A colour that covers less than `LEAST_SHARE` of what is drawn is not named.
    """
    small = Image.fromarray(np.ascontiguousarray(pixels), "RGBA").resize((24, 24))
    drawn = np.asarray(small).reshape(-1, 4)
    drawn = drawn[drawn[:, 3] > 127]
    counts = Counter(_colour_name(*(value / 255 for value in row[:3])) for row in drawn.tolist())
    return tuple(n for n, count in counts.most_common(2) if count >= LEAST_SHARE * len(drawn))


def _manner(pixels: np.ndarray, kind: str) -> str:
    if kind == "photo":
        return "photograph"
    if kind == "clipart":
        return "clip art"
    if kind == "colour":
        return "colour icon"
    alpha = Image.fromarray(np.ascontiguousarray(pixels[..., 3]), "L").resize((84, 84))
    core = alpha.filter(ImageFilter.MinFilter(2 * round(STROKE * 84 / 2) + 1))
    thick = (np.asarray(core) > 127).sum() > 0.05 * (np.asarray(alpha) > 127).sum()
    return "silhouette" if thick else "line drawing"


def _colour_name(red: float, green: float, blue: float) -> str:
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    if value < 0.2 or (saturation < 0.2 and value < 0.35):
        return "black"
    if saturation < 0.12:
        return "white" if value > 0.87 else "gray"
    degrees = 360 * hue
    if (15 <= degrees < 45 and value < 0.68) or (degrees < 15 and value < 0.5):
        return "brown"
    if degrees >= 345 or degrees < 15:
        return "pink" if saturation < 0.5 and value > 0.75 else "red"
    limits = (
        (42, "orange"), (68, "yellow"), (160, "green"), (190, "turquoise"), (255, "blue"),
        (295, "purple"), (345, "pink"),
    )  # fmt: skip
    return next(name for limit, name in limits if degrees < limit)

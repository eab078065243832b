"""Pictures with captions, from pixels that no file holds: scenes, maps, uploads."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup
from PIL import Image

from explorer.picture import painting
from explorer.ui.html.elements import NOTHING, Child, tag
from explorer.ui.html.pictures import picture_source

PREVIEW = 480  # long side in pixels
COLUMN = 250  # the least width of a column, pixels


def preview_size(size: tuple[int, int], longest: int = PREVIEW) -> tuple[int, int]:
    """Return width and height of a picture shown at most `longest` pixels long."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def shot(picture: Image.Image, alt: str, caption: Child = NOTHING) -> Markup:
    """Show one picture with a caption."""
    source = picture_source(painting.encode(picture, "WEBP"))
    width = f"max-width:{max(picture.width, COLUMN)}px"  # small ones are hardly blown up
    return figure(tag("img", src=source, alt=alt, style=width), caption)


def figure(image: Markup, caption: Child = NOTHING) -> Markup:
    """Show an image with a caption."""
    below = tag("figcaption", caption) if caption else NOTHING
    return tag("figure", image, below, css="shot")


def grid(items: Iterable[Markup]) -> Markup:
    """Lay pictures with captions out."""
    return tag("div", items, css="shots")

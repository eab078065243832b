"""Pictures with captions, from pixels that no file holds: scenes, maps, uploads."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from PIL import Image

from explorer.picture import painting
from explorer.ui.html import parts

PREVIEW = 480  # long side in pixels


def preview_size(size: tuple[int, int], longest: int = PREVIEW) -> tuple[int, int]:
    """Return width and height of a picture shown at most `longest` pixels long."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def shot(picture: Image.Image, alt: str, caption: str = "") -> str:
    """Return one picture with a caption; `caption` is HTML."""
    source = parts.picture_source(painting.encode(picture, "WEBP"))
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure class="shot"><img src="{source}" alt="{escape(alt)}">{below}</figure>'


def grid(items: Iterable[str]) -> str:
    """Return a grid of pictures with captions."""
    return f'<div class="shots">{"".join(items)}</div>'

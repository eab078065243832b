"""How a picture of any shape goes through a square model, and how maps come back to its pixels.

A centre crop would hide parts of a picture without a word, so there are two other ways:

- `pad`: one square window around the whole picture; what is outside the picture takes the mean
  colour of its border. One pass; objects keep their shape.
- `tile`: overlapping square windows of the short side's length along the long side. More passes
  and finer maps for long pictures; where windows overlap, maps are averaged.

A map's patches are cells of a window. `to_picture` interpolates them bilinearly between the cells'
centres onto the picture's own pixels, so heatmaps line up with what they explain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.errors import InputError
from explorer.picture.settings import FITS, check_shape

OVERLAP = 0.5  # least share of a tile that its neighbour covers too


@dataclass(frozen=True)
class Window:
    """A square of the picture, in its pixels; it may reach beyond the picture."""

    left: float
    top: float
    side: float


@dataclass(frozen=True)
class Framing:
    """The windows a picture of `width` x `height` pixels is seen through."""

    width: int
    height: int
    windows: tuple[Window, ...]

    @classmethod
    def of(cls, size: tuple[int, int], fit: str = "pad") -> Framing:
        """Plan the windows for a picture's (width, height).

        Raises:
            InputError: when `fit` is unknown, or the picture has no area or is too long.
        """
        width, height = size
        if fit not in FITS:
            raise InputError(f"A picture cannot be fitted by {fit!r}: choose {' or '.join(FITS)}.")
        check_shape(size)
        if fit == "pad" or width == height:
            side = max(size)
            return cls(width, height, (Window((width - side) / 2, (height - side) / 2, side),))
        return cls(width, height, _tiles(width, height))

    def cut(self, picture: Image.Image, side: int) -> list[Image.Image]:
        """Return each window as an RGB picture of `side` x `side` pixels."""
        ground = border_colour(picture)
        return [_cut(picture, window, side, ground) for window in self.windows]

    def to_picture(
        self, maps: Tensor, size: tuple[int, int] | None = None, rows: slice = slice(None)
    ) -> Tensor:
        """Return maps on the picture's pixels: [text, row, column] float32.

        `maps` is [window, text, patch_row, patch_column]; `size` is another (width, height) of
        the same shape to draw at, such as a preview's; `rows` takes a band of the pixel rows.
        """
        width, height = size or (self.width, self.height)
        scale = (width / self.width, height / self.height)
        total: Tensor | float = 0.0
        seen: Tensor | float = 0.0
        for window, grid in zip(self.windows, maps.float().cpu(), strict=True):
            down = _between(height, window.top * scale[1], window.side * scale[1], grid.shape[1])
            across = _between(width, window.left * scale[0], window.side * scale[0], grid.shape[2])
            down = down[rows]
            total = total + down @ grid @ across.T
            seen = seen + torch.outer(down.sum(dim=1), across.sum(dim=1))
        assert isinstance(total, Tensor)  # a framing has windows
        assert isinstance(seen, Tensor)
        return total / seen.clamp(min=1) if len(self.windows) > 1 else total


def border_colour(picture: Image.Image) -> tuple[int, int, int]:
    """Return the mean colour of an RGB picture's outermost pixels."""
    pixels = np.asarray(picture.convert("RGB"), np.float64)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    red, green, blue = (round(value) for value in edge.mean(axis=0))
    return red, green, blue


def _tiles(width: int, height: int) -> tuple[Window, ...]:
    side, length = min(width, height), max(width, height)
    count = max(2, math.ceil((length - side) / (side * (1 - OVERLAP))) + 1)
    starts = np.linspace(0, length - side, count)
    wide = width > height
    return tuple(
        Window(float(start), 0.0, side) if wide else Window(0.0, float(start), side)
        for start in starts
    )


def _cut(
    picture: Image.Image, window: Window, side: int, ground: tuple[int, int, int]
) -> Image.Image:
    """Scale first, then lay on the ground: a huge picture is never padded at full size."""
    scale = side / window.side
    left, top = max(window.left, 0.0), max(window.top, 0.0)
    right = min(window.left + window.side, picture.width)
    bottom = min(window.top + window.side, picture.height)
    corner = (round((left - window.left) * scale), round((top - window.top) * scale))
    shape = (
        max(1, round((right - window.left) * scale) - corner[0]),
        max(1, round((bottom - window.top) * scale) - corner[1]),
    )
    part = picture.convert("RGB").resize(
        shape, Image.Resampling.BICUBIC, (left, top, right, bottom), reducing_gap=3.0
    )
    if shape == (side, side):
        return part
    canvas = Image.new("RGB", (side, side), ground)
    canvas.paste(part, corner)
    return canvas


def _between(count: int, start: float, side: float, cells: int) -> Tensor:
    """Return what each of `count` pixels takes of a window's cells: [pixel, cell].

    Linear between the centres of the cells, flat beyond the outermost; 0 outside the window.
    """
    pixels = torch.arange(count, dtype=torch.float64) + 0.5 - start
    places = (pixels / side * cells - 0.5).clamp(0, cells - 1)
    weights = (1 - (places[:, None] - torch.arange(cells)).abs()).clamp(min=0)
    inside = (pixels >= 0) & (pixels <= side)
    return (weights * inside[:, None]).float()

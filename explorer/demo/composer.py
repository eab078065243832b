"""Training views made of tensors: drawings on grounds, crops of photographs, a batch at a time.

Everything is drawn from one `torch.Generator` and sampled with affine grids, so that a batch of a
hundred views costs a tenth of a second on two cores. A drawing is shown in one of three ways:

1. *full*: it fills the frame, most often on white, as the explorer shows it;
2. *scene*: it covers a part of the frame, tilted, on a coloured ground, noise or a photograph;
3. *pair*: a second drawing stands opposite to it.

For scenes and pairs the view says which patches show the first drawing: the second-order effects
of those patches alone shall name it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.demo.photographs import Photographs
from explorer.demo.pixels import standardise, to_float
from explorer.demo.tower import PATCH


@dataclass(frozen=True)
class ComposerSettings:
    """How views are made; sizes are shares of the frame's side."""

    full: float = 0.5  # of the drawings
    pair: float = 0.2  # of the drawings; the rest are scenes of one
    full_sides: tuple[float, float] = (0.8, 1.0)
    scene_sides: tuple[float, float] = (0.35, 0.75)
    pair_sides: tuple[float, float] = (0.38, 0.58)
    tilt: float = 12.0  # degrees either way, in scenes and pairs
    flip: float = 0.3
    tint: float = 0.15  # strength of colour changes
    smallest_crop: float = 0.4  # of a photograph's area
    whole: float = 0.3  # of the photographs are shown uncropped


class Views(NamedTuple):
    """A batch: drawings first, then photographs."""

    pixels: Tensor
    """[image, 3, row, column] as the model takes them."""
    patches: Tensor
    """[image, token] in {0, 1}: the tokens that show the first drawing; all ones elsewhere."""
    drawings: Tensor
    """[drawing, 2] rows of the drawings shown, the second -1 where there is none."""


@dataclass(frozen=True)
class Stock:
    """What views are made of."""

    drawings: np.ndarray  # [drawing, row, column, 4] uint8, memory-mapped
    mono: np.ndarray  # [drawing] bool: single-colour drawings, whose ink may be chosen
    photographs: Photographs


class Composer:
    """Makes batches of views of one size."""

    def __init__(self, stock: Stock, size: int, settings: ComposerSettings) -> None:
        """Keep the stock; grounds are taken from the small photographs that are trained on."""
        self.stock, self.size, self.settings = stock, size, settings
        table = stock.photographs.table
        ground = (table["size"] == "small") & (table["part"] == "train")
        self._grounds = np.flatnonzero(ground.to_numpy())

    def __call__(self, drawings: Tensor, photos: Tensor, generator: torch.Generator) -> Views:
        """Return views of the drawings' rows [n] and the photographs' rows [m]."""
        shown, patches, pairs = self._draw(drawings, generator)
        pixels = torch.cat([standardise(shown), self.photographs(photos, generator)])
        everything = torch.ones(len(photos), patches.shape[1])
        return Views(pixels, torch.cat([patches, everything]), pairs)

    def photographs(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return random crops of the photographs as the model takes them."""
        return standardise(self._crop(rows, generator))

    def _draw(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        plan = self.settings
        kind = torch.rand(len(rows), generator=generator)
        full, pair = kind < plan.full, kind > 1 - plan.pair
        side = _between(plan.scene_sides, len(rows), generator)
        side = torch.where(full, _between(plan.full_sides, len(rows), generator), side)
        side = torch.where(pair, _between(plan.pair_sides, len(rows), generator), side)
        centre = (torch.rand(len(rows), 2, generator=generator) * 2 - 1) * (1 - side)[:, None]
        corner = (torch.rand(len(rows), 2, generator=generator) < 0.5) * 2.0 - 1
        centre = torch.where(pair[:, None], corner * (1 - side)[:, None], centre)
        ground = self._ground(full, generator)
        sprite = self._sprite(rows, side, centre, full, ground, generator)
        other = rows[torch.randperm(len(rows), generator=generator)]
        second = self._sprite(other, side, -centre, full, ground, generator)
        second = second * pair.float()[:, None, None, None]
        canvas = ground * (1 - sprite[:, 3:]) + sprite[:, :3]
        canvas = canvas * (1 - second[:, 3:]) + second[:, :3]
        seen = F.avg_pool2d(sprite[:, 3:] * (1 - second[:, 3:]), PATCH).flatten(1) > 0.25
        seen = torch.cat([torch.zeros(len(rows), 1, dtype=torch.bool), seen], 1)
        whole = full | ~seen.any(1)
        pairs = torch.stack([rows, torch.where(pair, other, -1)], 1)
        return canvas.clamp(0, 1), (seen | whole[:, None]).float(), pairs

    def _sprite(
        self,
        rows: Tensor,
        side: Tensor,
        centre: Tensor,
        full: Tensor,
        ground: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the drawings in place, [drawing, 4, size, size], colours times alpha."""
        numbers = rows.numpy()
        pixels = to_float(self.stock.drawings[numbers])
        pixels = torch.cat([pixels[:, :3] * pixels[:, 3:], pixels[:, 3:]], 1)
        angle = (torch.rand(len(rows), generator=generator) * 2 - 1) * self.settings.tilt
        angle = torch.where(full, 0.0, angle * math.pi / 180)
        mirror = torch.rand(len(rows), generator=generator) < self.settings.flip
        grid = _affine(side, centre, angle, mirror, self.size)
        small = F.grid_sample(F.avg_pool2d(pixels, 2), grid, align_corners=False)
        large = F.grid_sample(pixels, grid, align_corners=False)
        coarse = side * self.size < 0.55 * pixels.shape[-1]
        placed = torch.where(coarse[:, None, None, None], small, large)
        colour, alpha = placed[:, :3], placed[:, 3:]
        tint = 1 + self.settings.tint * (
            2 * torch.rand(len(rows), 3, 1, 1, generator=generator) - 1
        )
        ink = self._ink(ground, generator)[..., None, None] * alpha
        drawn_freely = torch.from_numpy(self.stock.mono[numbers]) & ~full
        colour = torch.where(drawn_freely[:, None, None, None], ink, colour * tint)
        return torch.cat([torch.minimum(colour, alpha), alpha], 1)

    @staticmethod
    def _ink(ground: Tensor, generator: torch.Generator) -> Tensor:
        """Return inks [image, 3] that stand out from the grounds [image, 3, row, column]."""
        luminance = ground.mean((1, 2, 3))
        ink = torch.rand(len(ground), 3, generator=generator)
        far = (ink.mean(1) - luminance).abs() > 0.3
        plain = (luminance < 0.5).float()[:, None].expand(-1, 3)
        return torch.where(far[:, None], ink, plain)

    def _ground(self, full: Tensor, generator: torch.Generator) -> Tensor:
        """Return grounds [image, 3, size, size]: white, a colour, a gradient, noise, a photo."""
        count, size = len(full), self.size
        first, last = torch.rand(2, count, 3, 1, 1, generator=generator)
        first = first ** torch.rand(count, 1, 1, 1, generator=generator)
        angle = torch.rand(count, 1, 1, generator=generator) * 2 * math.pi
        line = torch.linspace(0, 1, size)
        ramp = (angle.cos() * line[None, None] + angle.sin() * line[None, :, None])[:, None] / 2
        noise = _noise(count, size, generator)
        rows = self._grounds[
            torch.randint(len(self._grounds), (count,), generator=generator).numpy()
        ]
        photo = self._sample(rows, _affine_crop(torch.ones(count), None, None, size))
        white = torch.ones(count, 3, size, size)
        kinds = torch.stack(
            [
                white,
                first.expand_as(white),
                first + ramp * (last - first),
                first + noise * (last - first),
                photo,
            ]
        )
        chance = torch.tensor([0.3, 0.15, 0.15, 0.2, 0.2]).repeat(count, 1)
        chance[full] = torch.tensor([0.8, 0.2, 0.0, 0.0, 0.0])
        kind = torch.multinomial(chance, 1, generator=generator)[:, 0]
        return kinds[kind, torch.arange(count)]

    def _crop(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return random crops of the photographs, [photo, 3, size, size] in 0..1."""
        count, plan = len(rows), self.settings
        area = _between((plan.smallest_crop, 1.0), count, generator)
        whole = torch.rand(count, generator=generator) < plan.whole
        side = torch.where(whole, 1.0, area.sqrt())
        centre = (torch.rand(count, 2, generator=generator) * 2 - 1) * (1 - side)[:, None]
        mirror = torch.rand(count, generator=generator) < 0.5
        cut = self._sample(rows.numpy(), _affine_crop(side, centre, mirror, self.size))
        gain = 1 + plan.tint * (2 * torch.rand(count, 1, 1, 1, generator=generator) - 1)
        return (cut * gain).clamp(0, 1)

    def _sample(self, rows: np.ndarray, grid: Tensor) -> Tensor:
        table = self.stock.photographs.table
        sizes, places = table["size"].to_numpy()[rows], table["row"].to_numpy()[rows]
        out = torch.empty(len(rows), 3, self.size, self.size)
        for size, pixels in self.stock.photographs.pixels.items():
            mine = np.flatnonzero(sizes == size)
            if len(mine):
                taken = to_float(pixels[places[mine]])
                where = torch.from_numpy(mine)
                out[where] = F.grid_sample(
                    taken, grid[where], padding_mode="border", align_corners=False
                )
        return out


def _between(limits: tuple[float, float], count: int, generator: torch.Generator) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * torch.rand(count, generator=generator)


def _affine(side: Tensor, centre: Tensor, angle: Tensor, mirror: Tensor, size: int) -> Tensor:
    """Return sampling grids that put a picture of relative ``side`` at ``centre`` (-1..1, x y)."""
    cos, sin = angle.cos() / side, angle.sin() / side
    matrix = torch.stack([torch.stack([cos, sin], 1), torch.stack([-sin, cos], 1)], 1)
    sign = torch.where(mirror, -1.0, 1.0)
    matrix = torch.stack([matrix[:, 0] * sign[:, None], matrix[:, 1]], 1)
    shift = -(matrix @ centre[..., None])
    return F.affine_grid(
        torch.cat([matrix, shift], 2), [len(side), 1, size, size], align_corners=False
    )


def _affine_crop(side: Tensor, centre: Tensor | None, mirror: Tensor | None, size: int) -> Tensor:
    """Return sampling grids that cut a square of relative ``side`` around ``centre``."""
    zero = torch.zeros_like(side)
    centre = torch.stack([zero, zero], 1) if centre is None else centre
    across = side if mirror is None else torch.where(mirror, -side, side)
    matrix = torch.stack(
        [torch.stack([across, zero, centre[:, 0]], 1), torch.stack([zero, side, centre[:, 1]], 1)],
        1,
    )
    return F.affine_grid(matrix, [len(side), 1, size, size], align_corners=False)


def _noise(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Return smooth noise in 0..1, [image, 1, size, size]."""
    total = torch.zeros(count, 1, size, size)
    for octave, cells in enumerate((3, 6, 12, 24)):
        rough = torch.rand(count, 1, cells, cells, generator=generator)
        total += 0.6**octave * F.interpolate(rough, (size, size), mode="bilinear")
    low, high = total.amin((2, 3), keepdim=True), total.amax((2, 3), keepdim=True)
    return (total - low) / (high - low)

"""An area of the map, as a lasso or a box draws it: in addresses, and which points lie inside."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError

CORNERS = 64  # of one outline, at most
REACH = 10.0  # the map itself spans −1 to 1

Outline = tuple[tuple[float, float], ...]


def outline(x: Sequence[float], y: Sequence[float]) -> Outline:
    """Return a drawn line as an outline of at most `CORNERS` corners, rounded for addresses."""
    places = np.linspace(0, len(x) - 1, min(len(x), CORNERS)).round().astype(int)
    return tuple((round(float(x[i]), 3), round(float(y[i]), 3)) for i in places)


def box(x: Sequence[float], y: Sequence[float]) -> Outline:
    """Return the outline of a box between two corners."""
    return outline([x[0], x[1], x[1], x[0]], [y[0], y[0], y[1], y[1]])


def write(outlines: Sequence[Outline]) -> str:
    """Write outlines as an address holds them: `x,y,x,y,x,y;x,y,…`."""
    return ";".join(",".join(f"{x:g},{y:g}" for x, y in corners) for corners in outlines)


def read(text: str) -> tuple[Outline, ...]:
    """Read outlines from an address.

    Raises:
        InputError: when it holds anything but pairs of numbers, or an outline is no area.
    """
    return tuple(_read_one(part) for part in text.split(";") if part.strip())


def _read_one(text: str) -> Outline:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    pairs = tuple(zip(numbers[::2], numbers[1::2], strict=False))
    good = all(math.isfinite(n) and abs(n) <= REACH for n in numbers)
    if len(numbers) % 2 or not good or not 3 <= len(pairs) <= CORNERS:
        raise InputError(
            f"The area is ignored: write 3 to {CORNERS} corners as x,y,x,y,x,y with numbers from "
            f"−{REACH:g} to {REACH:g}."
        )
    return pairs


def inside(points: NDArray[np.floating], outlines: Sequence[Outline]) -> NDArray[np.bool_]:
    """Return whether each point, [point, 2], lies in an outline (even–odd rule): [point]."""
    found = np.zeros(len(points), bool)
    for corners in outlines:
        found |= _inside_one(points, np.asarray(corners, np.float64))
    return found


def _inside_one(points: NDArray[np.floating], corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    x, y = np.asarray(points, np.float64).T
    odd = np.zeros(len(points), bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y1 == y2:
            continue
        crosses = (y1 > y) != (y2 > y)
        odd ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return odd

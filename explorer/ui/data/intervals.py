"""How a neuron answers to ordinary pictures: a random sample by interval of effect.

The intervals are cut in units of the neuron's typical effect, so that they mean the same for every
neuron; the shares come from the bundle's random sample of pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from explorer.ui.data.loaders import View

BOUNDS = (4.0, 2.0, 1.0, 0.0, -1.0, -2.0, -4.0)  # in typical effects, falling
PICTURES = 6


@dataclass(frozen=True)
class Interval:
    """Pictures whose effect lies in [low, high), and their share of the sample."""

    low: float
    high: float
    share: float
    images: tuple[int, ...]

    @property
    def name(self) -> str:
        """Return the interval in words, in typical effects."""
        if math.isinf(self.high):
            return f"above {_plain(self.low)}"
        if math.isinf(self.low):
            return f"below {_plain(self.high)}"
        return f"{_plain(self.low)} to {_plain(self.high)}"


def intervals(view: View, row: int) -> list[Interval]:
    """Sort the sample into intervals, strongest first; pictures evenly spaced over the ranks."""
    scale = float(view.neurons["scale"].iloc[row])
    if not scale > 0:
        return []
    effects = np.asarray(view.bundle.sample_effects[row], np.float32) / scale
    images = np.asarray(view.bundle.sample_images)
    found = []
    for high, low in zip((math.inf, *BOUNDS), (*BOUNDS, -math.inf), strict=True):
        inside = np.flatnonzero((effects >= low) & (effects < high))
        ranked = inside[np.argsort(-effects[inside], kind="stable")]
        # so that a wide interval is shown as wide as it is
        picked = ranked[
            np.linspace(0, len(ranked) - 1, min(PICTURES, len(ranked))).round().astype(int)
        ]
        share = len(inside) / len(effects)
        found.append(Interval(low, high, share, tuple(int(images[i]) for i in picked)))
    return found


def _plain(value: float) -> str:
    return f"{value:g}".replace("-", "−")

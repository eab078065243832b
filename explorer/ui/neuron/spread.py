"""How a neuron answers to ordinary pictures: examples from every interval of effect.

The intervals are cut in units of the neuron's typical effect, so that they mean the same for every
neuron; the shares come from the bundle's random sample of pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

import numpy as np

from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.html import parts
from explorer.ui.shell import frame

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
        """The interval in words, in typical effects."""
        if math.isinf(self.high):
            return f"above {_plain(self.low)}"
        if math.isinf(self.low):
            return f"below {_plain(self.high)}"
        return f"{_plain(self.low)} to {_plain(self.high)}"


def intervals(view: View, row: int) -> list[Interval]:
    """The sample by interval of effect, strongest first; the pictures nearest each middle rank."""
    scale = float(view.neurons["scale"].iloc[row])
    if not scale > 0:
        return []
    effects = np.asarray(view.bundle.sample_effects[row], np.float32) / scale
    images = np.asarray(view.bundle.sample_images)
    found = []
    for high, low in zip((math.inf, *BOUNDS), (*BOUNDS, -math.inf), strict=True):
        inside = np.flatnonzero((effects >= low) & (effects < high))
        ranked = inside[np.argsort(-effects[inside], kind="stable")]
        # evenly spaced over the ranks, so that a wide interval is shown as wide as it is
        picked = ranked[
            np.linspace(0, len(ranked) - 1, min(PICTURES, len(ranked))).round().astype(int)
        ]
        share = len(inside) / len(effects)
        found.append(Interval(low, high, share, tuple(int(images[i]) for i in picked)))
    return found


def examples(view: View, row: int) -> None:
    """The section: one line an interval, with its share and pictures from it."""
    found = [interval for interval in intervals(view, row) if interval.share]
    if not found:
        return
    sample = len(view.bundle.sample_images)
    frame.draw(
        "<h2>From strongest to most opposed</h2>"
        f'<p class="caption">{sample:,} pictures drawn at random, by the neuron’s effect on each '
        "along its direction. 1 is its typical effect "
        f"({glossary.size(float(view.neurons['scale'].iloc[row]))}). A selective neuron leaves "
        "almost all of them near 0.</p>",
        f'<div class="spread">{"".join(_line(view, interval) for interval in found)}</div>',
    )


def _line(view: View, interval: Interval) -> str:
    share = "under 1 %" if interval.share < 0.01 else glossary.share(interval.share)
    return (
        f'<div class="interval"><div class="name"><b>{escape(interval.name)}</b>'
        f'<span class="muted">{share} of pictures</span>'
        f'<div class="rank" aria-hidden="true"><i style="width:{100 * interval.share:.0f}%"></i>'
        f"</div></div>{parts.strip(view, interval.images)}</div>"
    )


def _plain(value: float) -> str:
    return f"{value:g}".replace("-", "−")

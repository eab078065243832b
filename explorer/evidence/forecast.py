"""How long a measurement will take, from the time that the model takes for one picture.

A section's work is counted in passes of one picture through the lens, and in scenes composed. The
counts are estimates, by what each section computes: they order the sections and give the size of
the wait, and were not compared with whole measurements.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from explorer.evidence.context import Context
from explorer.evidence.registry import Section
from explorer.lens import trace

COMPOSED = 0.02
"""Seconds that composing and reading one scene take beside the model."""
PROBES = 2  # pictures that the model is timed on


@dataclass(frozen=True)
class Cost:
    """What a section costs."""

    each: float = 0.0
    """Passes for every evaluation picture."""
    means: float = 0.0
    """Passes for every picture that gives the means."""
    scenes: float = 0.0
    """Scenes composed, for each one of the setting `scenes`."""
    per_scene: float = 0.0
    """Passes for one scene."""


COSTS = {
    "recall": Cost(each=1, means=1),
    "ablation": Cost(each=1),
    "selectivity": Cost(each=1),
    "rank": Cost(each=1),
    "texts": Cost(each=3),
    "kinds": Cost(each=3),
    "predict": Cost(each=3, means=1),
    "pairs": Cost(each=1.5),
    "fit": Cost(each=1),
    "discovery": Cost(scenes=1.6, per_scene=4),
    "segmentation": Cost(scenes=4.4, per_scene=14),
    "attack": Cost(scenes=130, per_scene=1),
}
_USUAL = Cost(each=2)


def announce(context: Context, sections: Sequence[Section]) -> list[Section]:
    """Say how long sections will take, together and each, and return them cheapest first."""
    model, size = context.loaded, context.loaded.image_size
    pictures = torch.zeros(PROBES, 3, size, size, device=model.device, dtype=model.dtype)
    trace(model.model, pictures, context.layers)  # the first pass prepares what others find ready
    began = time.monotonic()
    trace(model.model, pictures, context.layers)
    one = (time.monotonic() - began) / PROBES
    seconds = {section: _seconds(context, section, one) for section in sections}
    order = sorted(sections, key=seconds.__getitem__)
    listed = ", ".join(f"{section.name} {duration(seconds[section])}" for section in order)
    context.say(
        f"about {duration(sum(seconds.values()))} in all ({listed}), at {one:.2f} s a picture; "
        "Ctrl-C is safe, the same command continues"
    )
    return order


def duration(seconds: float) -> str:
    """Write a duration roughly: "20 s", "5 min", "3 h"."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(1, round(seconds)):.0f} s"


def _seconds(context: Context, section: Section, one: float) -> float:
    cost, settings = COSTS.get(section.name, _USUAL), context.settings
    table = context.bundle.pictures.table
    held = int((table["split"] == "heldout").sum())
    pictures = min(settings.pictures, held or settings.pictures)
    means = min(settings.means, context.bundle.pictures.corpus_size)
    scenes = cost.scenes * settings.scenes
    passes = cost.each * pictures + cost.means * means + cost.per_scene * scenes
    return one * passes + COMPOSED * scenes

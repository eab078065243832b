"""How long a measurement will take, from the time that two small things take on this machine.

A section's work is counted in passes of one picture through the lens, in products of one direction
with the dictionary, in maps that are scored, and in scenes composed. The first two are timed; for
the others a usual machine stands in. The counts follow from what each section computes; those of
`texts`, `discovery` and `kinds` were brought to a run on a ViT-B/32 with random weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from explorer.evidence.context import Context
from explorer.evidence.measures.kinds import FIT, TEST
from explorer.evidence.registry import Section
from explorer.evidence.settings import EvidenceSettings
from explorer.lens import trace

COMPOSED = 0.01
"""Seconds that composing one scene takes."""
SCORED = 0.15e-6
"""Seconds that scoring a map takes for each of its pixels."""
LOOKED_AT = 4  # layers of the section `controls`, at most
PICTURES, DIRECTIONS = 4, 256  # that the model and the dictionary are timed on


@dataclass(frozen=True)
class Cost:
    """What a section costs."""

    each: float = 0.0
    """Passes for every evaluation picture."""
    means: float = 0.0
    """Passes for every picture that gives the means."""
    controls: float = 0.0
    """Passes for every picture of the controls."""
    layer: float = 0.0
    """Products for each layer that controls look at."""
    neuron: float = 0.0
    """Products for each neuron that ways of choosing texts are compared on."""
    kind: float = 0.0
    """Passes for every neuron that kinds of effects are compared on, in every picture."""
    scenes: float = 0.0
    """Scenes composed, for each one of the setting `scenes`."""
    most: float = float("inf")
    """Of the setting, at most."""
    pair: float = 0.0
    """Scenes composed for each pair of classes."""
    pair_scenes: float = 0.0
    """As many more, for each one of the setting `scenes`."""
    per_scene: float = 0.0
    """Passes for one scene."""
    maps: float = 0.0
    """Maps scored in one scene."""
    fixed: float = 0.0
    """Passes whatever the settings."""


COSTS = {
    "recall": Cost(each=1, means=1),
    "controls": Cost(controls=4, layer=480_000, scenes=4, most=100, per_scene=1.5, maps=1.5),
    "ablation": Cost(each=1),
    "selectivity": Cost(each=1),
    "rank": Cost(each=1),
    "texts": Cost(each=3, neuron=2400, fixed=100),
    "kinds": Cost(each=1, kind=0.025),
    "predict": Cost(each=3, means=1),
    "pairs": Cost(each=1.5),
    "fit": Cost(each=1),
    "discovery": Cost(scenes=1.6, per_scene=10),
    "segmentation": Cost(scenes=4.4, per_scene=14, maps=40),
    "attack": Cost(pair=444, pair_scenes=1.8, per_scene=1, fixed=1500),
}
_USUAL = Cost(each=2)


@dataclass(frozen=True)
class Speed:
    """Seconds that this machine takes."""

    pass_: float
    """For a picture's pass."""
    product: float
    """For a direction's product with the dictionary."""


def announce(context: Context, sections: Sequence[Section]) -> list[Section]:
    """Say how long sections will take, together and each, and return them cheapest first."""
    speed = speed_of(context)
    seconds = {section: forecast(context, section.name, speed) for section in sections}
    order = sorted(sections, key=seconds.__getitem__)
    listed = ", ".join(f"{section.name} {duration(seconds[section])}" for section in order)
    context.say(
        f"about {duration(sum(seconds.values()))} in all ({listed}), at {speed.pass_:.2f} s a "
        "picture; Ctrl-C is safe, the same command continues"
    )
    return order


def speed_of(context: Context) -> Speed:
    """Time a pass and a product."""
    model, size = context.loaded, context.loaded.image_size
    pictures = torch.zeros(PICTURES, 3, size, size, device=model.device, dtype=model.dtype)
    atoms = torch.from_numpy(context.atoms)
    directions = torch.ones(DIRECTIONS, atoms.shape[1])
    return Speed(
        _timed(lambda: trace(model.model, pictures, context.layers)) / PICTURES,
        _timed(lambda: directions @ atoms.T) / DIRECTIONS,
    )


def forecast(context: Context, name: str, speed: Speed) -> float:
    """Return the seconds that a section will take."""
    cost, settings = COSTS.get(name, _USUAL), context.settings
    table = context.bundle.pictures.table
    held = table["split"] == "heldout"
    corpus = context.bundle.pictures.corpus_size
    scenes = _scenes(cost, settings, int(table["label"][held].nunique()))
    shown = min(settings.pictures, int(held.sum()) or settings.pictures)
    passes = (
        cost.each * shown
        + cost.means * min(settings.means, corpus)
        + cost.controls * min(settings.control_pictures, corpus)
        + cost.kind * len(context.kind_neurons) * (min(FIT, corpus) + min(TEST, shown))
        + cost.per_scene * scenes
        + cost.fixed
    )
    products = (
        cost.layer * min(LOOKED_AT, len(context.layers)) + cost.neuron * settings.text_neurons
    )
    pixels = cost.maps * scenes * context.loaded.image_size**2
    return speed.pass_ * passes + speed.product * products + SCORED * pixels + COMPOSED * scenes


def duration(seconds: float) -> str:
    """Write a duration roughly: "20 s", "5 min", "3 h"."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(1, round(seconds)):.0f} s"


def _scenes(cost: Cost, settings: EvidenceSettings, classes: int) -> float:
    """Return how many scenes a section composes; a target is of one pair only."""
    pairs = min(settings.pairs, classes)
    return cost.scenes * min(settings.scenes, cost.most) + pairs * (
        cost.pair + cost.pair_scenes * settings.scenes
    )


def _timed(work: Callable[[], object]) -> float:
    work()  # the first time prepares what others find ready
    began = time.monotonic()
    work()
    return time.monotonic() - began

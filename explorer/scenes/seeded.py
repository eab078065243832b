"""Scenes with exact masks: for measuring, and as examples.

They are made of the cut-outs that `explorer.scenes.cutouts` finds for a bundle. Pictogram scenes
are made only of held-out pictures. Photographic ones are made of photographic cut-outs over
scenery; the model may have seen those pictures, though not these scenes. A set's purpose is part of
its seed, so that what is calibrated on, what is measured on and what is shown never meet; training
draws from seeds of other lengths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.scenes.compose import Scene, SceneObject, SceneSettings, compose
from explorer.scenes.cutouts import FEWEST_NAMES, POOLS, find_cutouts

PURPOSES = {"test": 71, "calibration": 72, "examples": 73, "discovery": 74}
MOST_OBJECTS = FEWEST_NAMES
LARGEST = SceneSettings(smallest=0.4, largest=0.75, flip=0.0, tilt=0.0, jitter=0.0)


@dataclass(frozen=True)
class SceneSet:
    """An endless list of scenes; the number chooses one."""

    purpose: str
    pool: str = "pictogram"
    multiple: bool = False
    """2 to 4 objects of different names in place of one."""

    def __post_init__(self) -> None:
        """Refuse a purpose or a pool that isn't known."""
        if self.purpose not in PURPOSES or self.pool not in POOLS:
            raise InputError(
                f"There are no {self.pool!r} scenes for {self.purpose!r}: choose among "
                f"{', '.join(POOLS)} and {', '.join(PURPOSES)}."
            )

    @property
    def told(self) -> bool:
        """Whether a dictionary has to know the objects' names: discovery asks for them."""
        return self.purpose == "discovery"

    @property
    def name(self) -> str:
        """What the set is called in results: "pictogram, single"."""
        return f"{self.pool}, {'multiple' if self.multiple else 'single'}"


def can_draw(bundle: Bundle, scenes: SceneSet) -> bool:
    """Return whether there are pictures to make a set's scenes of."""
    try:
        find_cutouts(bundle, scenes.pool, scenes.told)
    except InputError:
        return False
    return True


def made_of(bundle: Bundle, scenes: SceneSet) -> str:
    """Return whose pictures a set's scenes are made of.

    Raises:
        InputError: when there are too few.
    """
    return find_cutouts(bundle, scenes.pool, scenes.told).of


def draw_scene(bundle: Bundle, scenes: SceneSet, number: int, size: int) -> Scene:
    """Return a set's scene of that number, `size` pixels square; the same every time.

    Raises:
        InputError: when the bundle ships too few pictures for it.
    """
    cutouts = find_cutouts(bundle, scenes.pool, scenes.told)
    place = POOLS.index(scenes.pool)
    rng = np.random.default_rng([PURPOSES[scenes.purpose], place, int(scenes.multiple), number])
    count = 2 + number % (MOST_OBJECTS - 1) if scenes.multiple else 1
    chosen: list[int] = []
    while len(chosen) < count:
        candidate = int(rng.integers(len(cutouts)))
        if cutouts.labels[candidate] not in [cutouts.labels[i] for i in chosen]:
            chosen.append(candidate)
    objects = [SceneObject(cutouts.image(i), cutouts.labels[i]) for i in chosen]
    kinds = ("scenery",) if scenes.pool == "photographic" else LARGEST.backgrounds
    settings = SceneSettings(
        size, LARGEST.smallest, LARGEST.largest, LARGEST.tilt, LARGEST.flip, LARGEST.jitter, kinds
    )
    return compose(rng, objects, settings)

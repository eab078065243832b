"""Scenes with exact masks, drawn from a bundle's own pictures: for measuring, and as examples.

Pictogram scenes are made only of held-out pictures, whose style the model never saw in training.
Photographic ones are made of photographic cut-outs over scenery; the model has seen those pictures,
though not these scenes. A set's purpose is part of its seed, so that what is calibrated on, what is
measured on and what is shown never meet; training draws from seeds of other lengths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.kept import kept
from explorer.scenes.compose import Scene, SceneObject, SceneSettings, compose

PURPOSES = {"test": 71, "calibration": 72, "examples": 73, "discovery": 74}
POOLS = ("pictogram", "photographic")
MOST_OBJECTS = 4
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
    def name(self) -> str:
        """What the set is called in results: "pictogram, single"."""
        return f"{self.pool}, {'multiple' if self.multiple else 'single'}"


def draw_scene(bundle: Bundle, scenes: SceneSet, number: int, size: int) -> Scene:
    """Return a set's scene of that number, `size` pixels square; the same every time.

    Raises:
        InputError: when the bundle ships too few pictures for it.
    """
    rows, labels = _pool(bundle, scenes.pool)
    if len(set(labels)) < MOST_OBJECTS:
        raise InputError(
            f"The bundle '{bundle.name}' ships too few {scenes.pool} pictures to make scenes of: "
            f"{MOST_OBJECTS} differently named ones are needed."
        )
    place = POOLS.index(scenes.pool)
    rng = np.random.default_rng([PURPOSES[scenes.purpose], place, int(scenes.multiple), number])
    count = 2 + number % (MOST_OBJECTS - 1) if scenes.multiple else 1
    chosen: list[int] = []
    while len(chosen) < count:
        candidate = int(rng.integers(len(rows)))
        if labels[candidate] not in [labels[i] for i in chosen]:
            chosen.append(candidate)
    objects = [SceneObject(bundle.pictures.image(int(rows[i])), labels[i]) for i in chosen]
    kinds = ("scenery",) if scenes.pool == "photographic" else LARGEST.backgrounds
    settings = SceneSettings(
        size, LARGEST.smallest, LARGEST.largest, LARGEST.tilt, LARGEST.flip, LARGEST.jitter, kinds
    )
    return compose(rng, objects, settings)


def _pool(bundle: Bundle, pool: str) -> tuple[np.ndarray, list[str]]:
    """Return the rows of a pool's pictures and their labels; kept with the bundle."""
    return kept(bundle, f"pool {pool}", lambda: _rows_of(bundle, pool))


def _rows_of(bundle: Bundle, pool: str) -> tuple[np.ndarray, list[str]]:
    table = bundle.pictures.table
    usable = table["split"] == "heldout" if pool == "pictogram" else table["kind"] == "photo"
    usable &= table["label"].fillna("").str.strip() != ""
    rows = np.flatnonzero(usable.to_numpy())
    return rows, table["label"].iloc[rows].astype(str).tolist()

"""How well text-driven maps find objects, measured on seeded scenes with exact masks.

In a scene each object's text is asked for in turn; the other objects are background. Every method
gives a map for the same text on the same model. It is interpolated bilinearly to the scene's
pixels, values below 0 count as 0 (they speak against the text; an activation map, whose zero means
nothing, starts at its lowest patch), and the rest is scaled to 0-1 by its own minimum and maximum.

- `pixel_accuracy`, `mean_iou`, `mean_average_precision`: the paper's three. Foreground is what
  exceeds 0.5; accuracy and IoU (mean of foreground and background) are taken over all pixels of a
  set, average precision over both classes' scores of one object's pixels, mean over objects.
- `foreground_average_precision`: of the foreground alone, where no threshold or scale matters.
- `calibrated_iou`: foreground IoU with one threshold per method in place of 0.5, chosen on other
  scenes, since min-max scaling punishes a map for one high peak.

Each method is measured `exact` (the map as its paper has it) and `refined` (`MapSettings.refine`,
the same for all); second-order maps, texts that compete and TextSpan also `fine` (refined, and
`MapSettings.fine`, four passes). Intervals are 95 % percentile bootstraps over scenes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.evidence.context import Context
from explorer.evidence.figures import RESAMPLES
from explorer.evidence.measures.map_scores import (
    NO_SCORES,
    PARTS,
    Scores,
    best_threshold,
    score_map,
    summarise,
)
from explorer.evidence.work import Work, stream
from explorer.picture.heatmaps import direction_maps, grounded, refined
from explorer.picture.maps import refinement
from explorer.picture.methods import METHODS, find_method
from explorer.picture.model import LensModel, open_lens_model
from explorer.picture.reading import read
from explorer.picture.settings import FINE
from explorer.scenes.compose import Scene
from explorer.scenes.seeded import MOST_OBJECTS, SceneSet, draw_scene, made_of
from explorer.threads import one_thread_each

FORMS = ("exact", "refined", "fine")
AT_ONCE = 10  # scenes between two looks at the clock
Progress = Callable[[str], object]
Column = tuple[str, str]
"""Method and form."""


def measure(context: Context) -> dict[str, Any]:
    """Measure the section with the settings' seed; see `measure_segmentation`."""
    return measure_segmentation(
        context.bundle,
        scenes=context.settings.scenes,
        photographic=context.settings.scenes,
        calibration=context.settings.scenes // 5,
        seed=context.settings.seed,
        work=context.work.folder,
        progress=context.say,
    )


def measure_segmentation(
    bundle: Bundle,
    *,
    scenes: int = 500,
    photographic: int = 500,
    calibration: int = 100,
    methods: Sequence[str] | None = None,
    seed: int = 0,
    work: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return every method's figures on single- and multi-object scenes; see the module's text.

    `scenes` is the number of pictogram scenes of either kind, `photographic` that of photographic
    ones, `calibration` that of pictogram scenes from which the thresholds come. With `work`, a
    folder, an interrupted measurement continues where it was.

    Raises:
        InputError: when a method is unknown, no scenes are asked for, or the bundle lacks the
            pictures.
    """
    methods = tuple(METHODS) if methods is None else methods
    for method in methods or [""]:
        find_method(method)
    if min(scenes, calibration) < 1 or photographic < 0:
        raise InputError("Measure on at least one scene and calibrate on at least one.")
    plan = [(SceneSet("test", "pictogram", multiple), scenes) for multiple in (False, True)]
    if photographic:
        plan += [
            (SceneSet("test", "photographic", multiple), photographic) for multiple in (False, True)
        ]
    opened = open_lens_model(bundle)
    tuned = [
        _measured(bundle, opened, SceneSet("calibration", "pictogram", multiple), calibration,
                  methods, work, progress)
        for multiple in (False, True)
    ]  # fmt: skip
    thresholds = {
        column: best_threshold([part[column] for part in tuned]) for column in _columns(methods)
    }
    sets = {}
    for scene_set, count in plan:
        found = _measured(bundle, opened, scene_set, count, methods, work, progress)
        sets[scene_set.name] = {
            "of": made_of(bundle, scene_set),
            "scenes": count,
            "objects": len(next(iter(found.values())).scene),
            "methods": {
                method: {
                    form: summarise(found[name, form], thresholds[name, form], seed)
                    for name, form in _columns([method])
                }
                for method in methods
            },
        }
    return {
        "sets": sets,
        "thresholds": {m: thresholds[m, "refined"] for m in methods},
        "thresholds_exact": {m: thresholds[m, "exact"] for m in methods},
        "calibration_scenes": 2 * calibration,
        "bootstrap": {"resamples": RESAMPLES, "seed": seed, "over": "scenes"},
    }


def _columns(methods: Sequence[str]) -> list[Column]:
    return [
        (method, form)
        for method in methods
        for form in FORMS
        if form != "fine" or find_method(method).measured_fine
    ]


def _measured(
    bundle: Bundle,
    opened: LensModel,
    scene_set: SceneSet,
    count: int,
    methods: Sequence[str],
    work: Path | None,
    progress: Progress | None,
) -> dict[Column, Scores]:
    """Return {(method, form): scores} of a set's scenes, with a row per object; resumable."""
    columns = _columns(methods)

    def score(number: int) -> dict[str, np.ndarray]:
        scene = draw_scene(bundle, scene_set, number, opened.loaded.image_size)
        seen = [mask.any() for mask in scene.masks]  # another object may hide this one
        found = {"seen": np.array(seen + [False] * (MOST_OBJECTS - len(seen)))}
        for (method, form), maps in _maps_of(opened, scene, methods):
            scored = [
                score_map(shown, mask) if visible else NO_SCORES
                for shown, mask, visible in zip(maps, scene.masks, seen, strict=True)
            ]
            scored += [NO_SCORES] * (MOST_OBJECTS - len(scored))
            for name, values in zip(PARTS, zip(*scored, strict=True), strict=True):
                found[f"{method} {form} {name}"] = np.stack(values)
        return found

    def take(places: range) -> dict[str, np.ndarray]:
        found = list(pool.map(score, places))
        return {name: np.stack([row[name] for row in found]) for name in found[0]}

    scenes = f"{scene_set.purpose}-{scene_set.name.replace(', ', '-')}"
    some = "" if tuple(methods) == tuple(METHODS) else f"-{'-'.join(methods)}"
    name = f"segmentation-{scenes}-{count}{some}"
    with one_thread_each() as (pool, _):  # scenes side by side use cores better than one on all
        kept = stream(Work(work), name, count, AT_ONCE, take, progress or (lambda line: None))
    scene, place = np.nonzero(kept["seen"])
    return {
        (method, form): Scores(
            scene, *(kept[f"{method} {form} {part}"][scene, place] for part in PARTS)
        )
        for method, form in columns
    }


def _maps_of(
    opened: LensModel, scene: Scene, methods: Sequence[str]
) -> Iterator[tuple[Column, np.ndarray]]:
    """Yield ((method, form), [object, row, column]) of a scene's own texts.

    One lens pass and one explained pass serve all methods, but for the form `fine`.
    """
    texts = opened.text_directions(scene.labels)
    turned = opened.towards_pictures(texts)
    reading = read(opened, [scene.image])
    how = refinement(reading, turned)
    size = scene.masks.shape[1:]
    with reading.sharing():
        for method in methods:
            both = direction_maps(reading, torch.cat([texts, turned]), method).flatten(2)
            exact, plain = both.split(len(texts), dim=1)
            forms = {"exact": exact, "refined": refined(plain, how, method)}
            grids = {form: maps.float().unflatten(2, opened.grid) for form, maps in forms.items()}
            if find_method(method).measured_fine:
                grids["fine"] = direction_maps(reading, turned, method, FINE)
            for form, grid in grids.items():
                yield (method, form), enlarge(grounded(grid, method)[0], size).numpy()


def enlarge(grid: Tensor, size: Iterable[int]) -> Tensor:
    """Return maps [text, patch_row, patch_column] at a picture's size: [text, row, column]."""
    return functional.interpolate(
        grid[None], size=tuple(size), mode="bilinear", align_corners=False
    )[0]

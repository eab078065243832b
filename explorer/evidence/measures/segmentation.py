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
the same for all); second-order maps and TextSpan's, their nearest rival, also `fine` (refined, and
`MapSettings.fine`, four passes). Intervals are 95 % percentile bootstraps over scenes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.evidence.context import Context
from explorer.evidence.figures import RESAMPLES, Figure, bootstrap
from explorer.picture.heatmaps import direction_maps, grounded, refined
from explorer.picture.maps import refinement
from explorer.picture.methods import METHODS, find_method
from explorer.picture.model import LensModel, open_lens_model
from explorer.picture.reading import read
from explorer.picture.settings import MapSettings
from explorer.scenes.compose import Scene
from explorer.scenes.seeded import SceneSet, draw_scene

FORMS = ("exact", "refined", "fine")
STATISTICS = (
    "pixel_accuracy",
    "mean_iou",
    "mean_average_precision",
    "foreground_average_precision",
    "calibrated_iou",
)
THRESHOLDS = np.round(np.arange(0.02, 1.0, 0.02), 2)
RUN = 50  # scenes that are kept together, so that no more are lost when stopped

Progress = Callable[[str], object]
Column = tuple[str, str]
"""Method and form."""


@dataclass(frozen=True, eq=False)
class Scores:
    """What one method scored on every object of a set; sums, so that scenes can be resampled."""

    scene: np.ndarray
    """[object] int: the scene it is in."""
    counts: np.ndarray
    """[object, 4]: true positives, false positives, false negatives, true negatives at 0.5."""
    sweep: np.ndarray
    """[object, threshold, 2]: intersection and union of the foreground."""
    precision: np.ndarray
    """[object, 2]: average precision of both classes, and of the foreground alone."""

    @classmethod
    def of(cls, rows: Sequence[tuple[int, np.ndarray, np.ndarray, np.ndarray]]) -> Scores:
        """Stack (scene, counts, sweep, precision) of every object."""
        scene, counts, sweep, precision = zip(*rows, strict=True)
        return cls(np.array(scene), np.array(counts), np.array(sweep), np.array(precision))

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """Return the objects of all parts after each other."""
        return cls(
            np.concatenate([part.scene for part in parts]),
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.sweep for part in parts]),
            np.concatenate([part.precision for part in parts]),
        )


def measure(context: Context) -> dict[str, Any]:
    """Measure the section with the settings' seed; see `measure_segmentation`."""
    return measure_segmentation(
        context.bundle,
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
    ones, `calibration` that of pictogram scenes from which the thresholds come. With `work`,
    finished runs of scenes are kept there and not measured again.

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


def best_threshold(parts: Sequence[Scores]) -> float:
    """Return the threshold with the largest mean of the parts' foreground IoU."""
    ious = np.mean([_ious(part.sweep.sum(axis=0)) for part in parts], axis=0)
    return float(THRESHOLDS[int(np.argmax(ious))])


def summarise(scores: Scores, threshold: float, seed: int = 0) -> dict[str, Any]:
    """Return the figures of one method on one set, each with its interval."""
    place = int(np.argmin(np.abs(THRESHOLDS - threshold)))
    sums = np.concatenate(
        [
            scores.counts,
            scores.sweep[:, place],
            scores.precision,
            np.ones((len(scores.scene), 1)),
        ],
        axis=1,
    )
    by_scene = np.stack(
        [sums[scores.scene == scene].sum(axis=0) for scene in np.unique(scores.scene)]
    )

    def figure(name: str) -> Figure:
        return bootstrap(lambda w: _statistics(w @ by_scene)[name], len(by_scene), seed)

    return {"threshold": threshold, **{name: figure(name) for name in STATISTICS}}


def score_map(found: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (counts, sweep, precision) of one map on one mask, both [row, column].

    As in `Scores`, for a single object.
    """
    positive = np.maximum(found, 0).ravel().astype(np.float64)
    reach = np.ptp(positive)
    scaled = (positive - positive.min()) / reach if reach > 0 else np.zeros_like(positive)
    truth = mask.ravel()
    above = scaled > 0.5
    counts = np.array(
        [(above & truth).sum(), (above & ~truth).sum(), (~above & truth).sum(),
         (~above & ~truth).sum()]
    )  # fmt: skip
    bins = len(THRESHOLDS) - np.searchsorted(THRESHOLDS, scaled, side="left")
    # a pixel is above its first thresholds; counting from the last one makes that a running sum
    inside = np.bincount(bins[truth], minlength=len(THRESHOLDS) + 1)
    outside = np.bincount(bins[~truth], minlength=len(THRESHOLDS) + 1)
    hits = np.cumsum(inside)[:-1][::-1]
    union = truth.sum() + np.cumsum(outside)[:-1][::-1]
    order = np.argsort(-scaled)
    return counts, np.stack([hits, union], axis=1), _precisions(scaled[order], truth[order])


def _precisions(falling: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the average precision of both classes together, and of the foreground alone.

    A pixel's score for the background is 1 less that for the foreground. Both lists of scores are
    sorted already, which a merging sort makes use of.
    """
    scores = np.concatenate([falling, 1 - falling[::-1]])
    order = np.argsort(-scores, kind="stable")
    both = np.concatenate([truth, ~truth[::-1]])[order]
    return np.array([_precision_of(scores[order], both), _precision_of(falling, truth)])


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the average precision of [n] scores; tied scores are taken together.

    `sum_i (recall_i - recall_{i-1}) precision_i` over distinct scores, falling.
    """
    order = np.argsort(-scores)
    return _precision_of(scores[order], truth[order])


def _precision_of(falling: np.ndarray, truth: np.ndarray) -> float:
    """Return `average_precision` of scores that are sorted already."""
    hits = np.cumsum(truth)
    last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    recall = hits[last] / max(hits[-1], 1)
    precision = hits[last] / (last + 1)
    return float(np.sum(np.diff(recall, prepend=0) * precision))


def _statistics(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Return `STATISTICS` of [sample, column] sums, columns as in `summarise`."""
    tp, fp, fn, tn, inside, union, both, foreground, objects = sums.T.astype(np.float64)
    return {
        "pixel_accuracy": (tp + tn) / (tp + fp + fn + tn),
        "mean_iou": (_ratio(tp, tp + fp + fn) + _ratio(tn, tn + fp + fn)) / 2,
        "mean_average_precision": both / objects,
        "foreground_average_precision": foreground / objects,
        "calibrated_iou": _ratio(inside, union),
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    share = np.zeros_like(part)
    np.divide(part, whole, out=share, where=whole > 0)
    return share


def _ious(sweep: np.ndarray) -> np.ndarray:
    return _ratio(sweep[:, 0].astype(np.float64), sweep[:, 1].astype(np.float64))


def _measured(
    bundle: Bundle,
    opened: LensModel,
    scene_set: SceneSet,
    count: int,
    methods: Sequence[str],
    work: Path | None,
    progress: Progress | None,
) -> dict[Column, Scores]:
    """Return {(method, form): scores}; runs of scenes that `work` holds already are kept."""
    digest = _digest_of(bundle)
    columns = _columns(methods)
    runs: dict[Column, list[Scores]] = {column: [] for column in columns}
    for first in range(0, count, RUN):
        numbers = range(first, min(first + RUN, count))
        files = {c: _file(work, digest, scene_set, numbers, *c) for c in columns}
        kept = {c: scores for c, file in files.items() if (scores := _load(file)) is not None}
        missing = [m for m in methods if any(column not in kept for column in _columns([m]))]
        if missing:
            if progress:
                progress(f"segmentation, {scene_set.name}: {first} of {count}")
            for column, scores in _run(bundle, opened, scene_set, numbers, missing).items():
                _save(files[column], scores)
                kept[column] = scores
        for column in columns:
            runs[column].append(kept[column])
    return {column: Scores.joined(parts) for column, parts in runs.items()}


def _run(
    bundle: Bundle,
    opened: LensModel,
    scene_set: SceneSet,
    numbers: Iterable[int],
    methods: Sequence[str],
) -> dict[Column, Scores]:
    def scored(number: int) -> list[tuple[Column, tuple[Any, ...]]]:
        scene = draw_scene(bundle, scene_set, number, opened.loaded.image_size)
        return [
            (column, (number, *score_map(found, mask)))
            for column, maps in _maps_of(opened, scene, methods)
            for found, mask in zip(maps, scene.masks, strict=True)
            if mask.any()  # another object may hide this one
        ]

    rows: dict[Column, list[Any]] = {column: [] for column in _columns(methods)}
    with _one_thread_each() as pool:
        for scene in pool.map(scored, numbers):
            for column, row in scene:
                rows[column].append(row)
    return {column: Scores.of(found) for column, found in rows.items()}


@contextmanager
def _one_thread_each() -> Iterator[ThreadPoolExecutor]:
    """Scenes side by side, each on one core: that uses cores better than one scene on all does."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


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
    with reading.explaining():
        for method in methods:
            both = direction_maps(reading, torch.cat([texts, turned]), method).flatten(2)
            exact, plain = both.split(len(texts), dim=1)
            forms = {"exact": exact, "refined": refined(plain, how, method)}
            grids = {form: maps.float().unflatten(2, opened.grid) for form, maps in forms.items()}
            if find_method(method).measured_fine:
                settings = MapSettings(refine=True, fine=True)
                grids["fine"] = direction_maps(reading, turned, method, settings)
            for form, grid in grids.items():
                yield (method, form), _enlarge(grounded(grid, method)[0], size).numpy()


def _enlarge(grid: Tensor, size: Iterable[int]) -> Tensor:
    return functional.interpolate(
        grid[None], size=tuple(size), mode="bilinear", align_corners=False
    )[0]


def _digest_of(bundle: Bundle) -> str:
    """Return what names the model and the pictures a measurement was taken with."""
    named = {key: bundle.manifest.files[key]["sha256"] for key in sorted(bundle.manifest.files)}
    kept = {k: v for k, v in named.items() if k.startswith(("model/", "pictures", "mean_", "dir"))}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def _file(
    work: Path | None,
    digest: str,
    scene_set: SceneSet,
    numbers: range,
    method: str,
    form: str,
) -> Path | None:
    if work is None:
        return None
    scenes = f"{scene_set.purpose}-{scene_set.name.replace(', ', '-')}"
    name = f"{scenes}-{numbers.start}-{numbers.stop}-{method}-{form}"
    return work / digest / f"{name}.npz"


def _load(file: Path | None) -> Scores | None:
    if file is None or not file.is_file():
        return None
    with np.load(file, allow_pickle=False) as held:
        return Scores(held["scene"], held["counts"], held["sweep"], held["precision"])


def _save(file: Path | None, scores: Scores) -> None:
    if file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".new.npz")
    np.savez_compressed(
        unfinished,
        scene=scores.scene,
        counts=scores.counts,
        sweep=scores.sweep,
        precision=scores.precision,
    )
    unfinished.replace(file)

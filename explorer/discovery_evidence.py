"""How well the concepts discovered in a scene match what is in it, measured on seeded scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch.nn import functional

from explorer.bundle import Bundle
from explorer.demo.scenes import Scene
from explorer.discover import all_effects, concept_scores
from explorer.errors import InputError
from explorer.heatmaps import read
from explorer.lens_model import LensModel, open_lens_model
from explorer.seeded_scenes import SceneSet, draw_scene

RESAMPLES = 1000
REPORTED = 20  # scenes between two lines of progress

Progress = Callable[[str], object]


def measure_discovery(
    bundle: Bundle,
    *,
    scenes: int = 200,
    top: Sequence[int] = (1, 5, 10),
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return how well concepts discovered in held-out scenes match the scenes' labels.

    For single- and multi-object scenes: `hit@k`, the share of objects whose label is among the k
    highest-scoring concepts (only labels in the dictionary are asked for); `cosine@k`, the largest
    cosine between the label and one of the k concepts; each beside what labels of another scene
    get (`chance`), and beside the k texts nearest to the picture's whole representation (`output`),
    which sees more than its significant neurons do.

    Raises InputError for a bundle without the pictures needed.
    """
    if scenes < 2:
        raise InputError("Discovery is measured on at least two scenes.")
    opened = open_lens_model(bundle)
    result: dict[str, Any] = {"bootstrap": {"resamples": RESAMPLES, "seed": seed}}
    for multiple in (False, True):
        scene_set = SceneSet("discovery", "pictogram", multiple)
        ranked: list[tuple[list[str], np.ndarray, np.ndarray]] = []
        for number in range(scenes):
            scene = draw_scene(bundle, scene_set, number, opened.loaded.image_size)
            ranked.append((list(scene.labels), *_rankings(bundle, opened, scene, max(top))))
            if progress and number % REPORTED == 0:
                progress(f"discovery, {scene_set.name}: {number} of {scenes}")
        result[scene_set.name] = _discovery_figures(bundle, ranked, top, seed)
    return result


def _rankings(
    bundle: Bundle, opened: LensModel, scene: Scene, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best texts by discovered concepts, and by the whole representation: [most]."""
    reading = read(opened, opened.loaded.preprocess(scene.image)[None])
    effects = all_effects(bundle, reading)[0]
    thresholds = bundle.neurons["threshold"].to_numpy(np.float64)
    rows = np.flatnonzero((np.abs(effects) >= thresholds) & (thresholds > 0))
    scores = concept_scores(bundle, effects, [int(row) for row in rows])
    whole = functional.normalize(reading.trace.representation.float().cpu(), dim=1)
    near = (opened.dictionary @ whole[0]).numpy()
    return np.argsort(-scores, kind="stable")[:most], np.argsort(-near, kind="stable")[:most]


def _discovery_figures(
    bundle: Bundle,
    ranked: list[tuple[list[str], np.ndarray, np.ndarray]],
    top: Sequence[int],
    seed: int,
) -> dict[str, Any]:
    place = {text: number for number, text in enumerate(bundle.texts)}
    atoms = bundle.text_embeddings.astype(np.float32) - bundle.text_mean
    atoms /= np.maximum(np.linalg.norm(atoms, axis=1, keepdims=True), 1e-12)
    known = [[place[label] for label in labels if label in place] for labels, _, _ in ranked]
    figures: dict[str, Any] = {
        "scenes": len(ranked),
        "objects": sum(len(labels) for labels, _, _ in ranked),
        "objects_in_dictionary": sum(map(len, known)),
    }
    shifted = known[1:] + known[:1]  # labels of another scene
    sources = {
        "concepts": (known, [found for _, found, _ in ranked]),
        "chance": (shifted, [found for _, found, _ in ranked]),
        "output": (known, [near for _, _, near in ranked]),
    }
    for name, (asked, lists) in sources.items():
        figures[name] = {}
        for k in top:
            hits = [
                float(label in found[:k])
                for labels, found in zip(asked, lists, strict=True)
                for label in labels
            ]
            cosines = [
                float((atoms[found[:k]] @ atoms[label]).max())
                for labels, found in zip(asked, lists, strict=True)
                for label in labels
            ]
            figures[name][f"hit@{k}"] = _mean_with_interval(hits, seed)
            figures[name][f"cosine@{k}"] = _mean_with_interval(cosines, seed)
    return figures


def _mean_with_interval(values: Sequence[float], seed: int) -> dict[str, Any]:
    if not values:
        return {"mean": None, "interval": None}
    found = np.asarray(values)
    rng = np.random.default_rng(seed)
    means = found[rng.integers(len(found), size=(RESAMPLES, len(found)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return {
        "mean": round(float(found.mean()), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
    }

"""How well the concepts discovered in a scene match what is in it, measured on seeded scenes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.nn import functional

from explorer.bundle import Bundle
from explorer.demo.scenes import Scene
from explorer.discover import (
    all_effects,
    concept_scores,
    named_texts,
    rank_concepts,
    significant_rows,
)
from explorer.errors import InputError
from explorer.evidence.work import Arrays, Work, stream
from explorer.heatmaps import concept_maps, read
from explorer.lens_model import LensModel, open_lens_model
from explorer.seeded_scenes import SceneSet, draw_scene

RESAMPLES = 1000
AT_ONCE = 10  # scenes between two looks at the clock

Progress = Callable[[str], None]


def measure_discovery(
    bundle: Bundle,
    *,
    scenes: int = 200,
    top: Sequence[int] = (1, 5, 10),
    seed: int = 0,
    work: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return how well concepts discovered in held-out scenes match the scenes' labels.

    For single- and multi-object scenes: `hit@k`, the share of objects whose label is among the k
    best texts (only labels in the dictionary are asked for), and `cosine@k`, the largest cosine
    between the label and one of the k texts. Four rankings are measured: `concepts`, as
    `explorer.discover` ranks them; `sets`, the significant neurons' sparse sets merged, weighted
    by effect; `chance`, the concepts against another scene's labels; and `output`, the texts
    nearest to the whole representation, which also sees what no neuron wrote. With `work`, a
    folder, an interrupted measurement goes on where it was.

    Raises InputError for fewer than two scenes or a bundle without the pictures needed.
    """
    if scenes < 2:
        raise InputError("Discovery is measured on at least two scenes.")
    opened = open_lens_model(bundle)
    result: dict[str, Any] = {"bootstrap": {"resamples": RESAMPLES, "seed": seed, "over": "scenes"}}
    for multiple in (False, True):
        scene_set = SceneSet("discovery", "pictogram", multiple)
        labels, ranked = _ranked(bundle, opened, scene_set, scenes, max(top), work, progress)
        result[scene_set.name] = _figures(bundle, opened, labels, ranked, top, seed)
    return result


def _ranked(
    bundle: Bundle,
    opened: LensModel,
    scene_set: SceneSet,
    scenes: int,
    most: int,
    work: Path | None,
    progress: Progress | None,
) -> tuple[list[tuple[str, ...]], list[dict[str, np.ndarray]]]:
    """Return each scene's labels, and {ranking: the best texts, at most `most`} of each."""
    size = opened.loaded.image_size

    def take(places: range) -> Mapping[str, np.ndarray]:
        found = [
            _rankings(bundle, opened, draw_scene(bundle, scene_set, n, size), most) for n in places
        ]
        return {name: np.stack([_padded(row[name], most) for row in found]) for name in found[0]}

    name = f"discovery-{scene_set.name.replace(', ', '-')}-{scenes}-{most}"
    say = progress or (lambda line: None)
    kept: Arrays = stream(Work(work), name, scenes, AT_ONCE, take, say)
    labels = [draw_scene(bundle, scene_set, n, size).labels for n in range(scenes)]
    ranked = [
        {ranking: table[n][table[n] >= 0] for ranking, table in kept.items()} for n in range(scenes)
    ]
    return labels, ranked


def _padded(texts: np.ndarray, most: int) -> np.ndarray:
    """Return [most] int64, -1 where there are fewer texts."""
    return np.pad(texts.astype(np.int64), (0, most - len(texts)), constant_values=-1)


def _rankings(bundle: Bundle, opened: LensModel, scene: Scene, most: int) -> dict[str, np.ndarray]:
    """Return {ranking: the best texts, at most `most`} of one scene."""
    reading = read(opened, opened.loaded.preprocess(scene.image)[None])
    effects = all_effects(bundle, reading)[0]
    rows = significant_rows(bundle, effects)
    named = named_texts(bundle, rows)
    found = rank_concepts(concept_maps(reading, opened.dictionary[named]), most)
    support = concept_scores(bundle, effects, rows)
    whole = functional.normalize(reading.trace.representation.float().cpu(), dim=1)
    near = (opened.dictionary @ whole[0]).numpy()
    return {
        "concepts": named[[ranked.place for ranked in found]],
        "sets": np.argsort(-support, kind="stable")[:most],
        "output": np.argsort(-near, kind="stable")[:most],
    }


def _figures(
    bundle: Bundle,
    opened: LensModel,
    labels: list[tuple[str, ...]],
    ranked: list[dict[str, np.ndarray]],
    top: Sequence[int],
    seed: int,
) -> dict[str, Any]:
    place = {text: number for number, text in enumerate(bundle.texts)}
    known = [[place[label] for label in scene if label in place] for scene in labels]
    asked = {"concepts": known, "sets": known, "chance": known[1:] + known[:1], "output": known}
    atoms = opened.dictionary.numpy()
    figures: dict[str, Any] = {
        "scenes": len(labels),
        "objects": sum(map(len, labels)),
        "objects_in_dictionary": sum(map(len, known)),
    }
    for name, wanted in asked.items():
        source = "concepts" if name == "chance" else name
        pairs = [(texts, found[source]) for texts, found in zip(wanted, ranked, strict=True)]
        figures[name] = {}
        for k in top:
            hits = [[float(text in found[:k]) for text in texts] for texts, found in pairs]
            near = [
                [float((atoms[found[:k]] @ atoms[text]).max(initial=-1)) for text in texts]
                for texts, found in pairs
            ]
            figures[name][f"hit@{k}"] = _mean_with_interval(hits, seed)
            figures[name][f"cosine@{k}"] = _mean_with_interval(near, seed)
    return figures


def _mean_with_interval(values: list[list[float]], seed: int) -> dict[str, Any]:
    """Return the mean over all objects and its interval over scenes."""
    sums = np.array([[sum(scene), len(scene)] for scene in values if scene])
    if not len(sums):
        return {"mean": None, "interval": None}
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), RESAMPLES) @ sums
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], (0.025, 0.975))
    mean = sums[:, 0].sum() / sums[:, 1].sum()
    return {
        "mean": round(float(mean), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
    }

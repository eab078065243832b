"""How well the concepts discovered in a scene match what is in it, measured on seeded scenes.

Beside the rankings stands how well the confidence of `explorer.picture.presence` tells texts of
things in a scene from texts of another scene's things, and how many of either are called doubtful.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.evidence.context import Context
from explorer.evidence.figures import RESAMPLES, Figure, Weights, bootstrap, ratio
from explorer.evidence.work import Work, stream
from explorer.picture.competition import named_shares
from explorer.picture.discover import (
    concept_scores,
    named_texts,
    rank_concepts,
    significant_rows,
)
from explorer.picture.model import LensModel, open_lens_model
from explorer.picture.presence import DOUBTFUL, Presence
from explorer.picture.reading import Reading, read
from explorer.resumable import Arrays
from explorer.scenes.cutouts import POOLS
from explorer.scenes.seeded import MOST_OBJECTS, SceneSet, can_draw, draw_scene, made_of

RANKINGS = ("concepts", "sets", "output", "likely")
AT_ONCE = 10  # scenes between two looks at the clock

Progress = Callable[[str], object]


def measure(context: Context) -> dict[str, Any]:
    """Measure the section with the settings' seed; see `measure_discovery`."""
    return measure_discovery(
        context.bundle,
        scenes=2 * context.settings.scenes // 5,
        seed=context.settings.seed,
        work=context.work.folder,
        progress=context.say,
    )


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

    For single- and multi-object scenes of pictograms, and of photographs where there are any:
    `hit@k`, the share of objects whose label is among the k best texts (only labels in the
    dictionary are asked for), and `cosine@k`, the largest cosine between the label and one of the k
    texts. Five rankings are measured: `concepts`, as `explorer.picture.discover` ranks them;
    `sets`, the significant neurons' sparse sets merged, weighted by effect; `chance`, the concepts
    against another scene's labels; `output`, the texts nearest to the whole representation, which
    also sees what no neuron wrote; and `likely`, the most confident texts of
    `explorer.picture.presence`, which joins both.

    `confidence` is of each object's own text, present, and of the texts of the next scene's other
    objects, absent: `auc`, how often a present text is the more confident of two, and the shares
    that are called doubtful. With `work`, a folder, an interrupted measurement continues where it
    was.

    Raises:
        InputError: when fewer than two scenes are asked for, or the bundle lacks the pictures.
    """
    if scenes < 2:
        raise InputError("Discovery is measured on at least two scenes.")
    opened = open_lens_model(bundle)
    result: dict[str, Any] = {"bootstrap": {"resamples": RESAMPLES, "seed": seed, "over": "scenes"}}
    for pool, multiple in product(POOLS, (False, True)):
        scene_set = SceneSet("discovery", pool, multiple)
        if pool != POOLS[0] and not can_draw(bundle, scene_set):
            continue
        labels, found = _looked_at(bundle, opened, scene_set, scenes, max(top), work, progress)
        ranked = [
            {name: texts[texts >= 0] for name, texts in zip(RANKINGS, row, strict=True)}
            for row in zip(*(found[name] for name in RANKINGS), strict=True)
        ]
        result[scene_set.name] = {
            "of": made_of(bundle, scene_set),
            **_figures(bundle, opened, labels, ranked, top, seed),
            "unfamiliar": _unfamiliar(bundle, labels, ranked, found["unfamiliar"], seed),
            "confidence": _confidence(found["present"], found["absent"], seed),
        }
    return result


def _looked_at(
    bundle: Bundle,
    opened: LensModel,
    scene_set: SceneSet,
    scenes: int,
    most: int,
    work: Path | None,
    progress: Progress | None,
) -> tuple[list[tuple[str, ...]], Arrays]:
    """Return each scene's labels, and what was found in all of them.

    For each of `RANKINGS` the best texts [scene, most], and the confidence of `present` and
    `absent` texts [scene, object]; -1 and NaN where there are fewer. `unfamiliar` [scene] is what
    the Image page says of a picture.
    """
    size = opened.loaded.image_size
    labels = [draw_scene(bundle, scene_set, n, size).labels for n in range(scenes + 1)]

    def look(number: int) -> dict[str, np.ndarray]:
        scene = draw_scene(bundle, scene_set, number, size)
        reading = read(opened, [scene.image])
        presence = Presence(reading)
        found = {
            name: np.pad(texts, (0, most - len(texts)), constant_values=-1)
            for name, texts in _rankings(bundle, opened, reading, presence, most).items()
        }
        other = [label for label in labels[number + 1] if label not in scene.labels]
        for name, texts in (("present", scene.labels), ("absent", other)):
            found[name] = np.full(MOST_OBJECTS, np.nan)
            if texts:
                sure = presence.confidence(opened.text_directions(texts))
                found[name][: len(texts)] = sure.numpy()
        found["unfamiliar"] = np.array(presence.unfamiliar(bundle))
        return found

    def take(places: range) -> Mapping[str, np.ndarray]:
        found = [look(number) for number in places]
        return {name: np.stack([row[name] for row in found]) for name in found[0]}

    name = f"discovery-{scene_set.name.replace(', ', '-')}-{scenes}-{most}"
    say = progress or (lambda line: None)
    return labels[:scenes], stream(Work(work), name, scenes, AT_ONCE, take, say)


def _rankings(
    bundle: Bundle, opened: LensModel, reading: Reading, presence: Presence, most: int
) -> dict[str, np.ndarray]:
    """Return {ranking: the best texts, at most `most`} of one scene's reading."""
    effects = reading.effects[0]
    rows = significant_rows(bundle, effects)
    named = named_texts(bundle, rows)
    found = rank_concepts(named_shares(reading, opened.dictionary[named]), most)
    support = concept_scores(bundle, effects, rows)
    whole = functional.normalize(reading.trace.representation.float().cpu(), dim=1)
    near = (opened.dictionary @ whole[0]).numpy()
    return {
        "concepts": named[[ranked.place for ranked in found]],
        "sets": np.argsort(-support, kind="stable")[:most],
        "output": np.argsort(-near, kind="stable")[:most],
        "likely": np.array(presence.likely(most), np.int64),
    }


def _known(bundle: Bundle, labels: list[tuple[str, ...]]) -> list[list[int]]:
    """Return the places in the dictionary of each scene's labels, of those that it has."""
    place = {text: number for number, text in enumerate(bundle.texts)}
    return [[place[label] for label in scene if label in place] for scene in labels]


def _unfamiliar(
    bundle: Bundle,
    labels: list[tuple[str, ...]],
    ranked: list[dict[str, np.ndarray]],
    flags: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    """Return the share of scenes called unfamiliar, and of objects named in them and elsewhere."""
    hits = [
        [float(text in found["concepts"]) for text in texts]
        for texts, found in zip(_known(bundle, labels), ranked, strict=True)
    ]
    apart = {"named": flags, "named_elsewhere": ~flags}
    return {
        "scenes": _named([[float(flag)] for flag in flags], seed),
        **{
            name: _named([hits[n] for n in np.flatnonzero(chosen)], seed)
            for name, chosen in apart.items()
        },
    }


def _confidence(present: np.ndarray, absent: np.ndarray, seed: int) -> dict[str, Any]:
    """Return how well present and absent texts are told apart; both are [scene, object]."""
    kinds = {"present": present, "absent": absent}
    values = np.concatenate([table[~np.isnan(table)] for table in kinds.values()])
    counts = {name: (~np.isnan(table)).sum(axis=1) for name, table in kinds.items()}
    truth = np.repeat([True, False], [counts["present"].sum(), counts["absent"].sum()])
    scene = np.concatenate([np.repeat(np.arange(len(n)), n) for n in counts.values()])
    figures: dict[str, Any] = {
        f"{name}_doubted": _named(
            [[float(v < DOUBTFUL) for v in row[~np.isnan(row)]] for row in table], seed
        )
        for name, table in kinds.items()
    }
    return {"doubtful_below": DOUBTFUL, "auc": _auc(values, truth, scene, seed), **figures}


def _auc(values: np.ndarray, truth: np.ndarray, scene: np.ndarray, seed: int) -> Figure:
    """Return how often one of `truth` is the larger of two, with its interval over scenes."""

    def statistic(weights: Weights) -> list[float]:
        return [one(row[scene]) for row in weights]

    def one(weights: NDArray[np.floating[Any]]) -> float:
        both = weights[truth].any() and weights[~truth].any()
        return float(roc_auc_score(truth, values, sample_weight=weights)) if both else np.nan

    return bootstrap(statistic, int(scene.max(initial=-1)) + 1, seed)


def _figures(
    bundle: Bundle,
    opened: LensModel,
    labels: list[tuple[str, ...]],
    ranked: list[dict[str, np.ndarray]],
    top: Sequence[int],
    seed: int,
) -> dict[str, Any]:
    known = _known(bundle, labels)
    asked = {name: known for name in RANKINGS} | {"chance": known[1:] + known[:1]}
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
            figures[name][f"hit@{k}"] = _named(hits, seed)
            figures[name][f"cosine@{k}"] = _named(near, seed)
    return figures


def _named(values: list[list[float]], seed: int) -> Figure:
    """Return the mean over all objects with its interval over the scenes that have any."""
    sums = np.array([[sum(scene), len(scene)] for scene in values if scene]).reshape(-1, 2)
    return ratio(sums[:, 0], sums[:, 1], seed)

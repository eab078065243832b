"""How well second-order maps find objects, in any tower: the bundle's own and one without meaning.

A map of a network without meaning finds an object too if it only marks what stands out. So the
exact maps of both towers are scored on the same scenes, those of the section `segmentation`, half
of them with one object and half with several; by foreground average precision, mean over objects.

Axes: scene, path, neuron.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip import CLIP
from torch import Tensor

from explorer.bundle import Bundle
from explorer.evidence.context import Context
from explorer.evidence.figures import Figure, ratio
from explorer.evidence.measures.map_scores import score_map
from explorer.evidence.measures.segmentation import enlarge
from explorer.evidence.reference import corpus_pixels
from explorer.evidence.work import stream
from explorer.lens import MultiLayerLens
from explorer.picture.heatmaps import direction_maps, grounded
from explorer.picture.model import LensModel, open_lens_model
from explorer.picture.reading import read
from explorer.picture.settings import SECOND_ORDER
from explorer.scenes.seeded import SceneSet, can_draw, draw_scene

SCENES = 100
"""Scenes of each kind, at most."""
MEANS = 128
"""Corpus pictures that give a tower's mean coefficients, at most."""
KINDS = tuple(SceneSet("test", multiple=multiple) for multiple in (False, True))


def compared_maps(context: Context, random: CLIP) -> dict[str, Figure]:
    """Return the precision of the bundle's tower and of a random one; nothing without scenes."""
    if not all(can_draw(context.bundle, kind) for kind in KINDS):
        return {}
    own = open_lens_model(context.bundle, context.loaded)
    other = replace(
        own, loaded=replace(own.loaded, model=random), means=mean_coefficients(context, random)
    )
    return {"own": precision(context, own, "own"), "random_weights": precision(context, other)}


def mean_coefficients(context: Context, model: CLIP) -> Mapping[int, Tensor]:
    """Return a tower's mean coefficients over some corpus pictures: layer -> [path, neuron]."""
    images = np.asarray(context.bundle.sample_images)[:MEANS]
    lens = MultiLayerLens(model, context.layers)
    totals: dict[int, Tensor] = {}
    for start in range(0, len(images), context.settings.batch_size):
        batch = images[start : start + context.settings.batch_size]
        found = lens.run(corpus_pixels(context.bundle, context.loaded, batch)).coefficients
        for layer, coefficients in found.items():
            totals[layer] = totals.get(layer, 0) + coefficients.sum(dim=0)
    return {layer: total / len(images) for layer, total in totals.items()}


def precision(context: Context, tower: LensModel, name: str = "random") -> Figure:
    """Return the precision of a tower's maps, mean over objects; scenes are what is resampled."""
    each = min(context.settings.scenes, SCENES)

    def take(places: range) -> dict[str, NDArray[np.float64]]:
        return {
            "sums": np.stack([_score(context.bundle, tower, KINDS[n % 2], n // 2) for n in places])
        }

    title = f"controls, maps of the {name} tower"
    sums = stream(context.work, title, 2 * each, 10, take, context.say)["sums"]
    return ratio(sums[:, 0], sums[:, 1], context.settings.seed)


def _score(bundle: Bundle, tower: LensModel, kind: SceneSet, number: int) -> NDArray[np.float64]:
    """Return the sum of a scene's precisions, and the number of its objects that can be seen."""
    scene = draw_scene(bundle, kind, number, tower.loaded.image_size)
    reading = read(tower, [scene.image])
    with torch.no_grad():
        maps = direction_maps(reading, tower.text_directions(scene.labels), SECOND_ORDER)
    shown = enlarge(grounded(maps, SECOND_ORDER)[0], scene.masks.shape[1:]).numpy()
    pairs = zip(shown, scene.masks, strict=True)
    found = [score_map(one, mask)[2][1] for one, mask in pairs if mask.any()]
    return np.array([sum(found), len(found)], np.float64)

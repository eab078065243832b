"""One image tower on a sample of pictures and neurons: what a build finds, small enough to repeat.

Controls ask what towers without meaning give, so each must be studied as a build studies the
bundle's own (`explorer.build`): directions of all pictures and of either half, and effects of each
half's pictures along the other half's directions. Here that is done for a few hundred pictures and
for some neurons of some layers, whose coefficients fit in memory:

    effect[i, n] . d = sum over k of (c[i, k, n] - mean_i c[., k, n]) (u[n, k] . d)

Axes: image, path, neuron, half, embed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from explorer.describe.directions import LayerDirections, LayerStatistics, StatisticsSettings
from explorer.evidence.work import Work, stream
from explorer.lens import second_order_paths, trace
from explorer.resumable import Arrays, Say

SIGNIFICANT = 0.02
"""Share of a sample's pictures that give a neuron its direction, as in a build."""


@dataclass(frozen=True, eq=False)
class Sample:
    """What of a bundle is looked at."""

    images: NDArray[np.int32]
    """[image]: numbers of corpus pictures, rising."""
    halves: NDArray[np.int8]
    """[image]: 0 or 1."""
    neurons: Mapping[int, NDArray[np.int64]]
    """Layer -> [neuron]: their numbers in the layer, rising."""


@dataclass(frozen=True, eq=False)
class LayerStudy:
    """Some neurons of one layer of a tower."""

    found: LayerDirections
    half_directions: NDArray[np.float32]
    """[half, neuron, embed]: each half's own directions."""
    along: NDArray[np.float32]
    """[neuron, image]: centred effects along the directions of all pictures."""
    across: NDArray[np.float32]
    """[neuron, image]: centred effects along the directions of the other half."""
    gain_of: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    """Directions [neuron, embed] -> centred effects along them, [neuron, image]."""


@dataclass(frozen=True, eq=False)
class TowerStudy:
    """A tower on a sample."""

    embeddings: NDArray[np.float32]
    """[image, embed]: unit norm, less their mean."""
    layers: Mapping[int, LayerStudy]


def study_tower(
    name: str,
    model: nn.Module,
    sample: Sample,
    pixels: Callable[[range], Tensor],
    batch_size: int,
    work: Work,
    say: Say,
) -> TowerStudy:
    """Return what a tower does on a sample; the pass is kept in `work` under `name`.

    `pixels` returns preprocessed pictures [image, 3, row, column] of places in the sample.

    Raises:
        Interrupted: after Ctrl-C, with the state kept.
    """
    layers = sorted(sample.neurons)
    chosen = {layer: torch.from_numpy(sample.neurons[layer]) for layer in layers}

    def take(places: range) -> Arrays:
        record = trace(model, pixels(places), layers)
        rows = {
            str(layer): record.coefficients(layer)[:, :, chosen[layer]].float().cpu().numpy()
            for layer in layers
        }
        return {"representation": record.representation.float().cpu().numpy(), **rows}

    arrays = stream(work, name, len(sample.images), batch_size, take, say)
    outputs = arrays["representation"]
    outputs = outputs / np.maximum(np.linalg.norm(outputs, axis=1, keepdims=True), 1e-12)
    return TowerStudy(
        outputs - outputs.mean(axis=0),
        {
            layer: study_layer(
                second_order_paths(model, layer).float().cpu()[chosen[layer]],
                torch.from_numpy(arrays[str(layer)]),
                sample.halves,
            )
            for layer in layers
        },
    )


def study_layer(paths: Tensor, coefficients: Tensor, halves: NDArray[np.int8]) -> LayerStudy:
    """Return the study of neurons from `paths` [neuron, path, embed] and their coefficients.

    `coefficients` is [image, path, neuron], `halves` [image].
    """
    settings = StatisticsSettings(images=len(coefficients), significant=SIGNIFICANT)
    statistics = LayerStatistics(paths, settings)
    statistics.warm_up(coefficients)
    statistics.update(torch.arange(len(coefficients)), coefficients)
    found = statistics.finish()
    own = statistics.half_directions(halves)
    centred = coefficients - coefficients.mean(dim=0)

    def gain_of(directions: NDArray[np.float32]) -> NDArray[np.float32]:
        gains = torch.einsum("nke,ne->kn", paths, torch.from_numpy(directions))
        effects: NDArray[np.float32] = torch.einsum("ikn,kn->ni", centred, gains).numpy()
        return effects

    first, second = gain_of(own[0]), gain_of(own[1])
    across = np.where(halves == 1, first, second)
    return LayerStudy(found, own, gain_of(found.directions), across, gain_of)

"""One image tower on a sample of pictures and neurons: what a build finds, small enough to repeat.

Controls ask what towers without meaning give, so each must be studied as a build studies the
bundle's own (`explorer.build`): directions of all pictures and of either half, and effects of each
half's pictures along the other half's directions. Here that is done for a few hundred pictures and
for some neurons of some layers, whose coefficients fit in memory:

    effect[i, n] . d = sum over k of (c[i, k, n] - mean_i c[., k, n]) (u[n, k] . d)

`redrawn` makes a tower meaningless, from its output down or as a whole.

Axes: image, path, neuron, half, embed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.transformer import VisionTransformer
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

    paths: Tensor
    """[neuron, path, embed] float32."""
    centred: Tensor
    """[image, path, neuron] float32: coefficients less their mean."""
    halves: NDArray[np.int8]
    """[image]."""
    found: LayerDirections
    half_directions: NDArray[np.float32]
    """[half, neuron, embed]: each half's own directions."""

    @classmethod
    def of(cls, paths: Tensor, coefficients: Tensor, halves: NDArray[np.int8]) -> LayerStudy:
        """Return the study of neurons from their coefficients [image, path, neuron]."""
        settings = StatisticsSettings(images=len(coefficients), significant=SIGNIFICANT)
        statistics = LayerStatistics(paths, settings)
        statistics.warm_up(coefficients)
        statistics.update(torch.arange(len(coefficients)), coefficients)
        found = statistics.finish()
        centred = coefficients - coefficients.mean(dim=0)
        return cls(paths, centred, halves, found, statistics.half_directions(halves))

    @cached_property
    def along(self) -> NDArray[np.float32]:
        """[neuron, image]: centred effects along the directions of all pictures."""
        return self.effects_along(self.found.directions)

    @cached_property
    def across(self) -> NDArray[np.float32]:
        """[neuron, image]: centred effects along the directions of the other half."""
        first, second = (self.effects_along(own) for own in self.half_directions)
        return np.where(self.halves == 1, first, second)

    def effects_along(self, directions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return centred effects along directions [neuron, embed]: [neuron, image]."""
        gains = torch.einsum("nke,ne->kn", self.paths, torch.from_numpy(directions))
        effects: NDArray[np.float32] = torch.einsum("ikn,kn->ni", self.centred, gains).numpy()
        return effects


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
    studies = {
        layer: LayerStudy.of(
            second_order_paths(model, layer).float().cpu()[chosen[layer]],
            torch.from_numpy(arrays[str(layer)]),
            sample.halves,
        )
        for layer in layers
    }
    return TowerStudy(outputs - outputs.mean(axis=0), studies)


@torch.no_grad()
def redrawn(model: nn.Module, blocks: int, seed: int) -> nn.Module:
    """Return a model whose image tower has no meaning from the output down.

    The projection, the last LayerNorm and the topmost `blocks` blocks, with all of them the whole
    tower, get weights drawn anew: normal ones, each tensor with its own mean and deviation, so that
    sizes of activations stay usual. `model` is left as it is, its text tower is shared.
    """
    random = copy.copy(model)
    random._modules = dict(model._modules)
    visual: VisionTransformer = copy.deepcopy(model.visual)
    random._modules["visual"] = visual
    kept = len(visual.transformer.resblocks) - blocks
    early = tuple(f"transformer.resblocks.{block}." for block in range(kept))
    held = (*early, "class_embedding", "positional_embedding", "conv1", "ln_pre", "patchnorm")
    generator = torch.Generator().manual_seed(seed)
    for name, weights in visual.named_parameters():
        if kept > 0 and name.startswith(held):
            continue
        values = weights.float()
        spread = values.std() if values.numel() > 1 else values.abs().mean()
        noise = torch.randn(values.shape, generator=generator).to(values)
        weights.copy_(values.mean() + spread * noise)
    return random

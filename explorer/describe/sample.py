"""A fair sample of images under every neuron: what the extremes alone would hide.

The strongest images say what drives a neuron, not how it answers to an ordinary picture. So a few
hundred images are drawn at random, the same for all neurons, and every neuron's effect on each is
kept: the centred effect along the neuron's direction,

    effect[i, n] = sum_k (c[i, k, n] - mean_i c[., k, n]) (u[n, k] . d[n])     (see explorer.lens)

Pages cut it into intervals of effect and show pictures of each, with the interval's share.

Axes: image, path, neuron, embed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from explorer.lens import MultiLayerLens, second_order_paths


def draw_sample(images: int, count: int, seed: int) -> np.ndarray:
    """Return `count` different image numbers below `images` (all of them if fewer), rising."""
    rng = np.random.default_rng([seed, 1])
    return np.sort(rng.choice(images, min(count, images), replace=False)).astype(np.int32)


def _paths(lens: MultiLayerLens, layer: int) -> Tensor:
    """Return a layer's paths; not kept, for together those of all layers may fill the memory."""
    return second_order_paths(lens.model, layer, centre=lens.centre)


def effects_along_directions(
    lens: MultiLayerLens,
    directions: Mapping[int, np.ndarray],
    means: Mapping[int, np.ndarray],
    batches: Iterable[Mapping[int, Tensor]],
) -> dict[int, np.ndarray]:
    """Return neurons' centred effects along directions: layer -> [..., neuron, image] float32.

    `batches` are coefficients, layer -> [image, path, neuron]; `directions` has for each of the
    lens's layers [..., neuron, embed], one direction per neuron or several in front; `means` the
    mean coefficients [path, neuron]. Effects are in units of the representation before its L2
    normalisation.
    """
    gains = {
        layer: torch.einsum(
            "nke,...ne->...kn", _paths(lens, layer).cpu(), torch.from_numpy(directions[layer])
        )
        for layer in lens.layers
    }
    middle = {layer: torch.from_numpy(means[layer]) for layer in lens.layers}
    parts: dict[int, list[Tensor]] = {layer: [] for layer in lens.layers}
    for coefficients in batches:
        for layer in lens.layers:
            centred = coefficients[layer].float().cpu() - middle[layer]
            parts[layer].append(torch.einsum("ikn,...kn->...ni", centred, gains[layer]))
    return {layer: torch.cat(columns, dim=-1).numpy() for layer, columns in parts.items()}

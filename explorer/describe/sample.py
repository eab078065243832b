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

from explorer.describe.directions import LayerDirections
from explorer.lens import MultiLayerLens


def draw_sample(images: int, count: int, seed: int) -> np.ndarray:
    """Return `count` different image numbers below `images` (all of them if fewer), rising."""
    rng = np.random.default_rng([seed, 1])
    return np.sort(rng.choice(images, min(count, images), replace=False)).astype(np.int32)


def effects_along_directions(
    lens: MultiLayerLens, found: Mapping[int, LayerDirections], batches: Iterable[Tensor]
) -> dict[int, np.ndarray]:
    """Return every neuron's centred effect along its direction: layer -> [neuron, image] float32.

    `batches` are preprocessed images [image, 3, row, column]; `found` has the directions and mean
    coefficients of each of the lens's layers. Effects are in units of the representation before
    its L2 normalisation.
    """
    gains = {
        layer: torch.einsum(
            "nke,ne->kn", lens.paths[layer].cpu(), torch.from_numpy(found[layer].directions)
        )
        for layer in lens.layers
    }
    means = {layer: torch.from_numpy(found[layer].mean_coefficients) for layer in lens.layers}
    parts: dict[int, list[Tensor]] = {layer: [] for layer in lens.layers}
    for pixels in batches:
        coefficients = lens.run(pixels).coefficients
        for layer in lens.layers:
            centred = coefficients[layer].float().cpu() - means[layer]
            parts[layer].append(torch.einsum("ikn,kn->ni", centred, gains[layer]))
    return {layer: torch.cat(columns, dim=1).numpy() for layer, columns in parts.items()}

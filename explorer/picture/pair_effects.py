"""What a picture does through single neuron-head pairs: their effects, and where these come from.

A pair's direction is the same for every picture (`explorer.lens`), so its centred effect along it
is a number, `|u[n, k]| (c[k, n] - mean c[k, n])`, and each token has its share of that.

Axes: image, pair, path, neuron, token. The axis pair is that of `explorer.bundle.pair_directions`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explorer.bundle import Bundle
from explorer.bundle.pairs import Pair, path_of
from explorer.picture.reading import Reading


@torch.no_grad()
def pair_effects(bundle: Bundle, reading: Reading) -> NDArray[np.float32]:
    """Return the centred effects of all pairs that matter on the first image of a reading: [pair].

    Each along the pair's own direction, in units of the output before its L2 normalisation.

    Raises:
        InputError: when the bundle has no pairs, or the model was not opened with its layers.
    """
    paths = np.asarray(bundle.pair_paths)
    sizes, widest = np.asarray(bundle.pair_sizes), bundle.pair_sizes.shape[1]
    reading.lens_model.check_layers(bundle.manifest.layers)
    first, parts = 0, []
    for layer in bundle.manifest.layers:
        moved = reading.trace.coefficients(layer)[:1] - reading.lens_model.means[layer]
        centred = moved[0].float().cpu().numpy()  # [path, neuron]
        before, last = widest - len(centred), first + centred.shape[1]
        rows, places = np.nonzero(paths[first:last] >= 0)
        own = paths[first:last][rows, places]
        parts.append(sizes[first + rows, own] * centred[own - before, rows])
        first = last
    effects: NDArray[np.float32] = np.concatenate(parts).astype(np.float32)
    return effects


@torch.no_grad()
def own_shares(bundle: Bundle, reading: Reading, row: int, pair: Pair) -> Tensor:
    """Return each token's share of a pair's centred effect along its own direction: [image, token].

    The sum over tokens is the effect.

    Raises:
        InputError: when the model was not opened with the neuron's layer.
    """
    layer, neuron = (int(bundle.neurons[key].iloc[row]) for key in ("layer", "neuron"))
    reading.lens_model.check_layers([layer])
    path = path_of(bundle, layer, pair.key)
    weights = reading.trace.path_weights(layer)[:, path]
    mean = reading.lens_model.means[layer][path, neuron] / weights.sum(dim=1, keepdim=True)
    moved = reading.trace.post_activations(layer)[:, :, neuron] - mean
    shares: Tensor = pair.size * weights * moved
    return shares

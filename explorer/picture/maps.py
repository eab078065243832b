"""Where in a picture a text comes from.

With the names of `explorer.lens`, the second-order effect of the chosen neurons along a direction
`d` is a sum over tokens `t`, and its terms are the map:

    share[t] = sum_{k, n} W[k, t] (p[t, n] - m[k, n]) (w_n . r_k),   W = a / (sigma sigma_post)

`r_k` is what path `k` reads along `d` (`path_readers`). `m[k, n]` is the neuron's mean activation
as path `k` sees it, its mean coefficient over the data set divided by `sum_t W[k, t]`: what a
neuron does in every picture says nothing about this one. So the shares of all tokens, the class
token's included, sum exactly to `sum_n (effect_n - mean effect_n) . d`.

1. One hooked pass serves any number of texts (`explorer.picture.reading`).
2. With all neurons of the chosen layers a text's map is one product of its direction with the
   tokens' vectors (`Reading.token_vectors`); no neuron is looked at.
3. `neurons=k` keeps the k neurons of these layers whose directions align most with the text.
Texts enter without what all texts share (the dictionary's mean). `explorer.picture.heatmaps`
refines maps, and makes those of other methods.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from explorer.errors import InputError
from explorer.kept import kept
from explorer.lens import path_readers, write_vectors
from explorer.picture.model import LensModel
from explorer.picture.reading import Reading
from explorer.picture.refinement import Refinement
from explorer.picture.settings import EXACT, MapSettings

ACTIVATION_NEURONS = 200
STRONGEST = 0.1  # share of the patches whose mean says how strongly a text is there


def second_order(reading: Reading, directions: Tensor, settings: MapSettings) -> Tensor:
    """Return the patches' exact shares: [image, text, patch]."""
    return text_shares(reading, directions, settings)[:, :, 1:]


@torch.no_grad()
def activation(reading: Reading, directions: Tensor, settings: MapSettings) -> Tensor:
    """Return the paper's rule, the mean activation of aligned neurons: [image, text, patch]."""
    lens_model = reading.lens_model
    layers = chosen_layers(lens_model, settings)
    place = reading.trace.sigma_post.device
    count = settings.neurons or ACTIVATION_NEURONS
    maps = []
    for by_layer in aligned_neurons(lens_model, directions.to(place), layers, count):
        parts = [
            reading.trace.post_activations(layer)[:, 1:, neurons]
            for layer, neurons in by_layer.items()
        ]
        maps.append(torch.cat(parts, dim=2).mean(dim=2))
    return torch.stack(maps, dim=1)


@torch.no_grad()
def text_shares(reading: Reading, directions: Tensor, settings: MapSettings = EXACT) -> Tensor:
    """Return every token's exact share of the effect along each direction: [image, text, token].

    `directions` is [text, embed]. Token 0 is the class token. The sum over tokens is the centred
    second-order effect of the chosen neurons along the direction (summed over these neurons).

    Raises:
        InputError: when the model was not opened with a layer.
    """
    if settings.neurons is None:
        vectors = token_vectors(reading, settings)
        return torch.einsum("ite,xe->ixt", vectors, directions.to(vectors))  # x: text
    lens_model = reading.lens_model
    layers = chosen_layers(lens_model, settings)
    directions = directions.to(reading.trace.sigma_post.device)
    readers = path_readers(lens_model.loaded.model, directions, centre=lens_model.centre)
    chosen = aligned_neurons(lens_model, directions, layers, settings.neurons)
    return _chosen_shares(reading, readers, chosen)


def token_vectors(reading: Reading, settings: MapSettings = EXACT) -> Tensor:
    """Return `Reading.token_vectors` of the layers that settings choose: [image, token, embed].

    Raises:
        InputError: when the model was not opened with a layer.
    """
    return reading.token_vectors(chosen_layers(reading.lens_model, settings))


@torch.no_grad()
def spread_vectors(reading: Reading, settings: MapSettings = EXACT) -> Tensor:
    """Return the patches' `token_vectors` spread over patches that look alike.

    [image, patch, embed]; kept with the reading.

    Raises:
        InputError: when the model was not opened with a layer.
    """
    layers = chosen_layers(reading.lens_model, settings)
    vectors = token_vectors(reading, settings)[:, 1:]
    return kept(reading, f"spread vectors {layers}", lambda: reading.affinity.to(vectors) @ vectors)


def aligned_neurons(
    lens_model: LensModel, directions: Tensor, layers: Sequence[int], count: int
) -> list[dict[int, Tensor]]:
    """Return for each text {layer: neurons} of the `count` most aligned with it, dead ones last."""
    cosines = torch.cat([lens_model.directions[layer] for layer in layers]) @ directions.float().T
    best = cosines.topk(min(count, len(cosines)), dim=0).indices.T
    width = lens_model.loaded.neurons
    return [
        {
            layer: rows[rows // width == place] % width
            for place, layer in enumerate(layers)
            if (rows // width == place).any()
        }
        for rows in best
    ]


@torch.no_grad()
def refinement(reading: Reading, directions: Tensor, settings: MapSettings = EXACT) -> Refinement:
    """Return how the maps of directions [text, embed] on a reading are refined."""
    vectors = token_vectors(reading, settings)[:, 1:]
    return Refinement.of(vectors, reading.affinity, directions)


@torch.no_grad()
def concept_maps(reading: Reading, directions: Tensor, image: int = 0) -> Tensor:
    """Return the refined shares of every patch along directions [text, embed]: [text, patch].

    The neurons are those of `LensModel.later_layers`; the sum over patches is their effect along
    the text but for the class token's part. One product for any number of texts.
    """
    spread = spread_vectors(reading)[image]
    return (directions.to(spread) @ spread.T).float().cpu()


def strongest_patches(maps: Tensor) -> Tensor:
    """Return the mean of the strongest tenth of the patches: [text] of [text, patch]."""
    count = max(1, round(STRONGEST * maps.shape[1]))
    return maps.topk(count, dim=1).values.mean(dim=1)


def _chosen_shares(
    reading: Reading, readers: dict[int, Tensor], chosen: list[dict[int, Tensor]]
) -> Tensor:
    """Return [image, text, token] summed over some neurons, other ones for each text."""
    lens_model = reading.lens_model
    maps = []
    for text, by_layer in enumerate(chosen):
        total: Tensor | float = 0.0
        for layer, neurons in by_layer.items():
            vectors = write_vectors(lens_model.loaded.model, layer, centre=False)[neurons]
            path = torch.cat([readers[b][..., text] for b in readers if b > layer])
            total = total + shares_of(reading, layer, neurons, vectors @ path.T)
        assert isinstance(total, Tensor)  # at least one neuron was chosen
        maps.append(total)
    return torch.stack(maps, dim=1)


def shares_of(reading: Reading, layer: int, neurons: Tensor, projections: Tensor) -> Tensor:
    """Return the centred shares of some neurons together, [image, token].

    `projections` is [neuron, path], for the neurons named only.
    """
    weights = reading.trace.path_weights(layer)
    whole = projections.new_zeros(reading.lens_model.loaded.neurons, projections.shape[1])
    whole[neurons] = projections
    usual = (reading.lens_model.means[layer] * whole.T).sum(dim=1) / weights.sum(dim=2)
    shares = reading.trace.token_shares(layer, whole)
    return shares - torch.einsum("ikt,ik->it", weights, usual)


def chosen_layers(lens_model: LensModel, settings: MapSettings) -> tuple[int, ...]:
    """Return the layers whose neurons count, rising.

    Raises:
        InputError: when settings name none, or the model was not opened with one.
    """
    if settings.layers is None:
        return lens_model.later_layers
    if not settings.layers:
        raise InputError("A map needs at least one layer: name one, or leave the layers out.")
    lens_model.check_layers(settings.layers)
    return tuple(sorted(set(settings.layers)))

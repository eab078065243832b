"""Maps by pairs of a neuron and a later head, in place of neurons: those most aligned with a text.

Every pair has one direction, `u[n, k]` of `explorer.lens`, whatever the picture (Bu and Gandelsman
2025). The `PAIRS` pairs of the chosen layers with the largest cosine to the text are kept, and a
patch's share is theirs together, as in `explorer.picture.maps`:

    share[t] = sum over kept (n, k) of  W[k, t] (p[t, n] - m[k, n]) (u[n, k] . d)
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from explorer.kept import kept
from explorer.lens import path_readers, second_order_paths, write_vectors
from explorer.picture.maps import chosen_layers, shares_of
from explorer.picture.model import LensModel
from explorer.picture.reading import Reading
from explorer.picture.settings import EXACT, MapSettings

PAIRS = 1000
"""Pairs that are kept unless settings say how many."""
TINY = 1e-12


@torch.no_grad()
def aligned_pairs(reading: Reading, directions: Tensor, settings: MapSettings) -> Tensor:
    """Return the patches' shares of the pairs aligned with each text: [image, text, patch].

    `directions` is [text, embed]; `settings.neurons` counts pairs here.
    """
    return pair_shares(reading, directions, settings)[:, :, 1:]


@torch.no_grad()
def pair_shares(reading: Reading, directions: Tensor, settings: MapSettings = EXACT) -> Tensor:
    """Return every token's share of the aligned pairs' effect: [image, text, token].

    The sum over tokens is the centred effect of the kept pairs along the text.

    Raises:
        InputError: when the model was not opened with a layer.
    """
    lens_model = reading.lens_model
    layers = chosen_layers(lens_model, settings)
    projections = pair_projections(
        lens_model, directions.to(reading.trace.sigma_post.device), layers
    )
    chosen = _aligned(lens_model, projections, settings.neurons or PAIRS)
    every = torch.arange(lens_model.loaded.neurons)
    maps = []
    for text in range(len(directions)):
        total = sum(
            shares_of(reading, layer, every, projections[layer][..., text] * mask[..., text])
            for layer, mask in chosen.items()
        )
        assert isinstance(total, Tensor)  # at least one layer was chosen
        maps.append(total)
    return torch.stack(maps, dim=1)


def pair_projections(
    lens_model: LensModel, directions: Tensor, layers: tuple[int, ...]
) -> dict[int, Tensor]:
    """Return the inner products of pairs and texts: layer -> [neuron, path, text]."""
    model = lens_model.loaded.model
    readers = path_readers(model, directions, centre=lens_model.centre)
    found = {}
    for layer in layers:
        read = torch.cat([readers[block] for block in sorted(readers) if block > layer])
        vectors = write_vectors(model, layer, centre=False)
        found[layer] = torch.einsum("nw,kwx->nkx", vectors, read)  # w: width, x: text
    return found


def _aligned(
    lens_model: LensModel, projections: Mapping[int, Tensor], count: int
) -> dict[int, Tensor]:
    """Return which pairs each text keeps: layer -> [neuron, path, text] bool."""
    cosines = {
        layer: found / _sizes(lens_model, layer)[..., None].clamp(min=TINY)
        for layer, found in projections.items()
    }
    every = torch.cat([values.flatten(0, 1) for values in cosines.values()])
    least = every.topk(min(count, len(every)), dim=0).values[-1]
    return {layer: values >= least for layer, values in cosines.items()}


def _sizes(lens_model: LensModel, layer: int) -> Tensor:
    """Return the norms of a layer's path directions, kept with the model: [neuron, path]."""

    def make() -> Tensor:
        paths = second_order_paths(lens_model.loaded.model, layer, centre=lens_model.centre)
        sizes: Tensor = torch.linalg.vector_norm(paths, dim=2)
        return sizes

    return kept(lens_model, f"pair sizes {layer}", make)

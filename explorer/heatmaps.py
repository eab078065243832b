"""Where in a picture a text or a neuron comes from.

With the names of `explorer.lens`, the second-order effect of the chosen neurons along a direction
`d` is a sum over tokens `t`, and its terms are the map:

    share[t] = sum_{k, n} W[k, t] (p[t, n] - m[k, n]) (w_n . r_k),   W = a / (sigma sigma_post)

`r_k` is what path `k` reads along `d` (`path_readers`). `m[k, n]` is the neuron's mean activation
as path `k` sees it, its mean coefficient over the data set divided by `sum_t W[k, t]`: what a
neuron does in every picture says nothing about this one. So the shares of all tokens, the class
token's included, sum exactly to `sum_n (effect_n - mean effect_n) . d`.

1. One hooked pass serves any number of texts (`read`).
2. With all neurons of the chosen layers `sum_n p w_n` is what the layer's MLP writes, so that the
   map costs one product [token, width] x [width, path] and no neuron is looked at (`text_shares`).
3. `neurons=k` keeps the k neurons of these layers whose directions align most with the text.
4. `refine` does two things. Texts are turned towards what pictures differ in
   (`LensModel.towards_pictures`). Shares then diffuse between near patches that look alike to the
   model: attention to single patches makes exact maps spiky. The diffusion is doubly stochastic,
   so that the sum over patches stays.

Texts enter without what all texts share (the dictionary's mean).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.framing import Framing
from explorer.lens import Trace, path_readers, write_vectors
from explorer.lens_model import LensModel, open_lens_model
from explorer.models import to_rgb
from explorer.relevance import BASELINES, explained_pass

SECOND_ORDER, ACTIVATION = "second-order", "activation"
METHODS = (SECOND_ORDER, ACTIVATION, *BASELINES)
ACTIVATION_NEURONS = 200
TEMPERATURE = 0.5  # of the likeness between patches, a cosine
REACH = 0.25  # standard deviation of the diffusion in space, in sides of the grid
BALANCING_STEPS = 40
STRONGEST = 0.1  # share of the patches whose mean says how strongly a text is there


@dataclass(frozen=True)
class MapSettings:
    """Which neurons a map sums over, and whether it is refined."""

    layers: tuple[int, ...] | None = None
    """Layers whose neurons count; `default_layers` unless given."""
    neurons: int | None = None
    """Keep so many neurons, those whose directions align most with the text; None keeps all.

    For the method `activation` None means 200.
    """
    refine: bool = False
    """Turn texts towards pictures, and diffuse shares between near patches that look alike."""

    def __post_init__(self) -> None:
        """Refuse a number of neurons that leaves none."""
        if self.neurons is not None and self.neurons < 1:
            raise InputError(f"A map over {self.neurons} neurons is empty: choose 1 or more.")


@dataclass(frozen=True, eq=False)
class Reading:
    """What one pass over pictures leaves for any number of maps. Tensors stay on the device."""

    lens_model: LensModel
    images: Tensor
    """[image, 3, height, width], preprocessed."""
    trace: Trace


def read(lens_model: LensModel | Bundle, images: Tensor | Sequence[Image.Image]) -> Reading:
    """Run the lens once over preprocessed images or over pictures, each padded to a square."""
    opened = as_lens_model(lens_model)
    pixels = images if isinstance(images, Tensor) else _preprocess(opened, images)
    return Reading(opened, pixels, opened.trace(pixels))


def heatmaps(
    lens_model: LensModel | Bundle,
    images: Tensor | Sequence[Image.Image] | Reading,
    texts: Sequence[str],
    method: str = SECOND_ORDER,
    settings: MapSettings = MapSettings(),
) -> Tensor:
    """Return where in each image each text comes from: [image, text, patch_row, patch_column].

    `images` are preprocessed, [image, 3, height, width], or pictures of any shape, which are padded
    to squares (see `explorer.framing`). The result is float32 on the CPU. Second-order maps are in
    units of the representation before its L2 normalisation; before refinement each value is that
    patch's exact share, after it the sum is still exact. Other methods have units of their own.

    Raises InputError for an unknown method, layer or text, or images of a wrong shape.
    """
    if method not in METHODS:
        raise InputError(
            f"There is no heatmap method {method!r}: choose among {', '.join(METHODS)}."
        )
    opened = as_lens_model(lens_model)
    directions = opened.text_directions(texts)
    if settings.refine:
        directions = opened.towards_pictures(directions)
    return direction_maps(opened, images, directions, method, settings)


def direction_maps(
    opened: LensModel,
    images: Tensor | Sequence[Image.Image] | Reading,
    directions: Tensor,
    method: str = SECOND_ORDER,
    settings: MapSettings = MapSettings(),
) -> Tensor:
    """Return `heatmaps` for directions [text, embed] of the joint space in place of texts."""
    if method in BASELINES:
        pixels = _pixels(opened, images)
        found = explained_pass(opened.loaded.model, pixels.to(opened.loaded.device))
        patches = BASELINES[method](found, directions.to(opened.loaded.device)).float()
        likeness = read(opened, pixels) if settings.refine else None
    else:
        likeness = images if isinstance(images, Reading) else read(opened, images)
        make = text_shares if method == SECOND_ORDER else _activation_maps
        patches = make(likeness, directions, settings)[:, :, 1:]
    if likeness is not None and settings.refine:
        patches = diffuse(patches, patch_affinity(likeness))
    return patches.unflatten(2, opened.grid).float().cpu()


def grounded(maps: Tensor, method: str) -> Tensor:
    """Return maps [image, text, patch_row, patch_column] in which 0 means that nothing speaks.

    Shares have such a zero. A mean activation hasn't, since most post-activations are slightly
    negative; there the lowest patch becomes 0.
    """
    return maps - maps.amin(dim=(2, 3), keepdim=True) if method == ACTIVATION else maps


def as_lens_model(lens_model: LensModel | Bundle) -> LensModel:
    """Return the opened model of a bundle, or the argument."""
    return open_lens_model(lens_model) if isinstance(lens_model, Bundle) else lens_model


def default_layers(lens_model: LensModel) -> tuple[int, ...]:
    """Return the layers of the model's later half, from which meanings come; else all there are."""
    later = tuple(n for n in lens_model.layers if n >= lens_model.loaded.layers // 2)
    return later or lens_model.layers


@torch.no_grad()
def text_shares(
    reading: Reading, directions: Tensor, settings: MapSettings = MapSettings()
) -> Tensor:
    """Return every token's exact share of the effect along each direction: [image, text, token].

    `directions` is [text, embed]. Token 0 is the class token. The sum over tokens is the centred
    second-order effect of the chosen neurons along the direction (summed over these neurons).

    Raises InputError for a layer that the model was not opened with.
    """
    lens_model = reading.lens_model
    layers = _chosen_layers(lens_model, settings)
    device = reading.trace.sigma_post.device
    directions = directions.to(device)
    readers = path_readers(lens_model.loaded.model, directions, centre=lens_model.centre)
    if settings.neurons is not None:
        chosen = aligned_neurons(lens_model, directions, layers, settings.neurons)
        return _chosen_shares(reading, readers, chosen)
    total: Tensor | float = 0.0
    for block in range(min(layers) + 1, lens_model.loaded.layers):
        earlier = [layer for layer in layers if layer < block]
        heads = readers[block].shape[0]
        weights = reading.trace.path_weights(block - 1)[:, :heads]
        written = torch.stack([reading.trace.writes[layer] for layer in earlier]).sum(dim=0)
        means = torch.stack(
            [_of_block(lens_model.mean_writes[layer], layer, block, heads) for layer in earlier]
        ).sum(dim=0)
        moved = torch.einsum("itw,hwx->ihtx", written, readers[block])  # x: text
        usual = torch.einsum("hw,hwx->hx", means, readers[block])
        usual = usual[None] / weights.sum(dim=2)[..., None]
        total = total + torch.einsum("iht,ihtx->ixt", weights, moved - usual[:, :, None])
    assert isinstance(total, Tensor)  # every layer has a later block
    return total


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
def neuron_shares(reading: Reading, layer: int, neurons: Sequence[int]) -> Tensor:
    """Return each token's share of neurons' effects along their own directions.

    [image, neuron, token]; the sum over tokens is each neuron's centred effect along its direction.
    """
    lens_model = reading.lens_model
    _check_layer(lens_model, layer)
    rows = torch.as_tensor(list(neurons))
    weights = reading.trace.path_weights(layer)
    projections = lens_model.own_projections(layer)[rows]
    means = lens_model.means[layer][:, rows] / weights.sum(dim=2)[..., None]
    moved = reading.trace.post_activations(layer)[:, :, rows]
    read_there = torch.einsum("ikt,nk->int", weights, projections)
    usual = torch.einsum("ikt,ikn,nk->int", weights, means, projections)
    return read_there * moved.transpose(1, 2) - usual


@torch.no_grad()
def neuron_effects(reading: Reading, layer: int) -> Tensor:
    """Return every neuron's centred effect along its own direction: [image, neuron]."""
    lens_model = reading.lens_model
    _check_layer(lens_model, layer)
    centred = reading.trace.coefficients(layer) - lens_model.means[layer]
    return torch.einsum("ikn,nk->in", centred, lens_model.own_projections(layer))


@torch.no_grad()
def patch_affinity(reading: Reading) -> Tensor:
    """Return how shares diffuse: [image, patch, patch], symmetric, rows and columns sum to 1.

    Patches are alike by the cosine of what the last layer but one writes there, minus its mean
    over the picture; nearness falls off as a Gaussian.
    """
    layers = reading.lens_model.layers
    written = reading.trace.writes[layers[-2] if len(layers) > 1 else layers[-1]][:, 1:]
    features = functional.normalize(written - written.mean(dim=1, keepdim=True), dim=2)
    likeness = features @ features.transpose(1, 2) / TEMPERATURE
    rows, columns = reading.lens_model.grid
    places = torch.cartesian_prod(torch.arange(rows) / rows, torch.arange(columns) / columns)
    apart = torch.cdist(places, places).to(likeness) / REACH
    return balance(torch.exp(likeness - apart.square() / 2))


@torch.no_grad()
def concept_maps(reading: Reading, directions: Tensor, image: int = 0) -> Tensor:
    """Return the refined shares of every patch along directions [text, embed]: [text, patch].

    The neurons are those of `default_layers`; the sum over patches is their effect along the text
    but for the class token's part. One product for any number of texts.
    """
    embed = torch.eye(reading.lens_model.loaded.embed)
    shares = text_shares(reading, embed)[image, :, 1:]  # [embed, patch]
    affinity = patch_affinity(reading)[image].to(shares)
    return (directions.to(shares) @ shares @ affinity).float().cpu()


def strongest_patches(maps: Tensor) -> Tensor:
    """Return the mean of the strongest tenth of the patches: [text] of [text, patch]."""
    count = max(1, round(STRONGEST * maps.shape[1]))
    return maps.topk(count, dim=1).values.mean(dim=1)


def balance(kernel: Tensor, steps: int = BALANCING_STEPS) -> Tensor:
    """Scale symmetric positive [image, patch, patch] until rows and columns sum to 1.

    Sinkhorn and Knopp's iteration in its symmetric form. A last step puts what a row still lacks on
    the diagonal, so that sums are kept to rounding.
    """
    for _ in range(steps):
        scale = kernel.sum(dim=2).rsqrt()
        kernel = kernel * scale[:, :, None] * scale[:, None, :]
    return kernel + torch.diag_embed(1 - kernel.sum(dim=2))


def diffuse(patches: Tensor, affinity: Tensor) -> Tensor:
    """Return [image, text, patch] after one step of diffusion; its sums stay."""
    return patches.to(affinity) @ affinity


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
            total = total + _shares_of(reading, layer, neurons, vectors @ path.T)
        assert isinstance(total, Tensor)  # at least one neuron was chosen
        maps.append(total)
    return torch.stack(maps, dim=1)


def _shares_of(reading: Reading, layer: int, neurons: Tensor, projections: Tensor) -> Tensor:
    """Return the centred shares of some neurons together, [image, token].

    `projections` is [neuron, path], for the neurons named only.
    """
    weights = reading.trace.path_weights(layer)
    whole = projections.new_zeros(reading.lens_model.loaded.neurons, projections.shape[1])
    whole[neurons] = projections
    usual = (reading.lens_model.means[layer] * whole.T).sum(dim=1) / weights.sum(dim=2)
    shares = reading.trace.token_shares(layer, whole)
    return shares - torch.einsum("ikt,ik->it", weights, usual)


@torch.no_grad()
def _activation_maps(reading: Reading, directions: Tensor, settings: MapSettings) -> Tensor:
    """Return the paper's rule, [image, text, token]: mean activation of the aligned neurons."""
    lens_model = reading.lens_model
    layers = _chosen_layers(lens_model, settings)
    place = reading.trace.sigma_post.device
    count = settings.neurons or ACTIVATION_NEURONS
    maps = []
    for by_layer in aligned_neurons(lens_model, directions.to(place), layers, count):
        parts = [
            reading.trace.post_activations(layer)[:, :, neurons]
            for layer, neurons in by_layer.items()
        ]
        maps.append(torch.cat(parts, dim=2).mean(dim=2))
    return torch.stack(maps, dim=1)


def _chosen_layers(lens_model: LensModel, settings: MapSettings) -> tuple[int, ...]:
    if settings.layers is None:
        return default_layers(lens_model)
    if not settings.layers:
        raise InputError("A map needs at least one layer: name one, or leave the layers out.")
    for layer in settings.layers:
        _check_layer(lens_model, layer)
    return tuple(sorted(set(settings.layers)))


def _check_layer(lens_model: LensModel, layer: int) -> None:
    if layer not in lens_model.layers:
        have = ", ".join(map(str, lens_model.layers))
        raise InputError(
            f"Layer {layer} is not among the layers opened here: choose one of {have}."
        )


def _of_block(rows: Tensor, layer: int, block: int, heads: int) -> Tensor:
    """Return the rows of a layer's path axis that belong to a later block."""
    start = (block - layer - 1) * heads
    return rows[start : start + heads]


def _pixels(lens_model: LensModel, images: Tensor | Sequence[Image.Image] | Reading) -> Tensor:
    if isinstance(images, Reading):
        return images.images
    return images if isinstance(images, Tensor) else _preprocess(lens_model, images)


def _preprocess(lens_model: LensModel, pictures: Sequence[Image.Image]) -> Tensor:
    side = lens_model.loaded.image_size
    if not pictures:
        raise InputError("Heatmaps need at least one picture.")
    cut = [Framing.of(picture.size).cut(to_rgb(picture), side)[0] for picture in pictures]
    return torch.stack([lens_model.loaded.preprocess(window) for window in cut])

"""Where in a picture a text or a neuron comes from.

With the names of `explorer.lens`, the second-order effect of the chosen neurons along a direction
`d` is a sum over tokens `t`, and its terms are the map:

    share[t] = sum_{k, n} W[k, t] (p[t, n] - m[k, n]) (w_n . r_k),   W = a / (sigma sigma_post)

`r_k` is what path `k` reads along `d` (`path_readers`). `m[k, n]` is the neuron's mean activation
as path `k` sees it, its mean coefficient over the data set divided by `sum_t W[k, t]`: what a
neuron does in every picture says nothing about this one. So the shares of all tokens, the class
token's included, sum exactly to `sum_n (effect_n - mean effect_n) . d`.

1. One hooked pass serves any number of texts (`read`).
2. With all neurons of the chosen layers `sum_n p w_n` is what the layer's MLP writes: it is taken
   through the heads' values and outputs to a vector a token, whatever the texts, and no neuron is
   looked at (`token_vectors`). A text's map is then one product with its direction.
3. `neurons=k` keeps the k neurons of these layers whose directions align most with the text.
4. `refine` does two things. Texts are turned towards what pictures differ in
   (`LensModel.towards_pictures`). Maps are then spread over patches that look alike to the model,
   and drawn to their peak where the lens is unsure of the text (`explorer.refinement`).
5. `fine` reads each picture four times, moved by half a patch: one patch sees an object's edge
   where another sees its middle, and the mean of the maps has half patches. It costs four passes.

Texts enter without what all texts share (the dictionary's mean).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.lens import Trace, path_readers, write_vectors
from explorer.lens.models import to_rgb
from explorer.picture.framing import Framing
from explorer.picture.model import LensModel, open_lens_model
from explorer.picture.refinement import Refinement, affinity_of
from explorer.picture.rivals import BASELINES, explained_pass

SECOND_ORDER, ACTIVATION = "second-order", "activation"
METHODS = (SECOND_ORDER, ACTIVATION, *BASELINES)
ACTIVATION_NEURONS = 200
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
    """Turn texts towards pictures, spread maps over alike patches, draw in unsure ones."""
    fine: bool = False
    """Average four passes, the picture moved by half a patch: a grid twice as fine."""

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
    _vectors: dict[tuple[int, ...], Tensor] = field(default_factory=dict, init=False, repr=False)
    """Layers -> `token_vectors`, which further texts need again."""


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
    patch's exact share. Other methods have units of their own. With `settings.fine` there are two
    rows and columns for each patch, with values as of a whole patch.

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
    if settings.fine:
        return _fine_maps(opened, images, directions, method, settings)
    reading = images if isinstance(images, Reading) else None
    if reading is None and (settings.refine or method not in BASELINES):
        reading = read(opened, _pixels(opened, images))
    if method in BASELINES:
        pixels = _pixels(opened, reading or images)
        found = explained_pass(opened.loaded.model, pixels.to(opened.loaded.device))
        patches = BASELINES[method](found, directions.to(opened.loaded.device)).float()
    else:
        assert reading is not None
        make = text_shares if method == SECOND_ORDER else _activation_maps
        patches = make(reading, directions, settings)[:, :, 1:]
    if reading is not None and settings.refine:
        patches = refined(patches, refinement(reading, directions, settings), method)
    return patches.unflatten(2, opened.grid).float().cpu()


def refined(patches: Tensor, how: Refinement, method: str) -> Tensor:
    """Return a method's maps [image, text, patch] refined; see `explorer.refinement`."""
    return how.apply(_from_nothing(patches, method))


def _fine_maps(
    opened: LensModel,
    images: Tensor | Sequence[Image.Image] | Reading,
    directions: Tensor,
    method: str,
    settings: MapSettings,
) -> Tensor:
    """Return [image, text, row, column] with two rows and columns a patch; see `MapSettings`."""
    pixels = _pixels(opened, images)
    once = replace(settings, fine=False)
    rows, columns = opened.grid
    half = (pixels.shape[2] // (2 * rows), pixels.shape[3] // (2 * columns))
    total = torch.zeros(len(pixels), len(directions), 2 * rows, 2 * columns)
    for down, right in product((0, 1), repeat=2):
        height, width = down * half[0], right * half[1]
        moved = functional.pad(pixels, (0, width, 0, height), mode="replicate")
        seen = moved[:, :, height:, width:] if down or right else images
        maps = direction_maps(opened, seen, directions, method, once)
        cells = maps.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        cells = functional.pad(cells, (right, 0, down, 0), mode="replicate")
        total += cells[:, :, : 2 * rows, : 2 * columns]
    return total / 4


def grounded(maps: Tensor, method: str) -> Tensor:
    """Return maps [image, text, patch_row, patch_column] in which 0 means that nothing speaks.

    Shares have such a zero. A mean activation hasn't, since most post-activations are slightly
    negative; there the lowest patch becomes 0.
    """
    return _from_nothing(maps.flatten(2), method).unflatten(2, maps.shape[2:])


def _from_nothing(patches: Tensor, method: str) -> Tensor:
    """Return `grounded` for [image, text, patch]."""
    return patches - patches.amin(dim=2, keepdim=True) if method == ACTIVATION else patches


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
    if settings.neurons is None:
        return _along(token_vectors(reading, settings), directions)
    lens_model = reading.lens_model
    layers = _chosen_layers(lens_model, settings)
    directions = directions.to(reading.trace.sigma_post.device)
    readers = path_readers(lens_model.loaded.model, directions, centre=lens_model.centre)
    chosen = aligned_neurons(lens_model, directions, layers, settings.neurons)
    return _chosen_shares(reading, readers, chosen)


@torch.no_grad()
def token_vectors(reading: Reading, settings: MapSettings = MapSettings()) -> Tensor:
    """Return every token's exact share of the second-order effect: [image, token, embed].

    All neurons of the chosen layers together, less their mean, before any text is asked for.

    Raises InputError for a layer that the model was not opened with.
    """
    layers = _chosen_layers(reading.lens_model, settings)
    if layers not in reading._vectors:
        reading._vectors[layers] = _vectors_of(reading, layers)
    return reading._vectors[layers]


def _vectors_of(reading: Reading, layers: tuple[int, ...]) -> Tensor:
    lens_model = reading.lens_model
    total: Tensor | float = 0.0
    for block in range(min(layers) + 1, lens_model.loaded.layers):
        value, output = lens_model.stream_maps[block]  # [width, head, d], [head, d, embed]
        weights, written, means = _read_by(reading, layers, block)
        moved = (written @ value.flatten(1)).unflatten(2, value.shape[1:])
        usual = torch.einsum("hw,whd->hd", means, value) / weights.sum(dim=2)[..., None]
        moved = (moved - usual[:, None]) * weights.transpose(1, 2)[..., None]
        total = total + moved.flatten(2) @ output.flatten(0, 1)
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
    """Return how shares spread over a reading's patches: [image, patch, patch].

    Alike is what the last layer but one writes there; see `explorer.refinement.affinity_of`.
    """
    layers = reading.lens_model.layers
    written = reading.trace.writes[layers[-2] if len(layers) > 1 else layers[-1]]
    return affinity_of(written[:, 1:], reading.lens_model.grid)


@torch.no_grad()
def refinement(
    reading: Reading, directions: Tensor, settings: MapSettings = MapSettings()
) -> Refinement:
    """Return how the maps of directions [text, embed] on a reading are refined."""
    vectors = token_vectors(reading, settings)[:, 1:]
    return Refinement.of(vectors, patch_affinity(reading), directions)


@torch.no_grad()
def concept_maps(reading: Reading, directions: Tensor, image: int = 0) -> Tensor:
    """Return the refined shares of every patch along directions [text, embed]: [text, patch].

    The neurons are those of `default_layers`; the sum over patches is their effect along the text
    but for the class token's part. One product for any number of texts.
    """
    vectors = token_vectors(reading)[image, 1:]  # [patch, embed]
    spread = patch_affinity(reading)[image].to(vectors) @ vectors
    return (directions.to(vectors) @ spread.T).float().cpu()


def strongest_patches(maps: Tensor) -> Tensor:
    """Return the mean of the strongest tenth of the patches: [text] of [text, patch]."""
    count = max(1, round(STRONGEST * maps.shape[1]))
    return maps.topk(count, dim=1).values.mean(dim=1)


def _along(vectors: Tensor, directions: Tensor) -> Tensor:
    """Return inner products, [image, text, token], of [image, token, embed] and [text, embed]."""
    return torch.einsum("ite,xe->ixt", vectors, directions.to(vectors))


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


def _read_by(reading: Reading, layers: Sequence[int], block: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return what a block's heads read of the layers before it, all of their neurons together.

    Weights [image, head, token], the neurons' writes [image, token, width], and the mean ones as
    each head has them, [head, width].
    """
    lens_model = reading.lens_model
    heads = reading.trace.attention[block].shape[1]
    earlier = [layer for layer in layers if layer < block]
    written = torch.stack([reading.trace.writes[layer] for layer in earlier]).sum(dim=0)
    means = torch.stack(
        [_of_block(lens_model.mean_writes[layer], layer, block, heads) for layer in earlier]
    ).sum(dim=0)
    return reading.trace.path_weights(block - 1)[:, :heads], written, means


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

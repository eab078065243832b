"""One pass over pictures, and everything that is read off it.

A picture has one way to pixels (`picture_pixels`): the windows of its framing, each through the
model's own preprocessing. A neuron's effect and its map, a text's map and the output's nearest
texts so all speak of the same pixels, whatever the picture's shape: a neuron's effect is the sum
of its map over all tokens. Builds and evidence read data sets through the model's preprocessing
alone, which crops a picture that is not square; that is part of how such a set is defined.

With `c` the coefficients of a picture (`explorer.lens`), `mean c` their mean over the data set and
`d` a neuron's direction, the neuron's effect is

    s[n] = sum over paths k of (c[k, n] - mean c[k, n]) (u[n, k] . d[n])

in units of the output before its L2 normalisation: the number that ranks a neuron's top pictures
(paper, section 4.1). The products `u . d` depend on the model alone and are computed once
(`LensModel.own_projections`).
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from explorer.errors import InputError
from explorer.lens import Trace
from explorer.lens.models import encode_images
from explorer.picture.framing import Framing
from explorer.picture.model import LensModel
from explorer.picture.refinement import affinity_of
from explorer.picture.rivals import ExplainedPass, explained_pass
from explorer.pixels import to_rgb


@dataclass(frozen=True, eq=False)
class Reading:
    """One pass over preprocessed images; each thing is computed when first asked for, and kept.

    Tensors stay on the model's device.
    """

    lens_model: LensModel
    images: Tensor
    """[image, 3, height, width], preprocessed."""
    _vectors: dict[tuple[int, ...], Tensor] = field(default_factory=dict, init=False, repr=False)
    _explained: list[weakref.ref[ExplainedPass]] = field(
        default_factory=list, init=False, repr=False
    )
    _moved: weakref.WeakValueDictionary[tuple[int, int], Reading] = field(
        default_factory=weakref.WeakValueDictionary, init=False, repr=False
    )
    _shared: list[dict[object, object]] = field(default_factory=list, init=False, repr=False)
    """One for each `sharing` under way: the passes that it keeps."""

    @cached_property
    def trace(self) -> Trace:
        """What the lens's hooked pass leaves."""
        return self.lens_model.trace(self.images)

    @property
    def explained(self) -> ExplainedPass:
        """A pass that can be differentiated through; it is kept while somebody holds it."""
        found = self._explained[-1]() if self._explained else None
        if found is None:
            loaded = self.lens_model.loaded
            found = explained_pass(loaded.model, self.images.to(loaded.device))
            self._explained[:] = [weakref.ref(found)]
        self._keep("explained", found)
        return found

    def moved(self, rows: int, columns: int) -> Reading:
        """Return the reading of the images moved up and left by so many pixels, edges repeated.

        It is kept while somebody holds it.
        """
        if not rows and not columns:
            return self
        found = self._moved.get((rows, columns))
        if found is None:
            padded = functional.pad(self.images, (0, columns, 0, rows), mode="replicate")
            found = Reading(self.lens_model, padded[:, :, rows:, columns:])
            self._moved[rows, columns] = found
        self._keep((rows, columns), found)
        return found

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Let all methods that are asked inside share one explained pass, and moved readings."""
        self._shared.append({})
        try:
            yield
        finally:
            self._shared.pop()

    def _keep(self, name: object, made: object) -> None:
        for held in self._shared:
            held[name] = made

    @cached_property
    def effects(self) -> NDArray[np.float32]:
        """Every neuron's centred effect along its own direction: [image, neuron].

        Neurons of all layers, in the order of the bundle's table; 0 for a dead one.
        """
        layers = self.lens_model.layers
        parts = [layer_effects(self, layer).float().cpu() for layer in layers]
        effects: NDArray[np.float32] = torch.cat(parts, dim=1).numpy()
        return effects

    @cached_property
    @torch.no_grad()
    def affinity(self) -> Tensor:
        """How shares spread over the patches: [image, patch, patch].

        Alike is what the last layer but one writes there; see `explorer.picture.refinement`.
        """
        layers = self.lens_model.layers
        written = self.trace.writes[layers[-2] if len(layers) > 1 else layers[-1]]
        return affinity_of(written[:, 1:], self.lens_model.grid)

    @torch.no_grad()
    def token_vectors(self, layers: tuple[int, ...]) -> Tensor:
        """Return every token's exact share of the second-order effect: [image, token, embed].

        All neurons of some layers together, minus their mean, before any text is asked for: what
        the layers' MLPs write is taken through the heads' values and outputs, and no neuron is
        looked at.
        """
        if layers not in self._vectors:
            self._vectors[layers] = _vectors_of(self, layers)
        return self._vectors[layers]


def read(lens_model: LensModel, images: Tensor | Sequence[Image.Image]) -> Reading:
    """Return a reading of preprocessed images, or of pictures, each padded to a square.

    Raises:
        InputError: when there is no picture, or one is too long to be read.
    """
    if isinstance(images, Tensor):
        return Reading(lens_model, images)
    return Reading(lens_model, padded_pixels(lens_model, images))


def picture_pixels(lens_model: LensModel, picture: Image.Image, framing: Framing) -> Tensor:
    """Return the windows of a picture, preprocessed: [window, 3, height, width]."""
    windows = framing.cut(to_rgb(picture), lens_model.loaded.image_size)
    return torch.stack([lens_model.loaded.preprocess(window) for window in windows])


def padded_pixels(lens_model: LensModel, pictures: Sequence[Image.Image]) -> Tensor:
    """Return pictures of any shape, each padded to a square: [image, 3, height, width].

    Raises:
        InputError: when there is no picture, or one is too long to be read.
    """
    if not pictures:
        raise InputError("Give at least one picture to read.")
    return torch.cat([picture_pixels(lens_model, p, Framing.of(p.size)) for p in pictures])


def embed_pictures(lens_model: LensModel, pictures: Sequence[Image.Image]) -> Tensor:
    """Return unit-norm embeddings of pictures of any shape: [image, embed] on the CPU.

    Raises:
        InputError: when there is no picture, or one is too long to be read.
    """
    with lens_model.lock:
        return encode_images(lens_model.loaded, padded_pixels(lens_model, pictures))


@torch.no_grad()
def layer_effects(reading: Reading, layer: int) -> Tensor:
    """Return the centred effects of a layer's neurons along their directions: [image, neuron].

    Raises:
        InputError: when the model was not opened with the layer.
    """
    lens_model = reading.lens_model
    lens_model.check_layers([layer])
    centred = reading.trace.coefficients(layer) - lens_model.means[layer]
    return torch.einsum("ikn,nk->in", centred, lens_model.own_projections(layer))


@torch.no_grad()
def neuron_shares(reading: Reading, layer: int, neurons: Sequence[int]) -> Tensor:
    """Return each token's share of neurons' effects along their own directions.

    [image, neuron, token]; the sum over tokens is each neuron's centred effect along its direction.

    Raises:
        InputError: when the model was not opened with the layer.
    """
    lens_model = reading.lens_model
    lens_model.check_layers([layer])
    rows = torch.as_tensor(list(neurons))
    weights = reading.trace.path_weights(layer)
    projections = lens_model.own_projections(layer)[rows]
    means = lens_model.means[layer][:, rows] / weights.sum(dim=2)[..., None]
    moved = reading.trace.post_activations(layer)[:, :, rows]
    read_there = torch.einsum("ikt,nk->int", weights, projections)
    usual = torch.einsum("ikt,ikn,nk->int", weights, means, projections)
    return read_there * moved.transpose(1, 2) - usual


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
    return reading.trace.block_weights(block), written, means


def _of_block(rows: Tensor, layer: int, block: int, heads: int) -> Tensor:
    """Return the rows of a layer's path axis that belong to a later block."""
    start = (block - layer - 1) * heads
    return rows[start : start + heads]

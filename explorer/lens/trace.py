"""One forward pass and what it leaves for the lens.

The names are those of the equation in `explorer.lens`. `trace` hooks the image tower
(`explorer.lens.hooks`) and returns a `Trace`, whose methods are pure functions of what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from explorer.errors import InputError
from explorer.lens.hooks import Hooks, hooked
from explorer.lens.models import check_supported
from explorer.lens.weights import blocks_of, check_layer, layer_scale, lens_dtype, visual_of


@dataclass(frozen=True)
class Trace:
    """What one forward pass leaves behind for the lens; every method is a pure function of it.

    `attention` and `sigma` are there for every block after the earliest layer asked for.
    """

    representation: Tensor
    """[image, embed]: the output before its L2 normalisation."""
    attention: Mapping[int, Tensor]
    """Block -> [image, head, token]: attention probabilities of the class token's query."""
    sigma: Mapping[int, Tensor]
    """Block -> [image, token]: standard deviation in the LayerNorm before attention."""
    sigma_post: Tensor
    """[image]: standard deviation of the class token in the last LayerNorm."""
    activations: Mapping[int, Tensor]
    """Layer -> [image, token, neuron]: post-activations in the model's own dtype."""
    writes: Mapping[int, Tensor] = field(default_factory=dict)
    """Layer -> [image, token, width]: what all neurons write together, biases left out.

    The sum over neurons of activation times write vector, not centred, LayerScale included.
    """

    def _check_recorded(self, layer: int) -> None:
        if layer not in self.activations:
            raise InputError(
                f"Layer {layer!r} was not recorded in this pass, which holds layers "
                f"{sorted(self.activations)}: name it when the pass is made."
            )

    @cached_property
    def _path_weights(self) -> Tensor:
        """[image, path, token] of the earliest layer; a later layer's are its last rows."""
        return torch.cat([self.block_weights(block) for block in sorted(self.attention)], dim=1)

    def block_weights(self, block: int) -> Tensor:
        """Return the path weights of one block's heads: [image, head, token].

        They are there for every block after the earliest recorded layer, recorded or not.
        """
        return self.attention[block] / (self.sigma[block] * self.sigma_post[:, None])[:, None]

    def path_weights(self, layer: int) -> Tensor:
        """Return `a / (sigma sigma_post)`, the weight of each token: [image, path, token].

        Raises:
            InputError: when the pass did not record `layer`, or no block follows it.
        """
        self._check_recorded(layer)
        if layer >= max(self.attention, default=0):
            raise InputError(
                f"Layer {layer!r} has no later attention block: choose an earlier layer."
            )
        paths = sum(rows.shape[1] for block, rows in self.attention.items() if block > layer)
        return self._path_weights[:, self._path_weights.shape[1] - paths :]

    def post_activations(self, layer: int) -> Tensor:
        """Return the neurons' activations in the lens's dtype: [image, token, neuron].

        Raises:
            InputError: when the pass did not record `layer`.
        """
        self._check_recorded(layer)
        return self.activations[layer].to(self.sigma_post.dtype)

    def coefficients(self, layer: int) -> Tensor:
        """Return `c` of the module's equation: [image, path, neuron]."""
        return torch.bmm(self.path_weights(layer), self.post_activations(layer))

    def token_coefficients(self, layer: int) -> Tensor:
        """Return `c` with the sum over tokens left open: [image, path, token, neuron].

        Memory is paths times that of the activations: for small batches.
        """
        return self.path_weights(layer)[..., None] * self.post_activations(layer)[:, None]

    def token_shares(self, layer: int, projections: Tensor) -> Tensor:
        """Return each token's share of the layer's effect along one direction: [image, token].

        `projections` is [neuron, path], the paths' inner products with the direction (see
        `SecondOrderLens.project`); the sum over tokens is that of `effects @ direction` over
        neurons. To keep some neurons only, or to weigh them, scale the rows.
        """
        by_path = self.post_activations(layer) @ projections
        return (by_path * self.path_weights(layer).transpose(1, 2)).sum(dim=2)


@torch.no_grad()
def trace(model: nn.Module, images: Tensor, layers: Sequence[int]) -> Trace:
    """Run `model`'s image tower once and return what the lens needs of `layers`.

    `images` is [image, 3, height, width], preprocessed, of any float dtype and on any device. The
    tower runs in eval mode without gradients and its mode is restored. Only one pass runs at a
    time in a process, and passes of other threads through the same model are not recorded.

    The last layer can be recorded too; it has direct effects only.

    Raises:
        UnsupportedModelError: when the lens is not exact for `model`.
        InputError: when the model lacks a layer, none is named, or the images have another shape.
    """
    check_supported(model)
    indices = [check_layer(model, layer, direct=True) for layer in layers]
    if not indices:
        raise InputError("The lens needs at least one layer: name one, such as 9.")
    visual = visual_of(model)
    _check_images(images, visual.image_size)
    with hooked(model) as hooks:
        record = _Recorder(model, indices, hooks)
        output = visual(images.to(visual.conv1.weight))
    representation = output[0] if isinstance(output, tuple) else output
    return Trace(
        representation=representation.to(lens_dtype(model)),
        attention=record.attention,
        sigma=record.sigma,
        sigma_post=record.sigma_post[0],
        activations=record.activations,
        writes={
            layer: _without_bias(blocks_of(model)[layer], output.to(lens_dtype(model)))
            for layer, output in record.outputs.items()
        },
    )


class _Recorder:
    """Registers the lens's hooks and keeps what they see of one pass."""

    def __init__(self, model: nn.Module, layers: Sequence[int], hooks: Hooks) -> None:
        """Record the MLPs of `layers`, the attention of later blocks and the last LayerNorm."""
        self.dtype = lens_dtype(model)
        self.attention: dict[int, Tensor] = {}
        self.sigma: dict[int, Tensor] = {}
        self.sigma_post: list[Tensor] = []
        self.activations: dict[int, Tensor] = {}
        self.outputs: dict[int, Tensor] = {}
        blocks = blocks_of(model)
        for layer in set(layers):
            hooks.after(blocks[layer].mlp.c_proj, partial(self._keep_activations, layer))
        for index in range(min(layers) + 1, len(blocks)):
            block = blocks[index]
            hooks.after(block.ln_1, partial(self._keep_attention, index, block))
        last = visual_of(model).ln_post
        hooks.before(last, partial(self._keep_deviation, last.eps))

    def _keep_activations(self, layer: int, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.activations[layer] = inputs[0]
        self.outputs[layer] = output

    def _keep_attention(
        self, index: int, block: Any, inputs: tuple[Tensor, ...], output: Tensor
    ) -> None:
        self.sigma[index] = _deviation(inputs[0].to(self.dtype), block.ln_1.eps)
        self.attention[index] = class_token_attention(block.attn, output.to(self.dtype))

    def _keep_deviation(self, eps: float, inputs: tuple[Tensor, ...]) -> None:
        stream = inputs[0] if inputs[0].ndim == 2 else inputs[0][:, 0]  # 2: pooled before the norm
        self.sigma_post.append(_deviation(stream.to(self.dtype), eps))


def class_token_attention(attention: nn.MultiheadAttention, normed: Tensor) -> Tensor:
    """Return the class token's attention probabilities: [image, head, token], dtype of `normed`.

    `normed` is the block's LayerNorm output [image, token, width]. The keys are not formed: the
    query is taken back through the key weights instead.
    """
    width = normed.shape[2]
    heads = attention.num_heads
    weight = attention.in_proj_weight.to(normed.dtype)
    bias = attention.in_proj_bias.to(normed.dtype)
    query = functional.linear(normed[:, 0], weight[:width], bias[:width])
    query = query.unflatten(1, (heads, -1)) * (width // heads) ** -0.5
    keys = weight[width : 2 * width].unflatten(0, (heads, -1))
    reads = torch.einsum("ihd,hdw->ihw", query, keys)  # d: dimensions of a head, w: width
    return torch.softmax(reads @ normed.transpose(1, 2), dim=2)


def _deviation(stream: Tensor, eps: float) -> Tensor:
    """Return LayerNorm's standard deviation over the last axis."""
    return (stream.var(dim=-1, unbiased=False) + eps).sqrt()


def _without_bias(block: Any, output: Tensor) -> Tensor:
    """Return what the neurons of a block's MLP write, from the output of its last linear map."""
    written: Tensor = output - block.mlp.c_proj.bias.to(output)
    return written * layer_scale(block.ls_2, output)


def _check_images(images: Tensor, size: tuple[int, int]) -> None:
    found = list(images.shape) if isinstance(images, Tensor) else type(images).__name__
    if found != [*found[:1], 3, *size] or found[0] < 1:
        raise InputError(
            f"The lens takes preprocessed images of shape [image, 3, {size[0]}, {size[1]}] and got "
            f"{found}: pass each picture through the model's preprocess and stack them."
        )

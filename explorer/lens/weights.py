"""What the lens takes from a model's weights alone: paths, readers, projections, stream maps.

The names are those of the equation in `explorer.lens`. Nothing here looks at a picture; whatever
is returned holds for every pass through the model.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from open_clip.transformer import LayerScale
from torch import Tensor, nn

from explorer.errors import InputError


class HeadPath(NamedTuple):
    """One route from a neuron to the output: head `head` of the later block `layer`."""

    layer: int
    head: int


def check_layer(model: nn.Module, layer: int, *, direct: bool = False) -> int:
    """Return `layer` as an int.

    With `direct` the last layer is allowed too: it has first-order effects only.

    Raises:
        InputError: when no later block of `model` can read from it.
    """
    last = len(blocks_of(model)) - (1 if direct else 2)
    try:
        index = operator.index(layer)
    except TypeError:
        index = -1
    if not 0 <= index <= last:
        reason = "" if direct else ", so that an attention block follows it"
        raise InputError(
            f"Layer {layer!r} cannot be read in this model: choose a layer from 0 to {last}, "
            f"counted from 0{reason}."
        )
    return index


def path_names(model: nn.Module, layer: int) -> list[HeadPath]:
    """Return what the path axis of `layer` counts: every head of every later block, in order."""
    blocks = blocks_of(model)
    return [
        HeadPath(later, head)
        for later in range(check_layer(model, layer) + 1, len(blocks))
        for head in range(blocks[later].attn.num_heads)
    ]


def lens_dtype(model: nn.Module) -> torch.dtype:
    """Return the dtype of the lens's arithmetic: float32, or float64 for a float64 model."""
    wide = visual_of(model).conv1.weight.dtype == torch.float64
    return torch.float64 if wide else torch.float32


@torch.no_grad()
def write_vectors(model: nn.Module, layer: int, *, centre: bool) -> Tensor:
    """Return what each neuron of `layer` writes to the stream for activation 1: [neuron, width].

    LayerScale is included. `centre` subtracts each vector's mean, as the LayerNorm that reads it
    does.
    """
    block = blocks_of(model)[layer]
    dtype = lens_dtype(model)
    vectors: Tensor = block.mlp.c_proj.weight.to(dtype).T
    vectors = vectors * layer_scale(block.ls_2, vectors)
    return vectors - vectors.mean(dim=1, keepdim=True) if centre else vectors


@torch.no_grad()
def readout(model: nn.Module, *, centre: bool) -> Tensor:
    """Return the map from stream to output but for 1 / sigma_post: `gamma_post * proj`.

    [width, embed]; with `centre` the mean over the width is subtracted from its input first.
    """
    dtype = lens_dtype(model)
    visual = visual_of(model)
    matrix: Tensor = visual.ln_post.weight.to(dtype)[:, None] * visual.proj.to(dtype)
    return matrix - matrix.mean(dim=0, keepdim=True) if centre else matrix


@torch.no_grad()
def second_order_paths(model: nn.Module, layer: int, *, centre: bool = True) -> Tensor:
    """Return `u` of the module's equation: [neuron, path, embed] float32, weights only.

    Memory is neurons x paths x embed x 4 bytes: 151 MB for layer 9 of ViT-B/32.

    Raises:
        InputError: when no block follows the layer.
    """
    layer = check_layer(model, layer)
    vectors = write_vectors(model, layer, centre=centre)
    output = readout(model, centre=centre)
    paths = vectors.new_empty(len(vectors), len(path_names(model, layer)), output.shape[1])
    start = 0
    for values, outputs in _head_maps(model, layer, vectors, output):
        heads = values.shape[1]
        # d: the dimensions of one head
        paths[:, start : start + heads] = torch.einsum("nhd,hdp->nhp", values, outputs)
        start += heads
    return paths


@torch.no_grad()
def own_projections(
    model: nn.Module, layer: int, directions: Tensor, *, centre: bool = True
) -> Tensor:
    """Return the paths' inner products with each neuron's own direction: [neuron, path].

    `directions` is [neuron, embed]. Equal to `(paths * directions[:, None]).sum(2)`, but [neuron,
    path, embed] is never formed: the directions go back through the output weights instead.

    Raises:
        InputError: when no block follows the layer, or the directions have another shape.
    """
    layer = check_layer(model, layer)
    vectors = write_vectors(model, layer, centre=centre)
    output = readout(model, centre=centre)
    if directions.shape != (len(vectors), output.shape[1]):
        raise InputError(
            f"Layer {layer} takes one direction per neuron, [{len(vectors)}, {output.shape[1]}], "
            f"and got {list(directions.shape)}: take the directions of this model and layer."
        )
    parts = [
        (values * torch.einsum("np,hdp->nhd", directions.to(vectors), outputs)).sum(dim=2)
        for values, outputs in _head_maps(model, layer, vectors, output)
    ]
    return torch.cat(parts, dim=1)


def _head_maps(
    model: nn.Module, layer: int, vectors: Tensor, output: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, for every block after `layer`, the two halves of its heads' paths.

    They are what each head's values read of `vectors`, [neuron, head, d], and what its output
    writes to the joint space, [head, d, embed]; d: the dimensions of one head.
    """
    dtype, width = vectors.dtype, vectors.shape[1]
    for block in blocks_of(model)[layer + 1 :]:
        heads = block.attn.num_heads
        value = block.attn.in_proj_weight[2 * width :].to(dtype) * block.ln_1.weight.to(dtype)
        values = (vectors @ value.T).unflatten(1, (heads, -1))
        scaled = block.attn.out_proj.weight.to(dtype).T * layer_scale(block.ls_1, vectors)
        yield values, (scaled @ output).unflatten(0, (heads, -1))


@torch.no_grad()
def path_readers(model: nn.Module, directions: Tensor, *, centre: bool = True) -> dict[int, Tensor]:
    """Return what each path reads off the stream along each direction, weights only.

    `directions` is [text, embed]. Result: block -> [head, width, text] for every block `r`, with
    `u[n, k] . direction = w_n . r_k` for each neuron of an earlier layer: second-order effects
    along a direction need no [neuron, path, embed].
    """
    output = directions.to(lens_dtype(model)) @ readout(model, centre=centre).T
    readers = {}
    for index, block in enumerate(blocks_of(model)):
        heads, width = block.attn.num_heads, output.shape[1]
        # LayerNorm's and LayerScale's weights meet the few texts, not the weight matrices
        scaled = output * layer_scale(block.ls_1, output)
        by_head = (scaled @ block.attn.out_proj.weight.to(output)).unflatten(1, (heads, -1))
        value = block.attn.in_proj_weight[2 * width :].to(output).unflatten(0, (heads, -1))
        # [head, text, d] @ [head, d, width], d: the dimensions of one head
        reader = (by_head.transpose(0, 1) @ value * block.ln_1.weight.to(output)).transpose(1, 2)
        readers[index] = reader - reader.mean(dim=1, keepdim=True) if centre else reader
    return readers


@torch.no_grad()
def stream_maps(model: nn.Module, *, centre: bool = True) -> dict[int, tuple[Tensor, Tensor]]:
    """Return what each head reads of the stream and writes to the output, weights only.

    Result: block -> ([width, head, d], [head, d, embed]) for every block after the first; d: the
    dimensions of one head. `u[n, k] = w_n` times the first times the second.
    """
    output = readout(model, centre=centre)
    stream = torch.eye(len(output), dtype=output.dtype, device=output.device)
    stream = stream - 1 / len(output) if centre else stream
    return dict(enumerate(_head_maps(model, 0, stream, output), start=1))


def visual_of(model: nn.Module) -> Any:
    """Return a model's image tower."""
    return model.visual


def blocks_of(model: nn.Module) -> Any:
    """Return the blocks of a model's image tower, in order."""
    return visual_of(model).transformer.resblocks


def layer_scale(module: nn.Module, like: Tensor) -> Tensor:
    """Return a LayerScale's weights, [width], or a single 1 where the block has none."""
    return module.gamma.to(like) if isinstance(module, LayerScale) else like.new_ones(1)

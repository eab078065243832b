"""What indirect effects start from: a pass's streams, and passes with neurons at their means.

Paper, section 3: a neuron (or a layer) is mean-ablated by setting its activations to their mean, at
each token, over a set of pictures; everything after it is recomputed, attention and LayerNorm
included (`recompute`). An MLP's output is linear in its activations, so
that its block's output changes by `(mean - p) W`, with `W` the write vectors; the blocks before are
shared by all ablations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from explorer.lens.hooks import hooked
from explorer.lens.weights import blocks_of, visual_of


@dataclass(frozen=True, eq=False)
class Streams:
    """What one pass leaves of some layers, in the model's own dtype."""

    representation: Tensor
    """[image, embed]: the output before its L2 normalisation."""
    outputs: dict[int, Tensor]
    """Layer -> [image, token, width]: the block's output."""
    activations: dict[int, Tensor]
    """Layer -> [image, token, neuron]: post-activations."""


@torch.no_grad()
def streams(model: nn.Module, pixels: Tensor, layers: Sequence[int]) -> Streams:
    """Run the image tower once over [image, 3, height, width] and keep what `Streams` names."""
    visual = visual_of(model)
    outputs: dict[int, Tensor] = {}
    activations: dict[int, Tensor] = {}

    def keep_output(layer: int, inputs: tuple[Any, ...], output: Tensor) -> None:
        outputs[layer] = output

    def keep_activations(layer: int, inputs: tuple[Tensor, ...]) -> None:
        activations[layer] = inputs[0]

    blocks = blocks_of(model)
    with hooked(model) as hooks:
        for layer in layers:
            hooks.after(blocks[layer], partial(keep_output, layer))
            hooks.before(blocks[layer].mlp.c_proj, partial(keep_activations, layer))
        output = visual(pixels.to(visual.conv1.weight))
    representation = output[0] if isinstance(output, tuple) else output
    return Streams(representation, outputs, activations)


@torch.no_grad()
def recompute(model: nn.Module, layer: int, stream: Tensor) -> Tensor:
    """Return the output of the blocks after `layer`, not normalised: [image, embed].

    The last block is run for the class token only; nothing else of it is read.
    """
    visual = visual_of(model)
    later = blocks_of(model)[layer + 1 :]
    stream = stream.to(visual.conv1.weight)
    for block in later[:-1]:
        stream = block(stream)
    token = stream[:, :1]
    for last in later[-1:]:
        normed = last.ln_1(stream)
        read = last.attn(normed[:, :1], normed, normed, need_weights=False)[0]
        token = token + last.ls_1(read)
        token = token + last.ls_2(last.mlp(last.ln_2(token)))
    output: Tensor = visual.ln_post(token)[:, 0] @ visual.proj
    return output


@contextmanager
def ablating(
    model: nn.Module, chosen: Mapping[int, list[int]], means: Mapping[int, Tensor]
) -> Iterator[None]:
    """Hold neurons' activations at their means for the passes of this thread.

    `chosen` maps layers to their neurons, `means` layers to [token, neuron].
    """

    def hold(layer: int, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        active = inputs[0].clone()
        active[:, :, chosen[layer]] = means[layer][:, chosen[layer]].to(active)
        return (active, *inputs[1:])

    with hooked(model) as hooks:
        for layer in chosen:
            hooks.before(blocks_of(model)[layer].mlp.c_proj, partial(hold, layer))
        yield

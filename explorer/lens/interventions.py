"""What indirect effects start from: the blocks' outputs and activations in one pass.

Paper, section 3: a neuron (or a layer) is mean-ablated by setting its activations to their mean, at
each token, over a set of pictures; everything after it is recomputed, attention and LayerNorm
included (`explorer.indirect.recompute`). An MLP's output is linear in its activations, so that its
block's output changes by `(mean - p) W`, with `W` the write vectors; the blocks before are shared
by all ablations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


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
    visual: Any = model.visual
    outputs: dict[int, Tensor] = {}
    activations: dict[int, Tensor] = {}

    def keep_output(layer: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            outputs[layer] = output

        return hook

    def keep_activations(layer: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            activations[layer] = args[0]

        return hook

    blocks = visual.transformer.resblocks
    with _hooks() as handles:
        for layer in layers:
            handles.append(blocks[layer].register_forward_hook(keep_output(layer)))
            hook = keep_activations(layer)
            handles.append(blocks[layer].mlp.c_proj.register_forward_pre_hook(hook))
        output = visual(pixels.to(visual.conv1.weight))
    representation = output[0] if isinstance(output, tuple) else output
    return Streams(representation, outputs, activations)


@contextmanager
def _hooks() -> Iterator[list[Any]]:
    handles: list[Any] = []
    try:
        yield handles
    finally:
        for handle in handles:
            handle.remove()

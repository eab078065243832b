"""The later blocks: started afresh, trained with ReLU, read part by part, handed over with GELU.

While training, the fresh blocks' neurons are ReLUs, so that a neuron can be exactly silent. The
finished tower is a plain open_clip ``VisionTransformer``, whose neurons are GELUs. The two agree
once pre-activations are large:

    s ReLU(z / s) = ReLU(z),      |GELU(s z) / s - ReLU(z)| <= 0.17 / s,

so `exchange_for_gelu` multiplies ``c_fc`` by ``s = 6`` and divides ``c_proj`` by it: each neuron's
output moves by less than 0.03 times its write vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

SHARPNESS = 6.0


class Pass(NamedTuple):
    """What one pass through the tuned blocks leaves behind; blocks are counted from the tower's."""

    terms: Tensor
    """[image, term, width]: what enters the class token, then what each attention layer and each
    MLP in turn writes into it; they sum to the token that ``ln_post`` reads."""
    hidden: dict[int, Tensor]
    """Block -> [image, token, neuron], the post-activations of the blocks that are read."""
    attention: dict[int, Tensor]
    """Block -> [image, head, token], the class token's attention probabilities."""
    sigma: dict[int, Tensor]
    """Block -> [image, token], the standard deviation in the LayerNorm before attention."""
    length: dict[int, Tensor]
    """Block -> [image, token], the stream's length where that block's MLP writes."""


@torch.no_grad()
def start_afresh(blocks: Iterable[ResidualAttentionBlock], generator: torch.Generator) -> None:
    """Draw new weights for ``blocks``; LayerScale becomes 1, LayerNorms the identity."""
    for block in blocks:
        for name, parameter in block.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif name.startswith("ln_") or name.endswith("gamma"):
                parameter.fill_(1.0)
            else:
                std = 0.05 if "in_proj" in name else 0.04
                nn.init.trunc_normal_(parameter, std=std, generator=generator)


@torch.no_grad()
def exchange_for_gelu(
    blocks: Iterable[ResidualAttentionBlock], sharpness: float = SHARPNESS
) -> None:
    """Scale ReLU neurons so that GELU in their place does the same within 0.17 / sharpness."""
    for block in blocks:
        block.mlp.c_fc.weight.mul_(sharpness)
        block.mlp.c_fc.bias.mul_(sharpness)
        block.mlp.c_proj.weight.div_(sharpness)


def go_on_from(
    visual: VisionTransformer, weights: Mapping[str, Tensor], numbers: Iterable[int], read: range
) -> None:
    """Take the blocks ``numbers`` and the readout from an earlier run's finished tower, in place.

    weights: an open_clip state dict, with or without the prefix ``visual.``; its blocks in
    ``read`` are turned back to ReLU neurons.
    """
    bare = {name.removeprefix("visual."): weight for name, weight in weights.items()}
    wanted = ("ln_post.", *(f"transformer.resblocks.{number}." for number in numbers))
    state = {n: w for n, w in bare.items() if n.startswith(wanted) or n == "proj"}
    visual.load_state_dict({n: w.float() for n, w in state.items()}, strict=False)
    blocks = visual.transformer.resblocks
    exchange_for_gelu((blocks[n] for n in numbers if n in read), 1 / SHARPNESS)


def run_blocks(
    blocks: Sequence[ResidualAttentionBlock], first: int, read: range, stream: Tensor
) -> Pass:
    """Run ``blocks``, the tower's from number ``first`` to its last, and keep what losses need.

    Blocks in ``read`` use ReLU. The last block computes its class token only.
    stream: what enters them, [image, token, width].
    """
    terms = [stream[:, 0]]
    hidden, attention, sigma, length = {}, {}, {}, {}
    for number, block in enumerate(blocks, first):
        last = number == first + len(blocks) - 1
        norm = block.ln_1
        normed, _, inverse = torch.native_layer_norm(
            stream, norm.normalized_shape, norm.weight, norm.bias, norm.eps
        )
        sigma[number] = 1 / inverse.detach()[..., 0]
        attended, attention[number] = _attend(block, normed, class_only=last)
        stream = (stream[:, :1] if last else stream) + attended
        before = block.mlp.c_fc(block.ln_2(stream))
        after = F.relu(before) if number in read else block.mlp.gelu(before)
        written = block.ls_2(block.mlp.c_proj(after))
        if number in read:
            hidden[number] = after
            length[number] = stream.detach().float().norm(dim=-1)
        stream = stream + written
        terms += [attended[:, 0], written[:, 0]]
    return Pass(torch.stack(terms, 1).float(), hidden, attention, sigma, length)


def _attend(
    block: ResidualAttentionBlock, normed: Tensor, *, class_only: bool
) -> tuple[Tensor, Tensor]:
    """Return what the attention layer writes, [image, token or 1, width], and where the class

    token looks, [image, head, token]. The product is written out: for 65 tokens on a CPU it takes
    half the time of the fused kernel.
    """
    layer = block.attn
    query, key, value = (
        part.unflatten(-1, (layer.num_heads, -1)).transpose(1, 2)
        for part in F.linear(normed, layer.in_proj_weight, layer.in_proj_bias).chunk(3, -1)
    )
    query = query[:, :, :1] if class_only else query
    chance = ((query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)).softmax(-1)
    gathered = (chance.to(value.dtype) @ value).transpose(1, 2).flatten(2)
    return block.ls_1(layer.out_proj(gathered)), chance[:, :, 0]

"""Second-order effects with gradients: what the losses ask of neurons.

The same factorisation as `explorer.lens`, written for training. For a layer's neurons `n`, with
`d` the dimensions of a head and paths `k = (later block, head)`:

    reads[k, n, d]   = W_V^h ( gamma C w_n )                  what head k's values read of neuron n
    outputs[k, d, p] = W_O^h through ls_1, ln_post and proj   what the head writes to the output
    c[b, k, n]       = sum_t a[b, k, t] p[b, t, n] / sigma[b, t]
    effect[b, n]     = sum_k c[b, k, n] reads[k, n] @ outputs[k]

LayerNorm statistics are held; attention probabilities and all weights have gradients, so every
write vector learns along the path by which the lens reads it. The factor 1 / sigma_post, one
number a picture, is left out: all losses take cosines. Only the sum over neurons, or the effects
of a few neurons, are ever formed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn

from explorer.demo.fresh import Pass


class Paths(NamedTuple):
    """What joins one layer's neurons to the output, weights only."""

    reads: Tensor
    """[path, neuron, d]"""
    outputs: Tensor
    """[path, d, embed]"""


def readout(ln_post: nn.LayerNorm, proj: Tensor) -> Tensor:
    """Return the centred map from stream to output, [width, embed]."""
    matrix = ln_post.weight[:, None] * proj
    return matrix - matrix.mean(0, keepdim=True)


def layer_paths(
    block: ResidualAttentionBlock, later: Sequence[ResidualAttentionBlock], output: Tensor
) -> Paths:
    """Return the paths of the neurons of ``block`` through the ``later`` blocks' heads."""
    vectors = block.ls_2(block.mlp.c_proj.weight.T)
    vectors = vectors - vectors.mean(1, keepdim=True)
    reads, outputs = [], []
    for reader in later:
        heads, width = reader.attn.num_heads, vectors.shape[1]
        value = reader.attn.in_proj_weight[2 * width :]
        read = (vectors * reader.ln_1.weight) @ value.T
        reads.append(read.unflatten(1, (heads, -1)).transpose(0, 1))
        written = reader.ls_1(reader.attn.out_proj.weight.T) @ output
        outputs.append(written.unflatten(0, (heads, -1)))
    return Paths(torch.cat(reads), torch.cat(outputs))


def coefficients(found: Pass, layer: int, tokens: Tensor | None = None) -> Tensor:
    """Return ``c`` of the module's equation, [image, path, neuron].

    tokens: [image, token] weights of the tokens that count; None: all of them.
    """
    weights = torch.cat(
        [
            found.attention[b] / found.sigma[b][:, None]
            for b in sorted(found.attention)
            if b > layer
        ],
        dim=1,
    )
    if tokens is not None:
        weights = weights * tokens[:, None]
    hidden = found.hidden[layer]
    return torch.bmm(weights.to(hidden.dtype), hidden)


def summed_effects(coefficient: Tensor, paths: Paths, keep: Tensor | None = None) -> Tensor:
    """Return the effects summed over neurons, [image, embed] float32.

    coefficient: [image, path, neuron]; keep: [neuron] weights, None: all neurons.
    """
    if keep is not None:
        coefficient = coefficient * keep.to(coefficient.dtype)
    gathered = torch.bmm(coefficient.transpose(0, 1), paths.reads.to(coefficient.dtype))
    return torch.einsum("kbd,kdp->bp", gathered.float(), paths.outputs.float())


def neuron_effects(coefficient: Tensor, paths: Paths, chosen: Tensor) -> Tensor:
    """Return the effects of the ``chosen`` neurons, [image, chosen, embed] float32."""
    vectors = torch.bmm(paths.reads[:, chosen], paths.outputs)  # [path, chosen, embed]
    kind = coefficient.dtype
    return torch.einsum("bkn,knp->bnp", coefficient[..., chosen], vectors.to(kind)).float()

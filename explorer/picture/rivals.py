"""Heatmaps that the second-order ones are compared with, on the same model and the same texts.

Published figures for these methods conflict, so each is written here after its paper and run under
one protocol: the score explained is the cosine between the picture's representation and the
text's direction, and every map is [image, text, patch].

- `attention`: the class token's attention in the last block, mean over heads; blind to the text.
- `rollout`: Abnar and Zuidema (2020), product over blocks of (A + I) / 2; blind to the text.
- `grad_cam`: Selvaraju et al. (2017) on what the last attention block reads.
- `relevance`: Chefer, Gur and Wolf (ICCV 2021), gradient-weighted attention through all blocks.
- `legrad`: Bousselham et al. (2024). Their package `legrad_torch` pins open_clip 2.23 or older,
  takes tokens before images and replaces the model's forward methods for good; so it is here.
- `textspan`: Gandelsman, Efros and Steinhardt (ICLR 2024), the tokens' direct contributions through
  all attention heads.

`explained_pass` runs the tower with its attention probabilities in the graph. It registers no
hooks, so several threads may run it at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from explorer.lens import lens_dtype, readout

LEGRAD_BLOCKS = 2  # the last ones, as in the released code


@dataclass(frozen=True)
class ExplainedPass:
    """One forward pass whose attention probabilities can be differentiated through."""

    model: Any
    attention: list[Tensor]
    """Block -> [image, head, token, token]."""
    contributions: list[Tensor]
    """Block -> [image, token, head, width of a head]: what class attention moves per token."""
    streams: list[Tensor]
    """Block -> [image, token, width]: the stream behind the block."""
    last_read: Tensor
    """[image, token, width]: what the last attention block reads, behind its LayerNorm."""
    representation: Tensor
    """[image, embed], before its L2 normalisation."""

    def scores(self, directions: Tensor) -> Tensor:
        """Return the cosines with the texts' directions: [image, text]."""
        return functional.normalize(self.representation.to(directions), dim=1) @ directions.T


def explained_pass(model: nn.Module, images: Tensor) -> ExplainedPass:
    """Run the image tower over preprocessed `images`, [image, 3, height, width], with gradients."""
    visual: Any = model.visual
    with torch.enable_grad():
        stream = _embed_tokens(visual, images.to(visual.conv1.weight)).detach().requires_grad_()
        attention, contributions, streams = [], [], []
        for block in visual.transformer.resblocks:
            last_read = block.ln_1(stream)
            probabilities, values = _attend(block.attn, last_read)
            mixed = (probabilities @ values).transpose(1, 2).flatten(2)
            stream = stream + block.ls_1(block.attn.out_proj(mixed))
            stream = stream + block.ls_2(block.mlp(block.ln_2(stream)))
            attention.append(probabilities)
            moved = probabilities[:, :, 0, :, None] * values
            contributions.append(moved.detach().transpose(1, 2))
            streams.append(stream)
        representation = _project(visual, stream[:, 0])
    return ExplainedPass(model, attention, contributions, streams, last_read, representation)


def attention(found: ExplainedPass, directions: Tensor) -> Tensor:
    """Return the class token's attention in the last block: [image, text, patch]."""
    row = found.attention[-1].detach()[:, :, 0, 1:].mean(dim=1)
    return _for_each_text(row, directions)


def rollout(found: ExplainedPass, directions: Tensor) -> Tensor:
    """Return attention rollout: [image, text, patch]."""
    joint = None
    for probabilities in found.attention:
        mean = probabilities.detach().mean(dim=1)
        step = (mean + torch.eye(mean.shape[1], dtype=mean.dtype, device=mean.device)) / 2
        joint = step if joint is None else step @ joint
    assert joint is not None  # a supported model has blocks
    return _for_each_text(joint[:, 0, 1:], directions)


@torch.enable_grad()
def grad_cam(found: ExplainedPass, directions: Tensor) -> Tensor:
    """Return Grad-CAM: [image, text, patch]."""
    maps = []
    for score in found.scores(directions).sum(dim=0):
        (gradient,) = torch.autograd.grad(score, found.last_read, retain_graph=True)
        weights = gradient[:, 1:].mean(dim=1, keepdim=True)
        maps.append((weights * found.last_read[:, 1:]).sum(dim=2).clamp(min=0).detach())
    return torch.stack(maps, dim=1)


@torch.enable_grad()
def relevance(found: ExplainedPass, directions: Tensor) -> Tensor:
    """Return Chefer et al.'s relevance of each token for the class token: [image, text, patch]."""
    maps = []
    for score in found.scores(directions).sum(dim=0):
        gradients = torch.autograd.grad(score, found.attention, retain_graph=True)
        tokens = gradients[0].shape[-1]
        total = torch.eye(tokens, dtype=gradients[0].dtype, device=gradients[0].device)
        total = total.expand(len(gradients[0]), -1, -1)
        for probabilities, gradient in zip(found.attention, gradients, strict=True):
            weighted = (gradient * probabilities.detach()).clamp(min=0).mean(dim=1)
            total = total + weighted @ total
        maps.append(total[:, 0, 1:])
    return torch.stack(maps, dim=1)


@torch.enable_grad()
def legrad(found: ExplainedPass, directions: Tensor) -> Tensor:
    """Return LeGrad over the last blocks: [image, text, patch]."""
    visual: Any = found.model.visual
    total: Tensor | None = None
    for block in range(len(found.attention) - LEGRAD_BLOCKS, len(found.attention)):
        pooled = _project(visual, found.streams[block].mean(dim=1))
        scores = (functional.normalize(pooled.to(directions), dim=1) @ directions.T).sum(dim=0)
        maps = []
        for score in scores:
            (gradient,) = torch.autograd.grad(score, found.attention[block], retain_graph=True)
            maps.append(gradient.clamp(min=0).mean(dim=(1, 2))[:, 1:])
        layer = torch.stack(maps, dim=1)
        total = layer if total is None else total + layer
    assert total is not None  # LEGRAD_BLOCKS is positive
    return total


@torch.no_grad()
def textspan(found: ExplainedPass, directions: Tensor) -> Tensor:
    """Return the tokens' direct contributions through all heads: [image, text, patch]."""
    model = found.model
    visual: Any = model.visual
    output = readout(model, centre=True) @ directions.to(lens_dtype(model)).T
    total: Tensor | float = 0.0
    for block, moved in zip(visual.transformer.resblocks, found.contributions, strict=True):
        scale = getattr(block.ls_1, "gamma", None)
        weight = block.attn.out_proj.weight.T
        reader = (weight if scale is None else weight * scale) @ output.to(weight)
        total = total + moved.flatten(2) @ reader  # [image, token, text]
    assert isinstance(total, Tensor)
    stream = found.streams[-1][:, 0]
    deviation = (stream.var(dim=1, unbiased=False) + visual.ln_post.eps).sqrt()
    patches: Tensor = total[:, 1:] / deviation[:, None, None]
    return patches.transpose(1, 2)


def _embed_tokens(visual: Any, images: Tensor) -> Tensor:
    """Return the stream before the first block: [image, token, width]."""
    patches = visual.conv1(images).flatten(2).transpose(1, 2)
    first = visual.class_embedding.to(patches).expand(len(patches), 1, -1)
    stream = torch.cat([first, patches], dim=1) + visual.positional_embedding.to(patches)
    embedded: Tensor = visual.ln_pre(stream)
    return embedded


def _attend(layer: nn.MultiheadAttention, normed: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities [image, head, token, token] and values [image, head, token, d]."""
    parts = functional.linear(normed, layer.in_proj_weight, layer.in_proj_bias).chunk(3, dim=2)
    query, key, value = (part.unflatten(2, (layer.num_heads, -1)).transpose(1, 2) for part in parts)
    scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
    return torch.softmax(scores, dim=3), value


def _project(visual: Any, tokens: Tensor) -> Tensor:
    """Return `ln_post` and projection of [image, width] tokens: [image, embed]."""
    projected: Tensor = visual.ln_post(tokens) @ visual.proj
    return projected


def _for_each_text(rows: Tensor, directions: Tensor) -> Tensor:
    return rows[:, None].expand(-1, len(directions), -1).contiguous()

"""What two frozen towers know of a photograph, asked while training.

Blocks trained afresh on two hundred names forget what DINOv2 knew of everything else. So the
training regresses, beside the names, what two towers make of the same crop:

- *features* [photograph, 2 width]: DINOv2's class token after block 10 and the mean of its patch
  tokens, both after a LayerNorm without weights: what it knows of any thing, named or not;
- *meanings* [photograph, embed]: the first stage's unit embedding, which lies in the text space.

Both towers share their first blocks with each other, and the frozen ones with the tower in
training: asking costs 8 blocks a photograph, without gradients.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn


class Knowledge(NamedTuple):
    """What is asked of a batch of photographs."""

    features: Tensor
    meanings: Tensor


class Teachers:
    """DINOv2 and the first stage's tower from block ``first`` on, frozen, in bfloat16."""

    def __init__(
        self, dino: VisionTransformer, first_stage: VisionTransformer, first: int, shared: int
    ) -> None:
        """Copy what is needed of both; they share the blocks before number ``shared``."""

        ours, theirs = first_stage.transformer.resblocks, dino.transformer.resblocks
        self._shared = _frozen(ours[first:shared])
        self._dino, self._first = _frozen(theirs[shared:]), _frozen(ours[shared:])
        self._ln_post = copy.deepcopy(first_stage.ln_post).requires_grad_(False)
        self._proj = first_stage.proj.detach().clone()

    @torch.no_grad()
    def ask(self, stream: Tensor) -> Knowledge:
        """Return what both know. stream: what enters block ``first``, [image, token, width]."""
        stream = stream.to(torch.bfloat16)
        for block in self._shared:
            stream = block(stream)
        seen, told = stream, stream
        for block in self._dino:
            seen = block(seen)
        for block in self._first:
            told = block(told)
        parts = (seen[:, 0], seen[:, 1:].mean(1))
        features = torch.cat([F.layer_norm(part.float(), part.shape[1:]) for part in parts], 1)
        token = self._ln_post(told[:, 0].float())
        return Knowledge(features, F.normalize(token @ self._proj, dim=-1))


def _frozen(blocks: nn.ModuleList) -> nn.ModuleList:
    return copy.deepcopy(blocks).requires_grad_(False).to(torch.bfloat16)

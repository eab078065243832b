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

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.transformer import VisionTransformer
from torch import Tensor

from explorer.demo.tower import IMAGE_MEAN, IMAGE_STD


class Knowledge(NamedTuple):
    """What is asked of a batch of photographs."""

    features: Tensor
    meanings: Tensor


def to_float(pixels: np.ndarray) -> Tensor:
    """[image, row, column, channel] uint8 -> [image, channel, row, column] float32 in 0..1."""
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 255


def standardise(pixels: Tensor) -> Tensor:
    """[image, 3, row, column] in 0..1 -> as the model expects it."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGE_MEAN, IMAGE_STD))
    return (pixels - mean) / std


class Teachers:
    """DINOv2 and the first stage's tower from block ``first`` on, frozen, in bfloat16."""

    def __init__(
        self, dino: VisionTransformer, first_stage: VisionTransformer, first: int, shared: int
    ) -> None:
        """Copy what is needed of both; they share the blocks before number ``shared``."""

        def frozen(blocks: torch.nn.Module) -> torch.nn.Module:
            return copy.deepcopy(blocks).requires_grad_(False).to(torch.bfloat16)

        self._shared = frozen(first_stage.transformer.resblocks[first:shared])
        self._dino = frozen(dino.transformer.resblocks[shared:])
        self._first = frozen(first_stage.transformer.resblocks[shared:])
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

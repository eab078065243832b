"""A CLIP in the form of OpenAI's own files: a TorchScript archive with their parameters' names."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn

from tests.support.tiny import tiny_clip


class QuickGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    def __init__(self, width: int, heads: int, activation: nn.Module) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(width)
        wide, back = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.mlp = nn.Sequential(OrderedDict(c_fc=wide, gelu=activation, c_proj=back))
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        seen = self.ln_1(x)
        x = x + self.attn(seen, seen, seen, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, width: int, heads: int, layers: int, activation: nn.Module) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads, activation) for _ in range(layers))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        for block in self.resblocks:
            x = block(x, mask)
        return x


class Visual(nn.Module):
    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 8, 8, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(64))
        self.positional_embedding = nn.Parameter(torch.empty(17, 64))
        self.ln_pre = nn.LayerNorm(64)
        self.transformer = Transformer(64, 4, 4, activation)
        self.ln_post = nn.LayerNorm(64)
        self.proj = nn.Parameter(torch.empty(64, 48))

    def forward(self, images: Tensor) -> Tensor:
        patches = self.conv1(images).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(images), 1, 64)
        x = torch.cat([first, patches], dim=1) + self.positional_embedding
        x = self.transformer(self.ln_pre(x), None)
        return self.ln_post(x[:, 0]) @ self.proj


class OpenAIClip(nn.Module):
    """The architecture of `tiny_config()`, written down from the paper's description."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.visual = Visual(activation)
        self.transformer = Transformer(16, 2, 1, activation)
        self.token_embedding = nn.Embedding(49408, 16)
        self.positional_embedding = nn.Parameter(torch.empty(16, 16))
        self.ln_final = nn.LayerNorm(16)
        self.text_projection = nn.Parameter(torch.empty(16, 48))
        self.logit_scale = nn.Parameter(torch.empty(()))
        self.mask = torch.full((16, 16), float("-inf")).triu(1)
        for name, value in (
            ("input_resolution", 32),
            ("context_length", 16),
            ("vocab_size", 49408),
        ):
            self.register_buffer(name, torch.tensor(value))

    def forward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        x = self.token_embedding(tokens) + self.positional_embedding
        x = self.ln_final(self.transformer(x, self.mask))
        ends = x[torch.arange(len(tokens)), tokens.argmax(dim=1)]
        return self.visual(images), ends @ self.text_projection


def openai_clip(seed: int = 5, activation: nn.Module | None = None) -> OpenAIClip:
    """Return such a model with the parameters of `tiny_clip(seed=seed)`."""
    made = OpenAIClip(activation or QuickGELU())
    state = tiny_clip(seed=seed).state_dict()
    marks = {name: made.get_buffer(name) for name in ("input_resolution", "context_length")}
    made.load_state_dict({**state, **marks, "vocab_size": made.get_buffer("vocab_size")})
    return made.eval()


def save_archive(model: nn.Module, file: Path) -> None:
    """Save a model as `torch.jit` does."""
    inputs = torch.zeros(2, 3, 32, 32), torch.zeros(2, 16, dtype=torch.long)
    torch.jit.trace(model, inputs, check_trace=False).save(str(file))

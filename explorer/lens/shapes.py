"""A model's sizes, from its description alone: no weights are fetched and no memory is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from explorer.lens.models import check_supported
from explorer.lens.origin import create, find_origin


@dataclass(frozen=True)
class Shape:
    """Sizes of a model's image tower, and how many parameters the whole model has."""

    blocks: int
    heads: int
    neurons: int
    """Of one layer."""
    embed: int
    width: int
    tokens: int
    image_size: int
    parameters: int

    @property
    def layers(self) -> list[int]:
        """The layers that a later attention block follows."""
        return list(range(self.blocks - 1))

    def paths(self, layer: int) -> int:
        """Return how many later heads a layer has."""
        return self.heads * (self.blocks - 1 - layer)


def shape_of(source: str, pretrained: str | None = None) -> Shape:
    """Return the sizes of a model that `load_model` would load by the same names.

    Raises:
        InputError: when a name, tag or folder is unknown.
        UnsupportedModelError: when the lens is not exact for the model's image tower.
    """
    origin = find_origin(source, pretrained)
    with torch.device("meta"):
        model = create(origin, "fp32", torch.device("meta"))
    check_supported(model)
    return model_shape(model)


def model_shape(model: Any) -> Shape:
    """Return the sizes of an open_clip CLIP that `check_supported` accepts."""
    visual = model.visual
    blocks = visual.transformer.resblocks
    return Shape(
        blocks=len(blocks),
        heads=blocks[0].attn.num_heads,
        neurons=blocks[0].mlp.c_proj.in_features,
        embed=visual.proj.shape[1],
        width=visual.transformer.width,
        tokens=len(visual.positional_embedding),
        image_size=visual.image_size[0],
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )

"""Small random open_clip CLIP models: every parameter is drawn, none is left at 0 or 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from torch import nn


def tiny_config(
    *,
    layers: int = 4,
    width: int = 64,
    heads: int = 4,
    patch: int = 8,
    image: int = 32,
    embed: int = 48,
    quick_gelu: bool = False,
    layer_scale: bool = False,
    **vision: Any,
) -> dict[str, Any]:
    """Return an open_clip `model_cfg`; `vision` adds to or overrides its `vision_cfg`."""
    vision_cfg: dict[str, Any] = {
        "image_size": image,
        "layers": layers,
        "width": width,
        "head_width": width // heads,
        "patch_size": patch,
    }
    if layer_scale:
        vision_cfg["ls_init_value"] = 0.5
    return {
        "embed_dim": embed,
        "quick_gelu": quick_gelu,
        "vision_cfg": vision_cfg | vision,
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 49408,
            "width": 16,
            "heads": 2,
            "layers": 1,
        },
    }


def randomise(model: nn.Module, seed: int) -> None:
    """Draw biases around 0, LayerNorm weights around 1 and LayerScale around 0.6, in place.

    Attention inputs are doubled so that attention is far from uniform.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(like: torch.Tensor) -> torch.Tensor:
        return torch.randn(like.shape, generator=generator)

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(0.2 * normal(parameter))
            elif name.endswith("gamma"):
                parameter.copy_(0.6 + 0.2 * normal(parameter))
            elif ".ln_" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.3 * normal(parameter))
            elif name.endswith("in_proj_weight"):
                parameter.mul_(2)


def tiny_clip(*, seed: int = 0, **settings: Any) -> Any:
    """Return a random CLIP in eval mode, float32 on the CPU; `settings` as in `tiny_config`.

    4 layers of 4 heads, width 64, 256 neurons a layer, 17 tokens, 48 joint dimensions unless
    told otherwise. The global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.CLIP(**tiny_config(**settings))
    randomise(model, seed + 1)
    return model.eval()


def tiny_images(count: int, *, image: int = 32, seed: int = 7) -> torch.Tensor:
    """Return `[image, 3, height, width]` standard normal float32 pictures."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, image, image, generator=generator)


def save_tiny(folder: Path, *, seed: int = 0, **settings: Any) -> Any:
    """Write a tiny model as a folder that `local-dir:` opens; return the model."""
    model = tiny_clip(seed=seed, **settings)
    folder.mkdir(parents=True, exist_ok=True)
    size = settings.get("image", 32)
    config = {
        "model_cfg": tiny_config(**settings),
        "preprocess_cfg": {
            "size": size,
            "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.25, 0.25],
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return model

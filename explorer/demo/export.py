"""Write the finished model as a folder ``open_clip.create_model('local-dir:...')`` loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

from explorer.demo.tower import IMAGE_MEAN, IMAGE_STD, model_config

CARD = Path(__file__).with_name("model_card.md")


def export_model(
    model: open_clip.CLIP, image_size: int, out: Path, figures: dict[str, Any]
) -> None:
    """Write weights (float16), configuration, model card and figures below ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    weights = {
        name: w.detach().to(torch.float16).contiguous() for name, w in model.state_dict().items()
    }
    save_file(weights, out / "open_clip_model.safetensors")
    preprocess = {
        "size": image_size,
        "mean": IMAGE_MEAN,
        "std": IMAGE_STD,
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    config = {"model_cfg": model_config(image_size), "preprocess_cfg": preprocess}
    (out / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    row = "| {name} | {pictures:,} | {candidates:,} | {recall@1:.3f} | {recall@10:.3f} |"
    rows = [row.format(name=name, **found) for name, found in figures.items()]
    (out / "README.md").write_text(
        CARD.read_text("utf-8").replace("{figures}", "\n".join(rows)), "utf-8"
    )

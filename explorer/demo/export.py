"""Write a model as a folder that ``open_clip.create_model('local-dir:...')`` loads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.constants import HF_SAFE_WEIGHTS_NAME
from safetensors.torch import save_file

from explorer.demo.tower import IMAGE_MEAN, IMAGE_STD, model_config

CARD = Path(__file__).with_name("model_card.md")
CARD_FILES = ("README.md", "figures.json")
TRIALS = Path(__file__).with_name("trials.md")
WENT_ON = """
   The shipped weights did not start from nothing: blocks 8-10 went on from an earlier run with the
   same selectivity and second-order losses (the *prototype* below, 170,000 views); block 7 started
   afresh. Of the held-out photographs that run had seen about four in ten, and it had seen
   `fxemoji`; the first stage had seen the one photograph of each name left out, with its name. So
   these two figures flatter it; the drawings' do not."""


def export_model(model: open_clip.CLIP, image_size: int, out: Path) -> None:
    """Write weights (float16) and configuration below ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    weights = {
        name: w.detach().to(torch.float16).contiguous() for name, w in model.state_dict().items()
    }
    save_file(weights, out / HF_SAFE_WEIGHTS_NAME)
    preprocess = {
        "size": image_size,
        "mean": IMAGE_MEAN,
        "std": IMAGE_STD,
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    config = {"model_cfg": model_config(image_size), "preprocess_cfg": preprocess}
    (out / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")


def write_card(
    out: Path,
    image_size: int,
    figures: dict[str, dict[str, Any]],
    read: Sequence[int],
    went_on: bool,
) -> None:
    """Write the model card and the figures below ``out``.

    figures: test set -> recall@1, recall@10, candidates, pictures; read: the layers trained to be
    read; went_on: whether the second stage went on from an earlier run's tower.
    """
    (out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    row = "| {name} | {pictures:,} | {candidates:,} | {recall@1:.3f} | {recall@10:.3f} |"
    said = {
        "{size}": str(image_size),
        "{read}": f"{min(read)}-{max(read)}",
        "{start}": WENT_ON if went_on else "",
        "{figures}": "\n".join(row.format(name=name, **found) for name, found in figures.items()),
        "{trials}": TRIALS.read_text("utf-8").strip(),
    }
    card = CARD.read_text("utf-8")
    for mark, text in said.items():
        card = card.replace(mark, text)
    (out / "README.md").write_text(card, "utf-8")

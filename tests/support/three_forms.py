"""One CLIP's weights in three forms: of transformers, of OpenAI, and of open_clip."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from explorer.lens.models import load_model
from tests.support.openai_clip import openai_clip, save_archive

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""What CLIP's pictures are brought to, as its paper's code has it."""


def transformers_model(activation: str = "quick_gelu", seed: int = 3) -> CLIPModel:
    """A random CLIPModel of `tiny_config`'s shape."""
    shared = {"hidden_act": activation}
    config = CLIPConfig(
        vision_config={
            "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 4,
            "num_attention_heads": 4, "image_size": 32, "patch_size": 8, **shared,
        },
        text_config={
            "hidden_size": 16, "intermediate_size": 64, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 16, "vocab_size": 49408, **shared,
        },
        projection_dim=48,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPModel(config)
        for parameter in model.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval()


def write_three_forms(folder: Path, name: str) -> dict[str, tuple[str, str | None]]:
    """Write the weights; return what `--model` and `--pretrained` are for each form.

    `name` is the architecture's under open_clip, with QuickGELU.
    """
    transformers_model().save_pretrained(folder / "transformers")
    CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32},
        image_mean=MEAN, image_std=STD,
    ).save_pretrained(folder / "transformers")  # fmt: skip
    source = f"local-dir:{folder / 'transformers'}"
    state = load_model(source).model.state_dict()
    made = openai_clip()
    made.load_state_dict(state, strict=False)
    save_archive(made, folder / "Tiny.pt")
    torch.save(state, folder / "state.pt")
    return {
        "transformers": (source, None),
        "OpenAI": (name, str(folder / "Tiny.pt")),
        "open_clip": (name, str(folder / "state.pt")),
    }

"""Folders that transformers saves a `CLIPModel` into, described in open_clip's terms.

`config.json` gives the architecture and the activation; the image processor's file gives mean,
size and interpolation of the pictures. The parameters are renamed by `explorer.lens.checkpoint`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from explorer.errors import InputError, UnsupportedModelError

CONFIG = "config.json"
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_QUICK = {"quick_gelu": True, "gelu": False}
_EPSILON = 1e-5  # open_clip's own
_VOCABULARY = 49408  # tokens of CLIP's byte pairs, the ones that the tokenizer here knows
_BICUBIC = 3
_RESAMPLING = {_BICUBIC: "bicubic", 2: "bilinear"}


def is_transformers_folder(folder: Path) -> bool:
    """Return whether a folder holds a model as transformers saves it."""
    return (folder / CONFIG).is_file()


def transformers_config(folder: Path) -> dict[str, Any]:
    """Return open_clip's `model_cfg` and `preprocess_cfg` for a folder of transformers.

    Raises:
        InputError: when a description cannot be read.
        UnsupportedModelError: when it is no CLIP that open_clip's classes can hold.
    """
    file = folder / CONFIG
    try:
        found = json.loads(file.read_text("utf-8"))
        if found.get("model_type") != "clip":
            raise UnsupportedModelError(
                f"{file} describes a model of type {found.get('model_type')!r}, and transformers' "
                "'clip' is what can be read: choose a CLIPModel, or a folder of open_clip."
            )
        return {"model_cfg": _model(file, found), "preprocess_cfg": _preprocess(folder)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"The model's description in {folder} cannot be read ({type(error).__name__}: {error}):"
            " get config.json and preprocessor_config.json again."
        ) from error


def _model(file: Path, found: dict[str, Any]) -> dict[str, Any]:
    vision, text = ({**_USUAL[t], **found[f"{t}_config"]} for t in ("vision", "text"))
    activations = {vision["hidden_act"], text["hidden_act"]}
    if len(activations) > 1 or not activations <= set(_QUICK):
        raise UnsupportedModelError(
            f"{file} names the activations {', '.join(sorted(activations))}: one of "
            f"{' or '.join(_QUICK)} for both towers can be read."
        )
    if text["vocab_size"] != _VOCABULARY:
        raise UnsupportedModelError(
            f"{file} has a vocabulary of {text['vocab_size']:,} tokens, and CLIP's own of "
            f"{_VOCABULARY:,} can be read: choose a model with that."
        )
    return {
        "embed_dim": found["projection_dim"],
        "quick_gelu": _QUICK[activations.pop()],
        "vision_cfg": {
            **_tower(vision),
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "head_width": vision["hidden_size"] // vision["num_attention_heads"],
        },
        "text_cfg": {
            **_tower(text),
            "heads": text["num_attention_heads"],
            "context_length": text["max_position_embeddings"],
            "vocab_size": text["vocab_size"],
        },
    }


_USUAL: dict[str, dict[str, Any]] = {
    "vision": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 224,
        "patch_size": 32,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": _EPSILON,
    },
    "text": {
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
        "max_position_embeddings": 77,
        "vocab_size": _VOCABULARY,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": _EPSILON,
    },
}
"""What transformers takes for what a `config.json` leaves out: the values of ViT-B/32."""


def _tower(config: dict[str, Any]) -> dict[str, Any]:
    epsilon = config["layer_norm_eps"]
    own = {} if epsilon == _EPSILON else {"norm_kwargs": {"eps": epsilon}}
    return {
        "width": config["hidden_size"],
        "layers": config["num_hidden_layers"],
        "mlp_ratio": config["intermediate_size"] / config["hidden_size"],
        **own,
    }


def _preprocess(folder: Path) -> dict[str, Any]:
    """Return what pictures go through; nothing, for CLIP's usual, where no file says it.

    Raises:
        InputError: when they are resized and cut in a way that open_clip has no words for.
    """
    file = next((folder / name for name in PROCESSORS if (folder / name).is_file()), None)
    if file is None:
        return {}
    found = json.loads(file.read_text("utf-8"))
    found = found.get("image_processor", found)
    size, crop = _sides(found.get("size", 224)), _sides(found.get("crop_size", 224))
    cropped = found.get("do_center_crop", True)
    if cropped and size != crop:
        raise InputError(
            f"{file} resizes pictures to {size} and cuts {crop} pixels out of them; only the whole "
            "of the shorter side can be taken: set both sizes to the same."
        )
    return {
        "mean": found["image_mean"],
        "std": found["image_std"],
        "interpolation": _RESAMPLING[found.get("resample", _BICUBIC)],
        "resize_mode": "shortest" if cropped else "squash",
    }


def _sides(size: Any) -> int:
    """Return the side that a size of transformers, a number or a table, stands for."""
    if isinstance(size, dict):
        size = size.get("shortest_edge") or size["height"]
    return int(size)

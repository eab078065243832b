"""Where a model comes from, and open_clip's classes built for it.

A model comes from one of

* an open_clip name with a tag of its weights: `ViT-B-32`, `openai`; what OpenAI's or the hub's
  cache on this machine holds is taken from there (`explorer.lens.hub`),
* an open_clip name with a weights file (`explorer.lens.checkpoint` says which forms),
* `hf-hub:` and a repository's name, of open_clip or transformers,
* `local-dir:` and a folder with `open_clip_config.json` and weights, or one that transformers saved
  a `CLIPModel` into (`explorer.lens.transformers_folder`),
* an open_clip name alone: random weights, for benchmarks and tests.

The activation, GELU or QuickGELU, is the one that the weights were trained with where a tag or the
file says it. A file that says another than the model's name is refused, one that says nothing gets
a warning.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import (
    convert_to_custom_text_state_dict,
    resize_pos_embed,
    resize_text_pos_embed,
)
from open_clip.transform import PreprocessCfg, image_transform_v2
from torch import Tensor, nn

from explorer.errors import InputError
from explorer.lens.checkpoint import INDEX, State
from explorer.lens.hub import repository_folder, tagged_file
from explorer.lens.transformers_folder import is_transformers_folder, transformers_config

LOCAL = "local-dir:"
HUB = "hf-hub:"
CONFIG = "open_clip_config.json"
QUICK = "-quickgelu"  # ends the names of open_clip's models with that activation
NAMES = ("GELU", "QuickGELU")
SUFFIXES = (".safetensors", ".bin", ".pth", ".pt")
_PREFERRED = ("open_clip_model", "open_clip_pytorch_model", "model", "pytorch_model")
_DESCRIBED = (".json", ".txt", ".model", ".bpe", ".tiktoken", ".jinja", ".md")
_PAPERS = ("README", "LICENSE", "LICENCE", "NOTICE", "COPYING")
_PREPROCESS = ("mean", "std", "interpolation", "resize_mode", "fill_color")


@dataclass(frozen=True)
class Origin:
    """A model's architecture, and how its weights are had."""

    source: str
    """As given: an open_clip name, or a schema and a place."""
    pretrained: str | None
    """As given: tag or weights file."""
    config: dict[str, Any]
    """open_clip's `model_cfg`."""
    preprocess: dict[str, Any]
    """open_clip's `preprocess_cfg`; what is left out is as open_clip has it."""
    weights: Callable[[], Path] | None
    """Find or fetch the file of the weights; None for random ones."""
    tokenizer: Callable[[], Callable[[list[str]], Tensor]]
    described: bool = True
    """Whether a tag or a description came with the weights, and names their activation."""

    def check_activation(self, quick_gelu: bool | None) -> tuple[str, ...]:
        """Return what nobody can know of the weights' activation; `quick_gelu`: what they say.

        Raises:
            InputError: with the right model's name, when they were trained with another than its.
        """
        here = bool(self.config.get("quick_gelu"))
        if quick_gelu is None and not self.described:
            return (
                f"The weights {self.pretrained} do not say which activation they were trained "
                f"with; {NAMES[here]} is taken, as the name {self.source} has it.",
            )
        if quick_gelu is None or quick_gelu == here:
            return ()
        plain = self.source.removesuffix(QUICK)
        right = plain + QUICK if quick_gelu else plain
        remedy = (
            f"use --model {right}"
            if right in open_clip.list_models()
            else f'set "quick_gelu": {json.dumps(quick_gelu)} in its {CONFIG}'
        )
        raise InputError(
            f"The weights {self.pretrained or self.source} were trained with "
            f"{NAMES[quick_gelu]}, and {self.source} computes {NAMES[here]}, which would "
            f"change every activation: {remedy}."
        )


def find_origin(source: str, pretrained: str | None) -> Origin:
    """Return where a model comes from; see the module's text.

    Weights are not fetched yet, but for a repository of a hub, whose description comes with them.

    Raises:
        InputError: when a name, tag, folder or file is unknown or cannot be read.
    """
    for schema in (LOCAL, HUB):
        if source.startswith(schema):
            if pretrained is not None:
                raise InputError(
                    f"Weights {pretrained!r} were given for {source}, which brings its own: leave "
                    "them out, or give an open_clip model name instead."
                )
            place = source.removeprefix(schema)
            return _of_folder(source, Path(place) if schema == LOCAL else repository_folder(place))
    return _of_name(source, pretrained)


def create(origin: Origin, precision: str, device: torch.device) -> Any:
    """Return an open_clip CLIP of the origin's architecture, with random weights."""
    config = {**origin.config}
    custom = config.pop("custom_text", False) or "hf_model_name" in config["text_cfg"]
    if "hf_model_name" in config["text_cfg"]:
        config["text_cfg"] = {**config["text_cfg"], "hf_model_pretrained": False}
    made = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(
        **config, cast_dtype=open_clip.get_cast_dtype(precision)
    )
    made.to(device)
    if (low := open_clip.get_cast_dtype(precision)) is not None:
        open_clip.convert_weights_to_lp(made, dtype=low)
    return made


def preprocessing(origin: Origin, size: tuple[int, int]) -> Any:
    """Return what an RGB picture goes through: a picture -> [3, height, width], `size` pixels."""
    known = {key: origin.preprocess[key] for key in _PREPROCESS if key in origin.preprocess}
    return image_transform_v2(PreprocessCfg(size=size, **known), is_train=False)


def fill(model: nn.Module, state: State) -> None:
    """Put parameters into a model, position embeddings brought to its size.

    Raises:
        RuntimeError: when they are not the model's.
    """
    state = {  # open_clip brings position embeddings to size, though not in half precision
        n: v.float() if n.endswith("positional_embedding") else v for n, v in state.items()
    }
    if hasattr(model, "text"):
        state = convert_to_custom_text_state_dict(state)
    else:
        state = {name.removeprefix("text."): value for name, value in state.items()}
    for name in ("logit_scale", "logit_bias"):
        own = getattr(model, name, None)
        if name in state and own is not None:
            state[name] = state[name].reshape(own.shape)
    resize_pos_embed(state, model)
    resize_text_pos_embed(state, model)
    model.load_state_dict(state)


def weights_in(folder: Path) -> Path | None:
    """Return the weights of a model's folder, safetensors before pickles; None without any."""
    found = [f for f in folder.iterdir() if f.suffix in SUFFIXES or f.name.endswith(INDEX)]

    def place(file: Path) -> tuple[bool, bool, int, str]:
        stem = file.name.split(".")[0]
        named = stem in _PREFERRED
        rank = _PREFERRED.index(stem) if named else len(_PREFERRED)
        return not named, ".safetensors" not in file.name, rank, file.name

    return min(found, key=place, default=None)


def model_files(folder: Path) -> list[Path]:
    """Return the files of a model's folder that it is loaded by, its card and its licence.

    These are descriptions, the tokenizer's files and the weights that are read. Other forms of the
    weights, hidden files, links to nowhere and sub-folders are left out.
    """
    weights = weights_in(folder)
    read = set() if weights is None else {weights}
    if weights is not None and weights.name.endswith(INDEX):
        parts = json.loads(weights.read_text("utf-8"))["weight_map"].values()
        read |= {folder / part for part in parts}
    for file in folder.iterdir():
        described = file.suffix in _DESCRIBED and not file.name.endswith(INDEX)
        if not file.name.startswith(".") and (described or file.stem.upper() in _PAPERS):
            read.add(file)
    return sorted(file for file in read if file.is_file())


def _of_folder(source: str, folder: Path) -> Origin:
    if not folder.is_dir():
        raise InputError(f"There is no model folder {folder}: check the path after {LOCAL}")
    if (folder / CONFIG).is_file():
        found = _read_config(folder / CONFIG)
        tokenizer = partial(open_clip.get_tokenizer, f"{LOCAL}{folder}")
    elif is_transformers_folder(folder):
        found = transformers_config(folder)
        length = found["model_cfg"]["text_cfg"]["context_length"]
        tokenizer = partial(open_clip.SimpleTokenizer, context_length=length)
    else:
        raise InputError(
            f"The model folder {folder} has no {CONFIG} and no config.json: add the file that "
            "open_clip or transformers saves beside its weights."
        )
    weights = weights_in(folder)
    if weights is None:
        raise InputError(
            f"The model folder {folder} has no weights: add open_clip_model.safetensors to it."
        )
    return Origin(
        source, None, found["model_cfg"], found["preprocess_cfg"], lambda: weights, tokenizer
    )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found["model_cfg"]["vision_cfg"], dict):
            raise TypeError("vision_cfg is not a table")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"The model's description {path} cannot be read ({type(error).__name__}: {error}): it "
            "must be JSON with model_cfg, and in it vision_cfg."
        ) from error
    return {"preprocess_cfg": {}, **found}


def _of_name(name: str, pretrained: str | None) -> Origin:
    config = _named_config(name)
    tokenizer = partial(open_clip.get_tokenizer, name)
    if pretrained is None:
        return Origin(name, None, config, {}, None, tokenizer)
    cleaned = name.replace("/", "-")
    tag = open_clip.get_pretrained_cfg(cleaned, pretrained)
    if tag:
        config["quick_gelu"] = bool(tag.get("quick_gelu", False))
        fetch = partial(tagged_file, tag, name, pretrained)
        return Origin(name, pretrained, config, tag, fetch, tokenizer)
    file = Path(pretrained)
    if not file.is_file() and file.suffix in SUFFIXES:
        raise InputError(f"There is no weights file {file}: put it there, or give its path.")
    if not file.is_file():
        known = open_clip.list_pretrained_tags_by_model(cleaned)
        tags = difflib.get_close_matches(pretrained, known, n=5) or known[:5]
        raise InputError(
            f"{pretrained!r} is neither a file nor a tag of weights for {name}: give a weights "
            f"file or one of {', '.join(tags) if tags else '(open_clip lists no tags)'}"
            f"{', …' if len(known) > len(tags) else '.'}"
        )
    return Origin(name, pretrained, config, {}, lambda: file, tokenizer, described=False)


def _named_config(name: str) -> dict[str, Any]:
    known = open_clip.list_models()
    cleaned = name.replace("/", "-")
    if cleaned not in known:
        by_lower = {model.lower(): model for model in known}
        close = difflib.get_close_matches(cleaned.lower(), by_lower, n=3)
        remedy = (
            f"did you mean {', '.join(by_lower[match] for match in close)}?"
            if close
            else f"use a name such as ViT-B-32, or {LOCAL}FOLDER."
        )
        raise InputError(f"open_clip knows no model {name!r}: {remedy}")
    config: dict[str, Any] = open_clip.get_model_config(cleaned)
    return config

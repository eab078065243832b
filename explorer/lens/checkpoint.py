"""Weights files in the forms people have, as parameters under open_clip's names.

Read are safetensors (in several files with an index too), what `torch.save` writes, and TorchScript
archives (`explorer.lens.archive`); the parameters may lie below keys such as `state_dict`, bear
prefixes such as `module.`, have the names of transformers' `CLIPModel`, or be of one tower only. No
code that a file brings is run. Numbers that aren't finite, and towers of zeros, are refused.
"""

from __future__ import annotations

import json
import math
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from explorer.errors import InputError
from explorer.lens.archive import is_script_archive, read_script_archive

State = dict[str, Tensor]

INDEX = ".index.json"  # names the files of weights that come in several
VISUAL = "visual."
_WRAPPINGS = ("state_dict", "model_state_dict", "model", "clip")
_PREFIXES = ("module.", "_orig_mod.", "model.", "clip.")
_OPENAI_MARKS = {"input_resolution", "context_length", "vocab_size"}
"""Buffers of OpenAI's archives, which are no parameters."""
_BLOCK_PARTS = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_OUTER = {
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "logit_scale": "logit_scale",
}
_TURNED = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}
"""Names of transformers' linear layers whose weights open_clip keeps transposed."""
_BLOCK = re.compile(r"(vision|text)_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


@dataclass(frozen=True)
class Checkpoint:
    """The parameters of a file."""

    state: State
    """Under open_clip's names."""
    quick_gelu: bool | None = None
    """Which activation they were trained with, where the file says it."""

    @property
    def has_image(self) -> bool:
        """Return whether an image tower is among them."""
        return any(name.startswith(VISUAL) for name in self.state)

    @property
    def has_text(self) -> bool:
        """Return whether a text tower is among them."""
        return any(name.endswith("token_embedding.weight") for name in self.state)


def read_weights(weights: Path, text: Path | None = None) -> Checkpoint:
    """Return the parameters of a whole CLIP, the text tower's from the file `text` if given.

    Raises:
        InputError: when a file cannot be read, lacks a tower, or holds numbers no model has.
    """
    found = read_checkpoint(weights)
    if not found.has_image:
        raise InputError(
            f"The weights {weights} hold no image tower under names of open_clip, OpenAI or "
            f"transformers (they begin with {', '.join(sorted(found.state)[:2])}): use a CLIP's."
        )
    if text is None and not found.has_text:
        raise InputError(
            f"The weights {weights} hold an image tower alone: name the file of its text tower as "
            "--pretrained-text FILE."
        )
    if text is not None:
        other = read_checkpoint(text)
        if not other.has_text:
            raise InputError(f"The weights {text} hold no text tower: name a file that has one.")
        state = {name: value for name, value in found.state.items() if name.startswith(VISUAL)}
        state |= {name: v for name, v in other.state.items() if not name.startswith(VISUAL)}
        found = Checkpoint(state, found.quick_gelu)
    found.state.setdefault("logit_scale", torch.tensor(math.log(1 / 0.07)))  # CLIP's initial one
    return found


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the parameters of one file, of one tower or both.

    Raises:
        InputError: when it cannot be read, or holds numbers no model has.
    """
    quick_gelu = None
    if path.suffix != ".safetensors" and is_script_archive(path):
        archive = read_script_archive(path)
        state = archive.parameters
        quick_gelu = _activation(archive.classes, state.keys())
    else:
        state = _unwrapped(_read(path))
    state = {
        name: value
        for name, value in state.items()
        if name not in _OPENAI_MARKS and not name.endswith(("attn_mask", "position_ids"))
    }
    if any(name.startswith(("vision_model.", "text_model.")) for name in state):
        state = _from_transformers(state)
    elif "class_embedding" in state:  # a bare image tower
        state = {VISUAL + name: value for name, value in state.items()}
    _check_values(path, state)
    return Checkpoint(state, quick_gelu)


def _activation(classes: frozenset[str], names: Any) -> bool | None:
    """Return whether an archive's activation is QuickGELU, by its classes or OpenAI's marks."""
    if "QuickGELU" in classes or set(names) >= _OPENAI_MARKS:
        return True
    return False if "GELU" in classes else None


def _read(path: Path) -> Any:
    if path.name.endswith(INDEX):
        files = sorted(set(json.loads(path.read_text("utf-8"))["weight_map"].values()))
        return {k: v for file in files for k, v in _read(path.parent / file).items()}
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"The file {path} holds Python objects beside its weights, or no weights, and is not "
            "read, since they could run code: save the model's state_dict alone."
        ) from error


def _unwrapped(found: Any) -> State:
    """Return the tensors of a checkpoint, keys and prefixes around them taken off."""
    while isinstance(found, Mapping):
        inner = (found[key] for key in _WRAPPINGS if isinstance(found.get(key), Mapping))
        below = next(inner, None)
        if below is None:
            break
        found = below
    if not isinstance(found, Mapping):
        raise InputError(f"The weights hold a {type(found).__name__} in place of named parameters.")
    state = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    if not state:
        raise InputError("The weights hold no parameters under names.")
    while prefix := next((p for p in _PREFIXES if all(n.startswith(p) for n in state)), ""):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _from_transformers(state: State) -> State:
    """Bring the names of transformers' `CLIPModel` to open_clip's; queries, keys, values joined."""
    named: State = {}
    for name, value in state.items():
        if name in _OUTER:
            named[_OUTER[name]] = value
        elif name in _TURNED:
            named[_TURNED[name]] = value.T.contiguous()
        elif match := _BLOCK.fullmatch(name):
            tower, block, part, kind = match.groups()
            place = f"{VISUAL if tower == 'vision' else ''}transformer.resblocks.{block}"
            if part in _BLOCK_PARTS:
                named[f"{place}.{_BLOCK_PARTS[part]}.{kind}"] = value
            elif part == _QKV[0]:
                before = name.removesuffix(f"{part}.{kind}")
                joined = torch.cat([state[f"{before}{each}.{kind}"] for each in _QKV])
                named[f"{place}.attn.in_proj_{kind}"] = joined
    return named


def _check_values(path: Path, state: State) -> None:
    """Refuse numbers that aren't finite, and a tower of zeros."""
    floats = {name: value for name, value in state.items() if value.is_floating_point()}
    odd = [name for name, value in floats.items() if not bool(torch.isfinite(value).all())]
    if odd:
        raise InputError(
            f"The weights {path} hold numbers that are not finite, in {odd[0]}"
            f"{f' and {len(odd) - 1} more parameters' if odd[1:] else ''}: the file is damaged or "
            "its training went wrong; use another one."
        )
    for image in (True, False):
        tower = [v for n, v in floats.items() if n.startswith(VISUAL) == image and v.ndim > 1]
        if tower and not any(bool(value.any()) for value in tower):
            raise InputError(
                f"The weights {path} are all zero in the {'image' if image else 'text'} tower: the "
                "file was written before anything was trained or copied; use another one."
            )

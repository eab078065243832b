"""Load open_clip models and encode images and texts with them.

A model comes from one of

* an open_clip name with a tag of its weights: `load_model("ViT-B-32", pretrained="openai")`,
* an open_clip name with a weights file: `load_model("ViT-B-32", pretrained="clip.safetensors")`,
* a folder with `open_clip_config.json` and weights: `load_model("local-dir:precomputed/x/model")`,
* an open_clip name alone: random weights, for benchmarks and tests.

The lens is exact for open_clip's own `VisionTransformer` with class-token pooling and standard
attention blocks, so `load_model` takes no other image tower (`check_supported`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import open_clip
import torch
from open_clip.transformer import LayerScale, ResidualAttentionBlock, VisionTransformer
from PIL import Image
from torch import Tensor, nn

from explorer.errors import InputError, UnsupportedModelError

LOCAL_SCHEMA = "local-dir:"
_PRECISIONS = {
    "float32": (torch.float32, "fp32"),
    "bfloat16": (torch.bfloat16, "bf16"),
}
_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pth")

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class LoadedModel:
    """A supported CLIP in eval mode with what its images and texts must go through."""

    model: Any
    """open_clip CLIP; parameters need no gradient."""
    preprocess: Callable[[Image.Image], Tensor]
    """RGB picture -> [3, height, width] float32; see `to_rgb` for other modes."""
    tokenizer: Callable[[list[str]], Tensor]
    """Texts -> [text, context] int64."""
    source: str
    """As given to `load_model`: an open_clip name, or `local-dir:` and a folder."""
    pretrained: str | None
    """As given to `load_model`: tag, weights file, or None for a folder or random weights."""
    device: torch.device
    dtype: torch.dtype
    """Precision of the weights: float32 or bfloat16. Results are float32 either way."""
    image_size: int
    """Side of the square input in pixels."""
    width: int
    """Width of the image tower's residual stream."""
    embed: int
    """Dimensions of the joint space."""
    layers: int
    """Blocks of the image tower. Layers 0 to `layers - 2` have second-order effects."""
    heads: int
    """Attention heads of a block of the image tower."""
    neurons: int
    """Neurons of one MLP layer of the image tower."""


def load_model(
    source: str,
    *,
    pretrained: str | None = None,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
) -> LoadedModel:
    """Load a CLIP model in eval mode; see the module's text for `source` and `pretrained`.

    `dtype` is "float32" or "bfloat16" (open_clip's mixed precision: LayerNorms stay float32).
    Random weights are drawn from torch's global generator: seed it first.

    Raises:
        InputError: when a name, tag or file is unknown, weights do not fit, or the device or dtype
            cannot be had.
        UnsupportedModelError: when the lens is not exact for the model's image tower.
    """
    target = _device(device)
    torch_dtype, precision = _precision(dtype)
    if source.startswith(LOCAL_SCHEMA):
        config = _read_local_config(Path(source.removeprefix(LOCAL_SCHEMA)), pretrained)
    else:
        config = _named_config(source)
    _check_config(config["vision_cfg"])
    quick_gelu = False
    if pretrained is not None:
        quick_gelu = _check_pretrained(source, pretrained)
    with _loading(source, pretrained):
        model, _, preprocess = open_clip.create_model_and_transforms(
            source,
            pretrained=pretrained,
            precision=precision,
            device=target,
            force_quick_gelu=quick_gelu,
        )
        tokenizer = open_clip.get_tokenizer(source)
    check_supported(model)
    visual = model.visual
    height, width = visual.image_size
    if height != width:
        raise UnsupportedModelError(
            f"Model {source} takes images of {height} x {width} pixels, and only square inputs are "
            "supported: choose a model with a square input."
        )
    if torch_dtype is torch.bfloat16:
        _lower_layer_scale(model)
    model.eval().requires_grad_(False)
    block = visual.transformer.resblocks[0]
    return LoadedModel(
        model=model,
        preprocess=preprocess,
        tokenizer=tokenizer,
        source=source,
        pretrained=pretrained,
        device=target,
        dtype=torch_dtype,
        image_size=height,
        width=visual.transformer.width,
        embed=visual.proj.shape[1],
        layers=len(visual.transformer.resblocks),
        heads=block.attn.num_heads,
        neurons=block.mlp.c_proj.in_features,
    )


def check_supported(model: nn.Module) -> None:
    """Check that the lens is exact for `model`.

    Raises:
        UnsupportedModelError: in one sentence, when it is not.
    """
    visual = getattr(model, "visual", None)
    if not isinstance(visual, VisionTransformer):
        found = "is missing" if visual is None else f"is of class {type(visual).__name__}"
        raise _unsupported(found)
    if visual.attn_pool is not None:
        raise _unsupported("pools its tokens by attention")
    if visual.pool_type != "tok":
        raise _unsupported(f"has pooling {visual.pool_type!r}")
    if visual.proj is None:
        raise _unsupported("has no projection into the joint space")
    blocks = visual.transformer.resblocks
    if not all(type(block) is ResidualAttentionBlock for block in blocks):
        raise _unsupported("has attention blocks of another kind")
    if not visual.transformer.batch_first:
        raise _unsupported("keeps tokens before images in its blocks")
    norms = [block.ln_1 for block in blocks] + [visual.ln_post]
    if not all(isinstance(norm, nn.LayerNorm) and norm.weight is not None for norm in norms):
        raise _unsupported("has normalisations other than LayerNorm with weights")
    if len(blocks) < 2:
        raise _unsupported("has a single block, so that no attention follows its neurons")


def to_rgb(image: Image.Image) -> Image.Image:
    """Return `image` in RGB; transparent parts, in whatever mode, are laid on white."""
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        if image.mode == "La":
            image = image.convert("LA")
        picture = image.convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        ground.alpha_composite(picture)
        return ground.convert("RGB")
    return image.convert("RGB")


@torch.no_grad()
def encode_images(
    loaded: LoadedModel, images: Tensor | Iterable[Image.Image], batch_size: int = 32
) -> Tensor:
    """Return unit-norm image embeddings, [image, embed] float32 on the CPU.

    `images` are preprocessed, [image, 3, height, width], or pictures, which are read one batch at
    a time.

    Raises:
        InputError: when the batch size is below 1, or a tensor has another shape.
    """
    if isinstance(images, Tensor) and images.ndim != 4:
        raise InputError(
            f"Preprocessed images have shape [image, 3, height, width] and {list(images.shape)} "
            "was given: stack them along a first axis."
        )
    parts = []
    for batch in _batches(images, batch_size):
        pixels = torch.stack(
            [
                item if isinstance(item, Tensor) else loaded.preprocess(to_rgb(item))
                for item in batch
            ]
        )
        pixels = pixels.to(loaded.device, loaded.dtype)
        parts.append(loaded.model.encode_image(pixels).float().cpu())
    return _unit_rows(parts, loaded.embed)


@torch.no_grad()
def encode_texts(loaded: LoadedModel, texts: Iterable[str], batch_size: int = 256) -> Tensor:
    """Return unit-norm text embeddings, [text, embed] float32 on the CPU.

    Texts longer than the model's context are cut.

    Raises:
        InputError: when the batch size is below 1, or a single string takes the place of a list.
    """
    if isinstance(texts, str):
        raise InputError("One text was given where a list of texts is expected: put it in a list.")
    parts = []
    for batch in _batches(texts, batch_size):
        tokens = loaded.tokenizer(batch).to(loaded.device)
        parts.append(loaded.model.encode_text(tokens).float().cpu())
    return _unit_rows(parts, loaded.embed)


def _unit_rows(parts: list[Tensor], embed: int) -> Tensor:
    rows = torch.cat(parts) if parts else torch.empty(0, embed)
    return nn.functional.normalize(rows, dim=-1)


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    if size < 1:
        raise InputError(f"A batch of {size} cannot be encoded: choose a batch size of 1 or more.")
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _unsupported(finding: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"The model's image tower {finding}, while second-order effects are computed for "
        "open_clip's own VisionTransformer with class-token pooling and standard attention blocks: "
        "choose such a model, for example ViT-B-32, ViT-L-14 or ViT-H-14."
    )


def _check_config(vision: dict[str, Any]) -> None:
    """Refuse what the configuration already rules out, before any weights are fetched."""
    if vision.get("timm_model_name"):
        raise _unsupported(f"is the timm model {vision['timm_model_name']}")
    if isinstance(vision.get("layers"), (list, tuple)):
        raise _unsupported("is a ResNet")
    if vision.get("attentional_pool"):
        raise _unsupported("pools its tokens by attention")


def _named_config(name: str) -> dict[str, Any]:
    known = open_clip.list_models()
    cleaned = name.replace("/", "-")
    if cleaned not in known:
        by_lower = {model.lower(): model for model in known}
        close = difflib.get_close_matches(cleaned.lower(), by_lower, n=3)
        remedy = (
            f"did you mean {', '.join(by_lower[match] for match in close)}?"
            if close
            else f"use a name such as ViT-B-32, or {LOCAL_SCHEMA}FOLDER."
        )
        raise InputError(f"open_clip knows no model {name!r}: {remedy}")
    config: dict[str, Any] = open_clip.get_model_config(cleaned)
    return config


def _read_local_config(folder: Path, pretrained: str | None) -> dict[str, Any]:
    path = folder / "open_clip_config.json"
    if pretrained is not None:
        raise InputError(
            f"Weights {pretrained!r} were given for the folder {folder}, which brings its own: "
            "leave them out, or give an open_clip model name instead of the folder."
        )
    if not folder.is_dir():
        raise InputError(f"There is no model folder {folder}: check the path after {LOCAL_SCHEMA}")
    if not path.is_file():
        raise InputError(
            f"The model folder {folder} has no open_clip_config.json: add the file that open_clip "
            "saves beside its weights."
        )
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["model_cfg"]
        if not isinstance(config["vision_cfg"], dict):
            raise TypeError("vision_cfg is not a table")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"The model's description {path} cannot be read ({type(error).__name__}: {error}): it "
            "must be JSON with model_cfg, and in it vision_cfg."
        ) from error
    if not any(file.suffix in _WEIGHT_SUFFIXES for file in folder.iterdir()):
        raise InputError(
            f"The model folder {folder} has no weights: add open_clip_model.safetensors to it."
        )
    return config


def _check_pretrained(name: str, pretrained: str) -> bool:
    """Return whether the tag's weights were trained with QuickGELU, False for a file."""
    cleaned = name.replace("/", "-")
    tag = open_clip.get_pretrained_cfg(cleaned, pretrained)
    if tag:
        return bool(tag.get("quick_gelu", False))
    if not Path(pretrained).is_file():
        known = open_clip.list_pretrained_tags_by_model(cleaned)
        tags = difflib.get_close_matches(pretrained, known, n=5) or known[:5]
        raise InputError(
            f"{pretrained!r} is neither a file nor a tag of weights for {name}: give a weights "
            f"file or one of {', '.join(tags) if tags else '(open_clip lists no tags)'}"
            f"{', …' if len(known) > len(tags) else '.'}"
        )
    return False


@contextmanager
def _loading(source: str, pretrained: str | None) -> Iterator[None]:
    """Turn whatever open_clip, torch, safetensors or a download raises into one sentence."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        weights = f" with weights {pretrained!r}" if pretrained is not None else ""
        raise InputError(
            f"Model {source}{weights} could not be loaded ({type(error).__name__}: {reason}): "
            "check that the weights belong to this model, are complete, and can be reached."
        ) from error


def _device(device: str | torch.device) -> torch.device:
    try:
        target = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"There is no device {device!r}: use cpu, cuda or cuda:0.") from error
    if target.type not in ("cpu", "cuda"):
        raise InputError(f"Device {target} is not supported: use cpu or cuda.")
    if target.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (target.index or 0) >= count:
            raise InputError(
                f"Device {target} was asked for and this machine has {count} CUDA devices that "
                "torch can use: use cpu, or a CUDA build of torch on a machine with a GPU."
            )
    return target


def _precision(dtype: str | torch.dtype) -> tuple[torch.dtype, str]:
    name = str(dtype).removeprefix("torch.")
    if name not in _PRECISIONS:
        raise InputError(f"Models are not loaded as {name!r}: use one of {', '.join(_PRECISIONS)}.")
    return _PRECISIONS[name]


def _lower_layer_scale(model: nn.Module) -> None:
    """Bring LayerScale to bfloat16: open_clip leaves it float32, which widens the stream after it.

    The widened stream would then meet bfloat16 weights in the next block and fail.
    """
    for module in model.modules():
        if isinstance(module, LayerScale):
            module.gamma.data = module.gamma.data.to(torch.bfloat16)

"""Load open_clip models and encode images and texts with them.

`explorer.lens.origin` says where a model may come from. The lens is exact for open_clip's own
`VisionTransformer` with class-token pooling and standard attention blocks, so `load_model` takes no
other image tower (`check_supported`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch
from open_clip.transformer import LayerScale, ResidualAttentionBlock, VisionTransformer
from PIL import Image
from torch import Tensor, nn

from explorer.errors import ExplorerError, InputError, UnsupportedModelError
from explorer.lens.checkpoint import State, read_weights
from explorer.lens.origin import Origin, create, fill, find_origin, preprocessing
from explorer.lens.tokens import encode_tokens
from explorer.pixels import to_rgb

_PRECISIONS = {
    "float32": (torch.float32, "fp32"),
    "bfloat16": (torch.bfloat16, "bf16"),
    "float16": (torch.float16, "fp16"),
}
_LOW = (torch.bfloat16, torch.float16)
HOLLOW = 0.01  # what every number of a hollow model is

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class LoadedModel:
    """A supported CLIP in eval mode with what its images and texts must go through."""

    model: Any
    """open_clip CLIP; parameters need no gradient."""
    preprocess: Callable[[Image.Image], Tensor]
    """RGB picture -> [3, height, width] float32; see `explorer.pixels` for other modes."""
    tokenizer: Callable[[list[str]], Tensor]
    """Texts -> [text, context] int64."""
    source: str
    """As given to `load_model`: an open_clip name, or `local-dir:` and a folder."""
    pretrained: str | None
    """As given to `load_model`: tag, weights file, or None for a folder or random weights."""
    pretrained_text: str | None
    """As given to `load_model`: the text tower's file where it has one of its own."""
    warnings: tuple[str, ...]
    """What nobody could check of the weights, a sentence each."""
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
    pretrained_text: str | None = None,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
) -> LoadedModel:
    """Load a CLIP model in eval mode; see `explorer.lens.origin` for `source` and `pretrained`.

    `pretrained_text` is the file of the text tower where that of `pretrained` holds the image tower
    alone. `dtype` is "float32", "bfloat16" or "float16" (open_clip's mixed precision:
    LayerNorms stay float32). Random weights are drawn from torch's global generator: seed it first.

    Raises:
        InputError: when a name, tag or file is unknown, weights do not fit, or the device or dtype
            cannot be had.
        UnsupportedModelError: when the lens is not exact for the model's image tower.
    """
    target = _device(device)
    torch_dtype, precision = _precision(dtype)
    _check_arithmetic(target, torch_dtype)
    origin = find_origin(source, pretrained)
    _check_config(origin.config["vision_cfg"])
    state, warnings = _read_state(origin, pretrained_text)
    with _loading(source, pretrained):
        model = create(origin, precision, target)
        if state is not None:
            fill(model, state)
        tokenizer = origin.tokenizer()
    check_supported(model)
    visual = model.visual
    with _loading(source, pretrained):
        preprocess = preprocessing(origin, visual.image_size)
        _try(preprocess)
    height, width = visual.image_size
    if height != width:
        raise UnsupportedModelError(
            f"Model {source} takes images of {height} x {width} pixels, and only square inputs are "
            "supported: choose a model with a square input."
        )
    if torch_dtype in _LOW:
        _lower_layer_scale(model, torch_dtype)
    model.eval().requires_grad_(False)
    block = visual.transformer.resblocks[0]
    return LoadedModel(
        model=model,
        preprocess=preprocess,
        tokenizer=tokenizer,
        source=source,
        pretrained=pretrained,
        pretrained_text=pretrained_text,
        warnings=warnings,
        device=target,
        dtype=torch_dtype,
        image_size=height,
        width=visual.transformer.width,
        embed=visual.proj.shape[1],
        layers=len(visual.transformer.resblocks),
        heads=block.attn.num_heads,
        neurons=block.mlp.c_proj.in_features,
    )


def hollow_model(
    source: str,
    pretrained: str | None = None,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
) -> Any:
    """Return a model whose image tower holds the same number everywhere, for its time alone.

    No weights are read or drawn, and the text tower takes no memory: it stays on the device "meta".

    Raises:
        InputError: when a name or tag is unknown, or the device or dtype cannot be had.
        UnsupportedModelError: when the lens is not exact for the model's image tower.
    """
    target = _device(device)
    torch_dtype, precision = _precision(dtype)
    _check_arithmetic(target, torch_dtype)
    with torch.device("meta"):
        model = create(find_origin(source, pretrained), precision, torch.device("meta"))
    check_supported(model)
    if torch_dtype in _LOW:
        _lower_layer_scale(model, torch_dtype)
    model.eval().requires_grad_(False)
    model.visual.to_empty(device=target)
    for parameter in model.visual.parameters():
        parameter.fill_(HOLLOW)
    return model


def _read_state(
    origin: Origin, pretrained_text: str | None
) -> tuple[State | None, tuple[str, ...]]:
    """Return the origin's parameters, None for random ones, and what nobody knows of them."""
    if origin.weights is None:
        return None, ()
    text = None if pretrained_text is None else Path(pretrained_text)
    if text is not None and not text.is_file():
        raise InputError(f"There is no file {text}: give the text tower's weights.")
    with _loading(origin.source, origin.pretrained):
        found = read_weights(origin.weights(), text)
    return found.state, origin.check_activation(found.quick_gelu)


def check_supported(model: nn.Module) -> None:
    """Check that the lens is exact for `model`.

    Raises:
        UnsupportedModelError: in one sentence, when it is not.
    """
    visual = getattr(model, "visual", None)
    if not isinstance(visual, VisionTransformer):
        missing = f"is missing from this {type(model).__name__} (a bundle's is bundle.model.model)"
        raise _unsupported(missing if visual is None else f"is of class {type(visual).__name__}")
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
        parts.append(encode_tokens(loaded.model, tokens).float().cpu())
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


@contextmanager
def _loading(source: str, pretrained: str | None) -> Iterator[None]:
    """Turn whatever open_clip, torch, safetensors or a download raises into one sentence."""
    try:
        yield
    except ExplorerError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        weights = f" with weights {pretrained!r}" if pretrained is not None else ""
        raise InputError(
            f"Model {source}{weights} could not be loaded ({type(error).__name__}: {reason}): "
            "check that the weights belong to this model, are complete, and can be reached."
        ) from error


def _try(preprocess: Callable[[Image.Image], Tensor]) -> None:
    """Preprocess one picture: a folder's settings for it may be none that can be followed."""
    pixels = preprocess(Image.new("RGB", (8, 8), "white"))
    if pixels.ndim != 3 or len(pixels) != 3 or not torch.isfinite(pixels).all():
        raise ValueError(f"preprocess_cfg makes {list(pixels.shape)} of a picture, or no numbers")


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


def _check_arithmetic(device: torch.device, dtype: torch.dtype) -> None:
    """Refuse a dtype that torch cannot compute a layer with on the device."""
    try:
        ones = torch.ones(2, 2, 2, device=device, dtype=dtype)
        nn.functional.gelu(torch.baddbmm(ones, ones, ones)).softmax(-1)
    except RuntimeError as error:
        name = str(dtype).removeprefix("torch.")
        raise InputError(
            f"This torch cannot compute in {name} on {device} ({error}): use float32 or bfloat16."
        ) from error


def _lower_layer_scale(model: nn.Module, dtype: torch.dtype) -> None:
    """Bring LayerScale to a low dtype: open_clip leaves it float32, which widens the stream.

    The widened stream would then meet the next block's weights of that dtype and fail.
    """
    for module in model.modules():
        if isinstance(module, LayerScale):
            module.gamma.data = module.gamma.data.to(dtype)

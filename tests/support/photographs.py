"""Folders of photographs as users have them: a sub-folder for each label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def photograph(seed: int, side: int = 48) -> Image.Image:
    """Coarse noise, enlarged: as unlike another seed's as photographs are."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return coarse.resize((side, side), Image.Resampling.BICUBIC)


def write_photographs(top: Path, labels: int, each: int) -> Path:
    """Write `each` photographs of every label into sub-folders of `top`; return it."""
    for place in range(labels * each):
        file = top / f"thing {place // each}" / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        photograph(place).save(file)
    return top

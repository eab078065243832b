"""Zero-shot segmentation: several texts at once on one picture, and a background.

1. The picture is seen whole, through one padded window or several tiles
   (`explorer.picture.framing`).
2. Each text gets a map (`explorer.picture.maps`); values below 0 speak against the text and count
   as 0.
3. Maps are interpolated onto the picture's own pixels.
4. A pixel goes to the text with the largest value there, since maps along unit directions share
   their units. It is background where that value is below `threshold` of the text's own peak, or
   below `FLOOR` of the strongest text's peak: a text that isn't in the picture has a low peak.

The threshold is calibrated per method on seeded scenes apart from those measured on
(`explorer.evidence.measures.segmentation`). `Study.segment` makes a segmentation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explorer.errors import InputError
from explorer.picture.framing import Framing
from explorer.picture.presence import DOUBTFUL
from explorer.picture.settings import FLOOR, SCALES

BAND = 2**24  # map values that are held at once


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Maps of several texts on one picture."""

    texts: tuple[str, ...]
    framing: Framing
    grids: Tensor
    """[window, text, patch_row, patch_column]: maps, see `explorer.picture.heatmaps.grounded`."""
    threshold: float
    """Share of a text's own peak below which a pixel is background."""
    confidence: tuple[float, ...]
    """How surely each text is in the picture, 0 to 1; see `explorer.picture.presence`."""

    @property
    def doubtful(self) -> list[str]:
        """Texts that may well not be in the picture."""
        pairs = zip(self.texts, self.confidence, strict=True)
        return [text for text, share in pairs if share < DOUBTFUL]

    def maps(self, size: tuple[int, int] | None = None) -> Tensor:
        """Return the maps on the picture's pixels, [text, row, column]; `size` as for `Framing`."""
        return self.framing.to_picture(self.grids, size)

    def strengths(self, size: tuple[int, int] | None = None, scale: str = "own") -> Tensor:
        """Return maps from 0 to 1: positive values over their peak, [text, row, column].

        The peak is each text's own or, with `scale` "shared", the strongest text's.

        Raises:
            InputError: when there is no such scale.
        """
        return scaled(self.maps(size), scale)

    def ends(self, scale: str = "own") -> list[float]:
        """Return the patch value at which each text's strength is 1, in the maps' units: [text]."""
        peaks = self.grids.clamp(min=0).amax(dim=(0, 2, 3))
        ends: list[float] = (peaks.amax().expand_as(peaks) if scale == "shared" else peaks).tolist()
        return ends

    def difference(self, first: str, second: str, size: tuple[int, int] | None = None) -> Tensor:
        """Return the first text's map minus the second's, in the maps' units: [row, column].

        Raises:
            InputError: when a text was not looked for.
        """
        missing = [text for text in (first, second) if text not in self.texts]
        if missing:
            have = ", ".join(self.texts)
            raise InputError(f"“{missing[0]}” was not looked for: compare two of {have}.")
        one, other = (self.texts.index(text) for text in (first, second))
        apart = self.grids[:, one] - self.grids[:, other]
        return self.framing.to_picture(apart[:, None], size)[0]

    def labels(self, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Return the label map, [row, column] uint8: 0 background, 1 the first text.

        It is made in bands of rows: maps of several texts at a photograph's full size take
        gigabytes.
        """
        width, height = size or (self.framing.width, self.framing.height)
        step = max(1, BAND // (width * len(self.texts)))
        bands = [slice(top, top + step) for top in range(0, height, step)]
        peaks = torch.stack([self._positive(size, band).amax(dim=(1, 2)) for band in bands]).amax(
            dim=0
        )
        return np.concatenate([self._labelled(size, band, peaks) for band in bands])

    def _positive(self, size: tuple[int, int] | None, rows: slice) -> Tensor:
        return self.framing.to_picture(self.grids, size, rows).clamp(min=0)

    def _labelled(
        self, size: tuple[int, int] | None, rows: slice, peaks: Tensor
    ) -> NDArray[np.uint8]:
        value, winner = self._positive(size, rows).max(dim=0)
        least = torch.maximum(self.threshold * peaks, FLOOR * peaks.max())[winner]
        labels = torch.where((value >= least) & (value > 0), winner + 1, 0)
        found: NDArray[np.uint8] = labels.numpy().astype(np.uint8)
        return found


def scaled(maps: Tensor, scale: str = "own") -> Tensor:
    """Return positive values over their peak, the text's own or the shared one.

    `maps` is [text, row, column].

    Raises:
        InputError: when there is no such scale.
    """
    if scale not in SCALES:
        raise InputError(f"There is no scale {scale!r}: choose {' or '.join(SCALES)}.")
    positive = maps.clamp(min=0)
    peaks = positive.amax(dim=(1, 2), keepdim=True)
    if scale == "shared":
        peaks = peaks.amax().expand_as(peaks)
    return positive / peaks.clamp(min=torch.finfo(positive.dtype).tiny)

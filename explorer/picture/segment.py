"""Zero-shot segmentation: several texts at once on one picture, and a background.

1. The picture is seen whole, through one padded window or several tiles (`explorer.framing`).
2. Each text gets a map (`explorer.heatmaps`); values below 0 speak against the text and count as 0.
3. Maps are interpolated onto the picture's own pixels.
4. A pixel goes to the text with the largest value there, since maps along unit directions share
   their units. It is background where that value is below `threshold` of the text's own peak, or
   below `FLOOR` of the strongest text's peak: a text that isn't in the picture has a low peak.

The threshold is calibrated per method on seeded scenes apart from those measured on
(`explorer.segmentation_evidence`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.lens.models import to_rgb
from explorer.picture.framing import Framing
from explorer.picture.maps import MapSettings, Reading, as_lens_model, grounded, heatmaps, read
from explorer.picture.model import LensModel, check_texts
from explorer.picture.presence import DOUBTFUL, Presence

FLOOR = 0.2  # of the strongest text's peak
BAND = 2**24  # map values that are held at once
USUAL_THRESHOLD = 0.4  # of a text's own peak, where a bundle brings no calibrated one
SCALES = ("own", "shared")


@dataclass(frozen=True)
class SegmentSettings:
    """How a picture is segmented."""

    method: str = "second-order"
    maps: MapSettings = field(default_factory=lambda: MapSettings(refine=True))
    fit: str = "pad"
    threshold: float | None = None
    """Share of a text's peak; None takes the calibrated one."""

    def __post_init__(self) -> None:
        """Refuse a threshold outside 0 to 1."""
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise InputError(f"A threshold of {self.threshold} cannot be: choose one from 0 to 1.")


@dataclass(frozen=True, eq=False)
class PictureReading:
    """One picture's pass, from which maps for any texts are made."""

    framing: Framing
    reading: Reading

    @cached_property
    def presence(self) -> Presence:
        """How surely texts are in the picture."""
        return Presence(self.reading)

    @classmethod
    def of(
        cls, lens_model: LensModel | Bundle, picture: Image.Image, fit: str = "pad"
    ) -> PictureReading:
        """Run the lens over a picture of any shape and mode."""
        opened = as_lens_model(lens_model)
        rgb = to_rgb(picture)
        framing = Framing.of(rgb.size, fit)
        windows = framing.cut(rgb, opened.loaded.image_size)
        pixels = torch.stack([opened.loaded.preprocess(window) for window in windows])
        return cls(framing, read(opened, pixels))


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Maps of several texts on one picture."""

    texts: tuple[str, ...]
    framing: Framing
    grids: Tensor
    """[window, text, patch_row, patch_column]: the maps, see `explorer.heatmaps.grounded`."""
    threshold: float
    """Share of a text's own peak below which a pixel is background."""
    confidence: tuple[float, ...]
    """How surely each text is in the picture, 0 to 1; see `explorer.presence`."""

    def maps(self, size: tuple[int, int] | None = None) -> Tensor:
        """Return the maps on the picture's pixels, [text, row, column]; `size` as for `Framing`."""
        return self.framing.to_picture(self.grids, size)

    def strengths(self, size: tuple[int, int] | None = None, scale: str = "own") -> Tensor:
        """Return maps from 0 to 1: positive values over their peak, [text, row, column].

        The peak is each text's own or, with `scale` "shared", the strongest text's. Raises
        InputError for another scale.
        """
        return scaled(self.maps(size), scale)

    def labels(self, size: tuple[int, int] | None = None) -> np.ndarray:
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

    def _labelled(self, size: tuple[int, int] | None, rows: slice, peaks: Tensor) -> np.ndarray:
        value, winner = self._positive(size, rows).max(dim=0)
        least = torch.maximum(self.threshold * peaks, FLOOR * peaks.max())[winner]
        labels = torch.where((value >= least) & (value > 0), winner + 1, 0)
        return labels.numpy().astype(np.uint8)

    @property
    def doubtful(self) -> list[str]:
        """Texts that may well not be in the picture."""
        pairs = zip(self.texts, self.confidence, strict=True)
        return [text for text, share in pairs if share < DOUBTFUL]


def segment(
    lens_model: LensModel | Bundle,
    picture: Image.Image | PictureReading,
    texts: Sequence[str],
    settings: SegmentSettings = SegmentSettings(),
) -> Segmentation:
    """Return where in a picture of any shape each text is.

    `lens_model` is an opened bundle, or a model, for which the usual threshold is taken. Raises
    InputError for texts, a method, a fit or a shape that cannot be used.
    """
    opened = as_lens_model(lens_model)
    names = tuple(dict.fromkeys(check_texts(texts)))
    seen = (
        picture
        if isinstance(picture, PictureReading)
        else PictureReading.of(opened, picture, settings.fit)
    )
    maps = heatmaps(opened, seen.reading, names, settings.method, settings.maps)
    grids = grounded(maps, settings.method)
    threshold = settings.threshold
    if threshold is None:
        bundle = lens_model if isinstance(lens_model, Bundle) else None
        threshold = calibrated_threshold(bundle, settings.method)
    sure = seen.presence.confidence(opened.text_directions(names))
    return Segmentation(names, seen.framing, grids, threshold, tuple(sure.tolist()))


def scaled(maps: Tensor, scale: str = "own") -> Tensor:
    """Return positive values over their peak, the text's own or the shared one."""
    if scale not in SCALES:
        raise InputError(f"There is no scale {scale!r}: choose {' or '.join(SCALES)}.")
    positive = maps.clamp(min=0)
    peaks = positive.amax(dim=(1, 2), keepdim=True)
    if scale == "shared":
        peaks = peaks.amax().expand_as(peaks)
    return positive / peaks.clamp(min=torch.finfo(positive.dtype).tiny)


def calibrated_threshold(bundle: Bundle | None, method: str) -> float:
    """Return the method's threshold as measured on the bundle, or the usual one."""
    measured = bundle.manifest.evidence.get("segmentation", {}) if bundle else {}
    return float(measured.get("thresholds", {}).get(method, USUAL_THRESHOLD))


def difference(
    segmentation: Segmentation, first: str, second: str, size: tuple[int, int] | None = None
) -> Tensor:
    """Return the first text's map minus the second's, in the maps' units: [row, column].

    Raises InputError for a text that was not looked for.
    """
    missing = [text for text in (first, second) if text not in segmentation.texts]
    if missing:
        have = ", ".join(segmentation.texts)
        raise InputError(f"“{missing[0]}” was not looked for: compare two of {have}.")
    one, other = (segmentation.texts.index(text) for text in (first, second))
    apart = segmentation.grids[:, one] - segmentation.grids[:, other]
    return segmentation.framing.to_picture(apart[:, None], size)[0]

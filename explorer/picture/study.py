"""One picture under the lens: made once, and handed to whoever asks something of it.

    study = Study.of(bundle, picture)
    study.effects                        every neuron's effect
    study.discovery()                    the concepts its neurons add
    study.segment(["dog", "ball"])       where texts come from

There is one pass for each way to frame the picture, made when first asked for; all else is read off
it and kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.kept import kept
from explorer.lens.texts import check_texts
from explorer.picture.discover import Discovery, discover, neuron_maps
from explorer.picture.framing import Framing
from explorer.picture.heatmaps import grounded, heatmaps
from explorer.picture.model import LensModel, open_lens_model
from explorer.picture.pair_effects import pair_effects
from explorer.picture.patches import Patch, strongest_at_patches
from explorer.picture.presence import Presence
from explorer.picture.reading import Reading, picture_pixels
from explorer.picture.segment import Segmentation
from explorer.picture.settings import USUAL, SegmentSettings, calibrated_threshold, check_shape
from explorer.pixels import to_rgb

MOST_SEGMENTATIONS = 24  # that are kept


@dataclass(frozen=True, eq=False)
class Study:
    """One picture, and what an open model and its bundle say of it."""

    lens_model: LensModel
    picture: Image.Image
    """RGB, of any shape."""
    bundle: Bundle
    _segmentations: dict[tuple[tuple[str, ...], SegmentSettings], Segmentation] = field(
        default_factory=dict, init=False, repr=False
    )

    @classmethod
    def of(cls, bundle: Bundle, picture: Image.Image) -> Study:
        """Return the study of a picture of any shape and mode; nothing is computed yet.

        Raises:
            InputError: when the bundle's model cannot be loaded, or this is no picture or too long.
        """
        if not isinstance(picture, Image.Image):
            raise InputError(
                f"A study is of a picture and got a {type(picture).__name__}: open it first, with "
                "PIL.Image.open."
            )
        check_shape(picture.size)
        return cls(open_lens_model(bundle), to_rgb(picture), bundle)

    def framing(self, fit: str = "pad") -> Framing:
        """Return the windows through which the picture is seen.

        Raises:
            InputError: when there is no such `fit`.
        """
        return Framing.of(self.picture.size, fit)

    def reading(self, fit: str = "pad") -> Reading:
        """Return the pass over the picture's windows: one image per window.

        Raises:
            InputError: when there is no such `fit`.
        """

        def make() -> Reading:
            pixels = picture_pixels(self.lens_model, self.picture, self.framing(fit))
            return Reading(self.lens_model, pixels)

        return kept(self, f"reading {fit}", make)

    def presence(self, fit: str = "pad") -> Presence:
        """Return how surely texts are in the picture."""
        return kept(self, f"presence {fit}", lambda: Presence(self.reading(fit)))

    @property
    def effects(self) -> NDArray[np.float32]:
        """Every neuron's centred effect along its own direction, [neuron], by bundle row."""
        effects: NDArray[np.float32] = self.reading().effects[0]
        return effects

    @cached_property
    def pair_effects(self) -> NDArray[np.float32]:
        """The centred effects of all neuron-head pairs that matter: [pair]; see `pair_effects`.

        Raises:
            InputError: when the bundle has no pairs.
        """
        return pair_effects(self.bundle, self.reading())

    @cached_property
    def unfamiliar(self) -> bool:
        """Whether no text is as near as is usual among the bundle's own pictures."""
        return self.presence().unfamiliar(self.bundle)

    @cached_property
    def patches(self) -> list[list[Patch]]:
        """What is strongest at each patch of the picture seen whole: [row][column]."""
        return strongest_at_patches(self.bundle, self.reading())

    def discovery(self, top: int = 12, neurons: int = 12) -> Discovery:
        """Return the concepts and neurons of the picture seen whole; see `discover`."""
        return kept(
            self,
            f"discovery {top} {neurons}",
            lambda: discover(self.bundle, self.reading(), top=top, neurons=neurons),
        )

    def likely(self, top: int) -> tuple[str, ...]:
        """Return the dictionary's texts that the picture most surely shows, surest first."""
        return tuple(self.bundle.texts[place] for place in self.presence().likely(top))

    def neuron_maps(self, rows: Sequence[int]) -> Tensor:
        """Return each patch's share of neurons' effects: [neuron, patch_row, patch_column]."""
        return neuron_maps(self.bundle, self.reading(), list(rows))

    def segment(self, texts: Sequence[str], settings: SegmentSettings = USUAL) -> Segmentation:
        """Return where in the picture each text is.

        Raises:
            InputError: when a text, the method or the fit cannot be used.
        """
        names = tuple(dict.fromkeys(check_texts(texts)))
        if (names, settings) not in self._segmentations:
            while len(self._segmentations) >= MOST_SEGMENTATIONS:
                self._segmentations.pop(next(iter(self._segmentations)))
            self._segmentations[names, settings] = self._segment(names, settings)
        return self._segmentations[names, settings]

    def _segment(self, texts: tuple[str, ...], settings: SegmentSettings) -> Segmentation:
        reading = self.reading(settings.fit)
        maps = heatmaps(reading, texts, settings.method, settings.maps)
        threshold = settings.threshold
        if threshold is None:
            threshold = calibrated_threshold(self.bundle, settings.method)
        sure = self.presence(settings.fit).confidence(self.lens_model.text_directions(texts))
        return Segmentation(
            texts,
            self.framing(settings.fit),
            grounded(maps, settings.method),
            threshold,
            tuple(sure.tolist()),
        )

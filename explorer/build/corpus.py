"""The images of a build and the model that looks at them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from explorer.build.sources import ImageSource
from explorer.errors import InputError
from explorer.lens.models import LoadedModel
from explorer.pixels import to_rgb


@dataclass(frozen=True, eq=False)
class Corpus:
    """The images of a build and the model that looks at them."""

    loaded: LoadedModel
    layers: list[int]
    source: ImageSource
    images: int
    """Corpus images; they are the source's first."""
    halves: NDArray[np.int8]
    """[image]: 0 or 1, the half of the corpus; see `explorer.describe.prediction`."""

    def pixels(self, numbers: NDArray[np.integer]) -> Tensor:
        """Return preprocessed images, [image, 3, row, column] on the model's device.

        Raises:
            InputError: when a picture has gone since it was counted.
        """
        pictures = [self.loaded.preprocess(self._picture(int(number))) for number in numbers]
        return torch.stack(pictures).to(self.loaded.device, self.loaded.dtype)

    def _picture(self, image: int) -> Image.Image:
        try:
            return to_rgb(self.source.picture(image))
        except OSError as error:
            raise InputError(
                f"A picture of {self.source.name} cannot be read any more ({error}); restore it "
                "and run the same command, or build anew into another folder."
            ) from error

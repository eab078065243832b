"""The images of a build and the model that looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from explorer.build.listed import UNREADABLE
from explorer.build.sources import ImageSource
from explorer.build.views import Viewer
from explorer.build.workers import in_order, worker_count
from explorer.errors import InputError
from explorer.lens.models import LoadedModel

LEFT = 0.5
"""Of the cores, that the model leaves to workers."""


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

    views: Callable[[NDArray[np.integer]], NDArray[Any]] | None = None
    """Image numbers -> what the model sees of them, where that was kept on disk."""

    @cached_property
    def viewer(self) -> Viewer:
        """How the model sees a picture."""
        return Viewer.of(self.loaded)

    def pixels(self, numbers: NDArray[np.integer]) -> Tensor:
        """Return preprocessed images, [image, 3, row, column] on the model's device.

        Raises:
            InputError: when a picture has gone since it was counted.
        """
        return self.viewer.tensor(self.seen(numbers))

    def seen(self, numbers: NDArray[np.integer]) -> NDArray[Any]:
        """Return what the model sees of some images, [image, ...]; see `Viewer.view`.

        Raises:
            InputError: when a picture has gone since it was counted.
        """
        if self.views is not None:
            return self.views(numbers)
        return np.stack([self._view(int(number)) for number in numbers])

    def batches(
        self, numbers: Sequence[NDArray[np.integer]], workers: int | None
    ) -> AbstractContextManager[Iterator[NDArray[Any]]]:
        """Return what the model sees of batches of images, in order; worker processes see ahead.

        What was kept on disk needs no workers.
        """
        images = 0 if self.views is not None else sum(map(len, numbers))
        return in_order(self.seen, numbers, worker_count(workers, images, LEFT))

    def _view(self, image: int) -> NDArray[Any]:
        try:
            return self.viewer.view(self.source.picture(image))
        except UNREADABLE as error:
            raise InputError(
                f"A picture of {self.source.name} cannot be read any more ({error}); restore it "
                "and run the same command, or build anew into another folder."
            ) from error

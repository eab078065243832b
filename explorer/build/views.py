"""What a model sees of a picture: its pixels at the input's size, as bytes, and as a tensor.

A picture is brought to size on the CPU, by worker processes where there are many, and normalised
where the model is: a fourth of the bytes go there. The bytes may be kept on disk, so that no
picture is decoded twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from explorer.lens.models import LoadedModel
from explorer.pixels import to_rgb
from explorer.resumable import save_arrays

SHARE = 0.5
"""Of the free disk space, that kept views may take."""
_TO_TENSOR = ("ToTensor", "MaybeToTensor")

View = NDArray[Any]
"""[row, column, channel] uint8, or [channel, row, column] float32 where that is all there is."""


@dataclass(frozen=True, eq=False)
class Viewer:
    """A model's preprocessing, in two parts where it has them."""

    look: Callable[[Image.Image], Any]
    """RGB picture -> picture at the input's size, or the tensor."""
    finish: Callable[[Tensor], Tensor] | None
    """[image, channel, row, column] in 0 to 1 -> the model's input; None where `look` does it."""
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, loaded: LoadedModel) -> Viewer:
        """Take a model's preprocessing apart: what works on pictures, what on numbers."""
        steps = list(getattr(loaded.preprocess, "transforms", []))
        names = [type(step).__name__ for step in steps]
        places = [place for place, name in enumerate(names) if name in _TO_TENSOR]
        if len(places) != 1 or set(names[places[0] + 1 :]) != {"Normalize"}:
            return cls(loaded.preprocess, None, loaded.device, loaded.dtype)
        first, then = steps[: places[0]], steps[places[0] + 1 :]
        return cls(_Steps(first), _Steps(then), loaded.device, loaded.dtype)

    def view(self, picture: Image.Image) -> View:
        """Return what the model sees of a picture of any mode."""
        seen = self.look(to_rgb(picture))
        return np.asarray(seen) if self.finish is not None else seen.numpy()

    def tensor(self, views: NDArray[Any]) -> Tensor:
        """Return the model's input of views [image, ...]: [image, channel, row, column].

        Equal to the preprocessed pictures, stacked.
        """
        pixels = torch.from_numpy(views)
        if self.device.type == "cuda":
            pixels = pixels.pin_memory()
        pixels = pixels.to(self.device, non_blocking=True)
        if self.finish is not None:
            # as torchvision's to_tensor
            pixels = self.finish(pixels.permute(0, 3, 1, 2).contiguous().float().div(255))
        return pixels.to(self.dtype)


@dataclass(frozen=True)
class _Steps:
    steps: Sequence[Callable[[Any], Any]]

    def __call__(self, seen: Any) -> Any:
        for step in self.steps:
            seen = step(seen)
        return seen


class KeptViews:
    """Views on disk, in the order in which pictures were read; removed with the build's folder."""

    def __init__(self, folder: Path, side: int) -> None:
        """Keep views of `side` x `side` pixels in `folder`."""
        self.folder, self.bytes = folder, 3 * side * side
        self.shape = (side, side, 3)

    @property
    def _blob(self) -> Path:
        return self.folder / "views.bin"

    @property
    def _places(self) -> Path:
        return self.folder / "views.npz"

    def fit(self, pictures: int) -> bool:
        """Return whether there is room for so many."""
        return pictures * self.bytes < SHARE * shutil.disk_usage(self.folder).free

    def write(self) -> Any:
        """Open the file that views are written into, one after the other."""
        self._places.unlink(missing_ok=True)
        return self._blob.open("wb")

    def seal(self, places: Sequence[int] | NDArray[np.integer[Any]]) -> None:
        """Say where each image's view is, [image]: number of the view in the order written."""
        save_arrays(self._places, {"places": np.asarray(places, np.int64)})

    def open(self) -> StoredViews | None:
        """Return the views by image number; None where none are kept."""
        if not self._places.is_file():
            return None
        with np.load(self._places) as saved:
            return StoredViews(self._blob.absolute(), saved["places"], self.shape)


@dataclass(frozen=True, eq=False)
class StoredViews:
    """A file of views, which each process that gets this opens for itself."""

    blob: Path
    places: NDArray[np.int64]
    """[image]: number of its view in the file."""
    shape: tuple[int, int, int]

    def __call__(self, images: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """Return the views of some images, [image, row, column, channel].

        Raises:
            OSError: when the file is not there.
        """
        return np.ascontiguousarray(self._views[self.places[images]])

    def __getstate__(self) -> dict[str, Any]:
        """Leave the map of the file behind."""
        return {name: value for name, value in self.__dict__.items() if name != "_views"}

    @cached_property
    def _views(self) -> NDArray[np.uint8]:
        return np.memmap(self.blob, np.uint8, "r").reshape(-1, *self.shape)

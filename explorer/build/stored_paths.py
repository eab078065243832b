"""A lens whose paths are on disk: gigabytes that only the beginning and the end of a pass read."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.build.memory import IN_MEMORY
from explorer.lens import MultiLayerLens, second_order_paths
from explorer.lens.shapes import model_shape
from explorer.resumable import save_array


def lens_for(model: torch.nn.Module, layers: list[int], folder: Path | None) -> MultiLayerLens:
    """Return the lens of some layers, with its paths in `folder` where they are large.

    On a GPU they stay with the model.
    """
    shape = model_shape(model)
    size = 4 * shape.neurons * shape.embed * sum(shape.paths(layer) for layer in layers)
    on_cpu = next(model.parameters()).device.type == "cpu"
    if folder is None or size <= IN_MEMORY or not on_cpu:
        return MultiLayerLens(model, layers)
    return StoredPathsLens(model, layers, folder)


class StoredPathsLens(MultiLayerLens):
    """The same, with paths that are read from files when they are needed."""

    def __init__(self, model: torch.nn.Module, layers: list[int], folder: Path) -> None:
        """Keep the files in `folder`; those of a stopped pass are taken up."""
        super().__init__(model, layers)
        self.folder = folder
        self._maps: dict[int, Any] = {}  # NumPy's maps, whose own map its types leave out

    @cached_property
    def paths(self) -> Mapping[int, Tensor]:
        """Layer -> [neuron, path, embed] float32, mapped from a file."""
        for layer in self.layers:
            file = self.folder / f"paths_{layer:02d}.npy"
            if not file.is_file():
                save_array(file, second_order_paths(self.model, layer, centre=self.centre).numpy())
            self._maps[layer] = np.load(file, mmap_mode="c")
        return {layer: torch.from_numpy(held) for layer, held in self._maps.items()}

    def forget(self) -> None:
        """Give back the memory of what was read; it is read again when it is needed."""
        for held in self._maps.values():
            held._mmap.madvise(mmap.MADV_DONTNEED)

"""Write a bundle's arrays, each checked against its entry in the table of `explorer.bundle.arrays`.

    writer = ArrayWriter(folder)
    writer.write("directions", directions.astype(np.float16))
    writer.write_layer(8, mean_coefficients)

The dtype must be the stated one: whoever rounds numbers says so where it is done. An axis gets its
length from the first array that has it, and every later one must agree.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.bundle.arrays import ARRAYS, MEAN_COEFFICIENTS, Array
from explorer.errors import BundleError


class ArrayWriter:
    """Writes arrays into one folder and remembers the lengths of their axes."""

    def __init__(self, folder: Path) -> None:
        """Write into `folder`, which must exist."""
        self.folder = folder
        self.sizes: dict[str, int] = {}

    def write(self, name: str, values: NDArray[Any]) -> None:
        """Write the array of that name.

        Raises:
            BundleError: when there is no such array in the table, or `values` have other axes,
                another dtype, or values that do not occur; nothing is written then.
        """
        if name not in ARRAYS:
            raise BundleError(
                f"A bundle has no array '{name}': add it to the table in explorer/bundle/arrays.py."
            )
        entry = ARRAYS[name]
        self._save(entry, values, self.sizes, None)
        plain = zip(entry.axes, values.shape, strict=True)
        self.sizes |= {axis: size for axis, size in plain if "+" not in axis}

    def write_layer(self, layer: int, values: NDArray[Any]) -> None:
        """Write a layer's mean coefficients, [path, neuron] float32.

        Raises:
            BundleError: when `values` have other axes, another dtype or are not finite.
        """
        (self.folder / MEAN_COEFFICIENTS.name).mkdir(exist_ok=True)
        self._save(MEAN_COEFFICIENTS, values, {}, layer)

    def _save(
        self, entry: Array[Any], values: NDArray[Any], sizes: dict[str, int], layer: int | None
    ) -> None:
        file = self.folder / entry.file(layer)
        problem = entry.form_problem(values, sizes) or entry.value_problem(values, sizes)
        if problem:
            raise BundleError(f"{file} is not written: {problem}.")
        np.save(file, values, allow_pickle=False)

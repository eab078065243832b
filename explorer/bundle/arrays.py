"""The table of a bundle's arrays: what each one is, how it is written, read and checked.

Every array is one `.npy` file of its name in the bundle's folder. An entry of `Arrays` says its
axes, its dtype, what its numbers mean and which values may occur. All else follows from it: the
typed attribute of `Bundle`, the file's name, the checks at writing and reading, and the table in
`docs/bundle-format.md`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from explorer.errors import BundleError, InputError, brief

RESTORE = "restore it from where the bundle came from, or build the bundle again"
UNREADABLE = (OSError, ValueError, EOFError, OverflowError, MemoryError, SyntaxError, TypeError)
"""What NumPy raises of a file that is no array, or whose head is none."""
AXES = {
    "neuron": "rows of the neuron table",
    "text": "rows of the text table",
    "image": "corpus images, the first rows of the image table",
    "embed": "dimensions of the joint space",
    "path": "attention heads of later blocks, block by block",
    "concept": "texts of a neuron's sparse set",
    "end": "0 the positive end of a direction, 1 the negative end",
    "place": "place among a neuron's strongest images of one end",
    "neighbour": "place among a neuron's nearest neurons",
    "pair": "pairs of a neuron with later heads that matter, in the order of their choice",
    "word": "texts of a pair",
    "strongest": "place among a pair's strongest images",
    "bin": "bins of the histogram of effect norms; `bin+1` are their edges",
    "sample": "images of the random sample",
    "coordinate": "two coordinates of the map",
}
"""Axes of one name have one length in all arrays, but for the files of single layers."""

FIXED = {"end": 2, "coordinate": 2}
NO_PAIRS = (
    "The bundle at {0} has no neuron-head pairs: add them with 'python -m explorer pairs {0}'."
)
BLOCK = 2**16  # values whose extent is taken at once

Scalar = TypeVar("Scalar", bound=np.generic)


class Array(Generic[Scalar]):
    """One entry of the table; as an attribute of a bundle it is the memory-mapped array itself."""

    def __init__(
        self,
        axes: str,
        dtype: type[Scalar],
        about: str,
        *,
        least: float | None = None,
        most: float | None = None,
        row_of: str | None = None,
        gaps: bool = False,
        rising: bool = False,
        per_layer: bool = False,
        optional: bool = False,
    ) -> None:
        """Describe an array.

        axes: names with blanks between. least, most: bounds that every value keeps. row_of: the
        values are numbers of rows along this axis, -1 for none. gaps: NaN may occur. rising: no
        value is less than the one before. per_layer: one file for each layer, in a folder of the
        array's name. optional: a bundle may lack it.
        """
        self.axes = tuple(axes.split())
        self.dtype = np.dtype(dtype)
        self.about = about
        self.least = -1 if row_of else least
        self.most, self.row_of, self.gaps, self.per_layer = most, row_of, gaps, per_layer
        self.rising, self.optional = rising, optional
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the attribute's name, which is the file's too."""
        self.name = name

    @overload
    def __get__(self, bundle: None, owner: type) -> Self: ...

    @overload
    def __get__(self, bundle: Arrays, owner: type) -> NDArray[Scalar]: ...

    def __get__(self, bundle: Arrays | None, owner: type) -> Self | NDArray[Scalar]:
        """Return the array of a bundle; its values are checked when it is first asked for.

        Raises:
            BundleError: when the file is damaged.
            InputError: when it is an optional one that the bundle lacks.
        """
        if bundle is None:
            return self
        if self.optional and not bundle.paired:
            raise InputError(NO_PAIRS.format(bundle.path))
        array = self.read(bundle.path, bundle.sizes)
        bundle.__dict__[self.name] = array  # found before this method from now on
        return array

    def file(self, layer: int | None = None) -> str:
        """Return the file's path below the bundle's folder."""
        return f"{self.name}.npy" if layer is None else f"{self.name}/layer_{layer:02d}.npy"

    def read(
        self, folder: Path, sizes: Mapping[str, int], layer: int | None = None
    ) -> NDArray[Scalar]:
        """Return the array in a folder, memory-mapped and read-only, with its values checked.

        Raises:
            BundleError: when the file cannot be read, or holds an array of another form, or values
                that do not occur.
        """
        array = self.opened(folder, sizes, layer)
        # through a map of its own: what was read for the check doesn't stay with this process
        if problem := self.value_problem(self.opened(folder, sizes, layer), sizes):
            raise BundleError(f"{folder / self.file(layer)}: {problem}; {RESTORE}.")
        return array

    def opened(
        self, folder: Path, sizes: Mapping[str, int], layer: int | None = None
    ) -> NDArray[Scalar]:
        """Return the array in a folder, memory-mapped and read-only; reads no value.

        Raises:
            BundleError: when the file cannot be read, or holds an array of another form.
        """
        file = folder / self.file(layer)
        try:
            array: NDArray[Scalar] = np.load(file, mmap_mode="r", allow_pickle=False)
        except UNREADABLE as error:
            raise BundleError(f"{file} cannot be read ({brief(error)}); {RESTORE}.") from error
        if problem := self.form_problem(array, sizes):
            raise BundleError(f"{file}: {problem}; {RESTORE}.")
        return array

    def form_problem(self, array: NDArray[Any], sizes: Mapping[str, int]) -> str:
        """Return what is wrong with an array's axes or dtype, as expected and found; or nothing.

        sizes: lengths of axes as far as they are known.
        """
        known = {**sizes, **FIXED}
        wanted = [_length(axis, known) for axis in self.axes]
        fits = array.dtype == self.dtype and len(wanted) == array.ndim
        if fits and all(size in (None, own) for size, own in zip(wanted, array.shape, strict=True)):
            return ""
        parts = [
            axis if size is None else f"{axis} {size}"
            for axis, size in zip(self.axes, wanted, strict=True)
        ]
        return (
            f"expected [{', '.join(parts)}] {self.dtype.name}, "
            f"found {list(array.shape)} {array.dtype.name}"
        )

    def value_problem(self, array: NDArray[Any], sizes: Mapping[str, int]) -> str:
        """Return what is wrong with an array's values, as expected and found; or nothing."""
        gaps, low, high = _extent(array)
        if gaps and not self.gaps:
            return f"expected finite numbers, found {gaps:,} that are not"
        most = self.most
        if self.row_of is not None and self.row_of in sizes:
            most = sizes[self.row_of] - 1
        if (self.least is not None and low < self.least) or (most is not None and high > most):
            return f"expected values {bounds(self.least, most)}, found {low} to {high}"
        if self.rising and np.any(array[1:] < array[:-1]):
            return "expected rising values, found others"
        return ""


class Arrays(ABC):
    """The arrays of a bundle; `Bundle` inherits them as attributes."""

    path: Path
    """The bundle's folder."""

    @property
    @abstractmethod
    def sizes(self) -> Mapping[str, int]:
        """Lengths of the axes that are known without reading an array."""

    @property
    @abstractmethod
    def paired(self) -> bool:
        """Whether the bundle holds its neuron-head pairs."""

    directions = Array(
        "neuron embed",
        np.float16,
        "Direction of the neuron's second-order effects, unit norm; zeros for a dead neuron.",
        least=-1.01,
        most=1.01,
    )
    concept_ids = Array(
        "neuron concept",
        np.int32,
        "Texts of the sparse set in the order of the pursuit; -1 where it had stopped.",
        row_of="text",
    )
    concept_weights = Array(
        "neuron concept", np.float16, "Weights of these texts, taken centred and with unit norm."
    )
    concept_cosines = Array(
        "neuron concept",
        np.float16,
        "Cosine between the direction and its reconstruction from the first 1, 2, … of the texts.",
        least=-1.01,
        most=1.01,
    )
    concept_clusters = Array(
        "neuron concept", np.int8, "Cluster of each text; -1 for none.", least=-1
    )
    top_images = Array(
        "neuron end place",
        np.int32,
        "Images with the strongest effect at either end, strongest first; -1 for none.",
        row_of="image",
    )
    top_effects = Array(
        "neuron end place", np.float32, "Their centred effect along the direction; 0 for none."
    )
    top_clusters = Array(
        "neuron end place", np.int8, "Cluster of each of these images; -1 for none.", least=-1
    )
    norm_histogram = Array(
        "neuron bin",
        np.int32,
        "Number of images by the norm of their effect, in units of the neuron's `histogram_unit`.",
        least=0,
    )
    norm_edges = Array("bin+1", np.float32, "Edges of the histogram's bins.", least=0, rising=True)
    path_shares = Array(
        "neuron path",
        np.float16,
        "Share of the significant effect that each later head carries. The paths are those of the "
        "earliest layer, block by block; zero where a layer lacks one.",
    )
    sample_images = Array(
        "sample",
        np.int32,
        "Images drawn at random, the same for all neurons, in rising order.",
        row_of="image",
        rising=True,
    )
    sample_effects = Array(
        "neuron sample", np.float16, "Centred effect on each of them, along the direction."
    )
    atlas = Array(
        "neuron coordinate",
        np.float32,
        "Place of the neuron on the map; NaN for a dead neuron.",
        gaps=True,
    )
    neighbours = Array(
        "neuron neighbour",
        np.int32,
        "Rows of the neurons nearest by direction, nearest first; -1 for none.",
        row_of="neuron",
    )
    neighbour_cosines = Array(
        "neuron neighbour",
        np.float16,
        "Cosines of their directions; 0 for none.",
        least=-1.01,
        most=1.01,
    )
    mean_representation = Array(
        "embed", np.float32, "Mean of the model's output over the images, before normalisation."
    )
    text_embeddings = Array(
        "text embed",
        np.float16,
        "The texts' embeddings, unit norm, not centred.",
        least=-1.01,
        most=1.01,
    )
    text_mean = Array("embed", np.float32, "The texts' mean embedding.", least=-1.01, most=1.01)
    image_embeddings = Array(
        "image embed",
        np.float16,
        "The images' embeddings, unit norm; corpus images only.",
        least=-1.01,
        most=1.01,
    )
    pair_shares = Array(
        "neuron path",
        np.float16,
        "Share of the neuron's squared centred effect, over all images, that each later head "
        "carries; paths as in `path_shares`. They add up to 1; below 0 where a head works against "
        "the rest.",
        optional=True,
    )
    pair_sizes = Array(
        "neuron path",
        np.float32,
        "Norm of the pair's direction as the weights give it: the effect of a coefficient of 1.",
        least=0,
        optional=True,
    )
    pair_means = Array("neuron path", np.float32, "Mean coefficient of the pair.", optional=True)
    pair_deviations = Array(
        "neuron path",
        np.float32,
        "Standard deviation of the pair's coefficient; its square and that of the mean add up to "
        "the second moment.",
        least=0,
        optional=True,
    )
    pair_paths = Array(
        "neuron pair",
        np.int16,
        "The pairs that matter, chosen one by one until they hold 90 % of the neuron's squared "
        "effect: numbers along the axis path; -1 for none.",
        row_of="path",
        optional=True,
    )
    pair_held = Array(
        "neuron pair",
        np.float16,
        "Share of the squared effect that the first 1, 2, … of them hold together; 0 for none.",
        optional=True,
    )
    pair_meanings = Array(
        "neuron pair",
        np.int8,
        "Group of pairs with directions alike, the heaviest 0; -1 for none.",
        least=-1,
        optional=True,
    )
    pair_texts = Array(
        "neuron pair word",
        np.int32,
        "Texts of the pair's direction in the order of the pursuit; -1 for none.",
        row_of="text",
        optional=True,
    )
    pair_weights = Array(
        "neuron pair word",
        np.float16,
        "Weights of these texts, taken centred and with unit norm.",
        optional=True,
    )
    pair_words = Array(
        "neuron pair",
        np.int8,
        "How many of the first texts are more than chance, at a false discovery rate of 5 % over "
        "all pairs; 0 for none.",
        least=0,
        optional=True,
    )
    pair_text_p = Array(
        "neuron pair",
        np.float32,
        "How often a null direction of the same head is described as well, a p-value; NaN for "
        "none.",
        least=0,
        most=1,
        gaps=True,
        optional=True,
    )
    pair_prediction = Array(
        "neuron pair",
        np.float32,
        "Pearson correlation of the pair's effects with its words' score, over pictures that did "
        "not choose them; NaN for none.",
        least=-1.01,
        most=1.01,
        gaps=True,
        optional=True,
    )
    pair_prediction_p = Array(
        "neuron pair",
        np.float32,
        "Share of the layer's pairs whose words predict its effects as well; NaN for none.",
        least=0,
        most=1,
        gaps=True,
        optional=True,
    )
    pair_images = Array(
        "neuron pair strongest",
        np.int32,
        "Images with the pair's largest coefficient, largest first; -1 for none.",
        row_of="image",
        optional=True,
    )
    pair_effects = Array(
        "neuron pair strongest",
        np.float16,
        "Their centred effect along the pair's direction; 0 for none.",
        optional=True,
    )


ARRAYS: dict[str, Array[Any]] = {
    name: entry for name, entry in vars(Arrays).items() if isinstance(entry, Array)
}
"""Name -> entry of every array that is one file."""
PAIR_ARRAYS = {name: entry for name, entry in ARRAYS.items() if entry.optional}
"""Those of neuron-head pairs: a bundle has all of them or none."""

MEAN_COEFFICIENTS = Array(
    "path neuron",
    np.float32,
    "Mean coefficients over the images: the paths and neurons of this layer alone.",
    per_layer=True,
)
MEAN_COEFFICIENTS.name = "mean_coefficients"


def bounds(least: float | None, most: float | None) -> str:
    """Return bounds as a person reads them."""
    if most is None:
        return "" if least is None else f"from {least:g}"
    return f"up to {most:g}" if least is None else f"{least:g} to {most:g}"


def _extent(array: NDArray[Any]) -> tuple[int, Any, Any]:
    """Return how many values are not finite, the least and the largest of the others; 0 of none.

    Goes through the array block by block, half floats in single precision: ten times as fast.
    """
    flat = array.reshape(-1)
    gaps, lows, highs = 0, [], []
    for start in range(0, flat.size, BLOCK):
        block = np.asarray(flat[start : start + BLOCK])
        block = block.astype(np.float32) if block.dtype == np.float16 else block
        low, high = block.min(), block.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            finite = block[np.isfinite(block)]
            gaps += block.size - finite.size
            if not finite.size:
                continue
            low, high = finite.min(), finite.max()
        lows.append(low)
        highs.append(high)
    return gaps, min(lows, default=0), max(highs, default=0)


def _length(axis: str, known: Mapping[str, int]) -> int | None:
    name, _, more = axis.partition("+")
    return known[name] + int(more or 0) if name in known else None

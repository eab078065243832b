"""The directions of a bundle's neuron-head pairs, for pages: from weights, and without torch.

A pair's direction comes from weights alone (`explorer.lens`). With `C v = v - mean(v)`

    u[n, k] = (w_n . V_k) O_k        V_k = (W_V^h gamma_l' C)^T     [width, d], what the head reads
                                     O_k = W_O^h ls_1 C gamma_post proj     [d, embed], what it adds

`d` is the dimensions of one head. Both halves are kept, never [pair, embed]: a cosine with a text
is then `d` products a pair. Where `C` stands it is left out for a bundle built without centring.

The weights are those that a bundle built from `local-dir:` carries, in open_clip's form. They count
only if they give the sizes of pairs that the build has stored. For any other bundle a pair's
direction is the weighted sum of its texts, which is all that the bundle holds of it; `exact` says
which.

Axes: pair, neuron, embed. Here the axis pair counts the pairs that matter of all neurons together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from explorer.bundle import MODEL_FOLDER, Bundle
from explorer.errors import InputError
from explorer.kept import kept

WEIGHTS = "open_clip_model.safetensors"
VISUAL = "visual."
BLOCKS = f"{VISUAL}transformer.resblocks."
UNREADABLE = (OSError, SafetensorError, KeyError, ValueError, TypeError)
"""What reading weights raises where they are missing, damaged, or another model's."""
SLACK = 0.02
"""Of a pair's size: a build in half precision stays within."""
CHUNK = 256
"""Pairs that are compared with all neurons at once."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Part:
    """The directions of some pairs as two factors: `values @ outputs` are they, at unit norm."""

    pairs: NDArray[np.int64]
    """[own]: their numbers along the axis pair."""
    values: Floats
    """[own, d]."""
    outputs: Floats
    """[d, embed]."""


@dataclass(frozen=True, eq=False)
class PairDirections:
    """The directions of all pairs that matter of a bundle, unit norm; 0 for one without texts."""

    rows: NDArray[np.int64]
    """[pair]: the neuron's row."""
    places: NDArray[np.int64]
    """[pair]: which of its neuron's pairs it is, in the order of their choice."""
    parts: tuple[Part, ...]
    """Each pair is in one of them."""
    exact: bool
    """Whether they come from the weights; else they are sums of the pairs' texts."""

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.rows)

    def cosines(self, vectors: Floats) -> Floats:
        """Return cosines with vectors of unit norm, [vector, embed]: [pair, vector]."""
        found = np.zeros((len(self), len(vectors)), np.float32)
        for part in self.parts:
            found[part.pairs] = part.values @ (part.outputs @ vectors.T)
        return found

    def nearest(self, directions: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Return which direction [neuron, embed] is nearest to each pair's, and the cosine: [pair].

        Directions have unit norm; one of zeros is nearest to none.

        Raises:
            InputError: when all are zeros.
        """
        alive = np.flatnonzero(directions.any(axis=1))
        if not len(alive):
            raise InputError("No neuron of this bundle has a direction to compare pairs with.")
        best = np.zeros(len(self), np.int64)
        cosines = np.zeros(len(self), np.float32)
        towards = directions[alive].T
        for part in self.parts:
            reach = part.outputs @ towards
            for start in range(0, len(part.pairs), CHUNK):
                chunk = slice(start, start + CHUNK)
                found = part.values[chunk] @ reach
                nearest = found.argmax(axis=1)
                best[part.pairs[chunk]] = alive[nearest]
                cosines[part.pairs[chunk]] = found[np.arange(len(found)), nearest]
        return best, cosines

    def number(self, row: int, place: int) -> int:
        """Return a pair's number along the axis pair, by its neuron's row and its place.

        Raises:
            InputError: when the neuron has no such pair.
        """
        first, last = np.searchsorted(self.rows, [row, row + 1])
        found = np.flatnonzero(self.places[first:last] == place)
        if not len(found):
            raise InputError(f"The neuron in row {row} has no pair {place} that matters.")
        return int(first + found[0])

    def vector(self, row: int, place: int) -> Floats:
        """Return one pair's direction: [embed].

        Raises:
            InputError: when the neuron has no such pair.
        """
        number = self.number(row, place)
        part = next(part for part in self.parts if number in part.pairs)
        vector: Floats = part.values[part.pairs == number][0] @ part.outputs
        return vector


def pair_directions(bundle: Bundle) -> PairDirections:
    """Return the directions of a bundle's pairs; read once and kept with it.

    Raises:
        InputError: when the bundle has no pairs; it says how to add them.
    """
    return kept(bundle, "pair directions", lambda: _directions(bundle))


def _directions(bundle: Bundle) -> PairDirections:
    paths = np.asarray(bundle.pair_paths)
    rows, places = np.nonzero(paths >= 0)
    found = _from_weights(bundle, rows, paths[rows, places].astype(np.int64))
    parts = (from_texts(bundle, rows, places),) if found is None else found
    return PairDirections(rows, places, parts, exact=found is not None)


# --- from texts -----------------------------------------------------------------------------------


def from_texts(bundle: Bundle, rows: NDArray[np.int64], places: NDArray[np.int64]) -> Part:
    """Return every pair's direction as the weighted sum of its texts, at unit norm."""
    ids = np.asarray(bundle.pair_texts)[rows, places]
    weights = np.where(ids >= 0, np.asarray(bundle.pair_weights, np.float32)[rows, places], 0)
    atoms = bundle.dictionary.atoms()
    sums = np.zeros((len(rows), atoms.shape[1]), np.float32)
    for word in range(ids.shape[1]):
        sums += weights[:, word, None] * atoms[ids[:, word]]
    sizes = np.linalg.norm(sums, axis=1, keepdims=True)
    unit = np.asarray(sums / np.where(sizes > 0, sizes, 1), np.float32)
    return Part(np.arange(len(rows)), unit, np.eye(atoms.shape[1], dtype=np.float32))


# --- from weights ---------------------------------------------------------------------------------


def _from_weights(
    bundle: Bundle, rows: NDArray[np.int64], paths: NDArray[np.int64]
) -> tuple[Part, ...] | None:
    """Return the directions by head; None where weights cannot be read or are not the bundle's."""
    file = _weights_file(bundle)
    if file is None or not len(rows):
        return None
    stored = np.asarray(bundle.pair_sizes)[rows, paths]
    try:
        with safe_open(file, "numpy") as opened:
            tower = Tower(opened.get_tensor, bundle.manifest.model["heads"], bundle.manifest.centre)
            parts = tuple(_parts(bundle, tower, rows, paths, stored))
    except UNREADABLE:
        return None
    norms = np.concatenate([np.linalg.norm(part.values @ part.outputs, axis=1) for part in parts])
    return parts if bool(np.all(np.abs(norms - 1) <= SLACK)) else None


def _weights_file(bundle: Bundle) -> Path | None:
    """Return the file of the weights that the bundle was built from, where it has them."""
    file = bundle.path / MODEL_FOLDER / WEIGHTS
    return file if file.is_file() else None


@dataclass(frozen=True)
class Tower:
    """What an image tower's weights say of its neurons and heads; each is read when asked for."""

    read: Callable[[str], NDArray[Any]]
    """Return a tensor by open_clip's name of it."""
    heads: int
    """Of a block."""
    centre: bool

    def written(self, layer: int) -> Floats:
        """Return what a layer's neurons write to the stream: [neuron, width]."""
        vectors = self._block(layer, "mlp.c_proj.weight").T * self._scale(layer, "ls_2.gamma")
        return vectors - vectors.mean(axis=1, keepdims=True) if self.centre else vectors

    def values(self, block: int) -> Floats:
        """Return what a block's heads read of the stream: [head, width, d]."""
        every = self._block(block, "attn.in_proj_weight")
        value = every[2 * every.shape[1] :] * self._block(block, "ln_1.weight")
        return value.reshape(self.heads, -1, value.shape[1]).transpose(0, 2, 1)

    def outputs(self, block: int) -> Floats:
        """Return what a block's heads add to the output: [head, d, embed]."""
        last = self._tensor(f"{VISUAL}ln_post.weight")[:, None] * self._tensor(f"{VISUAL}proj")
        if self.centre:
            last = last - last.mean(axis=0)
        out = self._block(block, "attn.out_proj.weight").T * self._scale(block, "ls_1.gamma")
        return (out @ last).reshape(self.heads, -1, last.shape[1])

    def _block(self, block: int, name: str) -> Floats:
        return self._tensor(f"{BLOCKS}{block}.{name}")

    def _scale(self, block: int, name: str) -> Floats:
        """Return a LayerScale's weights, 1 where the model has none."""
        try:
            return self._block(block, name)
        except SafetensorError:
            return np.ones(1, np.float32)

    def _tensor(self, name: str) -> Floats:
        return np.asarray(self.read(name), np.float32)


def _parts(
    bundle: Bundle,
    tower: Tower,
    rows: NDArray[np.int64],
    paths: NDArray[np.int64],
    stored: Floats,
) -> Iterator[Part]:
    """Yield the pairs of each head, at unit norm where the build's sizes of them are right."""
    blocks, heads = paths // tower.heads + bundle.manifest.layers[0] + 1, paths % tower.heads
    read = _read(bundle, tower, rows, blocks, heads) / stored[:, None]
    for block in np.unique(blocks).tolist():
        outputs = tower.outputs(block)
        for head in np.unique(heads[blocks == block]).tolist():
            own = np.flatnonzero((blocks == block) & (heads == head))
            yield Part(own, read[own], outputs[head])


def _read(
    bundle: Bundle,
    tower: Tower,
    rows: NDArray[np.int64],
    blocks: NDArray[np.int64],
    heads: NDArray[np.int64],
) -> Floats:
    """Return what each pair's head reads of its neuron: [pair, d]."""
    layers, numbers = (bundle.neurons[key].to_numpy()[rows] for key in ("layer", "neuron"))
    values = {block: tower.values(block) for block in np.unique(blocks).tolist()}
    found = np.empty((len(rows), next(iter(values.values())).shape[2]), np.float32)
    for layer in bundle.manifest.layers:
        written = tower.written(layer)
        for block, value in values.items():
            for head in range(tower.heads):
                own = (layers == layer) & (blocks == block) & (heads == head)
                found[own] = written[numbers[own]] @ value[head]
    return found

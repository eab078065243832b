"""A model together with what a bundle knows of its neurons: all that a picture is read with.

Neurons are described over a data set: their mean coefficients, which are subtracted so that what a
neuron does everywhere says nothing about a picture, and their directions. `open_lens_model` reads
both from a bundle; `bare_lens_model` stands in for a model without one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from explorer.bundle import Bundle
from explorer.describe.dictionary import centre_texts
from explorer.errors import InputError
from explorer.kept import kept
from explorer.lens import (
    Trace,
    lens_dtype,
    own_projections,
    path_names,
    stream_maps,
    trace,
    write_vectors,
)
from explorer.lens.models import LoadedModel
from explorer.lens.texts import embed_texts

MOST_SPREAD = 4096  # pictures from which the covariance is taken


@dataclass(frozen=True, eq=False)
class LensModel:
    """An open model with its neurons' means and directions. Safe to share between threads."""

    loaded: LoadedModel
    layers: tuple[int, ...]
    """Layers whose neurons are read; each has a later attention block."""
    means: Mapping[int, Tensor]
    """Layer -> [path, neuron]: mean coefficients over the data set."""
    directions: Mapping[int, Tensor]
    """Layer -> [neuron, embed] float32, unit norm; zeros for a dead neuron."""
    text_mean: Tensor
    """[embed]: mean of the dictionary's text embeddings, what all texts share."""
    spread: Tensor
    """[embed, embed]: fourth root of the covariance of the pictures' embeddings."""
    dictionary: Tensor
    """[text, embed]: the dictionary's texts without their mean, unit norm; [0, embed] for none."""
    centre: bool = True
    """Whether effects are attributed exactly; see `explorer.lens`."""
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    """Held during a hooked pass: one model serves many sessions."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the patches."""
        rows, columns = self.loaded.model.visual.grid_size
        return int(rows), int(columns)

    @cached_property
    def later_layers(self) -> tuple[int, ...]:
        """The layers of the model's later half, from which meanings come; else all there are."""
        later = tuple(layer for layer in self.layers if layer >= self.loaded.layers // 2)
        return later or self.layers

    @property
    def mean_writes(self) -> dict[int, Tensor]:
        """Layer -> [path, width]: what the mean coefficients write to the stream."""
        if not self._mean_writes:
            self._mean_writes.update(
                {
                    layer: means @ write_vectors(self.loaded.model, layer, centre=False)
                    for layer, means in self.means.items()
                }
            )
        return self._mean_writes

    def own_projections(self, layer: int) -> Tensor:
        """Return the paths' inner products with each neuron's own direction: [neuron, path]."""
        if layer not in self._own_projections:
            self._own_projections[layer] = own_projections(
                self.loaded.model, layer, self.directions[layer], centre=self.centre
            )
        return self._own_projections[layer]

    @cached_property
    def stream_maps(self) -> dict[int, tuple[Tensor, Tensor]]:
        """Block -> what its heads read of the stream and write; see `explorer.lens.stream_maps`."""
        return stream_maps(self.loaded.model, centre=self.centre)

    _mean_writes: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False)
    _own_projections: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False)

    def trace(self, images: Tensor) -> Trace:
        """Run one hooked pass over preprocessed `images`; see `explorer.lens.trace`."""
        with self.lock:
            return trace(self.loaded.model, images.to(self.loaded.device), self.layers)

    def check_layers(self, layers: Sequence[int]) -> None:
        """Check that the model was opened with some layers.

        Raises:
            InputError: when it was not.
        """
        for layer in layers:
            if layer not in self.layers:
                have = ", ".join(map(str, self.layers))
                raise InputError(
                    f"Layer {layer} is not among the layers opened here: choose one of {have}."
                )

    def text_directions(self, texts: Sequence[str]) -> Tensor:
        """Return the texts' embeddings without what all texts share: [text, embed], unit norm.

        Raises:
            InputError: when there is no text, or one is empty or too long, or there are too many.
        """
        embeddings = embed_texts(self.loaded, texts).numpy()
        return torch.from_numpy(centre_texts(embeddings, self.text_mean.numpy()))

    def towards_pictures(self, directions: Tensor) -> Tensor:
        """Return directions [text, embed] weighted by how far pictures vary along each axis.

        A text's embedding has parts along which no picture differs from another; they only add
        noise to a map. The fourth root of the covariance, the square root of a standard deviation,
        keeps the strong axes without giving all to the strongest. Unit norm.
        """
        return functional.normalize(directions @ self.spread.to(directions), dim=1)


def open_lens_model(bundle: Bundle, loaded: LoadedModel | None = None) -> LensModel:
    """Return the bundle's model with its neurons' means and directions; kept with the bundle.

    `loaded` is the bundle's model where the caller has it already.

    Raises:
        InputError: when the model's weights cannot be found, or `loaded` is another model.
    """
    return kept(bundle, "lens model", lambda: _read(bundle, loaded or bundle.model))


def bare_lens_model(loaded: LoadedModel, layers: Sequence[int] | None = None) -> LensModel:
    """Return a model without a bundle: zero means, no directions, texts as they are.

    `layers` are all that have a later attention block unless given.
    """
    chosen = tuple(range(loaded.layers - 1)) if layers is None else tuple(layers)
    dtype = lens_dtype(loaded.model)
    zeros = {
        layer: torch.zeros(len(path_names(loaded.model, layer)), loaded.neurons, dtype=dtype)
        for layer in chosen
    }
    nothing = {layer: torch.zeros(loaded.neurons, loaded.embed) for layer in chosen}
    same, none = torch.eye(loaded.embed), torch.zeros(0, loaded.embed)
    return LensModel(loaded, chosen, zeros, nothing, torch.zeros(loaded.embed), same, none)


def _read(bundle: Bundle, loaded: LoadedModel) -> LensModel:
    layers = tuple(sorted(int(layer) for layer in bundle.manifest.layers))
    embed = bundle.directions.shape[1]
    if loaded.embed != embed or max(layers) > loaded.layers - 2:
        raise InputError(
            f"The model {loaded.source} (embed {loaded.embed}, {loaded.layers} layers) is not the "
            f"one of the bundle “{bundle.name}”: load the bundle's own model."
        )
    place, dtype = loaded.device, lens_dtype(loaded.model)
    owners = bundle.neurons["layer"].to_numpy()
    return LensModel(
        loaded=loaded,
        layers=layers,
        means={
            layer: torch.from_numpy(np.array(bundle.mean_coefficients(layer))).to(place, dtype)
            for layer in layers
        },
        directions={
            layer: torch.from_numpy(bundle.directions[owners == layer].astype(np.float32)).to(place)
            for layer in layers
        },
        text_mean=torch.from_numpy(np.array(bundle.text_mean, np.float32)),
        dictionary=torch.from_numpy(bundle.dictionary.atoms()),
        spread=_spread(bundle.image_embeddings),
        centre=bundle.manifest.centre,
    )


def _spread(embeddings: NDArray[np.floating[Any]]) -> Tensor:
    """Return the fourth root of the covariance of [image, embed], in float32."""
    rows = embeddings[:: max(1, len(embeddings) // MOST_SPREAD)].astype(np.float64)
    values, axes = np.linalg.eigh(np.cov(rows, rowvar=False))
    root = (axes * values.clip(min=0) ** 0.25) @ axes.T
    return torch.from_numpy(root.astype(np.float32))

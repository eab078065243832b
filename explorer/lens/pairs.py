"""Pairs of a neuron and a later attention head: the second-order effect, one path at a time.

With the names of `explorer.lens`, path `k` of neuron `n` adds `c[k, n] u[n, k]` to the output. The
direction `u[n, k]` comes from weights alone and is the same for every picture; the picture only
says how strongly, and from which tokens:

    effect[n] = sum over k of  c[k, n] u[n, k],      c[k, n] = sum over tokens t of  c[k, t, n]

So the pairs of a neuron sum to its effect exactly, and one direction carries the whole of a pair.
Bu and Gandelsman, "Interpreting ResNet-based CLIP via Neuron-Attention Decomposition" (2025), read
such pairs off a ResNet's attention pooling; in a ViT each later head of each later block makes one.

Axes: image, neuron, path, token, pair, embed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from explorer.errors import InputError
from explorer.lens.trace import Trace
from explorer.lens.weights import HeadPath


@dataclass(frozen=True, eq=False)
class HeadPairs:
    """The pairs of one layer's neurons with the heads of later blocks."""

    layer: int
    names: Sequence[HeadPath]
    """[path]: block and head of each path."""
    paths: Tensor
    """`u`: [neuron, path, embed] float32."""
    trace: Callable[[Tensor], Trace]
    """Runs one hooked pass over preprocessed images."""

    @cached_property
    def directions(self) -> Tensor:
        """What each pair adds, unit norm: [neuron, path, embed]; zeros where it adds nothing."""
        return functional.normalize(self.paths, dim=2)

    @cached_property
    def sizes(self) -> Tensor:
        """What a coefficient of 1 adds, the norm of `u`: [neuron, path]."""
        sizes: Tensor = torch.linalg.vector_norm(self.paths, dim=2)
        return sizes

    def path(self, block: int, head: int) -> int:
        """Return the number of a head on the path axis.

        Raises:
            InputError: when no neuron of this layer is read by that head.
        """
        try:
            return list(self.names).index(HeadPath(block, head))
        except ValueError as error:
            first, last = self.names[0], self.names[-1]
            raise InputError(
                f"Layer {self.layer} is not read by head {block}.{head}: choose a block from "
                f"{first.layer} to {last.layer} and a head from 0 to {last.head}."
            ) from error

    def coefficients(self, images: Tensor) -> Tensor:
        """Return `c` for preprocessed `images`: [image, path, neuron] float32."""
        return self.trace(images).coefficients(self.layer)

    def effects(self, images: Tensor, neuron: int) -> Tensor:
        """Return what each pair of a neuron adds to the output: [image, path, embed].

        In units of the representation before its L2 normalisation; the sum over paths is the
        neuron's second-order effect.

        Raises:
            InputError: when the layer has no such neuron.
        """
        self._check(neuron)
        return self.coefficients(images)[:, :, neuron, None] * self.paths[neuron]

    def maps(self, images: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
        """Return each token's share of the coefficients of some pairs: [image, pair, token].

        `pairs` are (neuron, path). Token 0 is the class token. The sum over tokens is the pair's
        coefficient.

        Raises:
            InputError: when no pair is given, or there is no such one.
        """
        if not pairs:
            raise InputError("Maps of pairs need at least one (neuron, path): name one.")
        for neuron, path in pairs:
            self._check(neuron, path)
        neurons, places = torch.tensor(pairs).T
        record = self.trace(images)
        activations = record.post_activations(self.layer)[..., neurons]
        return record.path_weights(self.layer)[:, places] * activations.transpose(1, 2)

    def _check(self, neuron: int, path: int = 0) -> None:
        for name, value, count in zip(
            ("neuron", "path"), (neuron, path), self.paths.shape, strict=False
        ):
            if not 0 <= value < count:
                raise InputError(
                    f"Layer {self.layer} has no {name} {value}: choose 0 to {count - 1}."
                )

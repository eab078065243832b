"""One lens pass over the evaluation pictures that serves every section.

For a batch and a layer, with `c` and `u` of `explorer.lens` and the build's mean coefficients, the
centred coefficients are

    delta[i, k, n] = c[i, k, n] - mean_c[k, n]

and everything that is measured is a small product of them. Mean-ablating some effects, or replacing
effects by their projections, changes the representation by

    change[i] = sum over n of ( kept part of effect[i, n] ) - effect[i, n],   effect = sum_k delta u

so that a variant costs one product [image, path x neuron] @ [path x neuron, embed] or less.
[image, neuron, embed] is never formed, and only per-picture results outlive a batch.

The representation is the output before its L2 normalisation; effects are mean-ablated with the
build's means, as in the paper (section 3).

Axes: image, layer, path, neuron, embed, variant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from explorer.bundle import Bundle
from explorer.evidence.evaluation import Judge
from explorer.lens import Trace, second_order_paths
from explorer.threads import one_thread

CHUNK = 256  # neurons whose coefficients are rotated at once
RANK_TOLERANCE = 1e-10  # of a Gram matrix's largest eigenvalue: below, a path adds nothing


@dataclass(frozen=True, eq=False)
class LayerTables:
    """What a layer's weights and the bundle say of its neurons; no picture enters."""

    layer: int
    rows: slice
    """The layer's neurons in the bundle's arrays."""
    paths: Tensor
    """`u`: [path, neuron, embed] float32."""
    mean: Tensor
    """Mean coefficients of the build: [path, neuron] float32."""
    directions: Tensor
    """[neuron, embed] float32, unit; zero for a dead neuron."""
    threshold: Tensor
    """[neuron] float32: norm of the weakest significant effect of the build."""

    @classmethod
    def of(cls, bundle: Bundle, model: torch.nn.Module, layer: int) -> LayerTables:
        """Compute a layer's tables."""
        table = bundle.neurons
        rows = np.flatnonzero(table["layer"].to_numpy() == layer)
        where = slice(int(rows[0]), int(rows[-1]) + 1)
        paths = second_order_paths(model, layer, centre=bundle.manifest.centre).float().cpu()
        directions = np.array(bundle.directions[where], np.float32)
        norms = np.linalg.norm(directions, axis=1, keepdims=True)
        directions /= np.where(norms > 0, norms, 1)  # stored as float16
        return cls(
            layer,
            where,
            paths.transpose(0, 1).contiguous(),
            torch.from_numpy(np.array(bundle.mean_coefficients(layer), np.float32)),
            torch.from_numpy(directions),
            torch.from_numpy(np.array(table["threshold"].to_numpy()[where], np.float32)),
        )

    @cached_property
    def gains(self) -> Tensor:
        """Inner products of paths and direction: [path, neuron]."""
        return torch.einsum("kne,ne->kn", self.paths, self.directions)

    @cached_property
    def whitening(self) -> tuple[Tensor, Tensor]:
        """`W` and `B` [neuron, path, path]: with `z = delta W`, `|z|` is the effect's norm.

        A unit vector `y` of these coordinates is the direction `u^T (B y)` of unit length.
        """
        rotations, bases = [], []
        with one_thread():
            for start in range(0, self.paths.shape[1], CHUNK):
                paths = self.paths[:, start : start + CHUNK].transpose(0, 1).double()
                values, vectors = torch.linalg.eigh(paths @ paths.mT)
                kept = values > RANK_TOLERANCE * values[:, -1:].clamp(min=1e-30)
                roots = values.clamp(min=0).sqrt() * kept
                inverse = torch.where(kept, 1 / roots.clamp(min=1e-30), 0.0)
                rotations.append((vectors * roots[:, None]).float())
                bases.append((vectors * inverse[:, None]).float())
        return torch.cat(rotations), torch.cat(bases)

    def directions_of(self, coordinates: Tensor) -> Tensor:
        """Return the directions of whitened unit vectors: [neuron, path] -> [neuron, embed]."""
        weights = torch.einsum("nkj,nj->nk", self.whitening[1], coordinates)
        return torch.nn.functional.normalize(torch.einsum("kne,nk->ne", self.paths, weights), dim=1)

    def coordinates_of(self, directions: Tensor) -> Tensor:
        """Return directions as whitened coordinates: [neuron, embed] -> [neuron, path]."""
        products = torch.einsum("kne,ne->nk", self.paths, directions)
        return torch.einsum("nkj,nk->nj", self.whitening[1], products)


@dataclass(frozen=True, eq=False)
class LayerView:
    """One layer in one batch; everything is computed when first asked for."""

    tables: LayerTables
    record: Trace
    images: slice
    """The batch's places among the evaluation pictures."""

    @property
    def layer(self) -> int:
        """The layer's number."""
        return self.tables.layer

    @cached_property
    def delta(self) -> Tensor:
        """Centred coefficients: [image, path, neuron]."""
        return self.record.coefficients(self.layer).float().cpu().sub_(self.tables.mean)

    @cached_property
    def by_neuron(self) -> Tensor:
        """The same as [neuron, image, path]."""
        return self.delta.permute(2, 0, 1).contiguous()

    @cached_property
    def total(self) -> Tensor:
        """Sum of all centred effects: [image, embed]."""
        return self.summed(self.delta)

    @cached_property
    def by_path(self) -> Tensor:
        """The same sum, path by path: [path, image, embed]."""
        return torch.bmm(self.delta.transpose(0, 1), self.tables.paths)

    @cached_property
    def norms(self) -> Tensor:
        """Norms of the centred effects: [image, neuron]."""
        whitening = self.tables.whitening[0]
        parts = [
            torch.linalg.vector_norm(
                torch.bmm(self.by_neuron[start : start + CHUNK], whitening[start : start + CHUNK]),
                dim=2,
            )
            for start in range(0, len(self.by_neuron), CHUNK)
        ]
        return torch.cat(parts).T.contiguous()

    @cached_property
    def significant(self) -> Tensor:
        """Effects as strong as the build's significant ones: [image, neuron] bool."""
        return (self.norms >= self.tables.threshold) & (self.tables.threshold > 0)

    @cached_property
    def signed(self) -> Tensor:
        """Centred effects along the neurons' directions: [image, neuron]."""
        return torch.einsum("ikn,kn->in", self.delta, self.tables.gains)

    def in_thresholds(self, values: Tensor) -> Tensor:
        """Return values [image, neuron] in units of the neurons' thresholds, float16."""
        threshold = self.tables.threshold
        scaled = torch.where(threshold > 0, values / threshold.clamp(min=1e-30), 0.0)
        return scaled.clamp(-6e4, 6e4).half()

    def summed(self, coefficients: Tensor) -> Tensor:
        """Return the summed effect of coefficients [image, path, neuron]: [image, embed]."""
        return coefficients.flatten(1) @ self.tables.paths.flatten(0, 1)


@dataclass(frozen=True, eq=False)
class PassBatch:
    """A batch of pictures in all layers."""

    images: slice
    representation: Tensor
    """[image, embed] float32 on the CPU."""
    views: Sequence[LayerView]


class Probe(Protocol):
    """What a section keeps of the pass."""

    def take(self, batch: PassBatch, /) -> Mapping[str, np.ndarray]:
        """Return per-picture arrays [image, ...] of a batch, the same names each time."""


class Replacement:
    """A probe that classifies after variants of an intervention, layer by layer and in all.

    `change` maps a layer's view to what the variants add to the representation: [variant, image,
    embed]. Keeps `ranks` [image, place, variant] int32, `cosines` with the unchanged
    representation and `leads`, what the change adds to the right answer's lead over the mean
    candidate, both [image, place, variant] float32; the places are the layers (unless
    `layerwise` is off), then all layers at once. Ranks of the unchanged one: `full` [image].
    """

    def __init__(
        self, judge: Judge, change: Callable[[LayerView], Tensor], layerwise: bool = True
    ) -> None:
        """Keep the judge and the intervention."""
        self.judge, self.change, self.layerwise = judge, change, layerwise

    def take(self, batch: PassBatch, /) -> Mapping[str, np.ndarray]:
        """Classify a batch after every variant."""
        ranks, cosines, leads = [], [], []
        contrasts = self.judge.contrasts(batch.images)
        total: Tensor | None = None

        def classify(change: Tensor) -> None:
            changed = batch.representation + change
            ranks.append(self.judge.ranks(changed, batch.images))
            cosines.append(
                torch.nn.functional.cosine_similarity(changed, batch.representation[None], dim=2)
            )
            leads.append(torch.einsum("vie,ie->vi", change, contrasts))

        for view in batch.views:
            change = self.change(view)
            if self.layerwise:
                classify(change)
            total = change if total is None else total + change
        assert total is not None  # a bundle has at least one layer
        classify(total)
        return {
            "full": self.judge.ranks(batch.representation, batch.images).numpy(),
            "ranks": torch.stack(ranks).permute(2, 0, 1).numpy(),
            "cosines": torch.stack(cosines).permute(2, 0, 1).float().numpy(),
            "leads": torch.stack(leads).permute(2, 0, 1).float().numpy(),
        }

"""Means and moments over corpus pictures that the bundle does not hold.

A bundle keeps the mean coefficients of the second-order effects over its whole corpus. Mean
activations at each token (for indirect ablation), mean direct coefficients, and the directions of
ranks 2 and 3 come from a seeded sample of the corpus's pictures, as the bundle stores them: never
from the pictures that are classified.

The directions of ranks 2 and 3 are the leading right singular vectors of the sample's significant
centred effects (as strong as the build's threshold) after the neuron's own direction is taken out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.bundle import Bundle
from explorer.evidence.evaluation import batches
from explorer.evidence.lenspass import LayerTables, LayerView
from explorer.evidence.work import Arrays, Reporter, Say, Work
from explorer.examples import draw_sample
from explorer.lens import trace
from explorer.models import LoadedModel, to_rgb

NAME = "corpus means"
EXTRA_RANKS = 2


@dataclass(frozen=True, eq=False)
class Reference:
    """What a sample of the corpus gives."""

    images: np.ndarray
    """[image]: the sample's picture numbers."""
    activations: dict[int, Tensor]
    """Layer -> [token, neuron]: mean post-activations."""
    direct: dict[int, Tensor]
    """Layer -> [neuron]: mean direct coefficients `p_0 / sigma_post`."""
    ranks: dict[int, Tensor]
    """Layer -> [rank, neuron, embed]: unit directions of ranks 2 and 3; zero if there are none."""
    significant: dict[int, Tensor]
    """Layer -> [neuron]: significant effects in the sample."""
    peaks: np.ndarray
    """[image, chosen]: largest activation of each neuron of `kinds` at any token."""


def corpus_pixels(bundle: Bundle, loaded: LoadedModel, images: Sequence[int]) -> Tensor:
    """Return preprocessed corpus pictures as the bundle stores them."""
    pictures = (to_rgb(bundle.pictures.image(int(image))) for image in images)
    stacked = torch.stack([loaded.preprocess(picture) for picture in pictures])
    return stacked.to(loaded.device, loaded.dtype)


def gather_reference(
    bundle: Bundle,
    loaded: LoadedModel,
    tables: Sequence[LayerTables],
    chosen: Sequence[tuple[int, int]],
    count: int,
    batch_size: int,
    seed: int,
    work: Work,
    say: Say,
) -> Reference:
    """Run the lens over ``count`` corpus pictures; kept in ``work`` when complete.

    ``chosen`` are the (layer, neuron) whose peaks are kept.
    """
    images = draw_sample(bundle.pictures.corpus_size, count, seed)
    arrays = work.arrays("reference")
    if arrays is None:
        sums = _Sums(tables, chosen)
        report = Reporter(say, NAME, len(images))
        for places in batches(len(images), batch_size):
            pixels = corpus_pixels(bundle, loaded, images[places.start : places.stop])
            sums.take(loaded, pixels)
            report(places.stop)
        arrays = sums.arrays(len(images))
        work.keep_arrays("reference", arrays)

    def by_layer(name: str) -> dict[int, Tensor]:
        return {t.layer: torch.from_numpy(arrays[f"{name}_{t.layer}"]) for t in tables}

    return Reference(
        images,
        by_layer("activations"),
        by_layer("direct"),
        by_layer("ranks"),
        by_layer("significant"),
        arrays["peaks"],
    )


class _Sums:
    """The sample's running sums; memory does not grow with the pictures."""

    def __init__(self, tables: Sequence[LayerTables], chosen: Sequence[tuple[int, int]]) -> None:
        self.tables, self.chosen = tables, chosen
        self.activations: dict[int, Tensor] = {}
        self.direct: dict[int, Tensor] = {}
        self.moments: dict[int, Tensor] = {}
        self.counts: dict[int, Tensor] = {}
        self.peaks: list[Tensor] = []

    def take(self, loaded: LoadedModel, pixels: Tensor) -> None:
        record = trace(loaded.model, pixels, [t.layer for t in self.tables])
        for table in self.tables:
            layer = table.layer
            activations = record.post_activations(layer)
            _add(self.activations, layer, activations.sum(0).double().cpu())
            direct = activations[:, 0] / record.sigma_post[:, None]
            _add(self.direct, layer, direct.sum(0).double().cpu())
            view = LayerView(table, record, slice(0, len(pixels)))
            mask = view.significant
            _add(self.counts, layer, mask.sum(0))
            _add(self.moments, layer, _moments(view, mask))
        peaks = [
            record.post_activations(layer)[..., neuron].amax(1).float().cpu()
            for layer, neuron in self.chosen
        ]
        self.peaks.append(torch.stack(peaks, dim=1))

    def arrays(self, images: int) -> Arrays:
        found = {"peaks": torch.cat(self.peaks).numpy()}
        for table in self.tables:
            layer = table.layer
            found[f"activations_{layer}"] = (self.activations[layer] / images).float().numpy()
            found[f"direct_{layer}"] = (self.direct[layer] / images).float().numpy()
            found[f"ranks_{layer}"] = further_ranks(table, self.moments[layer]).numpy()
            found[f"significant_{layer}"] = self.counts[layer].numpy()
        return found


def _add(sums: dict[int, Tensor], layer: int, value: Tensor) -> None:
    sums[layer] = sums[layer] + value if layer in sums else value


def _moments(view: LayerView, mask: Tensor) -> Tensor:
    """Return the sum of z z^T over significant effects: [neuron, path, path]."""
    neurons = torch.nonzero(mask.any(dim=0))[:, 0]
    paths = view.by_neuron.shape[2]
    moments = torch.zeros(len(view.by_neuron), paths, paths)
    rows = torch.bmm(view.by_neuron[neurons], view.tables.whitening[0][neurons])
    rows = rows * mask.T[neurons][..., None]
    moments[neurons] = rows.mT @ rows
    return moments


def further_ranks(table: LayerTables, moments: Tensor) -> Tensor:
    """Return unit directions of ranks 2 and 3, orthogonal to rank 1: [rank, neuron, embed].

    ``moments`` [neuron, path, path]: second moments of whitened significant effects. A neuron with
    too few of them has zeros.
    """
    first = torch.nn.functional.normalize(table.coordinates_of(table.directions), dim=1).double()
    eye = torch.eye(first.shape[1], dtype=torch.float64)
    parts = []
    for start in range(0, len(first), 256):
        part = slice(start, start + 256)
        outside = eye - first[part, :, None] * first[part, None]
        left = outside @ moments[part].double() @ outside
        values, vectors = torch.linalg.eigh(left)
        kept = values > 1e-9 * moments[part].diagonal(dim1=1, dim2=2).sum(1)[:, None].clamp(
            min=1e-30
        )
        parts.append((vectors * kept[:, None]).float())
    vectors = torch.cat(parts)
    found = [
        table.directions_of(vectors[:, :, -1 - rank])
        if rank < vectors.shape[2]
        else torch.zeros_like(table.directions)
        for rank in range(EXTRA_RANKS)
    ]
    return torch.stack(found)

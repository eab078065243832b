"""Means and moments over corpus pictures that the bundle does not hold.

A bundle keeps the mean coefficients of the second-order effects over its whole corpus. Mean
activations at each token (for indirect ablation), mean direct coefficients, the directions of ranks
2 and 3, and the effects that controls are fitted on come from a seeded sample of the corpus's
pictures, as the bundle stores them: never from the pictures that are classified.

The directions of ranks 2 and 3 are the leading right singular vectors of the sample's significant
centred effects (as strong as the build's threshold) after the neuron's own direction is taken out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from explorer.bundle import Bundle
from explorer.bundle.originals import whole_picture
from explorer.describe.sample import draw_sample
from explorer.evidence.lenspass import LayerTables, LayerView
from explorer.evidence.work import Work
from explorer.lens import trace
from explorer.lens.models import LoadedModel
from explorer.pixels import to_rgb
from explorer.resumable import Arrays, Say, run_batches
from explorer.threads import one_thread

NAME = "corpus means"
PART = "reference, unfinished"
EXTRA_RANKS = 2
PER_PICTURE = ("peaks", "signed")


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
    signed: np.ndarray
    """[image, neuron] float16: effects along the directions, in thresholds."""


def corpus_pixels(bundle: Bundle, loaded: LoadedModel, images: Iterable[int]) -> Tensor:
    """Return preprocessed corpus pictures as the bundle stores them."""
    pictures = (to_rgb(whole_picture(bundle, int(image))) for image in images)
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
    """Run the lens over `count` corpus pictures; kept in `work` when complete.

    `chosen` are the (layer, neuron) whose peaks are kept.
    """
    images = draw_sample(bundle.pictures.corpus_size, count, seed)
    arrays = work.arrays("reference")
    if arrays is None:

        def pixels(places: range) -> Tensor:
            return corpus_pixels(bundle, loaded, images[places.start : places.stop])

        sums = _Sums(tables, chosen)
        _accumulate(sums, loaded, pixels, len(images), batch_size, work, say)
        arrays = sums.arrays(len(images))
        work.keep_arrays("reference", arrays)
        work.drop_arrays(PART)

    def by_layer(name: str) -> dict[int, Tensor]:
        return {t.layer: torch.from_numpy(arrays[f"{name}_{t.layer}"]) for t in tables}

    return Reference(
        images,
        by_layer("activations"),
        by_layer("direct"),
        by_layer("ranks"),
        by_layer("significant"),
        arrays["peaks"],
        arrays["signed"],
    )


def _accumulate(
    sums: _Sums,
    loaded: LoadedModel,
    pixels: Callable[[range], Tensor],
    images: int,
    batch_size: int,
    work: Work,
    say: Say,
) -> None:
    """Sum over all pictures; the state is saved now and then, and after Ctrl-C."""
    kept = work.arrays(PART)
    if kept is not None:
        sums.images = int(kept.pop("_done"))
        sums.state = {name: torch.from_numpy(values) for name, values in kept.items()}

    def keep(done: int) -> None:
        state = {name: value.numpy() for name, value in sums.state.items()}
        work.keep_arrays(PART, {**state, "_done": np.array(done)})

    run_batches(
        NAME,
        images,
        batch_size,
        lambda places: sums.of_batch(loaded, pixels(places)),
        lambda places, parts: sums.add(parts, len(places)),
        keep,
        say,
        done=sums.images,
    )


class _Part(NamedTuple):
    """What a batch adds to a sum, in some of its rows or in all."""

    name: str
    value: Tensor
    rows: Tensor | None = None


class _Sums:
    """The sample's running sums; memory does not grow with the pictures.

    `state` holds for each layer the sums of activations and direct coefficients, the number and
    the second moments of significant effects, and peaks and signed effects of every picture so far.
    """

    def __init__(self, tables: Sequence[LayerTables], chosen: Sequence[tuple[int, int]]) -> None:
        self.tables, self.chosen = tables, chosen
        self.state: dict[str, Tensor] = {}
        self.images = 0

    def of_batch(self, loaded: LoadedModel, pixels: Tensor) -> list[_Part]:
        """Return what a batch adds."""
        record = trace(loaded.model, pixels, [t.layer for t in self.tables])
        found: list[_Part] = []
        neurons = sum(len(table.directions) for table in self.tables)
        signed = torch.zeros(len(pixels), neurons, dtype=torch.float16)
        for table in self.tables:
            layer = table.layer
            activations = record.post_activations(layer)
            found.append(_Part(f"activations_{layer}", activations.sum(0).double().cpu()))
            direct = activations[:, 0] / record.sigma_post[:, None]
            found.append(_Part(f"direct_{layer}", direct.sum(0).double().cpu()))
            view = LayerView(table, record, slice(0, len(pixels)))
            mask = view.significant
            found.append(_Part(f"significant_{layer}", mask.sum(0)))
            rows = torch.nonzero(mask.any(dim=0))[:, 0]
            found.append(_Part(f"moments_{layer}", _moments(view, mask, rows), rows))
            signed[:, table.rows] = view.in_thresholds(view.signed)
        peaks = [
            record.post_activations(layer)[..., neuron].amax(1).float().cpu()
            for layer, neuron in self.chosen
        ]
        found.append(_Part("peaks", torch.stack(peaks, dim=1)))
        found.append(_Part("signed", signed))
        return found

    def add(self, parts: Sequence[_Part], images: int) -> None:
        """Add a batch of `images` images."""
        state = self.state
        for name, value, rows in parts:
            if rows is not None:
                if name not in state:
                    table = next(t for t in self.tables if name == f"moments_{t.layer}")
                    state[name] = value.new_zeros(len(table.directions), *value.shape[1:])
                state[name].index_add_(0, rows, value)
            elif name in PER_PICTURE:
                state[name] = torch.cat([state[name], value]) if name in state else value
            else:
                state[name] = state[name] + value if name in state else value
        self.images += images

    def arrays(self, images: int) -> Arrays:
        state = self.state
        found = {name: state[name].numpy() for name in PER_PICTURE}
        for table in self.tables:
            layer = table.layer
            found[f"activations_{layer}"] = (state[f"activations_{layer}"] / images).float().numpy()
            found[f"direct_{layer}"] = (state[f"direct_{layer}"] / images).float().numpy()
            found[f"ranks_{layer}"] = further_ranks(table, state[f"moments_{layer}"]).numpy()
            found[f"significant_{layer}"] = state[f"significant_{layer}"].numpy()
        return found


def _moments(view: LayerView, mask: Tensor, neurons: Tensor) -> Tensor:
    """Return the sum of z z^T over the significant effects of `neurons`: [chosen, path, path]."""
    rows = torch.bmm(view.by_neuron[neurons], view.tables.whitening[0][neurons])
    rows = rows * mask.T[neurons][..., None]
    return rows.mT @ rows


def further_ranks(table: LayerTables, moments: Tensor) -> Tensor:
    """Return unit directions of ranks 2 and 3, orthogonal to rank 1: [rank, neuron, embed].

    `moments` [neuron, path, path]: second moments of whitened significant effects. A neuron with
    too few of them has zeros.
    """
    first = torch.nn.functional.normalize(table.coordinates_of(table.directions), dim=1).double()
    eye = torch.eye(first.shape[1], dtype=torch.float64)
    parts = []
    with one_thread():
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

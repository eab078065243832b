"""Claim 1: second-order effects matter, and in a few layers.

Paper, section 3.2: the accuracy after mean-ablating all second-order effects of one layer, beside
that after mean-ablating its first-order (direct) effects, and after mean-ablating its activations
and recomputing everything after them (indirect).

Second-order means are the build's, over its whole corpus. First-order means and mean activations
(at each token) are over a seeded sample of the corpus, since a bundle does not hold them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.evidence.context import Context
from explorer.evidence.figures import Figure, figure, ratio
from explorer.evidence.lenspass import LayerView, Replacement
from explorer.evidence.work import stream
from explorer.lens import write_vectors
from explorer.lens.direct import direct_paths
from explorer.lens.interventions import recompute, streams

VARIANTS = ("second_order", "first_order")
INDIRECT = "indirect ablation"


def probe(context: Context) -> Replacement:
    """Return the probe that ablates each layer's second-order, and first-order, effects."""
    model, reference = context.loaded.model, context.reference
    centre = context.bundle.manifest.centre
    writes = {n: direct_paths(model, n, centre=centre).float().cpu() for n in context.layers}

    def change(view: LayerView) -> Tensor:
        first = first_order_total(view, reference.direct[view.layer], writes[view.layer])
        return torch.stack([-view.total, -first])

    return Replacement(context.judge, change)


def first_order_total(view: LayerView, mean: Tensor, writes: Tensor) -> Tensor:
    """Return the sum of centred direct effects: [image, embed].

    `mean` [neuron]: mean direct coefficients; `writes` [neuron, embed]: `direct_paths`.
    """
    activations = view.record.post_activations(view.layer)[:, 0]
    coefficients = (activations / view.record.sigma_post[:, None]).float().cpu()
    return (coefficients - mean) @ writes


def measure(context: Context) -> dict[str, Any]:
    """Return recall after each ablation, layer by layer and in all layers together."""
    seed = context.settings.seed
    record = context.record("ablation")
    indirect = indirect_ranks(context)
    full = record["full"]
    places = [*context.layers, "all"]
    rows = []
    for place, layer in enumerate(places):
        kinds = {name: record["ranks"][:, place, i] for i, name in enumerate(VARIANTS)}
        if layer != "all":
            kinds["indirect"] = indirect[:, place]
        row: dict[str, Any] = {"layer": layer}
        row |= {name: after(full, ranks, seed) for name, ranks in kinds.items()}
        first, second = kinds["first_order"], kinds["second_order"]
        row["second_beyond_first"] = figure(hits(first) - hits(second), seed)
        rows.append(row)
    return {
        **context.conditions(),
        "corpus_sample": len(context.reference.images),
        "full": recalls(full, seed),
        "layers": rows[:-1],
        "all_layers": rows[-1],
    }


def hits(ranks: np.ndarray, within: int = 1) -> np.ndarray:
    """Return 1.0 where the right candidate is among the first `within`, else 0.0."""
    return (ranks < within).astype(np.float64)


def recalls(ranks: np.ndarray, seed: int) -> dict[str, Figure]:
    """Return recall@1 and recall@10 of ranks [image]."""
    return {f"recall@{k}": figure(hits(ranks, k), seed) for k in (1, 10)}


def after(full: np.ndarray, ranks: np.ndarray, seed: int) -> dict[str, Figure]:
    """Return recall after an intervention, and how much recall@1 fell, picture by picture."""
    return {**recalls(ranks, seed), "drop": figure(hits(full) - hits(ranks), seed)}


def lead_shares(leads: np.ndarray, names: Sequence[str], seed: int) -> dict[str, Figure]:
    """Return what the ablated effects add to the lead, and the share that each variant keeps.

    `leads` [image, variant + 1] as `Replacement` keeps them, of mean ablation first, then of the
    variants `names`. "carried" is in units of the unnormalised output's product with the texts.
    """
    carried = -leads[:, 0]
    kept = {
        name: ratio(leads[:, place] + carried, carried, seed)
        for place, name in enumerate(names, start=1)
    }
    return {"carried": figure(carried, seed), **kept}


def indirect_ranks(context: Context) -> np.ndarray:
    """Return ranks after replacing each layer's activations by their means: [image, layer]."""
    loaded, layers, judge = context.loaded, context.layers, context.judge
    means = context.reference.activations
    writes = {n: write_vectors(loaded.model, n, centre=False) for n in layers}

    def take(places: range) -> Mapping[str, np.ndarray]:
        pixels = context.evaluation.pixels(loaded, places)
        found = streams(loaded.model, pixels, layers)
        ranks = []
        for layer in layers:
            stream_after = ablated(
                found.outputs[layer], found.activations[layer], means[layer], writes[layer]
            )
            representation = recompute(loaded.model, layer, stream_after)
            ranks.append(judge.ranks(representation, slice(places.start, places.stop)))
        return {"ranks": torch.stack(ranks, dim=1).numpy()}

    size = context.settings.batch_size
    found = stream(context.work, INDIRECT, len(context.evaluation), size, take, context.say)
    return found["ranks"]


def ablated(output: Tensor, activations: Tensor, mean: Tensor, writes: Tensor) -> Tensor:
    """Return a block's output with its MLP's activations at their mean: [image, token, width].

    `mean` [token, neuron]; `writes` [neuron, width], LayerScale included, not centred.
    """
    change = (mean.to(writes) - activations.to(writes)) @ writes
    return (output.to(writes) + change).to(output.dtype)

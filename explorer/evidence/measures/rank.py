"""Claim 3: one direction carries a neuron's second-order effect.

Paper, section 3.4: recall when each neuron's centred effect is replaced by its projection on the
neuron's direction. Beside it the projections on two and three directions (`reference` says whence
these come), and how much of the squared significant effects the one direction explains, in the
build's pictures and in the evaluation pictures, which had no part in choosing it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.evidence.context import Context
from explorer.evidence.figures import figure, ratio
from explorer.evidence.lenspass import LayerView, Replacement
from explorer.evidence.measures.ablation import hits, lead_shares, recalls

NEEDS_EFFECTS = True
VARIANTS = ("ablated", "rank_1", "rank_2", "rank_3")
BINS = 20


def probe(context: Context) -> Replacement:
    """Return the probe that replaces effects by projections."""
    further = context.reference.ranks
    gains = {
        n: torch.einsum("kne,rne->rkn", table.paths, further[n])
        for n, table in context.tables.items()
    }

    def change(view: LayerView) -> Tensor:
        return projected(view, further[view.layer], gains[view.layer])

    return Replacement(context.judge, change)


def projected(view: LayerView, further: Tensor, gains: Tensor) -> Tensor:
    """Return the changes of `VARIANTS`: [variant, image, embed].

    `further` [rank, neuron, embed] with their `gains` [rank, path, neuron].
    """
    kept = [torch.zeros_like(view.total), view.signed @ view.tables.directions]
    for directions, gain in zip(further, gains, strict=True):
        scores = torch.einsum("ikn,kn->in", view.delta, gain)
        kept.append(kept[-1] + scores @ directions)
    return torch.stack(kept) - view.total


def measure(context: Context) -> dict[str, Any]:
    """Return recall with projected effects, and explained variances."""
    seed = context.settings.seed
    record = context.record("rank")
    full = hits(record["full"])
    rows: list[dict[str, Any]] = []
    for place, layer in enumerate([*context.layers, "all"]):
        row: dict[str, Any] = {"layer": layer}
        ablated = hits(record["ranks"][:, place, 0])
        for i, name in enumerate(VARIANTS):
            found = hits(record["ranks"][:, place, i])
            row[name] = {"recall@1": figure(found, seed)}
            if i:
                row[name]["kept"] = ratio(found - ablated, full - ablated, seed)
                row[name]["cosine"] = figure(record["cosines"][:, place, i], seed)
        rows.append(row)
    return {
        **context.conditions(),
        "corpus_sample": len(context.reference.images),
        "full": recalls(record["full"], seed),
        "drop": figure(full - hits(record["ranks"][:, -1, 0]), seed),
        "layers": rows[:-1],
        "all_layers": rows[-1],
        "lead": lead_shares(record["leads"][:, -1], VARIANTS[1:], seed),
        "explained_variance": _explained(context),
    }


def _explained(context: Context) -> dict[str, Any]:
    seed = context.settings.seed
    table = context.bundle.neurons[context.alive]
    edges = np.linspace(0, 1, BINS + 1)
    held_out = held_out_variance(context)[context.alive]
    layers = table["layer"].to_numpy()
    return {
        "build": {
            f"rank_{rank}": figure(table[column].to_numpy(), seed)
            for rank, column in enumerate(_COLUMNS, start=1)
        },
        "evaluation": figure(held_out, seed),
        "bins": [round(float(edge), 3) for edge in edges],
        "build_counts": np.histogram(table[_COLUMNS[0]], edges)[0].tolist(),
        "evaluation_counts": np.histogram(held_out[np.isfinite(held_out)], edges)[0].tolist(),
        "layers": [
            {
                "layer": layer,
                "build": figure(table[_COLUMNS[0]].to_numpy()[layers == layer], seed),
                "evaluation": figure(held_out[layers == layer], seed),
            }
            for layer in context.layers
        ],
    }


_COLUMNS = ("explained_variance", "explained_variance_2", "explained_variance_3")


def held_out_variance(context: Context) -> np.ndarray:
    """Return the share of squared significant effects along the direction: [neuron].

    Over the evaluation pictures; NaN for a neuron without a significant one among them.
    """
    effects = context.record("effects")
    norms, signed = effects["norms"], effects["signed"]
    found = np.full(norms.shape[1], np.nan)
    for start in range(0, norms.shape[1], 1024):
        part = slice(start, start + 1024)
        strong = norms[:, part] >= 1
        total = (norms[:, part].astype(np.float32) ** 2 * strong).sum(0)
        along = (signed[:, part].astype(np.float32) ** 2 * strong).sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            found[part] = np.where(total > 0, along / total, np.nan)
    return found.clip(max=1)

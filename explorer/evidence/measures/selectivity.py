"""Claim 2: a neuron's effect is significant for few pictures, and accuracy lives there.

Paper, section 3.3. An effect is significant if its centred norm reaches the threshold that the
build's strongest 2 % of pictures set. That about 2 % of new pictures reach it is so by
construction; what is tested is where accuracy lives: keep only the significant effects and
mean-ablate the rest, or the reverse. As a control, equally many effects drawn at random are kept
or ablated. How many of the strongest effects it takes is then asked by lowering the threshold.
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
VARIANTS = ("ablated", "only_significant", "without_significant", "only_random", "without_random")
LOWERED = (0.7, 0.5, 0.3, 0.2)  # of the threshold
THRESHOLDS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0)


def probe(context: Context) -> Replacement:
    """Return the probe that keeps, or ablates, some of the effects."""
    seed = context.settings.seed

    def change(view: LayerView) -> Tensor:
        return selected(view, seed)

    return Replacement(context.judge, change)


def selected(view: LayerView, seed: int) -> Tensor:
    """Return the changes of `VARIANTS`, then of keeping all above each of `LOWERED`.

    [variant, image, embed].
    """
    mask = view.significant
    chance = random_mask(mask, seed, view.layer, view.images.start)
    strong = view.summed(view.delta * mask[:, None])
    drawn = view.summed(view.delta * chance[:, None])
    total = view.total
    changes = [-total, strong - total, -strong, drawn - total, -drawn]
    for part in LOWERED:
        reached = (view.norms >= part * view.tables.threshold) & (view.tables.threshold > 0)
        changes.append(view.summed(view.delta * reached[:, None]) - total)
    return torch.stack(changes)


def random_mask(mask: Tensor, seed: int, layer: int, start: int) -> Tensor:
    """Return a mask [image, neuron] with as many effects of each picture, drawn at random.

    The draw depends on the picture's place, not on the batch.
    """
    drawn = torch.zeros_like(mask)
    for place, row in enumerate(mask):
        rng = np.random.default_rng([seed, 4, layer, start + place])
        neurons = rng.choice(len(row), int(row.sum()), replace=False)
        drawn[place, torch.from_numpy(neurons)] = True
    return drawn


def measure(context: Context) -> dict[str, Any]:
    """Return recall with some effects only, and the share of pictures above each threshold."""
    seed = context.settings.seed
    record = context.record("selectivity")
    full = hits(record["full"])
    rows = []
    for place, layer in enumerate([*context.layers, "all"]):
        by_name = {name: hits(record["ranks"][:, place, i]) for i, name in enumerate(VARIANTS)}
        rows.append({"layer": layer} | {k: figure(v, seed) for k, v in by_name.items()})
    everywhere = {name: hits(record["ranks"][:, -1, i]) for i, name in enumerate(VARIANTS)}
    lost = full - everywhere["ablated"]
    shares = {
        "kept_by_significant": ratio(
            everywhere["only_significant"] - everywhere["ablated"], lost, seed
        ),
        "lost_without_significant": ratio(full - everywhere["without_significant"], lost, seed),
        "kept_by_random": ratio(everywhere["only_random"] - everywhere["ablated"], lost, seed),
        "lost_without_random": ratio(full - everywhere["without_random"], lost, seed),
    }
    norms = context.record("effects")["norms"][:, context.alive]
    return {
        **context.conditions(),
        "significant_share_of_the_build": context.bundle.manifest.settings.get("significant"),
        "full": recalls(record["full"], seed),
        "drop": figure(lost, seed),
        "layers": rows[:-1],
        "all_layers": {**rows[-1], **shares},
        "lead": lead_shares(record["leads"][:, -1], VARIANTS[1:], seed),
        "above": _curve(norms, seed),
        "lowered": _lowered(record["ranks"][:, -1], full, lost, norms, seed),
    }


def _lowered(
    ranks: np.ndarray, full: np.ndarray, lost: np.ndarray, norms: np.ndarray, seed: int
) -> list[dict[str, Any]]:
    """Return recall when all effects above a lowered threshold are kept, and their share.

    `ranks` [image, variant]; `full` and `lost` [image]; `norms` [image, neuron].
    """
    places = [(1.0, VARIANTS.index("only_significant"))]
    places += [(part, len(VARIANTS) + i) for i, part in enumerate(LOWERED)]
    rows = []
    for part, place in places:
        found = hits(ranks[:, place])
        rows.append(
            {
                "threshold": part,
                "effects": figure((norms >= np.float16(part)).mean(axis=1), seed),
                "recall@1": figure(found, seed),
                "kept": ratio(found - (full - lost), lost, seed),
            }
        )
    return rows


def _curve(norms: np.ndarray, seed: int) -> dict[str, Any]:
    """Return how the share of pictures above a threshold falls, over neurons."""
    median: list[float] = []
    low: list[float] = []
    high: list[float] = []
    for threshold in THRESHOLDS:
        shares = (norms >= np.float16(threshold)).mean(axis=0)
        for values, quantile in ((low, 0.25), (median, 0.5), (high, 0.75)):
            values.append(round(float(np.quantile(shares, quantile)), 5))
    return {
        "thresholds": list(THRESHOLDS),
        "median": median,
        "lower_quartile": low,
        "upper_quartile": high,
        "at_the_threshold": figure((norms >= np.float16(1)).mean(axis=0), seed),
        "neurons": int(norms.shape[1]),
    }

"""Claim 7: how much of the output the second-order terms carry.

The representation is a sum: second-order effects of every layer, first-order (direct) effects, and
the rest (embeddings, attention reading anything but neurons, biases, layers the bundle lacks). Each
part is taken about its mean over corpus pictures.

- *Norm share* of a part: root mean square of its length over that of the centred representation.
  Parts may cancel, so these do not sum to 1.
- *Logit share*: the part's product with `t_label - mean candidate`, summed over pictures, over the
  same of the centred representation: what the part adds to the right answer's lead. These sum to 1.

By layer the part is all effects of its neurons; by head, all that goes through that head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.evidence.context import Context
from explorer.evidence.evaluation import Judge
from explorer.evidence.figures import DIGITS, Figure, figure, ratio
from explorer.evidence.lenspass import PassBatch
from explorer.evidence.measures.ablation import first_order_total
from explorer.lens import path_names
from explorer.lens.direct import direct_paths


class FitProbe:
    """Keeps lead and squared length of every part: [image, part] float32 each.

    Parts are: second order by layer, first order by layer, heads of the earliest layer's paths, all
    second order, all first order, the rest, the whole.
    """

    def __init__(
        self, judge: Judge, mean: Tensor, direct: dict[int, Tensor], writes: dict[int, Tensor]
    ) -> None:
        """Keep the mean representation [embed], mean direct coefficients and direct paths."""
        self.judge, self.mean, self.direct, self.writes = judge, mean, direct, writes

    def take(self, batch: PassBatch, /) -> Mapping[str, np.ndarray]:
        """Measure the parts of a batch."""
        stacked = torch.stack(self.parts(batch))
        contrasts = self.judge.contrasts(batch.images)
        return {
            "lead": torch.einsum("pie,ie->ip", stacked, contrasts).numpy(),
            "square": stacked.square().sum(dim=2).T.contiguous().numpy(),
        }

    def parts(self, batch: PassBatch) -> list[Tensor]:
        """Return the parts, each [image, embed]; see the class."""
        second = [view.by_path.sum(0) for view in batch.views]
        first = [
            first_order_total(view, self.direct[view.layer], self.writes[view.layer])
            for view in batch.views
        ]
        heads = batch.views[0].by_path.clone()
        for view in batch.views[1:]:
            heads[-len(view.by_path) :] += view.by_path  # a later layer's paths are the last ones
        whole = batch.representation - self.mean
        all_second, all_first = torch.stack(second).sum(0), torch.stack(first).sum(0)
        rest = whole - all_second - all_first
        return [*second, *first, *heads, all_second, all_first, rest, whole]


def probe(context: Context) -> FitProbe:
    """Return the probe for a bundle."""
    model, centre = context.loaded.model, context.bundle.manifest.centre
    return FitProbe(
        context.judge,
        torch.from_numpy(np.array(context.bundle.mean_representation, np.float32)),
        context.reference.direct,
        {n: direct_paths(model, n, centre=centre).float().cpu() for n in context.layers},
    )


def measure(context: Context) -> dict[str, Any]:
    """Return norm and logit shares by order, layer and head."""
    record = context.record("fit")
    seed, layers = context.settings.seed, context.layers
    lead, square = record["lead"].astype(np.float64), record["square"].astype(np.float64)
    names = path_names(context.loaded.model, layers[0])

    def shares(part: int) -> dict[str, Figure]:
        norm = ratio(square[:, part], square[:, -1], seed)
        return {"norm_share": _root(norm), "logit_share": ratio(lead[:, part], lead[:, -1], seed)}

    count = len(layers)
    return {
        **context.conditions(),
        "corpus_sample": len(context.reference.images),
        "lead": figure(lead[:, -1], seed),
        "orders": {
            name: shares(place - 4)
            for place, name in enumerate(("second_order", "first_order", "rest"))
        },
        "layers": [
            {"layer": n, "second_order": shares(i), "first_order": shares(count + i)}
            for i, n in enumerate(layers)
        ],
        "heads": [
            {"block": path.layer, "head": path.head, **shares(2 * count + k)}
            for k, path in enumerate(names)
        ],
    }


def _root(squared: Figure) -> Figure:
    """Return the figure of the root of a ratio."""
    if squared["value"] is None:
        return squared
    interval = squared["interval"]
    return {
        "value": round(squared["value"] ** 0.5, DIGITS),
        "interval": interval and [round(max(v, 0) ** 0.5, DIGITS) for v in interval],
        "count": squared["count"],
    }

"""The probe that several sections share: each neuron's effect on each picture, as two numbers.

Both are in units of the neuron's threshold, the norm of its weakest significant effect.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from explorer.evidence.context import Context
from explorer.evidence.lenspass import PassBatch


class Effects:
    """Keeps `norms`, `signed` [image, neuron] float16 and `representation` [image, embed]."""

    def __init__(self, neurons: int, peaks: list[tuple[int, int]]) -> None:
        """Keep the count of neurons, and the (layer, neuron) whose peak activations are kept."""
        self.neurons, self.chosen = neurons, peaks

    def take(self, batch: PassBatch, /) -> Mapping[str, np.ndarray]:
        """Return the effects of a batch."""
        count = batch.images.stop - batch.images.start
        norms = np.zeros((count, self.neurons), np.float16)
        signed = np.zeros_like(norms)
        for view in batch.views:
            norms[:, view.tables.rows] = view.in_thresholds(view.norms)
            signed[:, view.tables.rows] = view.in_thresholds(view.signed)
        records = {view.layer: view.record for view in batch.views}
        peaks = [
            records[layer].post_activations(layer)[..., neuron].amax(1).float().cpu()
            for layer, neuron in self.chosen
        ]
        return {
            "norms": norms,
            "signed": signed,
            "representation": batch.representation.numpy(),
            "peaks": torch.stack(peaks, dim=1).numpy(),
        }


def probe(context: Context) -> Effects:
    """Return the probe for a bundle."""
    return Effects(len(context.bundle.neurons), context.kind_neurons)

"""What the tests of the evidence share: a context on the tiny bundle, and slow oracles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from explorer.bundle import Bundle
from explorer.evidence import figures
from explorer.evidence.context import Context
from explorer.evidence.lenspass import LayerView, PassBatch
from explorer.evidence.settings import EvidenceSettings
from explorer.evidence.work import Work
from explorer.lens import SecondOrderLens, trace

SMALL: dict[str, Any] = {
    "means": 20, "text_neurons": 30, "kind_neurons": 6, "batch_size": 3, "scenes": 5,
}  # fmt: skip


def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take intervals from 50 resamples: an interval of AUC, ranked in each, takes seconds."""
    every = figures.resample_weights
    monkeypatch.setattr(figures, "resample_weights", lambda units, seed: every(units, seed)[:50])


def context_of(path: Path, work: Path | None = None, **changes: Any) -> Context:
    """A context of few neurons and pictures, that keeps its work in a folder or nowhere."""
    settings = EvidenceSettings(**(SMALL | changes))
    return Context(Bundle.open(path), settings, Work(work), lambda line: None)


def batch_of(context: Context) -> PassBatch:
    """All evaluation pictures as one batch."""
    count = len(context.evaluation)
    pixels = context.evaluation.pixels(context.loaded, range(count))
    record = trace(context.loaded.model, pixels, context.layers)
    images = slice(0, count)
    views = [LayerView(context.tables[layer], record, images) for layer in context.layers]
    return PassBatch(images, record.representation, views)


def centred_effects(context: Context, layer: int) -> Tensor:
    """All centred effects of a layer on the evaluation pictures, formed: [image, neuron, embed]."""
    count = len(context.evaluation)
    pixels = context.evaluation.pixels(context.loaded, range(count))
    lens = SecondOrderLens(context.loaded.model, layer, context.bundle.manifest.centre)
    mean = torch.from_numpy(np.array(context.bundle.mean_coefficients(layer)))
    return lens.effects(pixels) - torch.einsum("kn,nke->ne", mean, lens.paths)


def plain_ranks(context: Context, representations: Tensor) -> list[int]:
    """How many candidates beat the right one, picture by picture."""
    found = []
    for place, vector in enumerate(representations):
        cosines = [float(torch.dot(vector, text)) for text in context.judge.texts]
        own = cosines[context.evaluation.answers[place]]
        found.append(sum(cosine > own for cosine in cosines))
    return found

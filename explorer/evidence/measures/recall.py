"""Does the model recognise what it never saw? The measure of everything that is ablated later."""

from __future__ import annotations

from typing import Any

import torch

from explorer.evidence.context import Context
from explorer.evidence.evaluation import PROMPT, Judge
from explorer.evidence.measures.ablation import recalls
from explorer.lens.models import encode_images


def measure(context: Context) -> dict[str, Any]:
    """Return how often a picture's own name is the nearest, or among the ten nearest.

    Every evaluation picture is encoded on white, and every distinct name of theirs is a candidate.
    `recall@1` and `recall@10` come with bootstrap 95 % intervals over pictures.
    """
    evaluation, seed = context.evaluation, context.settings.seed
    judge: Judge = context.judge
    images = encode_images(
        context.loaded, (evaluation.image(place) for place in range(len(evaluation)))
    )
    ranks = judge.ranks(torch.as_tensor(images), slice(0, len(evaluation))).numpy()
    return {
        **recalls(ranks, seed),
        "candidates": len(evaluation.candidates),
        "pictures": len(evaluation),
        "set": evaluation.name,
        "sources": evaluation.sources,
        "prompt": PROMPT,
        "seed": seed,
    }

"""Does the model recognise what it never saw? The measure of everything that is ablated later."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from explorer.evidence.context import Context
from explorer.evidence.evaluation import PROMPT, Judge
from explorer.evidence.figures import DIGITS, figure
from explorer.evidence.measures.ablation import hits, recalls
from explorer.evidence.measures.phrasing import measure_colours
from explorer.lens.models import encode_images

PHRASES = (
    "a photo of a {}",
    "a picture of the {}",
    "an image of a {}",
    "a drawing of a {}",
    "there is a {} here",
)
"""Ways that people write a name into a search box."""


def measure(context: Context) -> dict[str, Any]:
    """Return how often a picture's own name is the nearest, or among the ten nearest.

    Every evaluation picture is encoded on white, and every distinct name of theirs is a candidate.
    `recall@1` and `recall@10` come with bootstrap 95 % intervals over pictures. `phrases` has
    recall@1 with every name written into a phrase, and how much more that is than bare names give;
    `painted` says whether colours are told (see `phrasing`). `commonest` is what naming the 1 and
    the 10 commonest names reaches, without a look at the pictures.
    """
    evaluation, seed = context.evaluation, context.settings.seed
    images = torch.as_tensor(
        encode_images(context.loaded, (evaluation.image(place) for place in range(len(evaluation))))
    )

    def ranks_by(judge: Judge) -> np.ndarray:
        found: np.ndarray = judge.ranks(images, slice(0, len(evaluation))).numpy()
        return found

    ranks = ranks_by(context.judge)
    by_phrase = {
        phrase: hits(ranks_by(Judge.of(context.loaded, evaluation, phrase))) for phrase in PHRASES
    }
    return {
        **recalls(ranks, seed),
        "commonest": {str(nearest): commonest(evaluation.answers, nearest) for nearest in (1, 10)},
        "candidates": len(evaluation.candidates),
        "pictures": len(evaluation),
        "set": evaluation.name,
        "sources": evaluation.sources,
        "prompt": PROMPT,
        "phrases": [
            {
                "phrase": phrase,
                "recall@1": figure(found, seed),
                "beyond_bare": figure(found - hits(ranks), seed),
            }
            for phrase, found in by_phrase.items()
        ],
        "painted": measure_colours(context),
        "seed": seed,
    }


def commonest(answers: np.ndarray, nearest: int) -> float:
    """Return the share of `answers` [image] that are among the `nearest` commonest names."""
    counts = np.sort(np.bincount(answers))[::-1]
    return round(float(counts[:nearest].sum() / len(answers)), DIGITS)

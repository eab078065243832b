"""Claims measured on a bundle. So far: does its model recognise what it never saw?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.models import encode_images, encode_texts

PROMPT = "{}"  # candidates are embedded as their bare names
RESAMPLES = 2000


def measure_recall(bundle: Bundle, seed: int = 0) -> dict[str, Any]:
    """Return how often a held-out picture's own name is the nearest, or among the ten nearest.

    Every shipped held-out picture is encoded on white, and every distinct name of theirs is a
    candidate. ``recall@1`` and ``recall@10`` come with bootstrap 95 % intervals over pictures.

    Raises:
        InputError: the bundle ships no held-out pictures.
    """
    table = bundle.pictures.table
    rows = np.flatnonzero(table["split"] == "heldout")
    if not len(rows):
        raise InputError(f"The bundle '{bundle.name}' ships no held-out pictures to measure on.")
    loaded = bundle.load_model()
    labels = table["label"].iloc[rows].tolist()
    candidates = sorted(set(labels))
    images = encode_images(loaded, (bundle.pictures.image(int(row)) for row in rows))
    texts = encode_texts(loaded, [PROMPT.format(name) for name in candidates])
    answers = torch.tensor([candidates.index(label) for label in labels])
    scores = images @ texts.T
    rank = (scores > scores.gather(1, answers[:, None])).sum(1).numpy()
    return {
        "recall@1": float((rank < 1).mean()),
        "recall@10": float((rank < 10).mean()),
        "candidates": len(candidates),
        "pictures": len(rows),
        "recall@1_interval": bootstrap_interval(rank < 1, seed),
        "recall@10_interval": bootstrap_interval(rank < 10, seed),
        "sources": sorted(set(table["source"].iloc[rows])),
        "prompt": PROMPT,
        "seed": seed,
    }


def bootstrap_interval(hits: np.ndarray, seed: int) -> list[float]:
    """Return the 95 % percentile interval of the mean of ``hits`` [picture] bool."""
    rng = np.random.default_rng(seed)
    means = rng.binomial(len(hits), hits.mean(), RESAMPLES) / len(hits)
    return [round(float(v), 4) for v in np.quantile(means, (0.025, 0.975))]


SECTIONS = {"recall": measure_recall}


def measure(bundle: Bundle, only: list[str]) -> dict[str, Any]:
    """Return {section: result} of the sections named.

    Raises:
        InputError: a section is unknown.
    """
    unknown = [name for name in only if name not in SECTIONS]
    if unknown:
        known = ", ".join(SECTIONS)
        raise InputError(f"There is no evidence section '{unknown[0]}'; choose among: {known}.")
    return {name: SECTIONS[name](bundle) for name in only}

"""What the best neuron reaches for a text that means nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explorer.bundle import Bundle
from explorer.describe.agreement import agreement
from explorer.describe.chance import null_directions
from explorer.search.meaningless import NULLS, best_by_chance


def test_the_best_by_chance_against_brute_force(tiny_bundle: Path) -> None:
    """Every neuron's pictures are looked at, by the figure that `agreement` gives."""
    bundle = Bundle.open(tiny_bundle)
    firsts = []
    for null in null_directions(bundle.dictionary.atoms(), NULLS):
        cosines = np.asarray(bundle.directions, np.float32) @ null
        every = np.tile(null, (len(cosines), 1))
        images = np.asarray(bundle.image_embeddings, np.float32)
        shown = agreement(every, images, bundle.top_images, bundle.top_effects)
        first = int((cosines * (2 * shown - 1).clip(0) * (cosines > 0)).argmax())
        firsts.append((cosines[first], shown[first]))
    best = best_by_chance(bundle)
    assert (best.cosine, best.shown) == pytest.approx(np.median(firsts, axis=0), abs=5e-3)
    assert best_by_chance(bundle) is best

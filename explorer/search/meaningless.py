"""What the best of all neurons reaches for a text that means nothing: the chance level of a search.

A search lists the best of thousands of neurons, and the best of thousands lies near any text: 50 %
is the level of a single neuron only. So 32 seeded *null texts* are searched for: random
directions with the mean and the covariance of the dictionary's centred texts (see
`explorer.describe.chance`), which need no text tower. Of each, the neuron that a search by pictures
lists first is taken.

On `picto` the medians are +0.32 and 95 %; strings of random letters, embedded by its text tower,
give +0.28 and 94 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.bundle import Bundle
from explorer.describe.agreement import rank_shares
from explorer.describe.chance import null_directions
from explorer.kept import kept
from explorer.search import least, products, top_weights, wide

NULLS = 32
SAMPLE = 4_000  # texts of the dictionary that give mean and covariance
LEADING = 256  # neurons nearest to a null text, one of which its pictures put first


@dataclass(frozen=True)
class BestByChance:
    """Medians over null texts, of the neuron that a search lists first."""

    cosine: float
    """Of its direction with the text."""
    shown: float
    """The chance that one of its top pictures lies nearer to the text than a random one."""


def best_by_chance(bundle: Bundle) -> BestByChance:
    """Return what the best neuron reaches for a meaningless text; measured once."""
    return kept(bundle, "best by chance", lambda: _measured(bundle))


def _measured(bundle: Bundle) -> BestByChance:
    atoms = bundle.dictionary.atoms()
    drawn = np.random.default_rng(0).permutation(len(atoms))[:SAMPLE]
    nulls = null_directions(atoms[drawn], NULLS)
    cosines = products(wide(bundle, "directions"), nulls)
    images = products(wide(bundle, "image_embeddings"), nulls)
    firsts = []
    for scores, along in zip(cosines.T, images.T, strict=True):
        rows = least(-scores, LEADING)
        shown = top_weights(bundle).agreement(rank_shares(along), rows)
        first = int((scores[rows] * (2 * shown - 1).clip(0)).argmax())
        firsts.append((scores[rows[first]], shown[first]))
    cosine, told = np.median(firsts, axis=0).tolist()
    return BestByChance(cosine, told)

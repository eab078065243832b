"""Whether a neuron's texts tell its pictures: the check of a description on what it describes.

A sparse set says where a direction points, which need not be what the neuron's pictures show: the
neuron adds its direction to them whatever they are. The agreement of a neuron is the chance that,
of one of its top pictures and a picture drawn at random, the top one lies farther along the
weighted sum of its leading texts, those that people read (farther back, for pictures of the
negative end). Top pictures are drawn by their squared effect. It is an AUROC: 1 when the texts put
every top picture before all others, 0.5 when they tell nothing. Neither labels nor a threshold is
needed.

The same can be asked of any text that is searched for: do a neuron's pictures show it
(`text_agreement`)?
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import rankdata

CHUNK = 512
FEW = 16  # as many times more neurons make it faster to look at some alone than at all
UNKNOWN = 0.5  # of a neuron without texts or pictures


def text_sums(
    ids: NDArray[np.integer],
    weights: NDArray[np.floating],
    atoms: NDArray[np.float32],
    leading: int,
) -> NDArray[np.float32]:
    """Return the weighted sum of each neuron's `leading` heaviest texts, [neuron, embed].

    ids, weights: [neuron, m], -1 where there is no text; atoms: [text, embed], unit norm.
    """
    sizes = np.where(ids >= 0, np.abs(weights), -1)
    heaviest = np.argsort(-sizes, axis=1, kind="stable")[:, :leading]
    ids = np.take_along_axis(ids, heaviest, axis=1)
    weights = np.take_along_axis(weights, heaviest, axis=1)
    sums = np.zeros((len(ids), atoms.shape[1]), np.float32)
    for place in range(ids.shape[1]):
        held = ids[:, place] >= 0
        sums[held] += weights[held, place, None].astype(np.float32) * atoms[ids[held, place]]
    return sums


def agreement(
    sums: NDArray[np.float32],
    images: NDArray[np.float32],
    top_images: NDArray[np.integer],
    top_effects: NDArray[np.floating],
) -> NDArray[np.float32]:
    """Return each neuron's agreement in [0, 1]: [neuron] float32.

    sums: [neuron, embed], see `text_sums`; images: [image, embed], centred embeddings of the
    corpus; top_images, top_effects: [neuron, end, image], -1 where there is no picture, end 0 the
    positive one.
    """
    found = np.full(len(sums), UNKNOWN, np.float32)
    for start in range(0, len(sums), CHUNK):
        for place, along in enumerate(sums[start : start + CHUNK] @ images.T):
            neuron = start + place
            held = top_images[neuron] >= 0
            weights = np.where(held, top_effects[neuron].astype(np.float64), 0) ** 2
            if not weights.any() or along.min() == along.max():
                continue
            rank = _ranks(along, along[top_images[neuron]])
            rank[1] = 1 - rank[1]
            found[neuron] = (weights * rank).sum() / weights.sum()
    return found


@dataclass(frozen=True, eq=False)
class TopWeights:
    """What each picture's rank counts for in the agreement of every neuron with a text."""

    signed: csr_array
    """[neuron, image]: shares of a neuron's squared effects, negative at the negative end."""
    base: NDArray[np.float32]
    """[neuron]: the share of the negative end; 0.5 for a neuron without pictures."""

    @classmethod
    def of(
        cls,
        top_images: NDArray[np.integer],
        top_effects: NDArray[np.floating],
        images: int,
    ) -> TopWeights:
        """Take the top pictures of so many images, as in `agreement`; the second end may lack."""
        weights = np.where(top_images >= 0, np.square(top_effects, dtype=np.float32), 0)
        total = weights.sum(axis=(1, 2))
        weights /= np.where(total > 0, total, 1)[:, None, None]
        base = np.where(total > 0, weights[:, 1:].sum(axis=(1, 2)), UNKNOWN).astype(np.float32)
        weights[:, 1:] *= -1
        neurons, columns = len(weights), weights[0].size
        starts = np.arange(0, neurons * columns + 1, columns, dtype=np.int32)
        numbers = np.maximum(top_images, 0).astype(np.int32).ravel()
        shape = (neurons, images)
        return cls(csr_array((weights.ravel(), numbers, starts), shape=shape), base)

    def agreement(
        self, ranks: NDArray[np.float32], rows: NDArray[np.integer] | None = None
    ) -> NDArray[np.float32]:
        """Return the agreement of every neuron, or of some `rows`, with a text: [neuron] float32.

        ranks: [image], of the images' products with the text, see `rank_shares`.
        """
        if rows is None or FEW * len(rows) > len(self.base):
            every: NDArray[np.float32] = self.base + self.signed @ ranks
            return every if rows is None else every[rows]
        held = self.signed.data.reshape(len(self.base), -1)[rows]
        numbers = self.signed.indices.reshape(len(self.base), -1)[rows]
        some: NDArray[np.float32] = self.base[rows] + np.einsum("ni,ni->n", held, ranks[numbers])
        return some


def rank_shares(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the share of `values` [value] below each of them, equal ones by half: [value]."""
    shares: NDArray[np.float32] = ((rankdata(values) - 0.5) / len(values)).astype(np.float32)
    return shares


def text_agreement(
    text: NDArray[np.float32],
    images: NDArray[np.floating],
    top_images: NDArray[np.integer],
    top_effects: NDArray[np.floating],
) -> NDArray[np.float32]:
    """Return each neuron's agreement with one text instead of its own: [neuron] float32.

    text: [embed]; images: [image, embed], embeddings of the corpus; top_images, top_effects: as in
    `agreement`. The same figure as `agreement` gives with this text for every neuron.
    """
    along = np.asarray(images, np.float32) @ text
    weights = TopWeights.of(top_images, top_effects, len(images))
    return weights.agreement(rank_shares(along))


def _ranks(values: NDArray[np.float32], asked: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the share of `values` [value] below each that is asked for, equal ones by half."""
    ordered = np.sort(values)
    below, above = (np.searchsorted(ordered, asked, side) for side in ("left", "right"))
    ranks: NDArray[np.float32] = ((below + above) / 2 / len(values)).astype(np.float32)
    return ranks

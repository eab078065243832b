"""Polysemy: how many unrelated things one neuron means.

A neuron's sparse texts, and independently its top images, are grouped into clusters of related
ones; the score is the chance that two draws land on unrelated things:

1. Items with positive and with negative weight are separate sides: what the neuron points to and
   what it points away from. A text's mass is what it contributes to the squared length of the
   weighted sum `y = sum of w_i d_i`, that is `w_i <d_i, y>`: the masses sum to it exactly
   (negative ones, rare, count as 0). So a pursuit's long tail of small weights hardly counts, where
   their absolute values would outweigh the leading concepts. An image's mass is its squared effect.
2. Each side is clustered (scikit-learn, average linkage): clusters merge while the mean cosine
   between them exceeds `related`, the cosine that only one in a hundred random pairs of the
   dictionary reaches (`related_cosine`). So the score means the same for every model.
3. Two clusters c, d are related by `s_cd`: 1 from a mean cosine of `related` on, where they
   would merge, 0 up to half of it, linear between, so that nothing jumps; `s_cc = 1`. (From 0
   instead of half, the mere scatter of unrelated vectors would count as relation.)
4. `score = 1 - sum over c, d of m_c m_d s_cd` on each side (Rao's quadratic entropy; in ecology
   the similarity-sensitive Simpson index, Leinster & Cobbold 2012), averaged over sides by mass.

`1 / (1 - score)` is the number of equally heavy unrelated meanings with that score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError

Rows = NDArray[np.floating[Any]]

# `related_cosine` of a sentence encoder's (MiniLM's) centred embeddings of 5,900 common words.
RELATED = 0.25


@dataclass(frozen=True, eq=False)
class ClusterResult:
    """Clusters of one neuron's concepts or top images.

    labels: [item] int64, cluster of each item; -1 for items of weight 0. Clusters of the positive
        side come first, then those of the negative side, each by falling mass.
    masses: [cluster] float64, share of the neuron's mass (concepts: contribution to the weighted
        sum; images: squared effect); they sum to 1. No cluster when all weights are 0.
    sides: [cluster] int64, +1 or -1.
    relatedness: [cluster, cluster] float64 in [0, 1]; 1 on the diagonal, 0 between the sides.
    """

    labels: NDArray[np.int64]
    masses: NDArray[np.float64]
    sides: NDArray[np.int64]
    relatedness: NDArray[np.float64]

    @property
    def score(self) -> float:
        """Chance, in [0, 1], that two items drawn by mass from one side are unrelated.

        The side is drawn by mass too. 0: each side is a single cluster (or there is nothing);
        0.5: as with two equally heavy unrelated clusters, 1 - 1/k with k of them; 1 is the limit
        of evenly spread mass over ever more unrelated clusters.
        """
        score = 0.0
        for side in (1, -1):
            of_side = self.sides == side
            masses = self.masses[of_side]
            total = masses.sum()
            if total > 0:
                alike = masses @ self.relatedness[np.ix_(of_side, of_side)] @ masses / total
                score += float(total - alike)
        return min(max(score, 0.0), 1.0)


def concept_clusters(embeddings: Rows, weights: Rows, related: float = RELATED) -> ClusterResult:
    """Group a neuron's sparse texts into concepts.

    embeddings: [text, embed], the centred text embeddings (`TextDictionary.atoms` of the texts);
    lengths don't matter. weights: [text], signed weights of the pursuit. related: from
    `related_cosine` of the dictionary's atoms; models differ, so measure it where you can. The
    order of the texts does not matter.

    How many of a sparse set's texts to give: checked on mixtures of 1 to 8 known meanings (common
    words, MiniLM embeddings) plus noise of 0.3 and 0.8 times their length. All 64 rank the mixtures
    best (rank correlation with the truth 0.88 and 0.84; the leading 16: 0.84 and 0.78), the leading
    16 keep a single meaning nearer to 0 (0.14 and 0.40; 64 texts: 0.21 and 0.54). Squared weights
    as masses did worse: 0.87 and 0.71 in rank, 0.39 and 0.79 for a single meaning of 64 texts.

    Raises:
        InputError: when shapes do not agree, a number is NaN, or `related` is outside (0, 1).
    """
    vectors, scale = _checked(embeddings, weights)
    _check_related(related)
    return _clustered(vectors, scale, _contributions(vectors, scale), related)


def image_clusters(
    embeddings: Rows, effects: Rows | None, related: float = RELATED
) -> ClusterResult:
    """Group a neuron's top images by their own embeddings, independently of its texts.

    embeddings: [image, embed], minus their mean over the whole image set. effects: [image], signed
    effects of the neuron (images at its negative end are a side of their own), or None for equal
    masses on one side. related: from `related_cosine` of the centred image embeddings.

    Raises:
        InputError: as `concept_clusters`.
    """
    weights = np.ones(len(embeddings)) if effects is None else effects
    vectors, scale = _checked(embeddings, weights)
    _check_related(related)
    return _clustered(vectors, scale, _energies(scale), related)


def related_cosine(
    embeddings: Rows, quantile: float = 0.99, pairs: int = 200_000, seed: int = 0
) -> float:
    """Return the cosine that one in a hundred random pairs exceeds: from there rows are related.

    embeddings: [row, embed], centred by their mean; rows of zeros are left out. Estimated from
    `pairs` random pairs of different rows, the same ones for the same seed. Lies in
    [0.05, 0.95], whatever the data.

    Raises:
        InputError: when there are fewer than two rows, or a setting is out of its range.
    """
    if embeddings.ndim != 2 or not 0 < quantile < 1 or pairs < 1:
        raise InputError(
            f"Cannot take the {quantile} quantile of {pairs} pairs of {list(embeddings.shape)}: "
            "give [row, embed], a quantile between 0 and 1 and at least one pair."
        )
    lengths = np.concatenate(
        [
            np.linalg.norm(embeddings[start : start + 8192].astype(np.float32), axis=1)
            for start in range(0, len(embeddings), 8192)
        ]
        or [np.zeros(0)]
    )
    usable = np.flatnonzero(lengths > 0)
    if len(usable) < 2:
        raise InputError(f"Relatedness needs two rows that are not zero, got {len(usable)}.")
    rng = np.random.default_rng(seed)
    first = rng.integers(len(usable), size=pairs)
    second = (first + rng.integers(1, len(usable), size=pairs)) % len(usable)
    cosines = np.empty(pairs, dtype=np.float32)
    for start in range(0, pairs, 8192):
        part = slice(start, start + 8192)
        one, other = usable[first[part]], usable[second[part]]
        products = np.einsum(
            "re,re->r", embeddings[one].astype(np.float32), embeddings[other].astype(np.float32)
        )
        cosines[part] = products / (lengths[one] * lengths[other])
    return min(max(float(np.quantile(cosines, quantile)), 0.05), 0.95)


def label_diversity(
    labels: Sequence[str | None],
    label_embeddings: Rows | None = None,
    related: float | None = None,
) -> float:
    """Return the chance that two of a neuron's top images carry unrelated labels.

    For validating the score with what the pictures are known to show. labels: [image], None or ""
    for an unlabelled image, which is left out. label_embeddings: [image, embed], the centred text
    embedding of each image's label, with `related` from `related_cosine` of the dictionary: two
    labels then count as different by how unrelated they are, as two clusters do, instead of by
    wording alone. Equal labels are never different.

    Returns 0 (all alike) to 1 (no two alike); NaN with fewer than two labelled images.

    Raises:
        InputError: when embeddings come without `related` or their count is not that of the labels.
    """
    known = [place for place, label in enumerate(labels) if label]
    names = np.array([labels[place] for place in known], dtype=object)
    if len(names) < 2:
        return float("nan")
    apart = (names[:, None] != names[None, :]).astype(np.float64)
    if label_embeddings is not None:
        if related is None:
            raise InputError("Label embeddings need `related`: pass related_cosine of the texts.")
        _check_related(related)
        vectors, _ = _checked(label_embeddings, np.ones(len(labels)))
        unit = vectors[known]
        apart *= 1 - _relatedness(unit @ unit.T, related)
    return float(apart.sum() / (len(names) * (len(names) - 1)))


def _energies(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return squares [item] of the weights, the largest brought to 1."""
    largest = np.abs(weights).max(initial=0.0)
    return np.square(weights / largest) if largest > 0 else np.zeros(len(weights))


def _contributions(unit: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what each item adds to the weighted sum's squared length [item], up to a factor.

    At least 0. The squared weights if the sum has no length to share.
    """
    scaled = weights / (np.abs(weights).max(initial=0.0) or 1.0)
    shares = np.maximum(scaled * (unit @ (scaled @ unit)), 0)
    return shares if shares.sum() > 1e-12 else _energies(weights)


def _clustered(
    unit: NDArray[np.float64],
    weights: NDArray[np.float64],
    item_masses: NDArray[np.float64],
    related: float,
) -> ClusterResult:
    """Return both sides' clusters of checked items: [item, embed] unit or zero, [item], [item]."""
    labels = np.full(len(weights), -1, dtype=np.int64)
    masses: list[NDArray[np.float64]] = []
    sides: list[NDArray[np.int64]] = []
    blocks: list[NDArray[np.float64]] = []
    for side in (1, -1):
        items = np.flatnonzero(np.sign(weights) == side)
        if len(items) == 0:
            continue
        # In an order of their own, so that the given one cannot matter where cosines are equal.
        items = items[np.argsort(unit[items] @ _probe(unit.shape[1]), kind="stable")]
        cosines = unit[items] @ unit[items].T
        groups = _linked(cosines, related)
        mass = np.bincount(groups, weights=item_masses[items]).astype(np.float64)
        order = np.argsort(-mass, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        groups, mass = place[groups], mass[order]
        labels[items] = groups + sum(map(len, masses))
        shares = np.zeros((len(items), len(mass)))
        whole = np.where(mass > 0, mass, 1)
        shares[np.arange(len(items)), groups] = item_masses[items] / whole[groups]
        between = _relatedness(shares.T @ cosines @ shares, related)
        between = (between + between.T) / 2  # exactly symmetric, whatever the order of sums
        np.fill_diagonal(between, 1)
        masses.append(mass)
        sides.append(np.full(len(mass), side, dtype=np.int64))
        blocks.append(between)
    if not masses:
        nothing = np.zeros(0)
        return ClusterResult(labels, nothing, nothing.astype(np.int64), np.zeros((0, 0)))
    mass = np.concatenate(masses)
    relatedness = np.zeros((len(mass), len(mass)))
    start = 0
    for block in blocks:
        stop = start + len(block)
        relatedness[start:stop, start:stop] = block
        start = stop
    return ClusterResult(labels, mass / mass.sum(), np.concatenate(sides), relatedness)


def _relatedness(cosines: NDArray[np.float64], related: float) -> NDArray[np.float64]:
    """Map cosines to [0, 1]: 0 up to half of `related`, 1 from `related` on, linear between."""
    return np.clip(2 * cosines / related - 1, 0, 1)


def _linked(cosines: NDArray[np.float64], related: float) -> NDArray[np.int64]:
    """Return average-linkage clusters [item] of [item, item] cosines, merged above `related`."""
    from sklearn import config_context
    from sklearn.cluster import AgglomerativeClustering

    if len(cosines) < 2:
        return np.zeros(len(cosines), dtype=np.int64)
    model = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="average", distance_threshold=1 - related
    )
    with config_context(assume_finite=True, skip_parameter_validation=True):
        return np.asarray(model.fit_predict(1 - cosines), dtype=np.int64)


def _probe(embed: int) -> NDArray[np.float64]:
    """Return a fixed direction [embed] with no symmetry, to put items in a definite order."""
    return np.sqrt(np.arange(2, embed + 2))


def _checked(embeddings: Rows, weights: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return unit-norm rows [item, embed] (zero stays zero) and weights [item], in float64."""
    if embeddings.ndim != 2 or weights.shape != embeddings.shape[:1]:
        raise InputError(
            f"Embeddings {list(embeddings.shape)} and weights {list(weights.shape)} do not fit: "
            "pass one row and one weight per item."
        )
    vectors, scale = embeddings.astype(np.float64), weights.astype(np.float64)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and np.isfinite(scale).all()):
        raise InputError("Embeddings or weights hold NaN or infinite numbers: remove those items.")
    return vectors / np.where(norms > 0, norms, 1), scale


def _check_related(related: float) -> None:
    if not 0 < related < 1:
        raise InputError(
            f"The cosine from which items count as related lies between 0 and 1, got {related}: "
            "take it from related_cosine."
        )

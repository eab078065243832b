"""Label-verified polysemy, and the monosemanticity score of arXiv 2504.02821."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.bundle import Bundle
from explorer.describe.polysemy import related_cosine

PERMUTATIONS = 10
LEAST_PICTURES = 2  # whose labels must name a cluster
CHUNK = 2048


@dataclass(frozen=True, eq=False)
class Verified:
    """What labels say of each neuron's clusters."""

    related: float
    """Cosine from which two texts count as related."""
    verified: np.ndarray
    """[neuron] float64: clusters that labels verify."""
    polysemous: np.ndarray
    """[neuron] float64: 1 where two of them are unrelated."""
    permuted: np.ndarray
    """[neuron] float64: share of label permutations in which that happens."""


def verify_labels(
    bundle: Bundle,
    atoms: np.ndarray,
    label_atoms: np.ndarray,
    effects: np.ndarray,
    rows: np.ndarray,
    top: int,
    seed: int,
) -> Verified:
    """Check each neuron's positive concept clusters on its strongest pictures; see `predict`.

    `atoms` [text, embed]; `label_atoms` [image, embed]; `effects` [image, neuron of the
    bundle] signed; `rows`: the neurons to check; `top`: strongest pictures of each.
    """
    related = related_cosine(atoms)
    rng = np.random.default_rng([seed, 8])
    shuffles = [rng.permutation(len(label_atoms)) for _ in range(PERMUTATIONS)]
    verified = np.zeros(len(rows))
    polysemous, permuted = np.zeros(len(rows)), np.zeros(len(rows))
    for place, row in enumerate(rows):
        column = effects[:, row]
        pictures = np.argsort(-column, kind="stable")[:top]
        pictures = pictures[column[pictures] > 0]
        centres = cluster_centres(
            atoms,
            bundle.concept_ids[row],
            bundle.concept_weights[row].astype(np.float32),
            bundle.concept_clusters[row],
        )
        found = confirmed(centres, label_atoms[pictures], related)
        verified[place] = len(found)
        polysemous[place] = unrelated_pair(found, related)
        permuted[place] = np.mean(
            [
                unrelated_pair(confirmed(centres, label_atoms[order[pictures]], related), related)
                for order in shuffles
            ]
        )
    return Verified(related, verified, polysemous, permuted)


def cluster_centres(
    atoms: np.ndarray, ids: np.ndarray, weights: np.ndarray, clusters: np.ndarray
) -> np.ndarray:
    """Return the weighted sums of a neuron's positive clusters, unit norm: [cluster, embed]."""
    kept = (ids >= 0) & (clusters >= 0) & (weights > 0)
    found = []
    for cluster in np.unique(clusters[kept]):
        members = kept & (clusters == cluster)
        centre = weights[members] @ atoms[ids[members]]
        norm = np.linalg.norm(centre)
        if norm > 0:
            found.append(centre / norm)
    return np.array(found, np.float32).reshape(-1, atoms.shape[1])


def confirmed(centres: np.ndarray, labels: np.ndarray, related: float) -> np.ndarray:
    """Return the clusters that enough labels name: [cluster, embed].

    Each label (`labels` [picture, embed]) goes to its nearest cluster, if it is related to it.
    """
    if not len(centres) or not len(labels):
        return centres[:0]
    cosines = labels @ centres.T
    nearest = cosines.argmax(axis=1)
    near = cosines[np.arange(len(labels)), nearest] >= related
    counts = np.bincount(nearest[near], minlength=len(centres))
    return centres[counts >= LEAST_PICTURES]


def unrelated_pair(centres: np.ndarray, related: float) -> bool:
    """Return whether two of the clusters are unrelated: cosine below half of `related`."""
    return len(centres) > 1 and bool((centres @ centres.T).min() < related / 2)


def monosemanticity(effects: np.ndarray, embeddings: Tensor) -> np.ndarray:
    """Return the monosemanticity score of each neuron: [neuron] float64.

    `effects` [image, neuron] are brought to [0, 1] by their least and largest; `embeddings`
    [image, embed] unit norm. The sum over pairs i < j of `a_i a_j x_i . x_j` is
    `(|sum a_i x_i|^2 - sum a_i^2) / 2`, so no pair is ever formed. NaN where no pair has weight.
    """
    found = []
    exact = embeddings.double()
    for start in range(0, effects.shape[1], CHUNK):
        part = torch.from_numpy(effects[:, start : start + CHUNK].astype(np.float64))
        low, high = part.amin(0), part.amax(0)
        scaled = (part - low) / (high - low)
        squares = scaled.square().sum(0)
        weighted = (scaled.T @ exact).square().sum(1) - squares
        weights = scaled.sum(0).square() - squares
        found.append(torch.where(weights > 0, weighted / weights, torch.nan))
    return torch.cat(found).numpy()

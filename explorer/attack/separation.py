"""Which neurons separate two classes, and what their pooled sparse sets say.

Steps 1 to 4 of `explorer.attack.concepts`. Axes: neuron (by bundle row), text, label, embed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.attack.closeness import Floats
from explorer.attack.vocabulary import vocabulary
from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.kept import kept

PREFERRED = 2  # pictures of a concept, those with the largest push, that are shown


def _weighted_directions(bundle: Bundle) -> Floats:
    """Return directions times typical effect, [neuron, embed]; zero for a dead neuron."""

    def make() -> Floats:
        scale = bundle.neurons["scale"].fillna(0).to_numpy(np.float32)
        weighted: Floats = np.asarray(bundle.directions, np.float32) * scale[:, None]
        return weighted

    return kept(bundle, "weighted directions", make)


def separations(bundle: Bundle, source: Floats, target: Floats) -> Floats:
    """Return what each neuron's typical effect moves from source to target: [neuron] float32.

    `source` and `target` are text embeddings [embed]. Units of the output.

    Raises:
        InputError: when the two texts mean the same to the model.
    """
    difference = np.asarray(target, np.float32) - np.asarray(source, np.float32)
    length = float(np.linalg.norm(difference))
    if length < 1e-6:
        raise InputError("The model cannot tell the two classes apart: choose two different texts.")
    moved: Floats = _weighted_directions(bundle) @ (difference / length)
    return moved


def most_separating(moved: Floats, count: int) -> NDArray[np.int64]:
    """Return the rows of the neurons with the largest separations either way, largest first."""
    order = np.argsort(-np.abs(moved), kind="stable")[:count]
    rows: NDArray[np.int64] = order[moved[order] != 0]
    return rows


def pooled_scores(
    ids: NDArray[np.integer[Any]], weights: NDArray[np.floating[Any]], moved: Floats, texts: int
) -> NDArray[np.float64]:
    """Return `sum_n moved[n] weights[n, c]` by text: [text].

    `ids` and `weights` are the sparse sets [neuron, m], id -1 for none.
    """
    parts = np.asarray(weights, np.float64) * moved[:, None]
    used = ids >= 0
    scores: NDArray[np.float64] = np.bincount(ids[used], parts[used], texts).astype(np.float64)
    return scores


def label_scores(bundle: Bundle, support: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what supported texts say for each corpus label: [label].

    `support` is [text]. A label takes part in every text's support by the cosine of the two.
    """
    atoms = bundle.dictionary.atoms()
    pooled = support.astype(np.float32) @ atoms
    scores: NDArray[np.float64] = (atoms[vocabulary(bundle).rows] @ pooled).astype(np.float64)
    return scores


def picture_pushes(bundle: Bundle, source: Floats, target: Floats) -> NDArray[np.float64]:
    """Return how far each picture lies towards the target: [image] of the corpus.

    The picture's unit-norm embedding along the unit difference of the two text embeddings, less
    the corpus's mean.
    """
    difference = np.asarray(target, np.float32) - np.asarray(source, np.float32)
    difference = difference / max(float(np.linalg.norm(difference)), 1e-9)
    along = np.asarray(bundle.image_embeddings, np.float32) @ difference
    pushes: NDArray[np.float64] = (along - along.mean()).astype(np.float64)
    return pushes


def preferred(
    bundle: Bundle, labels: Iterable[str], pushes: NDArray[np.float64]
) -> dict[str, tuple[int, ...]]:
    """Return label -> its `PREFERRED` pictures with the largest pushes, [image], largest first."""
    words = vocabulary(bundle)

    def push(image: int) -> float:
        return float(pushes[image]) if image < len(pushes) else 0.0  # a shipped one's isn't known

    return {
        label: tuple(sorted(words.pictures[label], key=push, reverse=True)[:PREFERRED])
        for label in labels
    }

"""Orthogonal matching pursuit: `explorer.decompose.batch_omp` against scikit-learn, in one run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.decompose import batch_omp
from explorer.errors import InputError


def text_like_vectors(
    texts: int, targets: int, embed: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Correlated unit vectors with the shape of real text embeddings.

    A falling spectrum (standard deviation of direction i as i^-0.5), 500 topics that texts share,
    noise; centred, with unit norm. Targets are sums of a few dozen of the texts
    with falling signed weights, plus noise that no text explains. Returns dictionary
    [text, embed], targets [target, embed], float64.
    """
    rng = np.random.default_rng(seed)
    spectrum = np.arange(1, embed + 1) ** -0.5
    topics = rng.normal(size=(500, embed)) * spectrum
    words = topics[rng.integers(len(topics), size=texts)]
    words = words + rng.normal(size=(texts, embed)) * spectrum
    words -= words.mean(axis=0)
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    share = min(40, texts)
    picked = rng.integers(texts, size=(targets, share))
    weights = rng.normal(size=(targets, share)) / np.arange(1, share + 1) ** 0.5
    sums = np.einsum("tm,tme->te", weights, words[picked])
    sums += 0.3 * rng.normal(size=sums.shape) * spectrum
    return words, sums / np.linalg.norm(sums, axis=1, keepdims=True)


@dataclass(frozen=True)
class OmpBench:
    """What is timed, on made-up text embeddings."""

    targets: int = field(default=512, metadata={"help": "vectors to decompose"})
    texts: int = field(default=30_000, metadata={"help": "texts of the dictionary"})
    embed: int = field(default=512, metadata={"help": "width of an embedding"})
    nonzero: int = field(default=64, metadata={"help": "texts of a sparse set"})
    seed: int = field(default=0, metadata={"help": "of the embeddings"})
    sklearn_targets: int | None = field(
        default=None,
        metadata={"help": "run scikit-learn on the first N targets and scale its time up"},
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be compared.

        Raises:
            InputError: when scikit-learn shall run on more targets than there are, or on none.
        """
        if not 1 <= self.compared <= self.targets:
            raise InputError(
                f"Run scikit-learn on 1 to {self.targets} targets, not on {self.compared}."
            )

    @property
    def compared(self) -> int:
        """Targets that both decompose."""
        return self.targets if self.sklearn_targets is None else self.sklearn_targets


def bench_omp(settings: OmpBench) -> dict[str, Any]:
    """Time both on the same data and compare what they chose.

    Returns the sizes, `omp_s` and `sklearn_s` [seconds], `ratio` (sklearn_s / omp_s),
    `sklearn_targets` (how many it ran on), `sklearn_scaled` (whether its time was scaled),
    `equal_supports` (the same atoms in every target compared), `share_equal_supports` (of the
    targets), `max_weight_difference` (over the targets with the same atoms).
    """
    from sklearn.linear_model import orthogonal_mp

    targets, texts, compared = settings.targets, settings.texts, settings.compared
    embed, nonzero = settings.embed, settings.nonzero
    words, aims = text_like_vectors(texts, targets, embed, settings.seed)

    start = time.perf_counter()
    ids, weights = batch_omp(aims, words, nonzero)
    omp_s = time.perf_counter() - start

    atoms, columns = words.T, aims[:compared].T
    start = time.perf_counter()
    theirs = orthogonal_mp(atoms, columns, n_nonzero_coefs=nonzero, precompute=False)
    sklearn_s = (time.perf_counter() - start) * targets / compared
    theirs = theirs.reshape(texts, compared).T

    ours = np.zeros_like(theirs)
    rows, places = np.nonzero(ids[:compared] >= 0)
    ours[rows, ids[rows, places]] = weights[rows, places]
    equal = ((ours != 0) == (theirs != 0)).all(axis=1)
    difference = np.abs(ours - theirs)[equal]
    return {
        "targets": targets,
        "texts": texts,
        "embed": embed,
        "nonzero": nonzero,
        "omp_s": round(omp_s, 3),
        "sklearn_s": round(sklearn_s, 3),
        "sklearn_targets": compared,
        "sklearn_scaled": compared < targets,
        "ratio": round(sklearn_s / omp_s, 2),
        "equal_supports": bool(equal.all()),
        "share_equal_supports": float(equal.mean()),
        "max_weight_difference": float(difference.max(initial=0.0)),
    }

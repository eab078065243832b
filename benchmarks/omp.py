"""Orthogonal matching pursuit: `explorer.decompose.batch_omp` against scikit-learn, in one run."""

from __future__ import annotations

import argparse
import json
import time
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
    noise; the mean taken off and the norm set to 1. Targets are sums of a few dozen of the texts
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


def bench_omp(
    targets: int = 512,
    texts: int = 30000,
    embed: int = 512,
    nonzero: int = 64,
    seed: int = 0,
    sklearn_targets: int | None = None,
) -> dict[str, Any]:
    """Time both on the same data and compare what they chose.

    sklearn_targets: run scikit-learn on the first so many targets only (default: all of them) and
    scale its time up; ``sklearn_targets`` in the result says how many were run, ``sklearn_scaled``
    whether its time was scaled.

    Returns omp_s, sklearn_s [seconds], ratio = sklearn_s / omp_s, equal_supports (the same atoms in
    every target compared), share_equal_supports (of the targets), max_weight_difference (over the
    targets with the same atoms), and the sizes. Raises InputError on sizes that don't fit together.
    """
    from sklearn.linear_model import orthogonal_mp

    compared = targets if sklearn_targets is None else sklearn_targets
    if not 1 <= compared <= targets:
        raise InputError(f"Run scikit-learn on 1 to {targets} targets, not on {compared}.")
    words, aims = text_like_vectors(texts, targets, embed, seed)

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


def main(arguments: list[str] | None = None) -> int:
    """Command line: ``python -m benchmarks.omp [--sklearn-targets N]``; prints one JSON object."""
    parser = argparse.ArgumentParser(description=bench_omp.__doc__)
    for name, default in (
        ("targets", 512), ("texts", 30000), ("embed", 512), ("nonzero", 64), ("seed", 0),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--sklearn-targets", type=int, default=None)
    print(json.dumps(bench_omp(**vars(parser.parse_args(arguments)))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

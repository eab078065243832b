"""Pursuits over shortlists from the search index, against the whole dictionary, in one run."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.omp import text_like_vectors
from explorer.decompose import reconstruct, sparse_codes
from explorer.describe.dictionary import EXACT_BELOW, build_index, search
from explorer.describe.shortlist import SHORTLIST, pursue_short
from explorer.errors import InputError

LOOK_UPS = 200  # single look-ups that are timed
NEAREST = 12  # texts of a look-up


@dataclass(frozen=True)
class ShortlistBench:
    """What is timed, on made-up text embeddings."""

    texts: int = field(default=300_000, metadata={"help": "texts of the dictionary"})
    targets: int = field(default=64, metadata={"help": "vectors to decompose"})
    embed: int = field(default=512, metadata={"help": "width of an embedding"})
    nonzero: int = field(default=64, metadata={"help": "texts of a sparse set"})
    shortlist: int = field(default=SHORTLIST, metadata={"help": "texts on either side of a target"})
    seed: int = field(default=0, metadata={"help": "of the embeddings"})

    def __post_init__(self) -> None:
        """Refuse what cannot be compared.

        Raises:
            InputError: when a number is too small.
        """
        if min(self.targets, self.nonzero, self.shortlist) < 1 or self.texts < self.nonzero:
            raise InputError("Give at least one target, and more texts than a sparse set has.")


def bench_shortlist(settings: ShortlistBench) -> dict[str, Any]:
    """Time both on the same data, and compare what they chose.

    Returns the sizes; `index_s` and `index_mb` to build the index; `lookup_p50_ms` and
    `lookup_p95_ms` of one look-up, `recall_at_10` of the index; `whole_s`, `short_s` [seconds] and
    `ratio` (whole_s / short_s); `share_equal_supports` of the targets, `shared_texts` (the mean
    share of a sparse set that is in both), `cosine_of_sums` between the two reconstructions, mean
    and least, and `cosine_whole`, `cosine_short` with the target, means.
    """
    words, aims = text_like_vectors(settings.texts, settings.targets, settings.embed, settings.seed)
    atoms, targets = words.astype(np.float32), aims.astype(np.float32)
    del words
    before = _resident()
    start = time.perf_counter()
    index = build_index(atoms.astype(np.float16))
    index_s, index_mb = time.perf_counter() - start, _resident() - before

    start = time.perf_counter()
    short = pursue_short("omp", index, targets, atoms, settings.nonzero, count=settings.shortlist)
    short_s = time.perf_counter() - start
    start = time.perf_counter()
    whole = sparse_codes(targets, atoms, settings.nonzero)
    whole_s = time.perf_counter() - start

    sums = [reconstruct(atoms, code.ids, code.weights) for code in (whole, short)]
    sums = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in sums]
    cosines = (sums[0] * sums[1]).sum(1)
    shared = [
        len(set(a) & set(b)) / settings.nonzero for a, b in zip(whole.ids, short.ids, strict=True)
    ]
    return {
        "texts": settings.texts,
        "targets": settings.targets,
        "nonzero": settings.nonzero,
        "shortlist": settings.shortlist,
        "graph": settings.texts >= EXACT_BELOW,
        "index_s": index_s,
        "index_mb": index_mb,
        **_look_ups(index, atoms, targets),
        "whole_s": whole_s,
        "short_s": short_s,
        "ratio": whole_s / short_s,
        "share_equal_supports": float(np.mean([share == 1 for share in shared])),
        "shared_texts": float(np.mean(shared)),
        "cosine_of_sums": float(cosines.mean()),
        "cosine_of_sums_least": float(cosines.min()),
        "cosine_whole": float(whole.cosines[:, -1].mean()),
        "cosine_short": float(short.cosines[:, -1].mean()),
    }


def _look_ups(index: Any, atoms: Any, targets: Any) -> dict[str, float]:
    taken, found = [], []
    for number in range(LOOK_UPS):
        query = targets[number % len(targets)]
        start = time.perf_counter()
        ids, _ = search(index, query, NEAREST)
        taken.append(1000 * (time.perf_counter() - start))
        if number < len(targets):
            best = np.argsort(-(atoms @ query))[:10]
            found.append(len(set(best) & set(ids[0, :10])) / 10)
    return {
        "lookup_p50_ms": float(np.quantile(taken, 0.5)),
        "lookup_p95_ms": float(np.quantile(taken, 0.95)),
        "recall_at_10": float(np.mean(found)),
    }


def _resident() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

"""The search index of a large dictionary: what it takes to build and to look up, what it misses."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.describe.dictionary import EXACT_BELOW, build_index, load_index, save_index, search
from explorer.errors import InputError

BLOCK = 50_000  # texts made up at once
TOPICS = 500
NEAREST = 10
"""Texts that a look-up must find: recall@10."""


@dataclass(frozen=True)
class IndexBench:
    """What is indexed and looked up, on made-up text embeddings."""

    texts: int = field(default=300_000, metadata={"help": "texts of the dictionary"})
    embed: int = field(default=512, metadata={"help": "width of an embedding"})
    queries: int = field(default=500, metadata={"help": "look-ups, one at a time"})
    near: int = field(default=64, metadata={"help": "texts that a look-up asks for"})
    seed: int = field(default=0, metadata={"help": "of the embeddings"})

    def __post_init__(self) -> None:
        """Refuse what measures nothing.

        Raises:
            InputError: when a number is too small.
        """
        if min(self.texts, self.near) < NEAREST or min(self.embed, self.queries) < 1:
            raise InputError(
                f"Index {NEAREST} texts or more, and look up {NEAREST} of them at least once."
            )


def bench_index(settings: IndexBench) -> dict[str, Any]:
    """Build, save, load and search one index.

    Returns the sizes, `exact` (every row is compared), `build_s` and `build_cpu_s` [seconds],
    `file_mb`, `load_s`, `p50_ms` and `p95_ms` of a look-up, `recall` (of each query's ten nearest).
    """
    rng = np.random.default_rng(settings.seed)
    rows = made_up(rng, settings.texts, settings.embed)
    noise = rng.normal(size=(settings.queries, settings.embed)) * spectrum(settings.embed)
    queries = rows[rng.integers(len(rows), size=settings.queries)].astype(np.float32)
    queries = _unit(queries + 0.5 * _unit(noise)).astype(np.float32)
    start, processor = time.perf_counter(), time.process_time()
    index = build_index(rows)
    built = {
        "build_s": time.perf_counter() - start,
        "build_cpu_s": time.process_time() - processor,
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.faiss"
        save_index(index, file)
        del index
        start = time.perf_counter()
        loaded = load_index(file, len(rows), settings.embed)
        load_s, octets = time.perf_counter() - start, file.stat().st_size
    taken, found = [], []
    for query in queries:
        start = time.perf_counter()
        ids, _ = search(loaded, query, settings.near)
        taken.append(1000 * (time.perf_counter() - start))
        found.append(ids[0, :NEAREST])
    p50, p95 = np.quantile(taken, (0.5, 0.95))
    return {
        "texts": settings.texts,
        "embed": settings.embed,
        "exact": settings.texts < EXACT_BELOW,
        **built,
        "file_mb": octets / 1e6,
        "load_s": load_s,
        "p50_ms": float(p50),
        "p95_ms": float(p95),
        "recall": recall(rows, queries, np.stack(found)),
    }


def spectrum(embed: int) -> NDArray[np.float64]:
    """Return the standard deviation of each direction: it falls, as in real text embeddings."""
    falling: NDArray[np.float64] = 1 / np.sqrt(np.arange(1, embed + 1))
    return falling


def made_up(rng: np.random.Generator, texts: int, embed: int) -> NDArray[np.float16]:
    """Return unit vectors [text, embed] that share 500 topics, as `omp.text_like_vectors`."""
    scale = spectrum(embed)
    topics = rng.normal(size=(TOPICS, embed)) * scale
    rows = np.empty((texts, embed), np.float16)
    for start in range(0, texts, BLOCK):
        block = rows[start : start + BLOCK]
        own = rng.normal(size=block.shape) * scale
        block[:] = _unit(topics[rng.integers(TOPICS, size=len(block))] + own)
    return rows


def recall(
    rows: NDArray[np.float16], queries: NDArray[np.float32], found: NDArray[np.int64]
) -> float:
    """Return the share of each query's nearest rows that are among those found [query, near].

    Rows as near as the last of them count, too: equals have no order.
    """
    scores = np.concatenate(
        [
            queries @ rows[start : start + BLOCK].astype(np.float32).T
            for start in range(0, len(rows), BLOCK)
        ],
        axis=1,
    )
    least = np.partition(scores, -NEAREST, axis=1)[:, -NEAREST]
    reached = np.take_along_axis(scores, np.maximum(found, 0), axis=1) >= least[:, None] - 1e-6
    return float((reached & (found >= 0)).mean())


def _unit(rows: NDArray[Any]) -> NDArray[Any]:
    unit: NDArray[Any] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit

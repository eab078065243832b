"""How many threads to train with on a machine that others use too.

Two threads on two busy cores wait for each other at every operation and can be slower than one.
Which is faster changes with what the others do, so it is measured again and again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

ROUND, TRIAL = 60, 3  # steps between two measurements; steps that each number of threads is tried


class ThreadChooser:
    """Tries each number of threads for a few steps of a round, then keeps to the fastest."""

    def __init__(self, counts: Sequence[int]) -> None:
        """Choose among ``counts``; a single one is set and kept."""
        self._counts = tuple(counts)
        self._seconds: dict[int, list[float]] = {}
        self._last = time.perf_counter()
        torch.set_num_threads(self._counts[-1])

    def choose(self, step: int) -> int:
        """Call before each step: set and return the number of threads for it."""
        now = time.perf_counter()
        self._seconds.setdefault(torch.get_num_threads(), []).append(now - self._last)
        self._last = now
        place = step % ROUND
        if place == 0:
            self._seconds = {}
        if place < TRIAL * len(self._counts):
            count = self._counts[place // TRIAL]
        elif place == TRIAL * len(self._counts):
            count = min(self._counts, key=lambda c: min(self._seconds.get(c, [float("inf")])))
        else:
            return torch.get_num_threads()
        torch.set_num_threads(count)
        return count

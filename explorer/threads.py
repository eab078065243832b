"""torch on one thread for a while, however many such whiles overlap or are within each other.

`torch.set_num_threads` sets the count of the thread that calls it, and the one that is taken over
by threads which use torch for the first time from then on. So a thread that comes meanwhile finds
1, and would restore 1 for the whole process if it believed its own count: the first to enter reads
what new threads take over, and all others restore that.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass
class _Process:
    """What all threads share; read and written under the lock."""

    inside: int = 0
    """Calls of `one_thread` that have not ended."""
    count: int = 1
    """Threads of torch outside of them."""


class _Own(threading.local):
    """What is each thread's own."""

    depth = 0
    """Calls of `one_thread` that are around what it does."""


_LOCK = threading.Lock()
_process, _own = _Process(), _Own()


@contextmanager
def one_thread() -> Iterator[int]:
    """Let torch's operations run on the calling thread alone; yield how many threads they had.

    For work whose steps are too short to share: threads would only wait for each other. No call
    waits for another to end. Within another, or on a thread of `one_thread_each`, the count is 1.
    """
    with _LOCK:
        if not _process.inside:
            _process.count = _taken_over()
        before = 1 if _own.depth else _process.count
        _process.inside += 1
        _stay_alone()
    try:
        yield before
    finally:
        with _LOCK:
            _process.inside -= 1
            _own.depth -= 1
            torch.set_num_threads(before)


@contextmanager
def one_thread_each() -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """Yield a pool of as many threads as torch has, and how many: each works on a piece alone.

    What was submitted and has not begun by the end is cancelled.
    """
    with one_thread() as count:
        pool = ThreadPoolExecutor(count, initializer=_stay_alone)
        try:
            yield pool, count
        finally:
            pool.shutdown(cancel_futures=True)


def _stay_alone() -> None:
    _own.depth += 1
    torch.set_num_threads(1)


def _taken_over() -> int:
    """Return the count of a thread that uses torch for the first time."""
    with ThreadPoolExecutor(1) as fresh:
        return fresh.submit(torch.get_num_threads).result()

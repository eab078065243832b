"""What is derived from an object, kept on the object itself.

It is made once, however many threads ask, and goes when its owner goes: nothing here outlives a
bundle that was dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, RLock
from typing import TypeVar

T = TypeVar("T")

_LOCK = Lock()


def kept(owner: object, name: str, make: Callable[[], T]) -> T:
    """Return what `make` gave the first time this `name` was asked of `owner`.

    Where `make` raises, nothing is kept.
    """
    with _LOCK:
        lock, store = vars(owner).setdefault("_kept", (RLock(), {}))
    with lock:
        if name not in store:
            store[name] = make()
        found: T = store[name]
        return found

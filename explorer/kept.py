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

    Who asks for a name that is being made waits; other names of the same owner do not. `make` may
    ask for other names. Where it raises, nothing is kept, and the next to ask tries again.
    """
    with _LOCK:  # never held while something is made
        store, locks = vars(owner).setdefault("_kept", ({}, {}))
        lock = None if name in store else locks.setdefault(name, RLock())
    if lock is not None:
        with lock:
            if name not in store:
                store.setdefault(name, make())
    found: T = store[name]
    return found

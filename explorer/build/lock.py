"""One build at a time in a folder.

The lock is the system's: it goes when its process ends, however that ends, so that none is left by
a build that was killed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from explorer.bundle import WORK
from explorer.errors import InputError

LOCK = "lock"


@contextmanager
def held(out: Path, remedy: str = "wait until it is over, or name another --out") -> Iterator[None]:
    """Hold the folder `out` for one build; what was made for the lock alone goes again.

    `remedy` is what to do when it is held already.

    Raises:
        InputError: at once, when another build works in it.
    """
    work = out / WORK
    work.mkdir(parents=True, exist_ok=True)
    lock = FileLock(work / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as busy:
        raise InputError(f"Another build is working in {out}: {remedy}.") from busy
    try:
        yield
    finally:
        if [file.name for file in work.glob("*")] == [LOCK]:
            with suppress(OSError):
                (work / LOCK).unlink()
                work.rmdir()
                out.rmdir()
        lock.release()


def clear(work: Path) -> None:
    """Remove what a build keeps in its working folder, but for the lock."""
    for file in work.iterdir():
        if file.is_dir():
            shutil.rmtree(file)
        elif file.name != LOCK:
            file.unlink()


def tidy(out: Path) -> None:
    """Remove what a build leaves that was killed between its last two steps."""
    work = out / WORK
    if not work.is_dir():
        return
    with suppress(InputError, OSError), held(out):
        shutil.rmtree(work)

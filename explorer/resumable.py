"""One stream of batches that says how far it is, can be stopped at any time, and continues later.

    run_batches("pass", len(images), 32, compute, absorb, save, print, done=found_on_disk)

1. `compute` does the work of a batch and changes nothing. Ctrl-C stops it at once.
2. `absorb` adds what was computed to the state. Ctrl-C waits until it is over, so that no batch is
   left half taken.
3. `save` writes the state: now and then, at the end, and after Ctrl-C.
"""

from __future__ import annotations

import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError

REPORT_SECONDS = 3.0  # between two lines of progress
SAVE_SECONDS = 60.0  # between two saves
BAR = 20  # signs of the bar in a line of progress

Arrays = dict[str, NDArray[Any]]
Say = Callable[[str], object]
Batch = TypeVar("Batch")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C was pressed and what was done is saved."""


def run_batches(
    name: str,
    total: int,
    batch_size: int,
    compute: Callable[[range], Batch],
    absorb: Callable[[range, Batch], object],
    save: Callable[[int], object],
    say: Say,
    *,
    done: int = 0,
    unit: str = "",
    save_seconds: float | None = None,
) -> None:
    """Take the places from `done` to `total` batch by batch; see the module's steps.

    `save` gets the number of places that the state holds. `unit` is what a place is, for `say`.

    Raises:
        Interrupted: after Ctrl-C; the state was saved unless a second one came while it changed.
    """
    report = Reporter(say, name, total, done, unit)
    every = SAVE_SECONDS if save_seconds is None else save_seconds
    saved, at, whole = done, time.monotonic(), True
    try:
        for start in range(done, total, batch_size):
            places = range(start, min(start + batch_size, total))
            batch = compute(places)
            with held_back() as pressed:
                whole = False
                absorb(places, batch)
                done, whole = places.stop, True
            if pressed():
                raise KeyboardInterrupt
            report(done)
            if done == total or time.monotonic() - at > every:
                _save(save, done)
                saved, at = done, time.monotonic()
    except KeyboardInterrupt as stop:
        if whole and done > saved:
            with held_back():
                save(done)
        raise Interrupted(
            f"stopped in '{name}' after {_amount(done, total, unit)}; run the same command to go on"
        ) from stop


@contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C into a flag; a second one stops at once.

    Yields a function that says whether it was pressed. Outside the main thread, where no signals
    arrive, it never was.
    """
    pressed = threading.Event()

    def press(_number: int, _frame: object) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


class Reporter:
    """Say how far something is and how long it will take, every few seconds and at the end."""

    def __init__(self, say: Say, name: str, total: int, done: int = 0, unit: str = "") -> None:
        """Start the clock."""
        self.say, self.name, self.total, self.first, self.unit = say, name, total, done, unit
        self.began = time.monotonic()
        self.last = -REPORT_SECONDS

    def __call__(self, done: int) -> None:
        """Report that `done` of the total are done."""
        seconds = time.monotonic() - self.began
        if seconds - self.last < REPORT_SECONDS and done < self.total:
            return
        self.last = seconds
        rate = (done - self.first) / max(seconds, 1e-9)
        minutes, left = divmod(round((self.total - done) / max(rate, 1e-9)), 60)
        filled = BAR * done // self.total
        self.say(
            f"{self.name} [{'#' * filled}{'.' * (BAR - filled)}] "
            f"{_amount(done, self.total, self.unit)}, {rate:.1f}/s, {minutes}:{left:02d} left"
        )


def save_text(file: Path, text: str) -> None:
    """Write a text file in UTF-8, which appears only when it is complete."""
    unfinished = file.with_name(f"{file.name}.new")
    unfinished.write_text(text, "utf-8")
    unfinished.replace(file)


def save_arrays(file: Path, arrays: Arrays) -> None:
    """Write arrays by name into one file, which appears only when it is complete."""
    unfinished = file.with_name(f"{file.name}.new")
    with unfinished.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    unfinished.replace(file)


def save_array(file: Path, array: NDArray[Any]) -> None:
    """Write one array as `.npy`, which appears only when it is complete."""
    unfinished = file.with_name(f"{file.name}.new")
    with unfinished.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)
    unfinished.replace(file)


def load_arrays(file: Path) -> Arrays:
    """Return the arrays that `save_arrays` wrote.

    Raises:
        InputError: when the file is missing or damaged.
    """
    try:
        with np.load(file, allow_pickle=False) as saved:
            return {name: saved[name] for name in saved.files}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"The saved state {file} is damaged ({error}); remove it and run the same command "
            "again."
        ) from error


def _save(save: Callable[[int], object], done: int) -> None:
    with held_back() as pressed:
        save(done)
    if pressed():
        raise KeyboardInterrupt


def _amount(done: int, total: int, unit: str) -> str:
    return f"{done:,} of {total:,}" + (f" {unit}" if unit else "")

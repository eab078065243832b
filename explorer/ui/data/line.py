"""The line for the model: pictures of visitors are read one at a time, first come, first served.

Several at once would share the processor, and each would take as long as all of them. A visitor who
waits is told how many pictures are before theirs, whenever that changes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st

BEAT = 1.0  # seconds after which one who waits is looked after again: they may have left


class Line:
    """Threads that wait for their turn, in the order in which they came."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._threads: list[int] = []
        self._moved = threading.Condition()

    def __len__(self) -> int:
        """Return how many wait or have their turn."""
        return len(self._threads)

    @contextmanager
    def turn(self, waiting: Callable[[int], object]) -> Iterator[None]:
        """Hold the turn; a thread that holds it already goes on.

        Args:
            waiting: called with the number of turns before this one, whenever that changes and at
                every `BEAT`. What it raises ends the wait and gives the place free.
        """
        me = threading.get_ident()
        if me in self._threads:  # itself the first: it waits nowhere else
            yield
            return
        with self._moved:
            self._threads.append(me)
        try:
            while before := self._threads.index(me):
                waiting(before)
                with self._moved:
                    self._moved.wait_for(lambda: self._threads.index(me) != before, BEAT)
            yield
        finally:
            with self._moved:
                self._threads.remove(me)
                self._moved.notify_all()


LINE = Line()


@contextmanager
def turn(doing: str) -> Iterator[None]:
    """Wait in the server's line, with the place in it on the page; then say what is being done."""
    place = st.empty()
    with LINE.turn(lambda before: place.info(standing(before))):
        place.empty()
        with place, st.spinner(doing):
            yield


def standing(before: int) -> str:
    """Say how many pictures are before a visitor's."""
    pictures = "1 picture is" if before == 1 else f"{before} pictures are"
    return f"{pictures} before yours. It is read as soon as it is its turn; you need do nothing."

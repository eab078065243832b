"""The line for the model: order, places that are told, those who leave, and the page meanwhile."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from explorer.errors import InputError
from explorer.ui.data import line
from explorer.ui.data.line import Line
from tests.support.app import html_of, run_page

PATIENCE = 120.0  # seconds; a shared machine may be slow


def until(true: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


class Visitor(threading.Thread):
    """Waits in a line, and notes what it is told."""

    def __init__(self, queue: Line, done: list[Visitor], leaves_at: int = 0) -> None:
        super().__init__(daemon=True)
        self.queue, self.done, self.leaves_at = queue, done, leaves_at
        self.told: list[int] = []

    def run(self) -> None:
        try:
            with self.queue.turn(self.hear):
                self.done.append(self)
        except InputError:
            return

    def hear(self, before: int) -> None:
        if before == self.leaves_at:
            raise InputError("I have left.")
        if self.told[-1:] != [before]:
            self.told.append(before)


def test_turns_come_in_the_order_of_arrival_and_places_count_down() -> None:
    queue, done = Line(), list[Visitor]()
    visitors = [Visitor(queue, done) for _ in range(9)]
    with queue.turn(lambda before: None):
        for place, visitor in enumerate(visitors, 1):
            visitor.start()
            until(lambda place=place: len(queue) == place + 1)
            until(lambda visitor=visitor, place=place: visitor.told == [place])
    for visitor in visitors:
        visitor.join(PATIENCE)
    assert done == visitors
    assert all(v.told == sorted(v.told, reverse=True) and min(v.told) >= 1 for v in visitors)
    assert len(queue) == 0


def test_who_leaves_gives_the_place_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "BEAT", 0.01)
    queue, done = Line(), list[Visitor]()
    stays, leaves, last = (Visitor(queue, done, leaves_at) for leaves_at in (0, 2, 0))
    with queue.turn(lambda before: None):
        stays.start()
        until(lambda: stays.told == [1])
        leaves.start()  # it is told of two before it, and goes
        leaves.join(PATIENCE)
        last.start()
        until(lambda: last.told == [2])
        assert len(queue) == 3
    stays.join(PATIENCE)
    last.join(PATIENCE)
    assert done == [stays, last]


def test_a_turn_ends_with_its_error_and_is_no_trap_for_its_own_thread() -> None:
    queue = Line()
    with pytest.raises(InputError), queue.turn(lambda before: None):
        with queue.turn(lambda before: pytest.fail("waits for itself")):
            pass
        assert len(queue) == 1
        raise InputError("It cannot be read.")
    assert len(queue) == 0


def test_places_are_said_in_words() -> None:
    assert line.standing(1).startswith("1 picture is before yours")
    assert line.standing(7).startswith("7 pictures are before yours")


def test_an_upload_waits_with_its_place_on_the_page(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []
    said = line.standing
    monkeypatch.setattr(line, "standing", lambda before: shown.append(before) or said(before))
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((61, 47)).save(buffer, "PNG")  # no other test's picture
    app = run_page("image", scene="0")
    app.file_uploader[0].set_value(("mine.png", buffer.getvalue(), "image/png"))
    run = threading.Thread(target=lambda: app.run(timeout=PATIENCE), daemon=True)
    with line.LINE.turn(lambda before: None):
        run.start()
        until(lambda: shown[:1] == [1])
        assert len(line.LINE) == 2
    run.join(PATIENCE)
    assert not app.exception
    assert "<h2>mine.png</h2>" in html_of(app)
    assert not app.info, "the place in the line is still shown"
    assert set(shown) == {1}

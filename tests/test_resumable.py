"""A stream of batches: stopped at any point and gone on with, it ends the same."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from explorer import resumable
from explorer.errors import InputError
from explorer.resumable import (
    Interrupted,
    Reporter,
    held_back,
    load_arrays,
    run_batches,
    save_arrays,
)


def press() -> None:
    """Press Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


class Squares:
    """Adds up squares of places; keeps its state in a file."""

    def __init__(self, file: Path) -> None:
        self.file, self.total, self.done, self.saves = file, 0, 0, 0
        self.computing, self.absorbing = (lambda place: None), (lambda place: None)
        if file.is_file():
            self.total, self.done = (int(v) for v in load_arrays(file)["state"])

    def compute(self, places: range) -> int:
        self.computing(places.start)
        return sum(place**2 for place in places)

    def absorb(self, places: range, batch: int) -> None:
        self.total += batch
        self.absorbing(places.start)
        self.done = places.stop

    def save(self, done: int) -> None:
        assert done == self.done
        self.saves += 1
        save_arrays(self.file, {"state": np.array([self.total, done])})

    def run(self, **settings: float) -> None:
        run_batches(
            "squares", 10, 3, self.compute, self.absorb, self.save, lambda line: None,
            done=self.done, **settings,
        )  # fmt: skip


EXPECTED = sum(place**2 for place in range(10))


def test_every_place_comes_once(tmp_path: Path) -> None:
    squares = Squares(tmp_path / "state.npz")
    squares.run()
    assert (squares.total, squares.done, squares.saves) == (EXPECTED, 10, 1)
    squares.run()  # nothing is left to do
    assert (squares.total, squares.saves) == (EXPECTED, 1)


@pytest.mark.parametrize(("phase", "done"), [("computing", 3), ("absorbing", 6)])
def test_stopped_and_gone_on_with_is_the_same(tmp_path: Path, phase: str, done: int) -> None:
    squares = Squares(tmp_path / "state.npz")
    setattr(squares, phase, lambda place: press() if place == 3 else None)
    with pytest.raises(Interrupted, match=f"stopped in 'squares' after {done} of 10; run the same"):
        squares.run()
    again = Squares(tmp_path / "state.npz")
    assert again.done == done
    again.run()
    assert again.total == EXPECTED


def test_a_second_ctrl_c_stops_at_once_and_saves_no_torn_state(tmp_path: Path) -> None:
    squares = Squares(tmp_path / "state.npz")
    squares.absorbing = lambda place: [press(), press()] if place == 3 else None  # type: ignore[assignment]
    with pytest.raises(Interrupted, match="after 3 of 10"):
        squares.run(save_seconds=0)
    again = Squares(tmp_path / "state.npz")
    assert again.done == 3
    again.run()
    assert again.total == EXPECTED


def test_an_error_leaves_what_was_saved(tmp_path: Path) -> None:
    squares = Squares(tmp_path / "state.npz")

    def fail(place: int) -> None:
        if place == 6:
            raise RuntimeError("broken")

    squares.computing = fail
    with pytest.raises(RuntimeError):
        squares.run(save_seconds=0)
    assert Squares(tmp_path / "state.npz").done == 6
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_thread_works_without_signals() -> None:
    seen: list[bool] = []

    def work() -> None:
        with held_back() as pressed:
            seen.append(pressed())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def test_progress_says_how_long_it_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 3.0, 10.0])
    monkeypatch.setattr("explorer.resumable.time.monotonic", lambda: next(clock))
    said: list[str] = []
    report = Reporter(said.append, "pass", 100, unit="images")
    for done in (10, 40, 100):
        report(done)
    assert said == [
        "pass [##..................] 10 of 100 images, 10.0/s, 0:09 left",
        "pass [####################] 100 of 100 images, 10.0/s, 0:00 left",
    ]
    assert resumable.REPORT_SECONDS == 3


def test_damaged_states_are_named(tmp_path: Path) -> None:
    file = tmp_path / "state.npz"
    save_arrays(file, {"a": np.arange(3)})
    assert load_arrays(file)["a"].tolist() == [0, 1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(InputError, match=r"state\.npz is damaged"):
        load_arrays(file)
    with pytest.raises(InputError, match="remove it and run the same command again"):
        load_arrays(tmp_path / "none.npz")

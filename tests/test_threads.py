"""torch on one thread: the right count comes back, however calls overlap."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import torch

from explorer.threads import one_thread, one_thread_each

WAIT = 30  # seconds; only a test that fails takes them


@pytest.fixture(autouse=True)
def _three() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def count_of_a_new_thread() -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


class Inside:
    """A thread that enters `one_thread`, stays until it is told to leave, and then leaves."""

    def __init__(self, first: Callable[[], object] = lambda: None) -> None:
        self._first, self._entered, self._told = first, Event(), Event()
        self.found: list[int] = []
        self._thread = threading.Thread(target=self._stay)
        self._thread.start()
        assert self._entered.wait(WAIT), "it waits for another call to end"

    def _stay(self) -> None:
        self._first()
        with one_thread() as before:
            self.found += [before, torch.get_num_threads()]
            self._entered.set()
            self._told.wait(WAIT)
        self.found.append(torch.get_num_threads())

    def leave(self) -> None:
        self._told.set()
        self._thread.join(WAIT)


def test_there_is_one_thread_and_then_as_many_as_before() -> None:
    with one_thread() as before:
        assert (before, torch.get_num_threads()) == (3, 1)
    assert torch.get_num_threads() == count_of_a_new_thread() == 3


@pytest.mark.parametrize("first", [lambda: None, lambda: torch.ones(2).sum()], ids=["new", "used"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "crossed"])
def test_overlapping_calls_restore_the_count_of_the_process(
    order: tuple[int, int], first: Callable[[], object]
) -> None:
    """The second thread uses torch for the first time while the count is 1."""
    both = [Inside(), Inside(first)]
    for place in order:
        both[place].leave()
    assert [one.found for one in both] == [[3, 1, 3], [3, 1, 3]]
    assert torch.get_num_threads() == count_of_a_new_thread() == 3


def test_a_thread_that_came_meanwhile_does_not_leave_one_behind() -> None:
    came, go_on = Event(), Event()

    def work() -> None:
        torch.get_num_threads()
        came.set()
        go_on.wait(WAIT)
        with one_thread():
            pass

    later = threading.Thread(target=work)
    with one_thread():
        later.start()
        assert came.wait(WAIT)
    go_on.set()
    later.join(WAIT)
    assert count_of_a_new_thread() == 3


def test_calls_within_each_other_stay_on_one_thread() -> None:
    with one_thread():
        with one_thread() as before:
            assert (before, torch.get_num_threads()) == (1, 1)
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_the_count_comes_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), one_thread():
        _ = 1 / 0
    assert torch.get_num_threads() == count_of_a_new_thread() == 3


def test_each_thread_of_a_pool_works_alone_and_so_does_what_it_calls() -> None:
    def work(_: int) -> tuple[int, int, int]:
        at_first = torch.get_num_threads()
        with one_thread() as before:
            pass
        return at_first, before, torch.get_num_threads()

    with one_thread_each() as (pool, count):
        assert count == 3
        assert set(pool.map(work, range(9))) == {(1, 1, 1)}
        with one_thread_each() as (_, inner):
            assert inner == 1
    assert torch.get_num_threads() == count_of_a_new_thread() == 3


def test_work_that_has_not_begun_is_cancelled_where_a_pool_is_left() -> None:
    begun, finish, done = Event(), Event(), []

    def work(number: int) -> None:
        begun.set()
        finish.wait(WAIT)
        done.append(number)

    torch.set_num_threads(1)
    with pytest.raises(KeyboardInterrupt), one_thread_each() as (pool, _):
        for number in range(5):
            pool.submit(work, number)
        assert begun.wait(WAIT)
        threading.Timer(0.1, finish.set).start()
        raise KeyboardInterrupt
    assert done == [0]

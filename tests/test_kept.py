"""What is derived from an object: made once, and nothing waits for what it does not need."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from explorer.kept import kept

WAIT = 10  # seconds; only a test that fails takes them


class Owner:
    pass


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def test_other_names_do_not_wait_for_one_that_is_being_made(pool: ThreadPoolExecutor) -> None:
    owner, started, finish = Owner(), Event(), Event()
    kept(owner, "stored", lambda: "stored")

    def slow() -> str:
        started.set()
        finish.wait(2 * WAIT)
        return "slow"

    making = pool.submit(kept, owner, "slow", slow)
    try:
        assert started.wait(WAIT)
        stored = pool.submit(kept, owner, "stored", lambda: pytest.fail("made twice"))
        new = pool.submit(kept, owner, "new", lambda: "new")
        assert (stored.result(WAIT), new.result(WAIT)) == ("stored", "new")
        assert not making.done()
    finally:
        finish.set()
    assert making.result(WAIT) == "slow"


def test_a_name_that_threads_ask_together_is_made_once(pool: ThreadPoolExecutor) -> None:
    owner, together, made = Owner(), Barrier(4, timeout=WAIT), []

    def make() -> object:
        made.append(object())
        Event().wait(0.05)  # the others come meanwhile
        return made[-1]

    def ask(_: int) -> object:
        together.wait()
        return kept(owner, "name", make)

    found = list(pool.map(ask, range(4)))
    assert len(made) == 1
    assert all(one is made[0] for one in found)


def test_what_is_being_made_may_ask_for_other_names() -> None:
    owner = Owner()
    assert kept(owner, "outer", lambda: kept(owner, "inner", lambda: 1) + 1) == 2
    assert kept(owner, "inner", lambda: pytest.fail("made twice")) == 1


def test_a_name_asked_while_it_is_made_is_one_object() -> None:
    owner, asked = Owner(), []

    def make() -> object:
        asked.append(1)
        return kept(owner, "name", make) if len(asked) == 1 else object()

    assert kept(owner, "name", make) is kept(owner, "name", make)
    assert len(asked) == 2


def test_nothing_is_kept_of_what_could_not_be_made(pool: ThreadPoolExecutor) -> None:
    owner, started, finish = Owner(), Event(), Event()

    def fail() -> str:
        started.set()
        finish.wait(WAIT)
        raise ValueError("not made")

    failing = pool.submit(kept, owner, "name", fail)
    assert started.wait(WAIT)
    waiting = pool.submit(kept, owner, "name", lambda: "made")
    finish.set()
    with pytest.raises(ValueError, match="not made"):
        failing.result(WAIT)
    assert waiting.result(WAIT) == "made"
    assert kept(owner, "name", lambda: pytest.fail("made twice")) == "made"


def test_none_is_kept_too() -> None:
    owner = Owner()
    assert kept(owner, "name", lambda: None) is None
    assert kept(owner, "name", lambda: pytest.fail("made twice")) is None

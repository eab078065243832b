"""Properties that hold whatever hypothesis thinks of: some inputs in the suite, many by time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))
ROUND = 100  # inputs between two looks at the clock
LENIENT = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def holds(check: Callable[[Any], None], inputs: SearchStrategy[Any], examples: int) -> None:
    """Check a property on some inputs, the same on every machine."""
    _once(check, inputs, examples, 0)


def fuzz(check: Callable[[Any], None], inputs: SearchStrategy[Any], size: int = ROUND) -> None:
    """Check a property on new inputs for `SECONDS`, `size` between two looks at the clock."""
    end, rounds = time.monotonic() + SECONDS, 0
    start = time.time_ns()
    while time.monotonic() < end:
        _once(check, inputs, size, start + rounds)
        rounds += 1
    print(f"{rounds * size:,} inputs")


def _once(
    check: Callable[[Any], None], inputs: SearchStrategy[Any], examples: int, start: int
) -> None:
    def run(value: Any) -> None:
        check(value)

    chosen = settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=LENIENT
    )
    seed(start)(chosen(given(inputs)(run)))()


by_time = pytest.mark.fuzz

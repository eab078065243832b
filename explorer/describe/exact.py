"""Sums and ranks that come out the same in whatever order and grouping they are made.

`ExactSum` cuts a number in double precision into digits of 32 bits at fixed places and sums each
place in 64-bit integers: nothing is rounded until the sum is read, and 2^31 numbers may be added.
What lies below 2^-160 is cut off, of each number alike. It takes the memory of nine float64.

`BoundedSum` takes no more than one, for sums whose size is known beforehand. It starts so large
that whatever is added to it is rounded to a fixed unit, and sums of such roundings are exact
(Demmel & Nguyen, "Fast Reproducible Floating-Point Summation", 2013).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

DIGIT = 32
LOWEST, HIGHEST = -160, 128
"""Exponents of two that the digits span."""
PLACES = (HIGHEST - LOWEST) // DIGIT
CACHED = 2**17
"""Numbers that are worked on at once, as many as a core's cache holds."""


class ExactSum:
    """A tensor of exact sums."""

    def __init__(self, shape: Sequence[int], device: torch.device) -> None:
        """Start at 0."""
        self.digits = torch.zeros(PLACES, *shape, dtype=torch.int64, device=device)
        """[place, ...] int64: the lowest place first."""

    def add(self, values: Tensor) -> None:
        """Add float64 numbers of less than 2^128, of the sums' shape."""
        rest = values
        for place in reversed(range(PLACES)):
            unit = 2.0 ** (LOWEST + DIGIT * place)
            digit = (rest / unit).trunc()
            self.digits[place] += digit.long()
            rest = rest - digit * unit

    def value(self) -> Tensor:
        """Return the sums in float64, rounded a few times in the last place."""
        total = torch.zeros_like(self.digits[0], dtype=torch.float64)
        for place in reversed(range(PLACES)):
            total += self.digits[place].double() * 2.0 ** (LOWEST + DIGIT * place)
        return total


class BoundedSum:
    """A tensor of sums of one float64 each, exact as long as they stay within bounds.

    With a bound `b`, a power of two, a sum is held as `3 b + sum`, whose last place is worth
    2^-51 b: to add rounds to that. A sum that leaves its bounds is as any other in float64.
    """

    def __init__(self, shape: Sequence[int], bounds: Callable[[slice], Tensor]) -> None:
        """Start at 0; `bounds` gives those of some rows of `shape`, powers of two in float64."""
        self._bounds = bounds
        self.held = torch.zeros(*shape, dtype=torch.float64)
        """[row, ...] float64: three times the bounds, and the sums."""
        self._rows = max(1, CACHED // self.held[0].numel())

    def clear(self) -> None:
        """Start at 0 again, with the bounds as they are now."""
        for rows in self.parts():
            self.held[rows] = 3 * self._bounds(rows)

    def parts(self) -> Iterator[slice]:
        """Yield all rows, a few at a time, so that what is made of them stays in the cache."""
        for start in range(0, len(self.held), self._rows):
            yield slice(start, min(start + self._rows, len(self.held)))

    def add(self, values: Tensor, rows: slice) -> None:
        """Add float32 or float64 numbers to some rows, each less than its bound."""
        exact = values.to(torch.float64, copy=True)
        # the last bit is set: half a unit would be rounded up or down by what is held
        exact.view(torch.int64).bitwise_or_(1)
        self.held[rows] += exact

    def merge(self, held: Tensor) -> None:
        """Add the sums that others with the same bounds hold."""
        for rows in self.parts():
            self.held[rows] += held[rows] - 3 * self._bounds(rows)

    def value(self, rows: slice) -> Tensor:
        """Return the sums of some rows in float64."""
        return self.held[rows] - 3 * self._bounds(rows)


def ranked(scores: Tensor, ids: Tensor) -> Tensor:
    """Return int64 numbers in the order of float32 scores and, among equal ones, of falling ids."""
    bits = (scores + 0.0).contiguous().view(torch.int32).long()  # 0.0: no negative zero
    rising = torch.where(bits >= 0, bits, -(bits & 0x7FFFFFFF))
    return rising * 2**31 - ids

"""Sums that are exact, so that they come out the same in whatever order and grouping they are made.

A number in double precision is cut into digits of 32 bits at fixed places, and each place is summed
in 64-bit integers: nothing is rounded until the sum is read, and 2^31 numbers may be added. What
lies below 2^-160 is cut off, of each number alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

DIGIT = 32
LOWEST, HIGHEST = -160, 128
"""Exponents of two that the digits span."""
PLACES = (HIGHEST - LOWEST) // DIGIT


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

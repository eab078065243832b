"""Which adversarial pictures are made; the command line's options are made from these fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from explorer.errors import InputError

AUTO = "auto"
PAIRS = 50


@dataclass(frozen=True)
class BatchSettings:
    """Pairs of classes and the pictures of each; see `python -m explorer attack --help`.

    Raises:
        InputError: when no picture or no pair is asked for, or the seed is negative.
    """

    pairs: str = field(default=AUTO, metadata={"help": f"{AUTO}, or 'cat>piano,owl>taxi'"})
    count: int = field(default=PAIRS, metadata={"help": f"with {AUTO}: how many pairs"})
    n: int = field(default=4, metadata={"help": "pictures per pair and method"})
    methods: str = field(
        default="", metadata={"help": "ways to choose concepts with ; between, all by default"}
    )
    seed: int = field(default=0, metadata={"help": "of every draw"})
    out: Path | None = field(
        default=None, metadata={"help": "also write pictures and recipes there", "short": "-o"}
    )

    def __post_init__(self) -> None:
        """Check that there is a picture to make."""
        if self.n < 1:
            raise InputError("--n is the number of pictures per pair and method: give 1 or more.")
        if self.count < 1:
            raise InputError("--count is the number of pairs: give 1 or more.")
        if self.seed < 0:
            raise InputError(f"--seed is {self.seed}: give 0 or more.")

"""How much is measured, on what, and with which seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from explorer.errors import InputError


@dataclass(frozen=True)
class EvidenceSettings:
    """What a measurement depends on besides the bundle. Raises InputError for impossible values."""

    images: Path | None = None
    """Folder of labelled pictures to classify; the bundle's held-out pictures if None."""
    pictures: int = 2000
    """At most so many pictures are classified; a seeded draw beyond."""
    means: int = 1024
    """Corpus pictures that give the means which the bundle does not hold."""
    text_neurons: int = 768
    """Neurons, the strongest of all layers, on which the ways to choose texts are compared."""
    kind_neurons: int = 256
    """Neurons of the last layer whose direct, indirect and second-order effects are compared."""
    batch_size: int = 16
    device: str = "cpu"
    dtype: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        least = {"pictures": 2, "means": 2, "text_neurons": 1, "kind_neurons": 1, "batch_size": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise InputError(
                    f"--{name.replace('_', '-')} is {getattr(self, name)}: give {low} or more."
                )

    def identity(self) -> dict[str, Any]:
        """Return what a resumed measurement must share with the interrupted one."""
        return {**asdict(self), "images": str(self.images.resolve()) if self.images else None}

"""How much is measured, on what, and with which seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from explorer.attack.settings import PAIRS
from explorer.errors import InputError


@dataclass(frozen=True)
class EvidenceSettings:
    """What a measurement depends on besides the bundle.

    Raises:
        InputError: when a value is impossible.
    """

    images: Path | None = field(
        default=None,
        metadata={
            "help": "folder with one sub-folder per class, to classify in place of the bundle's "
            "held-out pictures"
        },
    )
    pictures: int = field(
        default=2000,
        metadata={"help": "classify at most N pictures, a seeded draw of more"},
    )
    means: int = field(
        default=1024,
        metadata={"help": "corpus pictures that give the means which the bundle does not hold"},
    )
    text_neurons: int = field(
        default=768,
        metadata={
            "help": "neurons, the strongest of all layers, to compare ways of choosing texts on"
        },
    )
    kind_neurons: int = field(
        default=256,
        metadata={"help": "neurons of the last layer to compare kinds of effects on"},
    )
    scenes: int = field(
        default=500,
        metadata={
            "help": "scenes of each kind that maps are measured on; discovery takes two fifths of "
            "them, an attack a fifth of each pair of classes"
        },
    )
    pairs: int = field(
        default=PAIRS,
        metadata={"help": "pairs of classes that attacks are measured on, at most"},
    )
    control_pictures: int = field(
        default=1200,
        metadata={"help": "corpus pictures that controls are measured on"},
    )
    batch_size: int = field(default=16, metadata={"help": "images of one forward pass"})
    device: str = field(default="cpu", metadata={"help": "torch device, such as cuda"})
    dtype: str = field(
        default="float32",
        metadata={"help": "the model's numbers", "choices": ["float32", "bfloat16"]},
    )
    seed: int = field(default=0, metadata={"help": "of every draw"})

    def __post_init__(self) -> None:
        """Check the values."""
        least = {
            "pictures": 2, "means": 2, "text_neurons": 1, "kind_neurons": 1, "scenes": 5,
            "pairs": 1, "control_pictures": 4, "batch_size": 1, "seed": 0,
        }  # fmt: skip
        for name, low in least.items():
            if getattr(self, name) < low:
                raise InputError(
                    f"--{name.replace('_', '-')} is {getattr(self, name)}: give {low} or more."
                )

    def identity(self) -> dict[str, Any]:
        """Return what a resumed measurement must share with the interrupted one."""
        return {**asdict(self), "images": str(self.images.resolve()) if self.images else None}

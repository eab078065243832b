"""How a picture is mapped and segmented: settings without any tensor.

Pages that only read or write an address import this, and no torch with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field

from explorer.errors import InputError

if TYPE_CHECKING:
    from explorer.bundle import Bundle

SECOND_ORDER = "second-order"  # the usual method; see `explorer.picture.methods`
FITS = ("pad", "tile")  # see `explorer.picture.framing`
SCALES = ("own", "shared")  # a map over its text's own peak, or over the strongest text's
FLOOR = 0.2  # of the strongest text's peak, below which a pixel is background
LONGEST_RATIO = 20.0  # long side over short side; beyond, tiling would take too many passes
USUAL_THRESHOLD = 0.4  # of a text's own peak, where a bundle brings no calibrated one


@dataclass(frozen=True)
class MapSettings:
    """Which neurons a map sums over, and whether it is refined."""

    layers: tuple[int, ...] | None = None
    """Layers whose neurons count; those of the model's later half unless given."""
    neurons: int | None = None
    """Keep this many neurons, those whose directions align most with the text; None keeps all.

    For the methods `activation` and `competing` None means 200.
    """
    refine: bool = False
    """Turn texts towards pictures, spread maps over alike patches, draw in unsure ones."""
    fine: bool = False
    """Average four passes, the picture moved by half a patch: a grid twice as fine."""

    @property
    def cells(self) -> int:
        """How many values of a map there are for each patch."""
        return 4 if self.fine else 1

    def __post_init__(self) -> None:
        """Refuse a number of neurons that leaves none."""
        if self.neurons is not None and self.neurons < 1:
            raise InputError(f"A map over {self.neurons} neurons is empty: choose 1 or more.")


EXACT = MapSettings()
REFINED = MapSettings(refine=True)
FINE = MapSettings(refine=True, fine=True)


@dataclass(frozen=True)
class SegmentSettings:
    """How a picture is segmented; see `python -m explorer segment --help`."""

    method: str = field(default=SECOND_ORDER, metadata={"help": "way to make heatmaps"})
    maps: MapSettings = REFINED
    fit: str = field(default="pad", metadata={"help": f"{FITS[0]}, or {FITS[1]} for long pictures"})
    threshold: float | None = field(
        default=None, metadata={"help": "share of a text's peak, 0 to 1; calibrated by default"}
    )
    """Share of a text's peak; None takes the calibrated one."""

    def __post_init__(self) -> None:
        """Refuse a threshold outside 0 to 1."""
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise InputError(
                f"A threshold of {self.threshold} is not possible: choose one from 0 to 1."
            )


USUAL = SegmentSettings()


def check_shape(size: tuple[int, int]) -> None:
    """Check that a picture of this width and height can be seen through square windows.

    Raises:
        InputError: when it has no area or is too long.
    """
    width, height = size
    if min(size) < 1 or max(size) / min(size) > LONGEST_RATIO:
        raise InputError(
            f"A picture of {width:,} x {height:,} pixels cannot be read: crop it until the long "
            f"side is at most {LONGEST_RATIO:.0f} times the short one."
        )


class Calibrated(BaseModel):
    """What is read here of the evidence on segmentation."""

    thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]]


def calibrated_threshold(bundle: Bundle | None, method: str) -> float:
    """Return the method's threshold as measured on the bundle, or the usual one."""
    measured = bundle.manifest.section("segmentation", Calibrated) if bundle else None
    return measured.thresholds.get(method, USUAL_THRESHOLD) if measured else USUAL_THRESHOLD

"""What is drawn of a claim, as plain data: headline figures and plots, with no plotting library.

`claims/X.py` describes its plots with these, and `explorer.ui.evidence.plots` draws them. A new
kind of plot is a class here and a function there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from explorer.evidence.figures import Figure


class Tone(Enum):
    """What a colour stands for, the same in every plot."""

    SECOND = "second-order effects, or what the claim is about"
    DIRECT = "direct effects"
    INDIRECT = "indirect effects, or the whole model"
    FURTHER = "a further way"
    JOINT = "two ways joined"
    ABLATED = "all effects ablated"
    CONTROL = "a control, or chance"


@dataclass(frozen=True)
class Scale:
    """What an axis counts, and in which unit."""

    title: str
    factor: float = 1.0
    suffix: str = ""
    digits: int = 3

    def text(self, figure: Figure) -> str:
        """Write a figure with its interval."""
        if figure["value"] is None:
            return "not defined"
        interval = figure["interval"]
        between = f" ({self.one(interval[0])} to {self.one(interval[1])})" if interval else ""
        return self.one(figure["value"]) + between

    def one(self, value: float, unit: bool = True) -> str:
        """Write a number, with its unit; what rounds to 0 has no sign."""
        rounded = round(self.factor * value, self.digits) + 0.0
        return f"{rounded:.{self.digits}f}{self.suffix if unit else ''}".replace("-", "−")


def percent(title: str) -> Scale:
    """Return the scale of a share of 1, drawn in percent."""
    return Scale(f"{title} (%)", 100, " %", 1)


RECALL = percent("recall@1")
CORRELATION = Scale("Pearson correlation")
COSINE = Scale("cosine")


@dataclass(frozen=True)
class Number:
    """A headline figure: what it is, in which unit, and its key in the section's JSON."""

    name: str
    figure: Figure
    scale: Scale
    key: str

    @classmethod
    def at(
        cls, name: str, scale: Scale, result: Mapping[str, Any], *path: str | int | None
    ) -> Number:
        """Take the figure at a path of a result, such as ("layers", 3, "drop")."""
        part, key = result, ""
        for step in path:
            part = part[step]  # type: ignore[index]  # a key of a mapping or a place of a list
            key += f"[{step}]" if isinstance(step, int) else f".{step}"
        return cls(name, part, scale, key.removeprefix("."))  # type: ignore[arg-type]  # JSON


@dataclass(frozen=True)
class Dot:
    """One row of a dot plot."""

    name: str
    figure: Figure
    tone: Tone = Tone.CONTROL


@dataclass(frozen=True)
class Series:
    """One line: a name, and a figure at each place."""

    name: str
    tone: Tone
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Dots:
    """Figures as dots with their intervals, one a row; a dotted line at `reference`."""

    rows: Sequence[Dot]
    scale: Scale
    reference: float | None = None


@dataclass(frozen=True)
class Lines:
    """Lines with intervals over the same named places; a dotted line at `reference`."""

    series: Sequence[Series]
    places: Sequence[str]
    scale: Scale
    axis: str
    reference: float | None = None

    @classmethod
    def by_layer(
        cls,
        rows: Sequence[Mapping[str, Any]],
        series: Mapping[str, tuple[str, Tone]],
        scale: Scale,
        reference: float | None = None,
    ) -> Lines:
        """Draw figures of each layer: `series` has the name and the tone by their key in `rows`."""
        lines = [Series(*named, [row[key] for row in rows]) for key, named in series.items()]
        return cls(lines, [str(row["layer"]) for row in rows], scale, "layer", reference)


@dataclass(frozen=True)
class Band:
    """The median with its quartiles, both axes logarithmic; a dotted line at `reference`."""

    places: Sequence[float]
    median: Sequence[float]
    lower: Sequence[float]
    upper: Sequence[float]
    axis: str
    scale: Scale
    reference: float | None = None


@dataclass(frozen=True)
class Steps:
    """Neurons by a value, measured in several ways: one histogram over the other."""

    edges: Sequence[float]
    counts: Sequence[tuple[str, Tone, Sequence[int]]]
    """Name, tone and the neurons in each bin."""
    axis: str


@dataclass(frozen=True)
class Heads:
    """A share for each attention head of each block."""

    shares: Sequence[tuple[int, int, Figure]]
    """Block, head and share."""


Drawing: TypeAlias = Dots | Lines | Band | Steps | Heads


@dataclass(frozen=True)
class Plot:
    """A plot and one line that says what it shows."""

    caption: str
    drawing: Drawing


@dataclass(frozen=True)
class Shown:
    """Everything drawn of a claim; the first plot is the leading one."""

    numbers: Sequence[Number]
    plots: Sequence[Plot]

"""Where the parts of a neuron's bar chart stand; `templates/article.html` draws it as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from explorer.findings.snapshot import Bar
from explorer.palette import CLUSTER_COLOURS

BAR, LINE, TEXTS, VALUES, WIDTH = 13, 20, 170, 60, 440  # pixels
LONGEST = 24  # characters of a text


@dataclass(frozen=True)
class Row:
    """One concept: its text, then its bar from the common zero, then its weight; pixels."""

    text: str
    weight: float
    colour: str
    top: int
    start: float
    length: float
    value: float
    """Where its weight is written, from the left."""

    @property
    def baseline(self) -> int:
        """Where its texts stand, from the top."""
        return self.top + 11


@dataclass(frozen=True)
class Chart:
    """Signed bars around a common zero; pixels."""

    rows: tuple[Row, ...]
    zero: float
    width: int = WIDTH
    bar: int = BAR
    names: int = TEXTS - 8
    """Where the texts end, from the left."""

    @property
    def height(self) -> int:
        """Height of the whole drawing."""
        return LINE * len(self.rows) + 2

    @property
    def foot(self) -> int:
        """Where the axis ends: below the last bar."""
        return LINE * (len(self.rows) - 1) + BAR


def chart_of(bars: Sequence[Bar]) -> Chart:
    """Return the chart of a neuron's concepts, in their order."""
    reach = max((abs(bar.weight) for bar in bars), default=1.0)
    left = reach if any(bar.weight < 0 for bar in bars) else 0.0
    unit = (WIDTH - TEXTS - VALUES) / (left + reach)
    zero = TEXTS + left * unit
    return Chart(tuple(_row(bar, place, zero, unit) for place, bar in enumerate(bars)), zero)


def _row(bar: Bar, place: int, zero: float, unit: float) -> Row:
    return Row(
        text=bar.text if len(bar.text) <= LONGEST else bar.text[: LONGEST - 1] + "…",
        weight=bar.weight,
        colour=CLUSTER_COLOURS[bar.colour],
        top=place * LINE,
        start=zero + min(bar.weight, 0.0) * unit,
        length=abs(bar.weight) * unit,
        value=zero + max(bar.weight, 0.0) * unit + 5,
    )

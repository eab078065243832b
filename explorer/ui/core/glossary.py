"""What pages say of a neuron: its name, its measures, and how numbers are written."""

from __future__ import annotations

from explorer.bundle.measures import Measure, measures_of
from explorer.bundle.pairs import Head
from explorer.formats import (
    MISSING,
    count,
    effect,
    file_size,
    number,
    probability,
    share,
    signed,
    size,
)

__all__ = [
    "MEASURES",
    "MISSING",
    "Measure",
    "count",
    "effect",
    "file_size",
    "neuron_name",
    "number",
    "probability",
    "share",
    "short_name",
    "signed",
    "size",
]

MEASURES: dict[str, Measure] = {measure.key: measure for measure in measures_of("list")}
"""Key -> measure, of those that pages sort, filter and compare by."""


def neuron_name(layer: int, neuron: int, head: Head | None = None) -> str:
    """Return how a neuron, or its pair with a later head, is called everywhere."""
    return f"Layer {layer} · Neuron {neuron:,}{_by(head)}"


def short_name(layer: int, neuron: int, head: Head | None = None) -> str:
    """Return how it is called where there is little room."""
    return f"{layer} · {neuron:,}{_by(head)}"


def _by(head: Head | None) -> str:
    return "" if head is None else " · Head {}.{}".format(*head)

"""The measures of a neuron: name, format and one line of meaning, the same on every page."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

MISSING = "–"


def number(value: float, digits: int = 2) -> str:
    """Fixed decimals, thousands with commas; a dash for what isn't there."""
    return f"{value:,.{digits}f}" if math.isfinite(value) else MISSING


def count(value: float) -> str:
    """A whole number with thousands separated."""
    return f"{round(value):,}" if math.isfinite(value) else MISSING


def share(value: float) -> str:
    """A share of 1 as a whole percentage, with a true minus."""
    if not math.isfinite(value):
        return MISSING
    return f"{round(100 * value) + 0:,} %".replace("-", "−")


def effect(value: float) -> str:
    """A signed effect to three significant digits."""
    if not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:+.{min(digits, 5)}f}".replace("-", "−")


def size(value: float) -> str:
    """Three significant digits, no sign."""
    return effect(abs(value)).lstrip("+")


def signed(value: float) -> str:
    """A signed weight with two decimals and a true minus."""
    return f"{value:+.2f}".replace("-", "−")


def file_size(octets: float) -> str:
    """Bytes as kB or MB."""
    return f"{octets / 1e6:,.1f} MB" if octets >= 1e6 else f"{octets / 1e3:,.1f} kB"


@dataclass(frozen=True)
class Measure:
    """One column of the neuron table."""

    key: str
    name: str
    short: str
    meaning: str
    show: Callable[[float], str]


MEASURES: dict[str, Measure] = {
    measure.key: measure
    for measure in (
        Measure(
            "agreement",
            "Agreement",
            "agreement",
            "Chance that its six heaviest texts put one of its top pictures before a random one. "
            "50 % is no better than guessing: then don't trust the words.",
            share,
        ),
        Measure(
            "polysemy",
            "Polysemy",
            "polysemy",
            "Chance that two draws from its concepts and its top pictures are unrelated. "
            "0 is one meaning, 0.5 is like two equally strong ones.",
            number,
        ),
        Measure(
            "explained_variance",
            "Explained variance",
            "explained",
            "How much of its strong effects a single direction accounts for. "
            "Near 100 %, the direction says it all.",
            share,
        ),
        Measure(
            "selectivity",
            "Selectivity",
            "selective",
            "Share of its whole squared effect that falls on its few strongest pictures "
            "(2 % unless built otherwise). High means it is silent on most.",
            share,
        ),
        Measure(
            "reconstruction",
            "Reconstruction",
            "rebuilt",
            "Cosine between its direction and the weighted sum of all its concepts. "
            "1 means the words describe it fully.",
            number,
        ),
        Measure(
            "label_diversity",
            "Label diversity",
            "diverse",
            "How varied the labels of its top pictures are, read from the labels alone.",
            number,
        ),
        Measure(
            "image_polysemy",
            "Picture polysemy",
            "in pictures",
            "Polysemy from the top pictures alone: how unrelated they look to the model.",
            number,
        ),
        Measure(
            "positive_share",
            "Positive share",
            "positive",
            "Share of its significant pictures that it pushes along its direction, not against it.",
            share,
        ),
        Measure(
            "clusters",
            "Concept clusters",
            "clusters",
            "Number of groups of related words in its concept set.",
            count,
        ),
        Measure(
            "max_norm",
            "Strongest effect",
            "strongest",
            "Largest effect norm over all pictures, in units of the model's output "
            "before normalisation.",
            size,
        ),
        Measure(
            "scale",
            "Typical effect",
            "typical",
            "Root mean square of its effect norm over all pictures, in the same units.",
            size,
        ),
    )
}

PAGE_MEASURES = (
    "agreement",
    "polysemy",
    "explained_variance",
    "selectivity",
    "reconstruction",
    "label_diversity",
    "positive_share",
    "max_norm",
)
CARD_MEASURES = ("agreement", "polysemy", "selectivity")


def neuron_name(layer: int, neuron: int) -> str:
    """How a neuron is called everywhere."""
    return f"Layer {layer} · Neuron {neuron:,}"

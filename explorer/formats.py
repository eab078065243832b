"""How numbers, and names of files, are written: the same on every page and in every file."""

from __future__ import annotations

import math
import re
import unicodedata

MISSING = "–"


def number(value: float, digits: int = 2) -> str:
    """Write fixed decimals, thousands with commas, a true minus; a dash for what is not there."""
    return f"{value:z,.{digits}f}".replace("-", "−") if math.isfinite(value) else MISSING


def count(value: float) -> str:
    """Write a whole number with thousands separated."""
    return f"{round(value):,}" if math.isfinite(value) else MISSING


def share(value: float) -> str:
    """Write a share of 1 as a whole percentage, with a true minus."""
    if not math.isfinite(value):
        return MISSING
    return f"{round(100 * value) + 0:,} %".replace("-", "−")


def probability(value: float) -> str:
    """Write a probability with three decimals."""
    if not math.isfinite(value):
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def effect(value: float) -> str:
    """Write a signed effect to three significant digits."""
    if not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:+.{min(digits, 5)}f}".replace("-", "−")


def size(value: float) -> str:
    """Write three significant digits, no sign."""
    return effect(abs(value)).lstrip("+")


def signed(value: float) -> str:
    """Write a signed weight with two decimals and a true minus."""
    return f"{value:+.2f}".replace("-", "−")


def file_size(octets: float) -> str:
    """Write bytes as kB or MB."""
    return f"{octets / 1e6:,.1f} MB" if octets >= 1e6 else f"{octets / 1e3:,.1f} kB"


def file_stem(text: str, otherwise: str, longest: int = 40) -> str:
    """Write a text as part of a file's name: lower-case ASCII letters, digits and dashes.

    Accents are dropped, other signs become dashes; `otherwise` where nothing is left.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:longest].strip("-") or otherwise

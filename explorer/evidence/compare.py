"""Whether two measurements agree: a fresh figure lies within the stored one's interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def compare(stored: Mapping[str, Any], fresh: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many figures of ``fresh`` were compared with ``stored``, and which disagree.

    Figures are compared by their key in the command's JSON. One disagrees if its value is outside
    of the stored interval (other than the stored value, where there is none), or is missing on one
    side only.
    """
    before, now = dict(_figures(stored)), dict(_figures(fresh))
    outside = [
        {"key": key, "stored": before.get(key), "fresh": now.get(key)}
        for key in sorted(before.keys() | now.keys())
        if not _agree(before.get(key), now.get(key))
    ]
    return {"figures": len(before.keys() | now.keys()), "outside": outside}


def _agree(stored: Mapping[str, Any] | None, fresh: Mapping[str, Any] | None) -> bool:
    if stored is None or fresh is None:
        return False
    value = fresh["value"]
    if value is None or not stored["interval"]:
        return bool(value == stored["value"])
    low, high = stored["interval"]
    return bool(low <= value <= high)


def _figures(part: Any, key: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield key, value and interval of every figure, by its place in the JSON."""
    if isinstance(part, Mapping) and "interval" in part:
        value = part.get("value", part.get("mean"))
        yield key, {"value": value, "interval": part["interval"]}
    elif isinstance(part, Mapping):
        for name, found in part.items():
            yield from _figures(found, f"{key}.{name}" if key else str(name))
    elif isinstance(part, list):
        for place, found in enumerate(part):
            yield from _figures(found, f"{key}[{place}]")

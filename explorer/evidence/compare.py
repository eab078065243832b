"""Whether two measurements agree: a fresh figure lies within the stored one's interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from explorer.errors import InputError
from explorer.evidence.figures import Figure, is_figure, leaves


def compare(stored: Mapping[str, Any], fresh: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many figures of `fresh` were compared with `stored`, and which disagree.

    Both are {section: result} of the same sections, as `stored.stored_evidence` and
    `runner.measure` return them. Figures are compared by their key in the command's JSON. One
    disagrees if its value is outside of the stored interval (other than the stored value, where
    there is none), or is missing on one side only.

    Raises:
        InputError: when a section has no figures on one side, so that nothing is compared.
    """
    check_stored(stored, list(fresh))
    empty = [name for name, result in fresh.items() if not figures_of(result)]
    if empty:
        raise InputError(f"No figures were measured of {', '.join(empty)}: nothing is compared.")
    before, now = figures_of(stored), figures_of(fresh)
    outside = [
        {"key": key, "stored": before.get(key), "fresh": now.get(key)}
        for key in sorted(before.keys() | now.keys())
        if not _agree(before.get(key), now.get(key))
    ]
    return {"figures": len(before.keys() | now.keys()), "outside": outside}


def check_stored(stored: Mapping[str, Any], sections: Iterable[str]) -> None:
    """Check that there are stored figures of every one of some sections.

    Raises:
        InputError: when one has none.
    """
    empty = [name for name in sections if not figures_of(stored.get(name, {}))]
    if empty:
        raise InputError(
            f"There are no figures of {', '.join(empty)} to compare with: measure them without "
            "--check first."
        )


def figures_of(part: Any) -> dict[str, Figure]:
    """Return every figure of a result by its key."""
    return {key: found for key, found in leaves(part) if is_figure(found)}


def _agree(stored: Figure | None, fresh: Figure | None) -> bool:
    if stored is None or fresh is None:
        return False
    value, wanted = fresh["value"], stored["value"]
    if value is None or wanted is None:
        return value is wanted
    low, high = stored["interval"] or (wanted, wanted)
    return low <= value <= high

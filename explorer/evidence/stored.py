"""The evidence that a bundle holds, in today's shape whatever version measured it.

Every figure is a `figures.Figure`: `{"value", "interval", "count"}`. Bundles measured before that
was so hold three other shapes, which are upgraded here whenever evidence is read:

- recall and segmentation: `"name": 0.7, "name_interval": [0.6, 0.8]` beside each other;
- discovery and attack: `{"mean": 0.7, "interval": [0.6, 0.8]}`;
- attack: differences to the other methods as bare intervals, in `verdict`; their values are those
  of the methods' figures, and they are called `beyond` today.

The counts of such figures are the pictures, scenes or pairs that the section says it was measured
on. Nothing is written: the bundle's manifest stays as it is until a section is measured again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from explorer.bundle import Bundle
from explorer.evidence.claims.attack import OWN
from explorer.evidence.figures import Figure

Result = dict[str, Any]
_UNITS = {"recall": "pictures", "segmentation": "scenes", "discovery": "scenes", "attack": "pairs"}
_INTERVAL = "_interval"


MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError)
"""What reading a section raises that is of another form, as another version may write it."""

NOTABLE = 0.01
"""Recall by the commonest names beyond chance from which it is told."""


class Recall(BaseModel):
    """The section on recognition, in today's shape."""

    top_1: Figure = Field(alias="recall@1")
    top_10: Figure = Field(alias="recall@10")
    candidates: int
    pictures: int
    commonest: dict[int, float] = Field(default_factory=dict)
    """Share of pictures with one of the so many commonest names; older results lack it."""
    set: str = "held out"

    @property
    def figures(self) -> dict[int, Figure]:
        """How many of the nearest candidates -> recall; without what any order reaches."""
        found = {1: self.top_1, 10: self.top_10}
        return {nearest: figure for nearest, figure in found.items() if nearest < self.candidates}

    def chance(self, nearest: int) -> str:
        """Say what is reached without a look: by a random order, and by the commonest names."""
        random = nearest / self.candidates
        said = f"chance {100 * random:.2g} %"
        if (named := self.commonest.get(nearest, 0.0)) <= random + NOTABLE:
            return said
        names = "name" if nearest == 1 else f"{nearest} names"
        return f"{said}, always the commonest {names} {100 * named:.2g} %"


def recall_of(evidence: Mapping[str, Any]) -> Recall | None:
    """Return what was measured of recognition; None where nothing was, or in another form."""
    try:
        return Recall.model_validate(evidence.get("recall"))
    except ValidationError:
        return None


def stored_evidence(bundle: Bundle, *sections: str) -> dict[str, Result]:
    """Return {section: result} of what was measured on a bundle: all of it, or these sections."""
    evidence = bundle.manifest.evidence
    chosen = {name: evidence[name] for name in sections or evidence if name in evidence}
    return upgraded(chosen)


def upgraded(evidence: Mapping[str, Any]) -> dict[str, Result]:
    """Return evidence with every figure in today's shape; what has it already is left as it is."""
    found = {}
    for section, result in evidence.items():
        with suppress(*MALFORMED):  # what is of no known form counts as not measured
            found[section] = _upgrade_section(section, result)
    return found


def _upgrade_section(section: str, result: Result) -> Result:
    if section not in _UNITS:
        return result
    upgraded: Result = _upgrade(result, _UNITS[section], 0)
    whole = section == "attack" and isinstance(upgraded.get("verdict"), Mapping)
    return _with_differences(upgraded) if whole else upgraded


def _upgrade(part: Any, unit: str, count: int) -> Any:
    """Upgrade a part of a result; `count` is what was measured, as far as it was said above."""
    if isinstance(part, list):
        return [_upgrade(item, unit, count) for item in part]
    if not isinstance(part, Mapping):
        return part
    if "mean" in part and part.keys() <= {"mean", "interval"}:
        return {"value": part["mean"], "interval": part.get("interval"), "count": count}
    count = part[unit] if isinstance(part.get(unit), int) else count
    found = {}
    for name, value in part.items():
        of = name.removesuffix(_INTERVAL)
        if of != name and of in part:
            continue
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        if plain and (f"{name}{_INTERVAL}" in part or name.startswith("recall@")):
            interval = part.get(f"{name}{_INTERVAL}")
            found[name] = {"value": round(value, 5), "interval": interval, "count": count}
        else:
            found[name] = _upgrade(value, unit, count)
    return found


def _with_differences(result: Result) -> Result:
    methods = result.get("methods", {})
    differences = result["verdict"].get("paired_difference", {})
    beyond = {
        name: {
            "value": round(methods[OWN]["two_way"]["value"] - methods[name]["two_way"]["value"], 5),
            "interval": interval,
            "count": methods[name]["two_way"]["count"],
        }
        for name, interval in differences.items()
        if name in methods and OWN in methods
    }
    return {name: part for name, part in result.items() if name != "verdict"} | {"beyond": beyond}

"""The Adversarial page's address: a pair of classes, a seed, and the picture that is explained.

Pure, like `address`. A class is any text: a label of the bundle, or what a visitor types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from explorer.ui.address.address import whole

SEEDS = 1_000_000
MOST_PICTURES = 48
PICTURES = 12
LONGEST_CLASS = 80  # characters
SEPARATOR = ">"  # between the parts of a scene's name in an address


@dataclass(frozen=True)
class AttackQuery:
    """What the page shows; without source and target a pair is proposed."""

    source: str = ""
    target: str = ""
    seed: int = 0
    count: int = PICTURES
    why: int | None = None
    """Number of the batch's picture that is explained."""

    def params(self) -> dict[str, str]:
        """Return the query as address parameters, defaults left out."""
        usual = AttackQuery()
        return {
            key: str(value) for key, value in vars(self).items() if value != getattr(usual, key)
        }


def read_attack(params: Mapping[str, str]) -> tuple[AttackQuery, list[str]]:
    """Read the page's address; what cannot be read is left out and named in a sentence."""
    problems: list[str] = []
    named = {key: class_name(params.get(key, "")) for key in ("source", "target")}
    if named["source"] and named["source"] == named["target"]:
        problems.append("Source and target are the same class: choose another target below.")
        named["target"] = ""
    query = AttackQuery(
        source=named["source"],
        target=named["target"],
        seed=_number(params, "seed", 0, SEEDS, problems) or 0,
        count=_number(params, "count", 1, MOST_PICTURES, problems) or PICTURES,
    )
    why = _number(params, "why", 0, query.count - 1, problems)
    return replace(query, why=why), problems


def class_name(text: str) -> str:
    """Return a class as a visitor may name it: any text, cut to length."""
    return " ".join(text.split())[:LONGEST_CLASS]


def _number(
    params: Mapping[str, str], key: str, least: int, most: int, problems: list[str]
) -> int | None:
    asked = params.get(key, "")
    value = whole(asked)
    if not asked:
        return None
    if value is not None and least <= value <= most:
        return value
    problems.append(
        f"“{asked}” is not a value for “{key}”: write a number from {least} to {most:,}."
    )
    return None


def write_scene(query: AttackQuery, number: int) -> str:
    """Return a scene of a batch as the Image page's address names it."""
    named = (quote(name, safe=" ") for name in (query.source, query.target))
    return SEPARATOR.join((*named, str(query.seed), str(number)))


def read_scene(text: str) -> tuple[AttackQuery, int] | None:
    """Return the pair and number that `write_scene` wrote; None if it names no such scene."""
    parts = [unquote(part) for part in text.split(SEPARATOR)]
    if len(parts) != 4:
        return None
    source, target, seed, number = parts[0], parts[1], whole(parts[2]), whole(parts[3])
    if not source or not target or seed is None or number is None:
        return None
    if source == target or max(map(len, (source, target))) > LONGEST_CLASS:
        return None
    if seed > SEEDS or number >= MOST_PICTURES:
        return None
    return AttackQuery(source, target, seed), number

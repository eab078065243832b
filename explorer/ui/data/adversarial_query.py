"""The Adversarial page's address: a pair of classes, a seed, and the picture that is explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from explorer.attack.concepts import vocabulary
from explorer.ui.address.address import whole
from explorer.ui.data.loaders import View

SEEDS = 1_000_000
MOST_PICTURES = 48
PICTURES = 12
AROUND = ">"  # between the parts of a scene's name in an address


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
        """The query as address parameters, defaults left out."""
        usual = AttackQuery()
        return {
            key: str(getattr(self, key))
            for key in ("source", "target", "seed", "count", "why")
            if getattr(self, key) != getattr(usual, key)
        }


@dataclass
class AttackReading:
    """A parsed address and the sentences about what could not be read."""

    query: AttackQuery
    problems: list[str] = field(default_factory=list)


def classes_of(view: View) -> list[str]:
    """Labels a scene can be made of, and the model asked for: those of the pictures, sorted."""

    def listed(view: View) -> list[str]:
        words = vocabulary(view.bundle)
        return sorted({*words.held_out, *words.pictures})

    return view.held("attack classes", listed)


def read_attack(params: Mapping[str, str], view: View) -> AttackReading:
    """Read the page's address; what can't be read is left out and named."""
    problems: list[str] = []
    known = classes_of(view)
    named = {key: " ".join(params.get(key, "").split()) for key in ("source", "target")}
    for key, text in named.items():
        if text and text not in known:
            problems.append(
                f"No picture of this bundle is called “{text}”: choose another {key} below."
            )
            named[key] = ""
    if named["source"] and named["source"] == named["target"]:
        problems.append("Source and target are one class: choose another target below.")
        named["target"] = ""
    query = AttackQuery(
        source=named["source"],
        target=named["target"],
        seed=_number(params, "seed", 0, SEEDS, problems) or 0,
        count=_number(params, "count", 1, MOST_PICTURES, problems) or PICTURES,
    )
    why = _number(params, "why", 0, query.count - 1, problems)
    return AttackReading(replace(query, why=why), problems)


def _number(
    params: Mapping[str, str], key: str, least: int, most: int, problems: list[str]
) -> int | None:
    asked = params.get(key, "")
    value = whole(asked)
    if not asked:
        return None
    if value is not None and least <= value <= most:
        return value
    problems.append(f"“{asked}” is no value for “{key}”: write a number from {least} to {most:,}.")
    return None


def write_scene(query: AttackQuery, number: int) -> str:
    """A scene of a batch as the Image page's address names it."""
    return AROUND.join((query.source, query.target, str(query.seed), str(number)))


def read_scene(text: str, view: View) -> tuple[AttackQuery, int] | None:
    """The pair and number that `write_scene` wrote; None if it names no scene of this bundle."""
    parts = text.split(AROUND)
    if len(parts) != 4:
        return None
    source, target, seed, number = parts[0], parts[1], whole(parts[2]), whole(parts[3])
    known = classes_of(view)
    if source not in known or target not in known or seed is None or number is None:
        return None
    if source == target or seed > SEEDS or number >= MOST_PICTURES:
        return None
    return AttackQuery(source, target, seed), number

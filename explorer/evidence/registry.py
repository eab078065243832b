"""The sections of the evidence, and where each one's code is; nothing is imported until asked for.

A section is one entry of `_ALL` and one module `measures/NAME.py` with `measure(context)`, which
returns the section's result, and, where it reads the one lens pass over the pictures,
`probe(context)`. Each claim that it decides is one module `claims/KEY.py` with a `CLAIM`; most
sections decide the claim of their own name. The command line, the Evidence page, its order, its
addresses and its tests follow this table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType

from explorer.errors import InputError
from explorer.evidence.claim import FAILS, HOLDS, PARTLY, Claim, Result, Verdict
from explorer.evidence.figures import FEWEST, is_above


@dataclass(frozen=True)
class Section:
    """What is measured in one go, and which claims it decides."""

    name: str
    """Its key in the JSON, and the name of its module."""
    about: str
    claims: tuple[str, ...]
    """The claims' names, which are those of their modules and stand in addresses."""
    scenes: bool = False
    """Whether it draws scenes of its own: it takes longer, and is none of `claims`."""

    def load(self) -> ModuleType:
        """Import the module that measures it."""
        return import_module(f"explorer.evidence.measures.{self.name}")


_ALL = (
    Section("recall", "recognition of the evaluation pictures", ()),
    Section("controls", "what is more than chance, beside towers without meaning", ("controls",)),
    Section("ablation", "where second-order effects matter", ("ablation",)),
    Section("selectivity", "few pictures carry a neuron's effect", ("selectivity",)),
    Section("rank", "one direction carries a neuron's effect", ("rank",)),
    Section("texts", "few texts carry a direction", ("texts",)),
    Section("kinds", "direct, indirect and second-order effects compared", ("kinds",)),
    Section(
        "predict",
        "descriptions predict effects; several meanings",
        ("descriptions", "polysemy"),
    ),
    Section("pairs", "few pairs of neuron and head carry the effects", ("pairs", "heads")),
    Section("fit", "what second-order effects carry of the output", ("fit",)),
    Section("segmentation", "objects found by text", ("segmentation",), scenes=True),
    Section("discovery", "concepts found in scenes", ("discovery",), scenes=True),
    Section("attack", "semantic attacks", ("attack",), scenes=True),
)
CLAIMS = "claims"
CONTROLS = "controls"
ALL = "all"


def sections() -> dict[str, Section]:
    """Return every section by its name, in order."""
    return {section.name: section for section in _ALL}


def section_of(claim: str) -> Section:
    """Return the section that decides a claim."""
    return next(section for section in _ALL if claim in section.claims)


def claims() -> dict[str, Claim]:
    """Return every claim by its name, in order."""
    return {
        name: import_module(f"explorer.evidence.claims.{name}").CLAIM
        for section in _ALL
        for name in section.claims
    }


def beside_random(claim: str, evidence: Mapping[str, Result]) -> tuple[str, bool]:
    """Return a line on what a tower with random weights gives, and whether that is beaten.

    Of a claim without such a measure the line is empty; a measure that nobody took is no reason to
    doubt the claim.
    """
    named = claims()[claim].measure
    if named is None:
        return "", True
    pair = evidence.get(CONTROLS, {}).get("measures", {}).get(named.key)
    if not pair:
        return f"What random weights give was not measured (section “{CONTROLS}”).", True
    own, random = pair["own"], pair["random_weights"]
    beaten = is_above(own, random)
    said = (
        f"{named.name}, on the same sample: {named.scale.text(own)}; with random weights "
        f"{named.scale.text(random)}"
    )
    return said + ("." if beaten else ", so that it says nothing by itself."), beaten


def judged(claim: str, evidence: Mapping[str, Result]) -> Verdict:
    """Return the verdict on a claim that was measured: it holds only beyond random weights.

    A claim that was measured on fewer pictures than an interval takes isn't shown by anything.
    """
    result = evidence[section_of(claim).name]
    if (pictures := result.get("pictures", FEWEST)) < FEWEST:
        few = f"it was measured on {pictures} pictures; fewer than {FEWEST} cannot show it."
        return Verdict(FAILS, few)
    verdict = claims()[claim].judge(result)
    _, beaten = beside_random(claim, evidence)
    return verdict if beaten or verdict.outcome != HOLDS else replace(verdict, outcome=PARTLY)


def choose_sections(names: Sequence[str]) -> list[Section]:
    """Return the sections named, each once, in the registry's order.

    "claims" stands for those that one lens pass serves, "all" for every one. A text names one.

    Raises:
        InputError: when a section is unknown.
    """
    known = sections()
    groups = {
        CLAIMS: {section.name for section in _ALL if not section.scenes},
        ALL: set(known),
    }
    wanted: set[str] = set()
    for name in (part.strip() for part in ([names] if isinstance(names, str) else names)):
        if name not in groups and name not in known:
            listed = ", ".join([*known, CLAIMS, ALL])
            raise InputError(f"There is no evidence section '{name}'; choose among: {listed}.")
        wanted |= groups.get(name, {name})
    return [section for section in _ALL if section.name in wanted]

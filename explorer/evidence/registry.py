"""The sections there are, and where each one's code is; nothing of it is imported until asked for.

A section of this package is a module with ``measure(context) -> result`` and, where it reads the
one lens pass over the pictures, ``probe(context) -> Probe``. Other sections are functions
``(bundle, *, ...) -> result`` elsewhere in the package `explorer`; they draw scenes of their own
from the bundle's pictures, take longer, and are measured only when named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module, util
from types import ModuleType

from explorer.errors import InputError


@dataclass(frozen=True)
class Section:
    """One claim, or a few that are measured together."""

    name: str
    module: str
    about: str
    function: str = ""
    """For a section elsewhere: the name of its function of a bundle."""

    @property
    def available(self) -> bool:
        """Whether the section's module is part of this version."""
        return util.find_spec(self.module) is not None

    def load(self) -> ModuleType:
        """Import the section's module.

        Raises:
            InputError: this version has no such module.
        """
        if not self.available:
            raise InputError(
                f"The evidence section '{self.name}' is not part of this version ({self.module} is "
                "missing): leave it out, or update the explorer."
            )
        return import_module(self.module)


_HERE = "explorer.evidence.measures."
_ALL = (
    Section("recall", _HERE + "recall", "recognition of the evaluation pictures"),
    Section("ablation", _HERE + "ablation", "where second-order effects matter"),
    Section("selectivity", _HERE + "selectivity", "few pictures carry a neuron's effect"),
    Section("rank", _HERE + "rank", "one direction carries a neuron's effect"),
    Section("texts", _HERE + "texts", "few texts carry a direction"),
    Section("kinds", _HERE + "kinds", "direct, indirect and second-order effects compared"),
    Section("predict", _HERE + "predict", "descriptions predict effects; several meanings"),
    Section("fit", _HERE + "fit", "what second-order effects carry of the output"),
    Section(
        "segmentation",
        "explorer.evidence.measures.segmentation",
        "objects found by text",
        "measure_segmentation",
    ),
    Section(
        "discovery",
        "explorer.evidence.measures.discovery",
        "concepts found in scenes",
        "measure_discovery",
    ),
    Section("attack", "explorer.evidence.measures.attack", "semantic attacks", "measure_attack"),
)
SECTIONS: dict[str, Section] = {section.name: section for section in _ALL}
CLAIMS = "claims"
ALL = "all"


def chosen(names: Sequence[str]) -> list[Section]:
    """Return the sections named, each once, in the registry's order.

    "claims" stands for those of this package, "all" for every one this version has.

    Raises:
        InputError: a section is unknown.
    """
    groups = {
        CLAIMS: {section.name for section in _ALL if not section.function},
        ALL: {section.name for section in _ALL if section.available},
    }
    wanted: set[str] = set()
    for name in (part.strip() for part in names):
        if name in groups or name in SECTIONS:
            wanted |= groups.get(name, {name})
        else:
            known = ", ".join([*SECTIONS, CLAIMS, ALL])
            raise InputError(f"There is no evidence section '{name}'; choose among: {known}.")
    return [section for section in _ALL if section.name in wanted]

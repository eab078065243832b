"""Measure the sections asked for: one shared lens pass, results kept as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from explorer.bundle import Bundle
from explorer.evidence.compare import check_stored, compare
from explorer.evidence.registry import choose_sections
from explorer.evidence.settings import EvidenceSettings
from explorer.evidence.stored import stored_evidence

if TYPE_CHECKING:
    from explorer.evidence.context import Context

SHARED = "effects"
Result = dict[str, Any]


def measure(
    bundle: Bundle,
    only: Sequence[str],
    settings: EvidenceSettings | None = None,
    *,
    progress: Callable[[str], None] | None = None,
    resumable: bool = False,
) -> dict[str, Result]:
    """Return {section: result} of the sections named; see `registry.choose_sections`.

    `progress` gets a line now and then. With `resumable` a folder beside the bundle keeps what
    is done until all is; the same call then goes on after Ctrl-C.

    Raises:
        InputError: when a section is unknown, or the pictures cannot be used.
        Interrupted: after Ctrl-C.
    """
    from explorer.evidence.context import Context
    from explorer.evidence.work import Work

    settings = settings or EvidenceSettings()
    sections = choose_sections(only)
    modules = {section.name: section.load() for section in sections}
    say = progress or (lambda line: None)
    work = Work(None)
    if resumable:
        identity = {**settings.identity(), "sections": [section.name for section in sections]}
        work = Work.beside(bundle, identity, say)
    context = Context(bundle, settings, work, say)
    _add_probes(context, modules)
    results = {}
    for section in sections:
        found = work.result(section.name)
        if found is None:
            began = time.monotonic()
            say(f"{section.name}: {section.about}")
            found = dict(modules[section.name].measure(context))
            work.keep_result(section.name, found)
            say(f"{section.name}: done in {time.monotonic() - began:.0f} s")
        results[section.name] = found
    work.remove()
    return results


def check(
    bundle: Bundle,
    only: Sequence[str],
    settings: EvidenceSettings | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> Result:
    """Measure sections afresh and return which stored figures disagree; see `compare.compare`.

    Raises:
        InputError: when the bundle holds no figures of a section, before anything is measured, or
            as `measure` does.
        Interrupted: after Ctrl-C.
    """
    stored = stored_evidence(bundle)
    check_stored(stored, [section.name for section in choose_sections(only)])
    fresh = measure(bundle, only, settings, progress=progress, resumable=True)
    return compare({name: stored[name] for name in fresh}, fresh)


def _add_probes(context: Context, modules: dict[str, Any]) -> None:
    """Have the one pass serve every section asked for."""
    wanted = {name: module for name, module in modules.items() if hasattr(module, "probe")}
    if any(getattr(module, "NEEDS_EFFECTS", False) for module in modules.values()):
        from explorer.evidence.measures import effects

        wanted[SHARED] = effects
    for name, module in wanted.items():
        if context.work.result(name) is None:
            context.say(f"preparing {name}")
            context.probes[name] = module.probe(context)

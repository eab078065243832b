"""Measure the sections asked for: one shared lens pass, results kept as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.evidence.compare import check_stored, compare
from explorer.evidence.registry import ALL, Section, choose_sections
from explorer.evidence.settings import EvidenceSettings
from explorer.evidence.stored import stored_evidence

if TYPE_CHECKING:
    from explorer.evidence.context import Context

SHARED = "effects"
Result = dict[str, Any]
Say = Callable[[str], None]
Keep = Callable[[str, Result], None]
"""Takes a section's name and result as soon as it is there."""


def measure(
    bundle: Bundle,
    only: Sequence[str],
    settings: EvidenceSettings | None = None,
    *,
    progress: Say | None = None,
    resumable: bool = False,
    keep: Keep | None = None,
) -> dict[str, Result]:
    """Return {section: result} of the sections named; see `registry.choose_sections`.

    `progress` gets a line now and then, `keep` each result at once. With `resumable` a folder
    beside the bundle keeps what is done until all is; the same call then goes on after Ctrl-C.

    Raises:
        InputError: when a section is unknown, or the pictures cannot be used.
        Interrupted: after Ctrl-C.
    """
    results = {}
    settings = settings or EvidenceSettings()
    chosen = choose_sections(only)
    _check_images(bundle, settings)
    for name, found in _each(bundle, chosen, settings, progress, resumable):
        if isinstance(found, InputError):
            raise found
        results[name] = found
        if keep:
            keep(name, found)
    return results


def measure_allowed(
    bundle: Bundle, settings: EvidenceSettings, *, progress: Say, keep: Keep
) -> dict[str, str]:
    """Measure every section that the bundle allows, cheapest first; return why others were not.

    How long it will take is said before, by the time of one picture; `keep` gets each result at
    once. Resumable, as `measure` is.

    Raises:
        InputError: when the settings name a folder of pictures that cannot be used.
        Interrupted: after Ctrl-C.
    """
    _check_images(bundle, settings)
    refused = {}
    for name, found in _each(bundle, choose_sections([ALL]), settings, progress, resumable=True):
        if isinstance(found, InputError):
            refused[name] = str(found)
            progress(f"{name}: not measured. {found}")
        else:
            keep(name, found)
    return refused


def _check_images(bundle: Bundle, settings: EvidenceSettings) -> None:
    """Open the folder of pictures that the settings name, before anything is measured."""
    if settings.images is not None:
        from explorer.evidence.evaluation import open_evaluation

        open_evaluation(bundle, settings)


def check(
    bundle: Bundle,
    only: Sequence[str],
    settings: EvidenceSettings | None = None,
    *,
    progress: Say | None = None,
) -> Result:
    """Measure sections afresh and return which stored figures disagree; see `compare.compare`.

    Raises:
        InputError: when the bundle holds no figures of a section, before anything is measured, or
            as `measure` does.
        Interrupted: after Ctrl-C.
    """
    stored, chosen = stored_evidence(bundle), choose_sections(only)
    if not chosen:
        raise InputError(
            f"{bundle.name} holds no evidence to check: measure it without --check first."
        )
    check_stored(stored, [section.name for section in chosen])
    fresh = measure(bundle, only, settings, progress=progress, resumable=True)
    return compare({name: stored[name] for name in fresh}, fresh)


def _each(
    bundle: Bundle,
    sections: Sequence[Section],
    settings: EvidenceSettings,
    progress: Say | None,
    resumable: bool,
) -> Iterator[tuple[str, Result | InputError]]:
    """Yield each section's result, cheapest first, or why it cannot be measured."""
    from explorer.evidence.context import Context
    from explorer.evidence.forecast import announce
    from explorer.evidence.work import Work

    say = progress or (lambda line: None)
    work = Work(None)
    if resumable:
        identity = {**settings.identity(), "sections": [section.name for section in sections]}
        work = Work.beside(bundle, identity, say)
    context = Context(bundle, settings, work, say)
    waiting = [section for section in sections if work.result(section.name) is None]
    if progress and waiting:
        waiting = announce(context, waiting)
    refused = _add_probes(context, waiting)
    for section in [s for s in sections if s not in waiting] + waiting:
        name = section.name
        found: Result | InputError | None = refused.get(name) or work.result(name)
        if found is None:
            began = time.monotonic()
            say(f"{name}: {section.about}")
            try:
                found = dict(section.load().measure(context))
            except InputError as error:
                found = error
            else:
                work.keep_result(name, found)
                say(f"{name}: done in {time.monotonic() - began:.0f} s")
        yield name, found
    work.remove()


def _add_probes(context: Context, sections: Sequence[Section]) -> dict[str, InputError]:
    """Have the one pass serve every section; return which sections it cannot, and why."""
    modules = {section.name: section.load() for section in sections}
    wanted = {name: module for name, module in modules.items() if hasattr(module, "probe")}
    if any(getattr(module, "NEEDS_EFFECTS", False) for module in modules.values()):
        from explorer.evidence.measures import effects

        wanted[SHARED] = effects
    refused = {}
    for name, module in wanted.items():
        context.say(f"preparing {name}")
        try:
            context.probes[name] = module.probe(context)
        except InputError as error:
            refused[name] = error
    return refused

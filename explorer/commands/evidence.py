"""The command `evidence`: measure the paper's claims on a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from explorer.commands.options import BUNDLE, Adder, Result, add_settings, read_settings, to_stderr


def add_evidence_command(add: Adder) -> None:
    """Add the command to the command line's parser."""
    add("evidence", _evidence, "measure the paper's claims on a bundle", _fill)


def _fill(command: argparse.ArgumentParser) -> None:
    from explorer.evidence import EvidenceSettings

    command.add_argument("bundle", type=Path, help=BUNDLE)
    command.add_argument(
        "--only",
        help="sections with commas between, claims for those that one pass serves; by default "
        "everything that the bundle allows, cheapest first",
    )
    add_settings(command, EvidenceSettings)
    command.add_argument("--no-write", action="store_true", help="leave the bundle as it is")
    command.add_argument(
        "--check",
        action="store_true",
        help="leave the bundle as it is and say which figures it holds differ from those measured "
        "now by more than their intervals",
    )


def _evidence(options: argparse.Namespace) -> Result:
    from explorer.bundle import Bundle
    from explorer.evidence import EvidenceSettings, check, measure, measure_allowed
    from explorer.evidence.registry import sections

    settings = read_settings(options, EvidenceSettings)
    bundle = Bundle.open(options.bundle)
    everything = options.only is None
    only = [] if everything else options.only.split(",")
    if options.check:
        held = [name for name in sections() if name in bundle.manifest.evidence]
        return check(bundle, held if everything else only, settings, progress=to_stderr)
    found: Result = {}

    def keep(name: str, result: Result) -> None:
        """Take a section's result, into the bundle at once, so that the app shows it."""
        found[name] = result
        if not options.no_write:
            _seal(options.bundle, name, result)

    if not everything:
        measure(bundle, only, settings, progress=to_stderr, resumable=True, keep=keep)
        return found
    refused = measure_allowed(bundle, settings, progress=to_stderr, keep=keep)
    return {**found, "not_measured": refused}


def _seal(path: Path, name: str, result: Result) -> None:
    from explorer.bundle import Bundle, reseal_evidence

    bundle = Bundle.open(path)  # as the last section left it
    if bundle.manifest.evidence.get(name) == result:
        return
    try:
        reseal_evidence(bundle, {name: result})
    except OSError as error:
        to_stderr(f"the results could not be written into {bundle.path}: {error}")

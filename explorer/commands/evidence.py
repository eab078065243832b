"""The command `evidence`: measure the paper's claims on a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from explorer.commands.options import Adder, Result, add_settings, read_settings, to_stderr


def add_evidence_command(add: Adder) -> None:
    """Add the command to the command line's parser."""
    add("evidence", _evidence, "measure the paper's claims on a bundle", _fill)


def _fill(command: argparse.ArgumentParser) -> None:
    from explorer.evidence import EvidenceSettings

    command.add_argument("bundle", type=Path)
    command.add_argument(
        "--only", default="claims", help="sections with commas between, claims, or all"
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
    from explorer.bundle import Bundle, reseal_evidence
    from explorer.evidence import EvidenceSettings, check, measure

    settings = read_settings(options, EvidenceSettings)
    bundle = Bundle.open(options.bundle)
    only = options.only.split(",")
    if options.check:
        return check(bundle, only, settings, progress=to_stderr)
    found = measure(bundle, only, settings, progress=to_stderr, resumable=True)
    held = bundle.manifest.evidence
    if not options.no_write and any(held.get(name) != result for name, result in found.items()):
        try:
            reseal_evidence(bundle, found)
        except OSError as error:
            to_stderr(f"the results could not be written into {bundle.path}: {error}")
    return found

"""The commands between bundles and places: `compare`, `push`, `pull`."""

from __future__ import annotations

import argparse
from pathlib import Path

from explorer.commands.options import BUNDLE, Adder, Result, positive, to_stderr

ADDRESS = "folder, s3://, hf://"


def add_moving_commands(add: Adder) -> None:
    """Add the commands to the command line's parser."""
    compare = add("compare", _compare, "match the neurons of two bundles of the same pictures")
    compare.add_argument("bundle", type=Path, help=BUNDLE)
    compare.add_argument("other", type=Path, help="the other bundle's")
    compare.add_argument("--top", type=positive, default=12, help="changed neurons to list")
    push = add("push", _push, "copy a bundle to a folder, s3://, hf:// or another address")
    push.add_argument("bundle", type=Path, help=BUNDLE)
    push.add_argument("address", help=f"{ADDRESS} to copy it to")
    pull = add("pull", _pull, "copy a bundle from an address, and verify it")
    pull.add_argument("address", help=f"{ADDRESS} or https:// address that it was pushed to")
    pull.add_argument("bundle", type=Path, help="new folder for the bundle")


def _compare(options: argparse.Namespace) -> Result:
    from explorer.bundle import Bundle
    from explorer.bundle.match import match_facts

    return match_facts(Bundle.open(options.bundle), Bundle.open(options.other), options.top)


def _push(options: argparse.Namespace) -> Result:
    from explorer.bundle.transfer import push

    return push(options.bundle, options.address, to_stderr)


def _pull(options: argparse.Namespace) -> Result:
    from explorer.bundle.transfer import pull

    return pull(options.address, options.bundle, to_stderr)

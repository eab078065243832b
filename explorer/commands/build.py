"""The commands that make, check and read a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from explorer.commands.options import (
    BUNDLE,
    Adder,
    Result,
    add_settings,
    positive,
    read_settings,
    to_stderr,
)
from explorer.errors import BundleError

NAMED = 5  # problems of a bundle that its error line names


def add_bundle_commands(add: Adder) -> None:
    """Add the commands to the command line's parser."""
    add("build", _build, "build a bundle from a model, pictures and texts", _fill_build)
    verify = add("verify", _verify, "check every byte of a bundle")
    verify.add_argument("bundle", type=Path, help=BUNDLE)
    describe = add("describe", _describe, "print what is known about one neuron")
    describe.add_argument("bundle", type=Path, help=BUNDLE)
    describe.add_argument("layer", type=int, help="counted from 0")
    describe.add_argument("neuron", type=int, help="its number in the layer, from 0")
    describe.add_argument(
        "--heads",
        action="store_true",
        help="tell its pairs with later heads too: shares, words and pictures of each",
    )
    pairs = add("pairs", _pairs, "add neuron-head pairs to a finished bundle; other files stay")
    pairs.add_argument("bundle", type=Path, help=BUNDLE)
    pairs.add_argument(
        "--pictures",
        type=positive,
        help="look at as many of its pictures, a seeded draw; by default at all",
    )
    pairs.add_argument("--batch-size", type=positive, default=32, help="images of one pass")
    search = add("search", _search, "find texts and neurons for a text, or several with + and -")
    search.add_argument("bundle", type=Path, help=BUNDLE)
    search.add_argument(
        "text", metavar="query", help='a text, or several such as "ship + car" or "dog - cat"'
    )
    search.add_argument("--top", type=positive, default=12, help="texts and neurons to list")
    search.add_argument(
        "--heads", action="store_true", help="find pairs of a neuron and a later head instead"
    )


def _fill_build(command: argparse.ArgumentParser) -> None:
    from explorer.build.settings import BuildSettings

    add_settings(command, BuildSettings)
    command.add_argument(
        "--plan",
        action="store_true",
        help="build nothing; say what it would take: passes, memory by part, disk, time",
    )


def _build(options: argparse.Namespace) -> Result:
    from explorer.build import BuildSettings, build
    from explorer.build.finished import differences
    from explorer.bundle import Bundle

    settings = read_settings(options, BuildSettings)
    if options.plan:
        from explorer.build.plan import plan

        return plan(settings, to_stderr)
    differing = differences(settings)
    out = build(settings)
    manifest = Bundle.open(out).manifest
    found = {"bundle": str(out), **manifest.counts, "skipped": manifest.images["skipped"]}
    return found if differing is None else {**found, "built_before": True, "differs": differing}


def _verify(options: argparse.Namespace) -> Result:
    from explorer.bundle import Manifest, verify

    problems = verify(options.bundle, lambda name: to_stderr(f"reading {name}"))
    if problems:
        more = f" And {len(problems) - NAMED} more." if len(problems) > NAMED else ""
        raise BundleError(" ".join(problems[:NAMED]) + more)
    manifest = Manifest.read(options.bundle)
    size = sum(f["bytes"] for f in manifest.files.values())
    return {"bundle": manifest.name, "verified": True, "files": len(manifest.files), "bytes": size}


def _describe(options: argparse.Namespace) -> Result:
    from explorer.bundle import Bundle
    from explorer.bundle.facts import neuron_facts

    bundle = Bundle.open(options.bundle)
    facts = neuron_facts(bundle, options.layer, options.neuron)
    if not options.heads:
        return facts
    from explorer.bundle.pairs import pair_facts

    return {**facts, **pair_facts(bundle, options.layer, options.neuron)}


def _pairs(options: argparse.Namespace) -> Result:
    from explorer.build.pairs import add_pairs

    bundle = add_pairs(
        options.bundle, to_stderr, pictures=options.pictures, batch_size=options.batch_size
    )
    held = int((bundle.pair_paths >= 0).sum())
    told = int((bundle.pair_words > 0).sum())
    return {"bundle": str(options.bundle), "pairs": held, "with_words_above_chance": told}


def _search(options: argparse.Namespace) -> Result:
    from explorer.bundle import Bundle
    from explorer.search import search_text
    from explorer.search.pairs import search_pairs

    search = search_pairs if options.heads else search_text
    return search(Bundle.open(options.bundle), options.text, options.top)

"""The command `demo images|train|bundle|names|sentences|card`: how the shipped bundle was made."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from explorer.commands.options import Parser
from explorer.errors import InputError

DICTIONARY_WORDS = 6_000
LAYERS = "5,6,7,8,9"  # those that the recipe trained; neurons of frozen blocks say nothing


def main(argv: list[str]) -> int:
    """Run one step of the recipe; return the exit status.

    Raises:
        ExplorerError: when an option, a package, a registry client or an earlier step is missing.
    """
    parser = Parser(prog="python -m explorer demo", description=__doc__)
    parser.add_argument("step", choices=list(STEPS))
    parser.add_argument("--work", type=Path, default=Path("demo-work"), help="working folder")
    parser.add_argument("--photos", type=Path, help="folder with the training photographs")
    parser.add_argument("--first", type=Path, help="folder of a finished first stage to start from")
    parser.add_argument(
        "--earlier", type=Path, help="safetensors of an earlier image tower to go on from"
    )
    parser.add_argument("--until", type=int, help="last size of the second stage, in pixels")
    parser.add_argument("--out", type=Path, default=Path("precomputed/picto"), help="bundle folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    result = STEPS[options.step](options)
    print(json.dumps(result) if options.json else "\n".join(f"{k}: {v}" for k, v in result.items()))
    return 0


def _images(options: argparse.Namespace) -> dict[str, Any]:
    from explorer.demo.pictures import render_store
    from explorer.demo.ship import write_store
    from explorer.demo.sources import fetch_sources

    table = render_store(fetch_sources(options.work / "sources"), options.work / "pictures")
    shipped = write_store(options.work / "pictures", options.work / "store")
    return {"rendered": len(table), "shipped": shipped, "store": str(options.work / "store")}


def _train(options: argparse.Namespace) -> dict[str, Any]:
    from explorer.demo.sources import fetch_sources
    from explorer.demo.train import TrainSettings, train

    figures = train(
        fetch_sources(options.work / "sources"),
        options.work / "pictures",
        options.photos,
        options.work,
        TrainSettings(),
        options.first,
        options.earlier,
        options.until,
    )
    return {"model": str(options.work / "model"), "figures": figures}


def _bundle(options: argparse.Namespace) -> dict[str, Any]:
    from explorer.build import BuildSettings, build
    from explorer.build.unwanted import PROFANITY
    from explorer.bundle import Bundle, reseal_evidence
    from explorer.evidence import measure

    for folder, step in (("store", "images"), ("model", "train")):
        if not (options.work / folder).is_dir():
            raise InputError(f"There is no {options.work / folder}: run the step '{step}' first.")
    settings = BuildSettings(
        model=f"local-dir:{options.work / 'model'}",
        images=f"store:{options.work / 'store'}",
        layers=LAYERS,
        texts="corpus+common",
        words=DICTIONARY_WORDS,
        leave_out=PROFANITY,
        out=options.out,
    )
    bundle = Bundle.open(build(settings))
    figures = measure(bundle, ["recall"])
    reseal_evidence(bundle, figures)
    return {"bundle": str(bundle.path), **figures}


def _names(options: argparse.Namespace) -> dict[str, Any]:
    from explorer.build.run import to_console
    from explorer.bundle import Bundle
    from explorer.demo.names import NameSettings, move_names

    out = options.work / "model"
    recall = move_names(Bundle.open(options.out), out, NameSettings(), to_console)
    return {"model": str(out), "recall@1": recall}


def _sentences(options: argparse.Namespace) -> dict[str, Any]:
    from explorer.build.run import to_console
    from explorer.bundle import Bundle, reseal_evidence
    from explorer.demo.sentences import SentenceSettings, teach_bundle
    from explorer.evidence import measure

    tokens = teach_bundle(Bundle.open(options.out), SentenceSettings(), to_console)
    bundle = Bundle.open(options.out)
    figures = measure(bundle, ["recall"])
    reseal_evidence(bundle, figures)
    return {"bundle": str(bundle.path), "tokens": tokens, **figures}


def _card(options: argparse.Namespace) -> dict[str, Any]:
    from explorer.bundle import Bundle
    from explorer.demo.train import renew_card

    bundle, work = Bundle.open(options.out), options.work
    went_on = options.earlier is not None
    figures = renew_card(bundle, work / "pictures", options.photos, work, went_on)
    return {"bundle": str(bundle.path), "figures": figures}


STEPS = {
    "images": _images,
    "train": _train,
    "bundle": _bundle,
    "names": _names,
    "sentences": _sentences,
    "card": _card,
}

"""The command line: ``python -m explorer COMMAND``.

With ``--json`` a command prints its result as one JSON object on standard output; progress goes to
the error stream. Exit status: 0 success, 2 bad input (one line says what to do), 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from explorer.commands.attack import add_attack_command
from explorer.commands.picture import add_image_commands
from explorer.errors import BundleError, ExplorerError, InputError

Result = dict[str, Any]
NAMED = 5  # problems of a bundle that its error line names


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        if arguments[:1] == ["demo"]:
            from explorer.commands.demo import main as demo

            return demo(arguments[1:])
        options = _parser().parse_args(arguments)
        result = options.run(options)
    except (ExplorerError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped", file=sys.stderr)
        return 130
    print(json.dumps(result, ensure_ascii=False) if options.json else as_text(result))
    return 0


def as_text(result: Result, indent: str = "") -> str:
    """Return a result as lines a person reads."""
    lines = []
    for key, value in result.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key}:", as_text(value, indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            lines.append(f"{indent}{key}:")
            lines += [f"{indent}  " + "  ".join(f"{v}" for v in row.values()) for row in value]
        else:
            lines.append(f"{indent}{key}: {value}")
    return "\n".join(lines)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line like all others."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see '{self.prog} --help'.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m explorer", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(
        name: str, run: Callable[[argparse.Namespace], Result], about: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.set_defaults(run=run)
        return command

    _add_build(add("build", _build, "build a bundle from a model, pictures and texts"))
    verify = add("verify", _verify, "check every byte of a bundle")
    verify.add_argument("bundle", type=Path)
    describe = add("describe", _describe, "print what is known of one neuron")
    describe.add_argument("bundle", type=Path)
    describe.add_argument("layer", type=int)
    describe.add_argument("neuron", type=int)
    search = add("search", _search, "find texts and neurons for a text, or several with + and -")
    search.add_argument("bundle", type=Path)
    search.add_argument("text")
    search.add_argument("--top", type=_positive, default=12)
    _add_bench(add("bench", _bench, "time the lens, its heatmaps, the pursuit, the app or its map"))
    add_image_commands(add)
    add_attack_command(add)
    serve = add("serve", _serve, "open the app's server, by default for this machine alone")
    serve.add_argument("--address", default="localhost", help="0.0.0.0 for all that can reach it")
    serve.add_argument("--port", type=_positive, default=8501)
    _add_evidence(add("evidence", _evidence, "measure the paper's claims on a bundle"))
    commands.add_parser("demo", help="rebuild the shipped pictures, model and bundle")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _add_build(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--model", required=True, help="open_clip name, or local-dir:FOLDER")
    add("--pretrained", help="open_clip tag or weights file")
    add("--images", default="bundle-images", help="folder, bundle-images, bundle:PATH, store:PATH")
    add("--texts", default="corpus", help="file, corpus, common, corpus+common or bundle:PATH")
    add("--layers", default="all", help="all, or numbers with commas")
    add("--out", required=True, type=Path, help="the bundle's folder")
    add("--name", default="", help="name in addresses; the folder's by default")
    add("--significant", type=float, default=0.02, help="share of images that are significant")
    add("--significant-cap", type=int, default=400, help="at most so many significant images")
    add("--nonzero", type=int, default=64, help="texts of a sparse set")
    add("--words", type=int, default=30_000, help="how many common words")
    add("--sample", type=int, default=192, help="random pictures kept with every neuron's effect")
    add("--warm-up", type=int, default=256, help="images that set the first mean")
    add("--batch-size", type=int, default=32)
    add("--thumbnail", type=int, default=96, help="side of the bundle's pictures, pixels")
    add("--device", default="cpu")
    add("--dtype", default="float32", choices=["float32", "bfloat16"])
    add("--seed", type=int, default=0)


def _add_evidence(command: argparse.ArgumentParser) -> None:
    command.add_argument("bundle", type=Path)
    add = command.add_argument
    add("--only", default="claims", help="sections with commas between, claims, or all")
    add(
        "--images",
        type=Path,
        help="folder with a sub-folder a class, to classify in place of the "
        "bundle's held-out pictures",
    )
    add("--pictures", type=int, default=2000, help="classify at most so many")
    add("--means", type=int, default=1024, help="corpus pictures that give activation means")
    add(
        "--text-neurons", type=int, default=768, help="neurons to compare ways of choosing texts on"
    )
    add("--kind-neurons", type=int, default=256, help="neurons to compare kinds of effects on")
    add("--batch-size", type=int, default=16)
    add("--device", default="cpu")
    add("--dtype", default="float32", choices=["float32", "bfloat16"])
    add("--seed", type=int, default=0)
    add("--no-write", action="store_true", help="leave the bundle as it is")
    add(
        "--check",
        action="store_true",
        help="leave the bundle as it is and say which figures it holds differ from those measured "
        "now by more than their intervals",
    )


def _add_bench(command: argparse.ArgumentParser) -> None:
    command.add_argument("what", choices=["lens", "maps", "omp", "app", "atlas"])
    command.add_argument(
        "--model", default="ViT-B-32", help="open_clip name or local-dir:FOLDER; maps: or a bundle"
    )
    command.add_argument("--layers", type=int, nargs="+", default=[8, 9, 10])
    command.add_argument("--batch", type=_positive, help="images; lens: 16, maps: 1")
    command.add_argument("--repeats", type=_positive, help="lens: 7, maps: 30")
    command.add_argument("--threads", type=_positive, help="maps: torch's threads")
    command.add_argument("--device", default="cpu")
    command.add_argument("--targets", type=_positive, default=512)
    command.add_argument("--texts", type=_positive, default=30_000)
    command.add_argument("--bundle", default="", help="app, atlas: the bundle's folder name")
    command.add_argument("--views", type=_positive, default=50, help="app: timed views a page")
    command.add_argument("--memory-views", type=_positive, default=200, help="app: in one session")
    command.add_argument("--sessions", type=_positive, default=20, help="app: open at once")
    command.add_argument("--neurons", type=_positive, default=50_000, help="atlas: on the map")


def _build(options: argparse.Namespace) -> Result:
    from explorer.build import BuildSettings, build

    known = {f.name for f in fields(BuildSettings)}
    settings = BuildSettings(**{k: v for k, v in vars(options).items() if k in known})
    out = build(settings)
    from explorer.bundle import Bundle

    manifest = Bundle.open(out).manifest
    return {"bundle": str(out), **manifest.counts, "skipped": manifest.images["skipped"]}


def _verify(options: argparse.Namespace) -> Result:
    from explorer.bundle import Manifest, verify

    problems = verify(options.bundle, lambda name: print(f"reading {name}", file=sys.stderr))
    if problems:
        more = f" And {len(problems) - NAMED} more." if len(problems) > NAMED else ""
        raise BundleError(" ".join(problems[:NAMED]) + more)
    manifest = Manifest.read(options.bundle)
    size = sum(f["bytes"] for f in manifest.files.values())
    return {"bundle": manifest.name, "verified": True, "files": len(manifest.files), "bytes": size}


def _describe(options: argparse.Namespace) -> Result:
    from explorer.bundle import Bundle
    from explorer.bundle.facts import neuron_facts

    return neuron_facts(Bundle.open(options.bundle), options.layer, options.neuron)


def _search(options: argparse.Namespace) -> Result:
    from explorer.bundle import Bundle
    from explorer.search import search_text

    return search_text(Bundle.open(options.bundle), options.text, options.top)


def _evidence(options: argparse.Namespace) -> Result:
    from explorer.bundle import Bundle, reseal_evidence
    from explorer.evidence import EvidenceSettings, check, measure

    known = {f.name for f in fields(EvidenceSettings)}
    settings = EvidenceSettings(**{k: v for k, v in vars(options).items() if k in known})
    bundle = Bundle.open(options.bundle)
    only = options.only.split(",")
    if options.check:
        return check(bundle, only, settings, progress=_to_stderr)
    found = measure(bundle, only, settings, progress=_to_stderr, resumable=True)
    held = bundle.manifest.evidence
    if not options.no_write and any(held.get(name) != result for name, result in found.items()):
        try:
            reseal_evidence(bundle, found)
        except OSError as error:
            _to_stderr(f"the results could not be written into {bundle.path}: {error}")
    return found


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _bench(options: argparse.Namespace) -> Result:
    if options.what in ("lens", "maps"):
        from explorer.commands.timings import bench_lens, bench_maps

        model, batch, repeats = options.model, options.batch, options.repeats
        if options.what == "maps":
            return bench_maps(model, batch or 1, repeats or 30, options.threads, options.device)
        return bench_lens(model, options.layers, batch or 16, repeats or 7, options.device)
    try:
        if options.what == "app":
            from benchmarks.app import bench_app

            return bench_app(options.bundle, options.views, options.memory_views, options.sessions)
        if options.what == "atlas":
            from benchmarks.atlas import bench_atlas

            return bench_atlas(options.bundle, options.neurons)
        from benchmarks.omp import bench_omp
    except ImportError as error:
        raise InputError("Run the benchmark from the repository's top folder.") from error
    return bench_omp(targets=options.targets, texts=options.texts)


def _serve(options: argparse.Namespace) -> Result:
    from explorer.commands.serve import serve

    return {"address": options.address, "status": serve(options.address, options.port)}

"""The command `bench`: one sub-command for each module of the repository's folder `benchmarks`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from explorer.commands.options import Adder, Parser, Result, add_settings, read_settings
from explorer.errors import InputError


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: `benchmarks.NAME` has the settings, and a function that takes them."""

    name: str
    settings: str
    function: str
    about: str


BENCHMARKS = (
    Benchmark("lens", "LensBench", "bench_lens", "what the lens adds to a forward pass"),
    Benchmark("build", "BuildBench", "bench_build", "a build's pass beside the forward pass"),
    Benchmark(
        "precision", "PrecisionBench", "bench_precision", "directions in low precision, and time"
    ),
    Benchmark("maps", "MapsBench", "bench_maps", "what heatmaps add to a forward pass"),
    Benchmark("omp", "OmpBench", "bench_omp", "the pursuit against scikit-learn"),
    Benchmark("index", "IndexBench", "bench_index", "the search index of a large dictionary"),
    Benchmark("app", "AppBench", "bench_app", "the app's times, bytes and memory"),
    Benchmark("bundle", "BundleBench", "bench_bundle", "a large model's bundle beside picto"),
    Benchmark("load", "LoadBench", "bench_load", "many visitors at once on all pages"),
    Benchmark("pairs", "PairsBench", "bench_pairs", "pages with pairs, rules to place them by"),
    Benchmark(
        "atlas", "AtlasBench", "bench_atlas", "dragging and zooming the map in a real browser"
    ),
)


def add_bench_command(add: Adder) -> None:
    """Add the command to the command line's parser."""
    add(
        "bench",
        _bench,
        "time the lens, a build, heatmaps, pursuits, the app, its map, many visitors",
        _fill,
    )


def _fill(command: argparse.ArgumentParser) -> None:
    each = command.add_subparsers(
        title="benchmarks", required=True, metavar="BENCHMARK", parser_class=Parser
    )
    for benchmark in BENCHMARKS:
        own = each.add_parser(benchmark.name, help=benchmark.about, description=benchmark.about)
        own.set_defaults(benchmark=benchmark)
        own.fill = lambda parser, benchmark=benchmark: _fill_one(parser, benchmark)


def _fill_one(command: argparse.ArgumentParser, benchmark: Benchmark) -> None:
    command.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object"
    )
    add_settings(command, getattr(_module(benchmark), benchmark.settings))


def _bench(options: argparse.Namespace) -> Result:
    benchmark: Benchmark = options.benchmark
    module = _module(benchmark)
    run = getattr(module, benchmark.function)
    found: Result = run(read_settings(options, getattr(module, benchmark.settings)))
    return found


def _module(benchmark: Benchmark) -> Any:
    try:
        return import_module(f"benchmarks.{benchmark.name}")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("benchmarks"):
            raise InputError(
                f"The benchmark '{benchmark.name}' needs the package {error.name}: install it "
                "with tests/requirements.txt."
            ) from error
        raise InputError(
            "There is no folder 'benchmarks' here: run the command from the top folder of a "
            "checkout of the repository."
        ) from error

"""A bundle of a large model: how the app opens and shows it, and how long a build describes it.

The bundle is made up (`benchmarks.synthetic`) in a temporary folder. One server shows it and the
shipped one, so that page times are compared in one run. What a build does with all neurons at once,
meanings, neighbours and the map, is timed on a part of them.
"""

from __future__ import annotations

import math
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.app import Session, memory_mb, opened_bundle, random_address, running_app
from benchmarks.synthetic import Sizes, write_bundle
from explorer.build.describe import NEIGHBOURS, TopImages, meanings, nearest
from explorer.build.engine import LocalEngine
from explorer.bundle import Bundle
from explorer.decompose import SparseCode
from explorer.describe.atlas import lay_out
from explorer.errors import InputError

NAME = "made-up"
LIMITS = {"open_s": 3.0, "memory_mb": 1200.0, "ratio": 1.5, "describe_minutes": 30.0}
PAGES = ("home", "neurons", "neuron", "search", "atlas", "concept", "compare")
BROWSED = 40  # views before memory is read


@dataclass(frozen=True)
class BundleBench:
    """How large the bundle is, and what is timed."""

    layers: int = field(default=24, metadata={"help": "layers of the bundle"})
    width: int = field(default=4096, metadata={"help": "neurons of a layer"})
    images: int = field(default=50_000, metadata={"help": "pictures"})
    texts: int = field(default=30_000, metadata={"help": "texts of the dictionary"})
    embed: int = field(default=512, metadata={"help": "width of an embedding"})
    views: int = field(default=20, metadata={"help": "timed views per page and bundle"})
    described: int = field(
        default=24_576, metadata={"help": "neurons that are described; 0 for none"}
    )
    seed: int = field(default=0, metadata={"help": "of the numbers and the addresses"})

    def __post_init__(self) -> None:
        """Refuse what measures nothing.

        Raises:
            InputError: when a number is too small.
        """
        if min(self.layers, self.width, self.views) < 1 or min(self.images, self.texts) < 100:
            raise InputError("Give at least one layer, neuron and view, 100 pictures and texts.")
        if not 0 <= self.described <= self.layers * self.width:
            raise InputError(f"There are {self.layers * self.width} neurons to describe.")


def bench_bundle(settings: BundleBench) -> dict[str, Any]:
    """Make the bundle, show it beside the shipped one, and describe a part of its neurons.

    Returns its sizes and `bytes`; `app`: `open_s` from the first request to the first page, and
    `open_cpu_s`, the server's processor seconds in it,
    `memory_mb` of the server after many views of it alone (`resident` with the mapped files that
    are in memory, `own` without), `pages` (page -> median milliseconds of either bundle, `ratio`);
    `describe`: seconds and processor seconds of `meanings`, `neighbours` and `layout` of so many
    `neurons`, and `whole_minutes`, those of all neurons: measured, or extrapolated (`extrapolated`)
    linearly, by the square, and by n log n; `limits`, and `within_limits` for each.

    Raises:
        InputError: when no other bundle is there, or no /proc to read memory from.
    """
    sizes = Sizes(settings.layers, settings.width, settings.images, settings.texts, settings.embed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        made = write_bundle(folder / NAME, sizes, settings.seed)
        size = sum(facts["bytes"] for facts in Bundle.open(made).manifest.files.values())
        app = _shown(folder, settings)
        described = _described(Bundle.open(made), settings.described)
    worst = max(page["ratio"] for page in app["pages"].values())
    within = {
        "open_s": app["open_s"] <= LIMITS["open_s"],
        "memory_mb": app["memory_mb"]["resident"] <= LIMITS["memory_mb"],
        "ratio": worst <= LIMITS["ratio"],
    }
    if described:
        within["describe_minutes"] = described["whole_minutes"] <= LIMITS["describe_minutes"]
    return {
        "neurons": sizes.neurons,
        "images": sizes.images,
        "texts": sizes.texts,
        "embed": sizes.embed,
        "bytes": size,
        "app": app,
        "describe": described,
        "limits": LIMITS,
        "within_limits": within,
    }


def _shown(folder: Path, settings: BundleBench) -> dict[str, Any]:
    """Time the pages of both bundles in turn; memory is that of a server of the large one."""
    made, shipped = Bundle.open(folder / NAME), opened_bundle()
    draw = random.Random(settings.seed)
    with running_app(folder) as (address, process):
        with Session(address) as session:
            session.view("about", {"bundle": "none"})  # the server's own imports
        with Session(address) as session:
            before = _processor_s(process)
            open_s = session.view("neurons", {"bundle": NAME})
            open_cpu_s = _processor_s(process) - before
            for number in range(BROWSED):
                page = PAGES[number % len(PAGES)]
                session.view(page, random_address(page, made, draw))
        memory = {"resident": memory_mb(process), "own": memory_mb(process, "RssAnon")}
    (folder / shipped.path.name).symlink_to(shipped.path.resolve())
    with running_app(folder) as (address, _), Session(address) as session:
        pages = {
            page: _beside(session, page, made, shipped, settings.views, draw) for page in PAGES
        }
    opened = {"open_s": round(open_s, 2), "open_cpu_s": round(open_cpu_s, 2)}
    return {**opened, "memory_mb": memory, "pages": pages}


def _beside(
    session: Session, page: str, made: Bundle, shipped: Bundle, views: int, draw: random.Random
) -> dict[str, float]:
    """Return the median milliseconds of a page of either bundle, seen in turn, and their ratio."""
    times: dict[str, list[float]] = {NAME: [], shipped.path.name: []}
    for number in range(views + 2):
        for bundle in (made, shipped):
            taken = session.view(page, random_address(page, bundle, draw))
            if number >= 2:  # after two to warm up
                times[bundle.path.name].append(1000 * taken)
    own, other = (statistics.median(found) for found in times.values())
    return {"median_ms": round(own, 1), "other_ms": round(other, 1), "ratio": round(own / other, 2)}


def _described(bundle: Bundle, count: int) -> dict[str, Any]:
    """Time what a build makes of the first `count` neurons; nothing for 0."""
    if not count:
        return {}
    code = SparseCode(
        np.asarray(bundle.concept_ids[:count]),
        np.asarray(bundle.concept_weights[:count], np.float32),
        np.asarray(bundle.concept_cosines[:count], np.float32),
    )
    top = TopImages(np.asarray(bundle.top_images[:count]), np.asarray(bundle.top_effects[:count]))
    directions = np.asarray(bundle.directions[:count], np.float32)
    images = np.asarray(bundle.image_embeddings, np.float32)
    images -= images.mean(0)
    atoms = bundle.dictionary.atoms()
    steps: dict[str, Callable[[], object]] = {
        "meanings": lambda: meanings(code, atoms, images, top, bundle.pictures, _nothing),
        "neighbours": lambda: nearest(directions, min(NEIGHBOURS, count - 1), LocalEngine()),
        "layout": lambda: lay_out(directions),
    }
    seconds = {name: _taken(step) for name, step in steps.items()}
    more = len(bundle.neurons) / count
    growth = math.log(len(bundle.neurons)) / math.log(max(2, count))
    scale = np.array([more, more**2, more * growth])
    whole, whole_cpu = (scale @ [*seconds.values()] / 60).tolist()
    return {
        "neurons": count,
        **{f"{name}_s": round(taken, 1) for name, (taken, _) in seconds.items()},
        **{f"{name}_cpu_s": round(taken, 1) for name, (_, taken) in seconds.items()},
        "whole_minutes": round(whole, 1),
        "whole_cpu_minutes": round(whole_cpu, 1),
        "extrapolated": more > 1,
    }


def _taken(run: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds and the processor seconds of a step."""
    start, start_cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - start_cpu


def _processor_s(process: int) -> float:
    """Return the processor seconds that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _nothing(_: object) -> None:
    """Take progress and say nothing."""

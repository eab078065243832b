"""The pass of a build against the plain forward pass over the same pictures, in one run."""

from __future__ import annotations

import io
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from explorer.build.corpus import Corpus
from explorer.build.gathering import Gathering, stream
from explorer.build.listed import ListedSource, Reading
from explorer.build.listings import FolderListing
from explorer.build.settings import BuildSettings
from explorer.build.views import KeptViews, Viewer
from explorer.errors import InputError
from explorer.lens.models import LoadedModel, load_model

SIZE = (500, 375)


@dataclass(frozen=True)
class BuildBench:
    """What is timed, on random weights and pictures that are drawn."""

    model: str = field(default="ViT-B-32", metadata={"help": "open_clip name or local-dir:FOLDER"})
    layers: tuple[int, ...] = field(default=(8, 9, 10), metadata={"help": "layers of the build"})
    pictures: int = field(default=384, metadata={"help": "pictures, JPEG of 500 x 375 pixels"})
    planned: int = field(
        default=5000, metadata={"help": "pictures that the statistics make room for"}
    )
    batch: int = field(default=32, metadata={"help": "images of one pass"})
    repeats: int = field(default=3, metadata={"help": "times that each is run, in turn"})
    workers: int | None = field(default=None, metadata={"help": "processes that decode"})
    decode: bool = field(
        default=False, metadata={"help": "decode in the pass, as where the disk has no room"}
    )
    device: str = field(default="cpu", metadata={"help": "torch device"})
    dtype: str = field(default="float32", metadata={"help": "float32 or bfloat16"})

    def __post_init__(self) -> None:
        """Refuse what measures nothing.

        Raises:
            InputError: when there is nothing to run.
        """
        streamed = self.pictures * self.repeats
        if min(streamed, self.batch) < 1 or self.planned < streamed:
            raise InputError(
                f"{self.repeats} runs over {self.pictures} pictures cannot be measured with "
                f"batches of {self.batch} and room for {self.planned}: choose 1 or more of each, "
                "and room for all runs."
            )


def bench_build(settings: BuildBench) -> dict[str, Any]:
    """Time forward passes over decoded pictures, and a build's pass over the same ones.

    A build's pass has the pictures' bytes, kept on disk or decoded anew, the lens and all
    statistics; what it does once, before the first picture and behind the last one, is not in
    `build_s`. The two run in turn, so that other load on the machine meets both.

    Returns `model`, `layers`, `pictures`, `planned`, `batch`, `threads`, `workers`; `forward_s` and
    `build_s`, medians [seconds]; `ratio`, the median of the turns' forward_s / build_s: how busy
    the pass keeps the model; `cpu_ratio`, the same of processor time, workers' included;
    `pairs_ratio`, the passes' seconds over those without the statistics of pairs; `read_s`
    to read and shrink all pictures once, `save_s` to save the state once; `model_rss_mb`, memory
    before the statistics were made, `peak_rss_mb` at most, `workers_rss_mb` of the largest worker.

    Raises:
        InputError: when the model cannot be loaded or lacks a layer.
        UnsupportedModelError: when the lens cannot compute the model's effects.
    """
    loaded = load_model(settings.model, device=settings.device, dtype=settings.dtype)
    with tempfile.TemporaryDirectory() as folder:
        corpus, read = _corpus(loaded, settings, Path(folder))
        found = _turns(corpus, settings, Path(folder))
    return {
        "model": settings.model,
        "layers": corpus.layers,
        "pictures": settings.pictures,
        "planned": settings.planned,
        "batch": settings.batch,
        "threads": torch.get_num_threads(),
        "read_s": read,
        **found,
        "peak_rss_mb": _peak(resource.RUSAGE_SELF),
        "workers_rss_mb": _peak(resource.RUSAGE_CHILDREN),
    }


def _turns(corpus: Corpus, settings: BuildBench, folder: Path) -> dict[str, Any]:
    how = BuildSettings(
        model=settings.model,
        out=folder,
        batch_size=settings.batch,
        workers=settings.workers,
        warm_up=min(BuildSettings.warm_up, settings.pictures),
    )
    numbers = np.arange(settings.repeats * settings.pictures, dtype=np.int64)
    starts = range(0, settings.pictures, settings.batch)
    decoded = [corpus.pixels(numbers[start : start + settings.batch]) for start in starts]
    decoded[-1] = decoded[-1][: settings.pictures - starts[-1]]

    @torch.no_grad()
    def forward() -> None:
        for pixels in decoded:
            corpus.loaded.model.encode_image(pixels)

    forward()
    before = _peak(resource.RUSAGE_SELF)
    gather = Gathering(corpus, how)
    times: list[tuple[float, float, float, float]] = []
    of_pairs = 0.0

    def take_pairs(*batch: Any) -> None:
        nonlocal of_pairs
        of_pairs += _taken(lambda: take(*batch), corpus.loaded)[0]

    take = gather.pairs.take
    for turn in range(1, settings.repeats + 1):
        order = numbers[: turn * settings.pictures]
        plain = _taken(forward, corpus.loaded)
        with patch.object(gather.pairs, "take", take_pairs):
            whole = _taken(
                lambda order=order: stream(corpus, gather, order, how, _nothing, _nothing),
                corpus.loaded,
            )
        times.append((*plain, *whole))
    saving, _ = _taken(lambda: gather.save(folder), corpus.loaded)
    forward_s, forward_cpu, build_s, build_cpu = np.array(times).T
    return {
        "forward_s": float(np.median(forward_s)),
        "build_s": float(np.median(build_s)),
        "ratio": float(np.median(forward_s / build_s)),
        "cpu_ratio": float(np.median(forward_cpu / np.maximum(build_cpu, 1e-9))),
        "pairs_ratio": float(build_s.sum() / (build_s.sum() - of_pairs)),
        "save_s": saving,
        "model_rss_mb": before,
    }


def _corpus(loaded: LoadedModel, settings: BuildBench, folder: Path) -> tuple[Corpus, float]:
    """Draw the pictures and read them as a build does; return them, and the seconds to read."""
    (folder / "in").mkdir()
    for number in range(settings.pictures):
        (folder / "in" / f"{number:06}.jpg").write_bytes(_photograph(number))
    viewer, kept = Viewer.of(loaded), KeptViews(folder, loaded.image_size)
    source = ListedSource(FolderListing(folder / "in"))
    reading = Reading(settings.workers, None if settings.decode else kept, viewer)
    read, _ = _taken(lambda: list(source.rows(160, reading)), loaded)
    views = kept.open()
    source.keys *= settings.repeats
    look = None if views is None else lambda images: views(images % settings.pictures)
    halves = np.zeros(settings.planned, np.int8)
    return Corpus(loaded, list(settings.layers), source, settings.planned, halves, look), read


def _photograph(number: int) -> bytes:
    """Return a JPEG with about as much detail as a photograph."""
    rng = np.random.default_rng(number)
    width, height = SIZE
    total = np.zeros((height, width, 3))
    for scale in (4, 16, 64, 250):
        patch = rng.uniform(0, 255, (height // scale + 2, width // scale + 2, 3)).astype(np.uint8)
        layer = Image.fromarray(patch).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(layer) * (scale**0.5)
    total = (total - total.min()) / (total.max() - total.min()) * 255
    buffer = io.BytesIO()
    Image.fromarray(total.astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _taken(run: Callable[[], object], loaded: LoadedModel) -> tuple[float, float]:
    """Return the seconds that `run` takes, and those of all processors together."""
    before, start = os.times(), time.perf_counter()
    run()
    if loaded.device.type == "cuda":
        torch.cuda.synchronize(loaded.device)
    seconds, after = time.perf_counter() - start, os.times()
    return seconds, sum(after[:4]) - sum(before[:4])


def _peak(whose: int) -> float:
    return resource.getrusage(whose).ru_maxrss / 1024


def _nothing(_: object) -> None:
    """Take progress and say nothing."""

"""Measure what the lens and its heatmaps add to a forward pass."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.lens import MultiLayerLens
from explorer.lens.models import LoadedModel, encode_texts, load_model
from explorer.picture.heatmaps import heatmaps
from explorer.picture.model import LensModel, bare_lens_model, open_lens_model
from explorer.picture.reading import read
from explorer.picture.settings import MapSettings

TEXTS = ("dog", "car", "banana", "bird", "tree", "house", "boat", "flower", "star", "cup")
MAP_LIMITS = {"one_text": 1.25, "ten_texts": 1.5}  # times the plain forward pass


def bench_lens(
    model_name: str = "ViT-B-32",
    layers: Sequence[int] = (8, 9, 10),
    batch: int = 16,
    repeats: int = 10,
    device: str = "cpu",
) -> dict[str, Any]:
    """Time forward passes with and without the lens on random weights and random images.

    Both take the same `batch` images; the lens yields the coefficients of all neurons of `layers`
    in the same pass. The two are run in turn, so that other load on the machine meets both, after
    one of each to warm up; the times are medians over `repeats`.

    Returns `model`, `layers`, `batch`, `forward_s` and `lens_s` (seconds a batch, the latter with
    its forward pass), `ratio` (lens_s / forward_s), `neurons` (of all layers together) and
    `threads` (torch's on the CPU). Raises InputError or UnsupportedModelError as `load_model` and
    the lens do.
    """
    if batch < 1 or repeats < 1:
        raise InputError(
            f"A benchmark of {repeats} repeats with batches of {batch} measures nothing: choose 1 "
            "or more of both."
        )
    loaded = load_model(model_name, device=device)
    lens = MultiLayerLens(loaded.model, layers)
    images = _random_images(loaded, batch)

    @torch.no_grad()
    def forward() -> None:
        loaded.model.encode_image(images)

    times = _in_turn({"forward": forward, "lens": lambda: lens.run(images)}, repeats, loaded.device)
    forward_s, lens_s = times["forward"], times["lens"]
    return {
        "model": model_name,
        "layers": list(lens.layers),
        "batch": batch,
        "forward_s": forward_s,
        "lens_s": lens_s,
        "ratio": lens_s / forward_s,
        "neurons": loaded.neurons * len(lens.layers),
        "threads": torch.get_num_threads(),
    }


def bench_maps(
    model: str = "ViT-B-32",
    batch: int = 1,
    repeats: int = 30,
    threads: int | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Time second-order heatmaps of one text and of ten against the plain forward pass.

    `model` is a bundle's folder, or a model as `load_model` takes it, with random weights unless
    it brings its own. All take the same random images, each from the pixels to the finished maps.
    A text's embedding is kept once it is known, so the text tower is timed apart. The calls are
    made in turn, so that other load on the machine meets all, after one of each to warm up; times
    are medians over `repeats`. `threads` sets torch's for the run.

    Returns `model`, `batch`, `threads`, `forward_s` (seconds a batch), `one_text` and `ten_texts`
    (exact shares), `one_text_refined` and `ten_texts_refined` (as the app draws them), each with
    `seconds` and `ratio` to the forward pass, `text_s` (the text tower on one new text), `limits`
    and `within_limits`. Raises InputError or UnsupportedModelError as the model's loading does.
    """
    if batch < 1 or repeats < 1 or (threads is not None and threads < 1):
        raise InputError(
            f"A benchmark of {repeats} repeats with batches of {batch} on {threads} threads "
            "measures nothing: choose 1 or more of each."
        )
    opened = _opened(model, device)
    loaded = opened.loaded
    images = _random_images(loaded, batch)

    @torch.no_grad()
    def forward() -> None:
        loaded.model.encode_image(images)

    def maps(texts: Sequence[str], settings: MapSettings) -> Callable[[], object]:
        return lambda: heatmaps(read(opened, images), texts, settings=settings)

    refined = MapSettings(refine=True)
    runs: dict[str, Callable[[], object]] = {
        "forward": forward,
        "one_text": maps(TEXTS[:1], MapSettings()),
        "ten_texts": maps(TEXTS, MapSettings()),
        "one_text_refined": maps(TEXTS[:1], refined),
        "ten_texts_refined": maps(TEXTS, refined),
        "text": lambda: encode_texts(loaded, TEXTS[:1]),
    }
    with _threads(threads):
        times = _in_turn(runs, repeats, loaded.device)
        used = torch.get_num_threads()
    forward_s = times.pop("forward")
    text_s = times.pop("text")
    found = {
        name: {"seconds": seconds, "ratio": seconds / forward_s} for name, seconds in times.items()
    }
    return {
        "model": model,
        "batch": batch,
        "threads": used,
        "forward_s": forward_s,
        **found,
        "text_s": text_s,
        "limits": MAP_LIMITS,
        "within_limits": all(
            row["ratio"] <= MAP_LIMITS[name.removesuffix("_refined")] for name, row in found.items()
        ),
    }


def _opened(model: str, device: str) -> LensModel:
    if Path(model).is_dir():
        bundle = Bundle.open(model)
        return open_lens_model(bundle, bundle.load_model(device=device))
    return bare_lens_model(load_model(model, device=device))


def _random_images(loaded: LoadedModel, batch: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    side = loaded.image_size
    return torch.randn(batch, 3, side, side, generator=generator).to(loaded.device)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _in_turn(
    runs: Mapping[str, Callable[[], object]], repeats: int, device: torch.device
) -> dict[str, float]:
    """Return each run's median seconds, taken in turn after one of each to warm up."""
    for run in runs.values():
        _seconds(run, device)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(_seconds(run, device))
    return {name: statistics.median(taken) for name, taken in times.items()}


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    """Return how long `run` takes until the device has finished."""
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start

"""Measure what the lens adds to a forward pass."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from explorer.errors import InputError
from explorer.lens import MultiLayerLens
from explorer.models import load_model


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
    generator = torch.Generator().manual_seed(0)
    side = loaded.image_size
    images = torch.randn(batch, 3, side, side, generator=generator).to(loaded.device)

    @torch.no_grad()
    def forward() -> None:
        loaded.model.encode_image(images)

    def through_lens() -> None:
        lens.run(images)

    _seconds(forward, loaded.device)
    _seconds(through_lens, loaded.device)
    forward_times, lens_times = [], []
    for _ in range(repeats):
        forward_times.append(_seconds(forward, loaded.device))
        lens_times.append(_seconds(through_lens, loaded.device))
    forward_s, lens_s = statistics.median(forward_times), statistics.median(lens_times)
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


def _seconds(run: Callable[[], None], device: torch.device) -> float:
    """Return how long `run` takes until the device has finished."""
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start

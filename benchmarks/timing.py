"""What the benchmarks of model code share: calls timed in turn, on random images."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping

import torch

from explorer.lens.models import LoadedModel


def random_images(loaded: LoadedModel, batch: int) -> torch.Tensor:
    """Return random images, the same every time: [image, 3, row, column]."""
    generator = torch.Generator().manual_seed(0)
    side = loaded.image_size
    return torch.randn(batch, 3, side, side, generator=generator).to(loaded.device)


def in_turn(
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


def peak_bytes() -> int:
    """Return the most memory that this process has held at once; on Linux and macOS."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # elsewhere it counts kibibytes


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    """Return how long `run` takes until the device has finished."""
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start

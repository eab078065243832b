"""What low precision does to directions: each dtype's beside float32's, over the same pictures.

The statistics are single precision whatever the model computes in; what differs is the forward pass
that gives them activations, attention and norms.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.app import opened_bundle
from explorer.build.memory import statistics_settings
from explorer.build.settings import BuildSettings
from explorer.bundle import MODEL_FOLDER, Bundle
from explorer.describe.directions import LayerDirections, LayerStatistics
from explorer.errors import InputError
from explorer.lens import MultiLayerLens
from explorer.lens.models import LoadedModel, load_model

EXACT = "float32"
AUTOCAST = "autocast"
LOW = ("bfloat16", "float16", AUTOCAST)
FEWEST = 50  # pictures
LEAST = 0.01  # quantile of the cosines that is told beside the median


@dataclass(frozen=True)
class PrecisionBench:
    """What is compared, on a bundle's own model and pictures."""

    bundle: str = field(default="", metadata={"help": "the bundle's folder name"})
    pictures: int = field(default=512, metadata={"help": "of its pictures, a seeded draw"})
    dtypes: tuple[str, ...] = field(
        default=LOW, metadata={"help": "bfloat16, float16, autocast (float32 under bfloat16)"}
    )
    batch: int = field(default=32, metadata={"help": "images of one pass"})
    device: str = field(default="cpu", metadata={"help": "torch device"})
    seed: int = field(default=0, metadata={"help": "of the draw"})

    def __post_init__(self) -> None:
        """Refuse what cannot be compared.

        Raises:
            InputError: when a number is too small, or a dtype is none of those.
        """
        if odd := [name for name in self.dtypes if name not in LOW]:
            raise InputError(f"Compare {', '.join(LOW)}, not {odd[0]}.")
        if self.pictures < FEWEST or self.batch < 1:
            raise InputError(f"Directions need {FEWEST} pictures at least, and batches an image.")


def bench_precision(settings: PrecisionBench) -> dict[str, Any]:
    """Take the directions of every layer in every dtype.

    Returns the sizes, and for each dtype `seconds_of_a_picture`, its `ratio` (float32's seconds
    over its own) and `layers`: for each the cosine of its directions with float32's, `median` and
    `percentile_1`, and `shared`, the mean share of a neuron's strongest pictures that are the same.

    Raises:
        InputError: when there is no such bundle, or torch cannot compute in a dtype.
    """
    bundle = opened_bundle(settings.bundle)
    count = min(settings.pictures, bundle.pictures.corpus_size)
    rng = np.random.default_rng(settings.seed)
    images = np.sort(rng.choice(bundle.pictures.corpus_size, count, replace=False))
    exact, seconds = _directions(bundle, images, EXACT, settings)
    found: dict[str, Any] = {EXACT: {"seconds_of_a_picture": seconds / count}}
    for dtype in settings.dtypes:
        own, taken = _directions(bundle, images, dtype, settings)
        found[dtype] = {
            "seconds_of_a_picture": taken / count,
            "ratio": seconds / taken,
            "layers": [_beside(layer, own[layer], exact[layer]) for layer in exact],
        }
    return {"bundle": bundle.name, "pictures": count, "dtypes": found}


def _directions(
    bundle: Bundle, images: NDArray[np.integer[Any]], dtype: str, settings: PrecisionBench
) -> tuple[dict[int, LayerDirections], float]:
    """Return the directions of every layer, and the seconds of the passes alone."""
    loaded = load_model(
        f"local-dir:{bundle.path / MODEL_FOLDER}",
        device=settings.device,
        dtype=EXACT if dtype == AUTOCAST else dtype,
    )
    lens = MultiLayerLens(loaded.model, bundle.manifest.layers)
    wanted = statistics_settings(BuildSettings(model="", out=bundle.path), len(images))
    statistics = {layer: LayerStatistics(lens.paths[layer], wanted) for layer in lens.layers}
    seconds, started = 0.0, False
    for start, pixels in _batches(loaded, bundle, images, settings.batch):
        before = time.perf_counter()
        with _arithmetic(dtype, loaded.device):
            coefficients = lens.run(pixels).coefficients
        seconds += time.perf_counter() - before
        numbers = torch.arange(start, start + len(pixels))
        for layer, held in statistics.items():
            if not started:
                held.warm_up(coefficients[layer].float())
            held.update(numbers, coefficients[layer].float())
        started = True
    return {layer: held.finish() for layer, held in statistics.items()}, seconds


def _arithmetic(dtype: str, device: torch.device) -> AbstractContextManager[Any]:
    if dtype != AUTOCAST:
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _batches(
    loaded: LoadedModel, bundle: Bundle, images: NDArray[np.integer[Any]], size: int
) -> Iterator[tuple[int, torch.Tensor]]:
    for start in range(0, len(images), size):
        pictures = [bundle.pictures.rgb(int(image)) for image in images[start : start + size]]
        pixels = torch.stack([loaded.preprocess(picture) for picture in pictures])
        yield start, pixels.to(loaded.device, loaded.dtype)


def _beside(layer: int, own: LayerDirections, exact: LayerDirections) -> dict[str, float]:
    """Compare a layer's directions, leaving out neurons without any."""
    cosines = (own.directions * exact.directions).sum(axis=1)
    alive = np.linalg.norm(exact.directions, axis=1) > 0.5
    shared = [
        np.isin(mine[mine >= 0], theirs[theirs >= 0]).mean()
        for mine, theirs in zip(own.top_ids[alive, 0], exact.top_ids[alive, 0], strict=True)
        if (mine >= 0).any()
    ]
    return {
        "layer": layer,
        "median": float(np.median(cosines[alive])),
        "percentile_1": float(np.quantile(cosines[alive], LEAST)),
        "shared": float(np.mean(shared)),
    }

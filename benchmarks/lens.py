"""Measure what the lens adds to a forward pass."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.timing import in_turn, peak_bytes, random_images
from explorer.errors import InputError
from explorer.lens import MultiLayerLens
from explorer.lens.models import load_model


@dataclass(frozen=True)
class LensBench:
    """What is timed."""

    model: str = field(default="ViT-B-32", metadata={"help": "open_clip name or local-dir:FOLDER"})
    layers: tuple[int, ...] = field(
        default=(8, 9, 10), metadata={"help": "layers whose neurons the lens reads"}
    )
    batch: int = field(default=16, metadata={"help": "images of one pass"})
    repeats: int = field(default=7, metadata={"help": "times each is run"})
    device: str = field(default="cpu", metadata={"help": "torch device"})

    def __post_init__(self) -> None:
        """Refuse what measures nothing.

        Raises:
            InputError: when the batch or the repeats are less than 1.
        """
        if self.batch < 1 or self.repeats < 1:
            raise InputError(
                f"A benchmark of {self.repeats} repeats with batches of {self.batch} measures "
                "nothing: choose 1 or more of both."
            )


def bench_lens(settings: LensBench) -> dict[str, Any]:
    """Time forward passes with and without the lens on random images.

    Both take the same images; the lens yields the coefficients of all neurons of the layers in the
    same pass. The two are run in turn, so that other load on the machine meets both, after one of
    each to warm up; the times are medians over the repeats.

    Returns `model`, `layers`, `batch`, `forward_s` and `lens_s` (seconds per batch, the latter with
    its forward pass), `ratio` (lens_s / forward_s), `processor_s` (seconds that all processors
    together spend on a batch's lens pass, which other load changes little), `peak_gb` (the most
    memory the process has held, 10^9 bytes), `neurons` (of all layers together) and `threads`
    (torch's on the CPU).

    Raises:
        InputError: when the model cannot be loaded or lacks a layer.
        UnsupportedModelError: when the lens cannot compute the model's effects.
    """
    loaded = load_model(settings.model, device=settings.device)
    lens = MultiLayerLens(loaded.model, settings.layers)
    images = random_images(loaded, settings.batch)

    @torch.no_grad()
    def forward() -> None:
        loaded.model.encode_image(images)

    runs = {"forward": forward, "lens": lambda: lens.run(images)}
    times = in_turn(runs, settings.repeats, loaded.device)
    began = time.process_time()
    lens.run(images)
    processor = time.process_time() - began
    return {
        "model": settings.model,
        "layers": list(lens.layers),
        "batch": settings.batch,
        "forward_s": times["forward"],
        "lens_s": times["lens"],
        "ratio": times["lens"] / times["forward"],
        "processor_s": processor,
        "peak_gb": peak_bytes() / 1e9,
        "neurons": loaded.neurons * len(lens.layers),
        "threads": torch.get_num_threads(),
    }

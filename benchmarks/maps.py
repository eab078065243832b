"""Measure what second-order heatmaps add to a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import in_turn, random_images
from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.lens.models import encode_texts, load_model
from explorer.picture.heatmaps import heatmaps
from explorer.picture.model import LensModel, bare_lens_model, open_lens_model
from explorer.picture.reading import read
from explorer.picture.settings import EXACT, FINE, REFINED, SECOND_ORDER, MapSettings

TEXTS = ("dog", "car", "banana", "bird", "tree", "house", "boat", "flower", "star", "cup")
LIMITS = {"one_text": 1.25, "ten_texts": 1.5}  # times the plain forward pass


@dataclass(frozen=True)
class MapsBench:
    """What is timed."""

    model: str = field(
        default="ViT-B-32",
        metadata={"help": "open_clip name, local-dir:FOLDER, or a bundle's folder"},
    )
    batch: int = field(default=1, metadata={"help": "images of one pass"})
    repeats: int = field(default=30, metadata={"help": "times each is run"})
    threads: int | None = field(default=None, metadata={"help": "torch's threads"})
    device: str = field(default="cpu", metadata={"help": "torch device"})

    def __post_init__(self) -> None:
        """Refuse what measures nothing.

        Raises:
            InputError: when the batch, the repeats or the threads are less than 1.
        """
        threads = self.threads
        if self.batch < 1 or self.repeats < 1 or (threads is not None and threads < 1):
            raise InputError(
                f"A benchmark of {self.repeats} repeats with batches of {self.batch} on {threads} "
                "threads measures nothing: choose 1 or more of each."
            )


def bench_maps(settings: MapsBench) -> dict[str, Any]:
    """Time second-order heatmaps of one text and of ten against the plain forward pass.

    All take the same random images, each from the pixels to the finished maps. A text's embedding
    is kept once it is known, so the text tower is timed apart. The calls are made in turn, so that
    other load on the machine meets all, after one of each to warm up; times are medians over the
    repeats.

    Returns `model`, `batch`, `threads`, `forward_s` (seconds per batch), `one_text` and `ten_texts`
    (exact shares), `one_text_refined` and `ten_texts_refined` (as the app draws them),
    `ten_texts_competing` and `ten_texts_fine` (no limit is set for these), each with `seconds` and
    `ratio` to the forward pass, `text_s` (the text tower on one new text), `limits` and
    `within_limits`.

    Raises:
        InputError: when the model cannot be loaded.
        UnsupportedModelError: when the lens cannot compute the model's effects.
    """
    opened = _opened(settings.model, settings.device)
    loaded = opened.loaded
    images = random_images(loaded, settings.batch)

    @torch.no_grad()
    def forward() -> None:
        loaded.model.encode_image(images)

    def maps(
        texts: Sequence[str], drawn: MapSettings, method: str = SECOND_ORDER
    ) -> Callable[[], object]:
        return lambda: heatmaps(read(opened, images), texts, method, drawn)

    runs: dict[str, Callable[[], object]] = {
        "forward": forward,
        "one_text": maps(TEXTS[:1], EXACT),
        "ten_texts": maps(TEXTS, EXACT),
        "one_text_refined": maps(TEXTS[:1], REFINED),
        "ten_texts_refined": maps(TEXTS, REFINED),
        "ten_texts_competing": maps(TEXTS, REFINED, "competing"),
        "ten_texts_fine": maps(TEXTS, FINE),
        "text": lambda: encode_texts(loaded, TEXTS[:1]),
    }
    with _threads(settings.threads):
        times = in_turn(runs, settings.repeats, loaded.device)
        used = torch.get_num_threads()
    forward_s, text_s = times.pop("forward"), times.pop("text")
    found = {
        name: {"seconds": seconds, "ratio": seconds / forward_s} for name, seconds in times.items()
    }
    return {
        "model": settings.model,
        "batch": settings.batch,
        "threads": used,
        "forward_s": forward_s,
        **found,
        "text_s": text_s,
        "limits": LIMITS,
        "within_limits": all(
            found[f"{name}{form}"]["ratio"] <= limit
            for name, limit in LIMITS.items()
            for form in ("", "_refined")
        ),
    }


def _opened(model: str, device: str) -> LensModel:
    if Path(model).is_dir():
        bundle = Bundle.open(model)
        return open_lens_model(bundle, bundle.load_model(device=device))
    return bare_lens_model(load_model(model, device=device))


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)

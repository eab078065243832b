"""How many images a forward pass takes, where `--batch-size auto` leaves it to the build.

1. By the memory formula (`explorer.build.memory`): the largest power of two that costs no further
   pass over the pictures, up to what a device gains from.
2. On a GPU the batch is tried, and halved as long as it does not fit: what a forward pass takes
   besides is the model's own.

A build keeps the number it began with, so that a resumed one goes on with the same batches.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from explorer.build.memory import LEAST, grouped, room_for
from explorer.build.settings import AUTO, BuildSettings
from explorer.errors import InputError
from explorer.lens import MultiLayerLens
from explorer.lens.models import LoadedModel
from explorer.lens.shapes import Shape, model_shape
from explorer.resumable import save_text

MOST = {"cpu": 32, "cuda": 256}
"""Images above which a forward pass is hardly faster, by kind of device."""
RECORD = "batch.json"


def planned_batch(
    shape: Shape, layers: Sequence[int], settings: BuildSettings, images: int, room: float
) -> int:
    """Return the batch that the memory formula allows; the settings' own where they name one.

    Where no batch makes a layer fit, the smallest: the pass then says what does.
    """
    if settings.batch_size != AUTO:
        return settings.batch_size
    passes = {}
    batch = MOST["cuda" if settings.device.startswith("cuda") else "cpu"]
    while batch >= LEAST:
        try:
            tried = replace(settings, batch_size=batch)
            passes[batch] = len(grouped(shape, layers, tried, images, room))
        except InputError:
            pass
        batch //= 2
    fewest = min(passes.values(), default=0)
    return max((batch for batch, count in passes.items() if count == fewest), default=LEAST)


def halved(batch: int, attempt: Callable[[int], object]) -> int:
    """Return the batch that an attempt has memory for: this one, or halved as often as it takes.

    Raises:
        InputError: when a single image is too many.
    """
    while batch >= 1:
        try:
            attempt(batch)
        except torch.OutOfMemoryError:
            batch //= 2
        else:
            return batch
    raise InputError(
        "The device has no memory for a single image: name a smaller model, --dtype bfloat16 or "
        "fewer --layers."
    )


def with_batch(
    settings: BuildSettings, loaded: LoadedModel, layers: Sequence[int], images: int, work: Path
) -> BuildSettings:
    """Return the settings with a number of images, which `work` keeps for a resumed build.

    Raises:
        InputError: when a single image is too many for the device.
    """
    if settings.batch_size != AUTO:
        return settings
    record = work / RECORD
    if not record.is_file():
        room = room_for(settings)
        batch = planned_batch(model_shape(loaded.model), layers, settings, images, room)
        if loaded.device.type == "cuda":
            batch = halved(batch, lambda count: _tried(loaded, layers, count))
        save_text(record, json.dumps(batch))
    return replace(settings, batch_size=json.loads(record.read_text("utf-8")))


def _tried(loaded: LoadedModel, layers: Sequence[int], count: int) -> None:
    side = loaded.image_size
    pixels = torch.zeros(count, 3, side, side, device=loaded.device, dtype=loaded.dtype)
    try:
        MultiLayerLens(loaded.model, layers).run(pixels)
    finally:
        torch.cuda.empty_cache()

"""How much memory a build's pass takes, and in how many passes it fits.

Statistics of a layer grow with its later heads, so that early layers of large models take
gigabytes. Where those of all layers are more than there is, layers go in groups, each with a pass
of its own over the pictures: every layer's statistics depend on no other's, so that the arrays are
those of one pass. (Candidates in half precision would halve one part, at the cost of exactness; a
second pass over the significant pictures alone is a whole one, for together the neurons of a layer
choose nearly every picture.)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from explorer.build import container
from explorer.build.settings import BuildSettings
from explorer.describe.directions import BLOCK, StatisticsSettings
from explorer.errors import InputError
from explorer.lens.shapes import Shape

SINGLE = 4  # bytes of a float32
SPARE = 0.8
"""Of the memory that is free, a build may take."""
GIB = 2**30
IN_MEMORY = GIB
"""Bytes of a pass's paths above which they are kept on disk: only its ends read them."""
LEAST = 8  # images of a batch below which nothing is gained
Parts = dict[str, int]
"""Name of a part -> bytes."""


def statistics_settings(settings: BuildSettings, images: int) -> StatisticsSettings:
    """Return how much the statistics of a build keep."""
    return StatisticsSettings(
        images=images,
        significant=settings.significant,
        significant_cap=settings.significant_cap,
    )


def parts_of(shape: Shape, layers: Sequence[int], settings: BuildSettings, images: int) -> Parts:
    """Return the memory of a pass for some layers, by part, beyond the model's own [bytes]."""
    kept = statistics_settings(settings, images)
    slots = kept.norm_slots + 2 * kept.end_slots
    paths = [shape.paths(layer) for layer in layers]
    total, warm = sum(paths), min(settings.warm_up, images)
    batch = min(settings.batch_size, images)
    held = [shape.neurons * slots * (k * SINGLE + SINGLE + 8) for k in paths]
    coefficients = shape.neurons * SINGLE
    table = total * shape.neurons * shape.embed * SINGLE
    return {
        "paths": table if table <= IN_MEMORY else 0,
        "factors": sum(k * (k + 1) for k in paths) * shape.neurons * SINGLE,
        "candidates": sum(held),
        "waiting": total * coefficients * BLOCK,
        "warm_up": (total + max(paths)) * coefficients * warm,
        "batch": total * coefficients * batch
        + len(layers) * batch * shape.tokens * (shape.neurons + shape.width) * SINGLE,
        "pairs": shape.neurons * sum(8 * k * k + 80 * k for k in paths),
    }


def needed(shape: Shape, layers: Sequence[int], settings: BuildSettings, images: int) -> int:
    """Return the memory of a pass for some layers, beyond the model's own [bytes]."""
    return sum(parts_of(shape, layers, settings, images).values())


def grouped(
    shape: Shape, layers: Sequence[int], settings: BuildSettings, images: int, room: float
) -> list[list[int]]:
    """Return the layers in groups whose passes fit in `room` bytes, as few as neighbours allow.

    Raises:
        InputError: when a layer fits in no pass; it says what would make it fit.
    """
    groups: list[list[int]] = []
    for layer in layers:
        if groups and needed(shape, [*groups[-1], layer], settings, images) <= room:
            groups[-1].append(layer)
            continue
        alone = needed(shape, [layer], settings, images)
        if alone > room:
            raise InputError(
                f"Layer {layer} takes {_gb(alone)} of memory beside the model, and there are "
                f"{_gb(room)}: {_remedy(shape, layer, settings, images, room)}."
            )
        groups.append([layer])
    return groups


def room_for(settings: BuildSettings, model: int = 0) -> float:
    """Return the bytes that a build may take beside the model, as `--memory` says or as are free.

    `model` are the bytes that the model will take and has not taken yet.
    """
    if settings.memory is not None:
        return settings.memory * GIB
    return SPARE * _free(settings.device) - model


def _free(device: str) -> float:
    if device.startswith("cuda"):
        return float(torch.cuda.mem_get_info(torch.device(device))[0])
    return min(_free_here(), container.memory_left())


def _free_here() -> float:
    info = Path("/proc/meminfo")
    if info.is_file():
        lines = dict(line.split(":") for line in info.read_text("ascii").splitlines())
        if "MemAvailable" in lines:
            return int(lines["MemAvailable"].split()[0]) * 1024
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _remedy(shape: Shape, layer: int, settings: BuildSettings, images: int, room: float) -> str:
    for change in _smaller(settings):
        smaller: BuildSettings = replace(settings, **change)  # type: ignore[arg-type]  # numbers
        if needed(shape, [layer], smaller, images) <= room:
            options = " ".join(f"--{k.replace('_', '-')} {v}" for k, v in change.items())
            return f"{options} makes it fit"
    later = [n for n in shape.layers if n > layer]
    fitting = [n for n in later if needed(shape, [n], settings, images) <= room]
    most = _gb(needed(shape, [layer], settings, images))
    leave = f"--layers {','.join(map(str, fitting))} fits, or " if fitting else ""
    return f"{leave}--memory of {most} is needed"


def _smaller(settings: BuildSettings) -> Iterator[dict[str, int]]:
    """Yield smaller settings, those first that change no figure."""
    batch = max(1, min(settings.batch_size, LEAST))
    cap = settings.significant_cap
    yield {"batch_size": batch}
    for warm in (128, 64):
        if warm < settings.warm_up:
            yield {"batch_size": batch, "warm_up": warm}
            while (cap := cap // 2) >= 50:
                yield {"batch_size": batch, "warm_up": warm, "significant_cap": cap}
            cap = settings.significant_cap


def _gb(size: float) -> str:
    return f"{size / GIB:.2f} GiB"

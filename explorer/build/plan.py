"""What a build will take, said before anything is built: `build --plan`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from explorer.build.batch import planned_batch
from explorer.build.listed import ListedSource
from explorer.build.memory import GIB, grouped, needed, parts_of, room_for
from explorer.build.settings import BuildSettings, parse_layers
from explorer.build.sources import ImageSource, SplitSource, StoreSource, open_source
from explorer.bundle.shipped import SHIPPED
from explorer.errors import InputError
from explorer.lens import MultiLayerLens
from explorer.lens.models import hollow_model
from explorer.lens.origin import LOCAL
from explorer.lens.shapes import Shape, shape_of
from explorer.resumable import Say

TRIAL_MODEL = 4 * GIB  # bytes of a model above which the run would be none that is short
SAVED = 900  # bytes of the neuron tables, for each neuron
THUMBNAIL = 6_000  # bytes of a stored picture, about


def plan(settings: BuildSettings, say: Say) -> dict[str, Any]:
    """Return what a build of these settings takes, without building anything.

    Keys: `pictures`; `batch_size`, found where it is left to the build; `passes`, the layers of
    each; `memory_gib`, the model's, the largest pass's by part, what is free; `disk_gib`, the
    bundle, what is kept during the build, what is free; `seconds` of a picture and of all passes,
    from one picture through an image tower without weights, without the statistics (none for models
    of more than 4 GiB); and `fits`, or `remedy`, the option that makes it fit.

    Raises:
        InputError: when a setting cannot be used, or the pictures are not there.
        UnsupportedModelError: when the lens is not exact for the model.
    """
    shape = shape_of(settings.model, settings.pretrained)
    layers = parse_layers(settings.layers, shape.blocks)
    source = open_source(
        settings.images, SHIPPED, hold_out=settings.hold_out, held_out=settings.held_out
    )
    images = _count(source)
    weights = shape.parameters * (2 if settings.dtype != "float32" else 4)
    room = room_for(settings, weights)
    settings = replace(settings, batch_size=planned_batch(shape, layers, settings, images, room))
    found: dict[str, Any] = {
        "pictures": images,
        "batch_size": settings.batch_size,
        "neurons": shape.neurons * len(layers),
        "model": vars(shape),
    }
    try:
        groups = grouped(shape, layers, settings, images, room)
        found |= {"passes": groups, "fits": True, "remedy": ""}
    except InputError as error:
        groups = [[layer] for layer in layers]
        found |= {"passes": groups, "fits": False, "remedy": str(error)}
    largest = max(groups, key=lambda group: needed(shape, group, settings, images))
    found["memory_gib"] = _gib(
        {
            "model": weights,
            **parts_of(shape, largest, settings, images),
            "pass": needed(shape, largest, settings, images),
            "free": max(room, 0),
        }
    )
    found["disk_gib"] = _gib(_disk(shape, layers, largest, settings, images))
    if weights < min(room, TRIAL_MODEL):
        say("plan: timing one picture")
        found["seconds"] = _seconds(settings, groups, images)
    return found


def _count(source: ImageSource) -> int:
    if isinstance(source, SplitSource):
        return _count(source.corpus)
    if isinstance(source, StoreSource):
        return source.store.corpus_size
    return len(source.listing.entries()[0]) if isinstance(source, ListedSource) else 0


def _disk(
    shape: Shape, layers: list[int], largest: list[int], settings: BuildSettings, images: int
) -> dict[str, float]:
    neurons = shape.neurons * len(layers)
    coefficients = sum(shape.paths(layer) for layer in layers) * shape.neurons * 4
    texts = settings.words * shape.embed * 4
    bundle = (
        neurons * (SAVED + 2 * shape.embed + 8 * settings.nonzero + 2 * settings.sample)
        + coefficients
        + texts
        + images * (THUMBNAIL + 2 * shape.embed)
        + (4 * shape.parameters if settings.model.startswith(LOCAL) else 0)
    )
    parts = parts_of(shape, largest, settings, images)
    there = next(f for f in (settings.out, *settings.out.absolute().parents) if f.is_dir())
    return {
        "bundle": bundle,
        "kept_pictures": images * 3 * shape.image_size**2,
        "state": 2 * parts["candidates"],
        "free": shutil.disk_usage(there).free,
    }


def _seconds(settings: BuildSettings, groups: list[list[int]], images: int) -> dict[str, float]:
    """Time one picture through the tower alone, and with the lens of the most layers at once.

    A batch takes less for each picture, so that a build is done somewhat sooner.
    """
    model = hollow_model(
        settings.model, settings.pretrained, device=settings.device, dtype=settings.dtype
    )
    visual = model.visual
    weight = visual.conv1.weight
    pixels = torch.zeros(1, 3, *visual.image_size, device=weight.device, dtype=weight.dtype)
    lens = MultiLayerLens(model, max(groups, key=len))
    with torch.no_grad():
        visual(pixels)  # to warm up
        forward = _timed(lambda: visual(pixels), weight.device)
        one = _timed(lambda: lens.run(pixels), weight.device)
    return {
        "forward_of_a_picture": forward,
        "pass_of_a_picture": one,
        "all_passes": one * images * len(groups),
    }


def _timed(run: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _gib(parts: dict[str, float] | dict[str, int]) -> dict[str, float]:
    return {name: round(size / GIB, 3) for name, size in parts.items()}

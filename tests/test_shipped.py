"""The shipped bundle itself: whole, and its maps lie where things are in pictures of any shape."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.bundle import Bundle, verify
from explorer.picture.settings import SegmentSettings
from explorer.picture.study import Study

SHIPPED = Path(__file__).parents[1] / "precomputed" / "picto"
SHAPES = {"portrait": (240, 420), "landscape": (420, 240), "square": (300, 300)}
CORNERS = ("top left", "top right", "bottom left", "bottom right")
THINGS = ("cat", "bicycle", "banana")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(SHIPPED)


def drawing(bundle: Bundle, label: str) -> Image.Image:
    """A held-out drawing, whose style the model never saw."""
    table = bundle.pictures.table
    row = table.index[(table["label"] == label) & (table["split"] == "heldout")][0]
    return bundle.pictures.image(int(row)).convert("RGBA")


def test_every_file_is_as_it_was_built() -> None:
    assert verify(SHIPPED) == []


@dataclass(frozen=True, eq=False)
class Scene:
    """A drawing in a corner of a white picture, as the model read it."""

    label: str
    size: tuple[int, int]
    box: tuple[int, int, int, int]
    """Left, top, right and bottom of the drawing."""
    study: Study


@pytest.fixture(
    scope="module",
    params=[(shape, corner) for shape in SHAPES for corner in CORNERS],
    ids=", ".join,
)
def scenes(request: pytest.FixtureRequest, bundle: Bundle) -> list[Scene]:
    """One scene of each thing, read once for all methods."""
    shape, corner = request.param
    width, height = SHAPES[shape]
    side = min(width, height) // 2
    left = 4 if "left" in corner else width - side - 4
    top = 4 if "top" in corner else height - side - 4
    found = []
    for label in THINGS:
        picture = Image.new("RGB", (width, height), "white")
        thing = drawing(bundle, label).resize((side, side))
        picture.paste(thing, (left, top), thing)
        study = Study.of(bundle, picture)
        found.append(Scene(label, (width, height), (left, top, left + side, top + side), study))
    return found


@pytest.mark.parametrize("method", ["second-order", "activation", "competing"])
def test_a_thing_in_a_corner_lights_that_corner(scenes: list[Scene], method: str) -> None:
    for scene in scenes:
        left, top, right, bottom = scene.box
        found = scene.study.segment([scene.label], SegmentSettings(method=method))
        seen = found.maps()[0].numpy()
        assert seen.shape == scene.size[::-1]
        row, column = np.unravel_index(seen.argmax(), seen.shape)
        patch = max(scene.size) / scene.study.lens_model.grid[0]
        assert left - patch <= column <= right + patch, (scene.label, column)
        assert top - patch <= row <= bottom + patch, (scene.label, row)
        if method == "second-order":  # a mean activation is high in other places too
            inside = seen[top:bottom, left:right].clip(min=0).sum()
            assert inside > 0.7 * seen.clip(min=0).sum(), scene.label

"""The shipped bundle itself: whole, and its maps lie where things are in pictures of any shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.bundle import Bundle, verify
from explorer.picture.model import LensModel, open_lens_model
from explorer.picture.segment import PictureReading, SegmentSettings, segment

SHIPPED = Path(__file__).parents[1] / "precomputed" / "picto"
SHAPES = {"portrait": (240, 420), "landscape": (420, 240), "square": (300, 300)}
CORNERS = ("top left", "top right", "bottom left", "bottom right")
THINGS = ("cat", "bicycle", "banana")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(SHIPPED)


@pytest.fixture(scope="module")
def opened(bundle: Bundle) -> LensModel:
    return open_lens_model(bundle)


def drawing(bundle: Bundle, label: str) -> Image.Image:
    """A held-out drawing, whose style the model never saw."""
    table = bundle.pictures.table
    row = table.index[(table["label"] == label) & (table["split"] == "heldout")][0]
    return bundle.pictures.image(int(row)).convert("RGBA")


def test_every_file_is_as_it_was_built() -> None:
    assert verify(SHIPPED) == []


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("method", ["second-order", "activation"])
def test_a_thing_in_a_corner_lights_that_corner(
    bundle: Bundle, opened: LensModel, shape: str, corner: str, method: str
) -> None:
    width, height = SHAPES[shape]
    side = min(width, height) // 2
    left = 4 if "left" in corner else width - side - 4
    top = 4 if "top" in corner else height - side - 4
    for label in THINGS:
        picture = Image.new("RGB", (width, height), "white")
        thing = drawing(bundle, label).resize((side, side))
        picture.paste(thing, (left, top), thing)
        reading = PictureReading.of(opened, picture)
        found = segment(opened, reading, [label], SegmentSettings(method=method))
        seen = found.maps()[0].numpy()
        assert seen.shape == (height, width)
        row, column = np.unravel_index(seen.argmax(), seen.shape)
        patch = max(width, height) / opened.grid[0]
        assert left - patch <= column <= left + side + patch, (label, column)
        assert top - patch <= row <= top + side + patch, (label, row)
        if method == "second-order":  # a mean activation is high in other places too
            inside = seen[top : top + side, left : left + side].clip(min=0).sum()
            assert inside > 0.7 * seen.clip(min=0).sum(), label

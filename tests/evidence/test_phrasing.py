"""Colours and objects told apart, on a model that reads colours off the pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from explorer.evidence.context import Context
from explorer.evidence.measures import phrasing
from explorer.evidence.measures.phrasing import COLOURS, measure_colours, painted
from tests.conftest import draw
from tests.support.evidence import context_of


def test_painting_keeps_shape_and_shade_and_takes_the_hue() -> None:
    before = draw("red", "circle", 16)
    after = painted(before, "blue")
    assert np.array_equal(np.asarray(after)[..., 3], np.asarray(before)[..., 3])
    inside = np.asarray(after)[np.asarray(before)[..., 3] == 255][:, :3]
    assert len(inside)
    assert (inside[:, 2] > inside[:, 0]).all()
    assert (inside[:, 0] == inside[:, 1]).all()
    assert mean_colour(painted(draw("black", "circle", 16), "red"))[0] > 0.3


@pytest.fixture
def context(tiny_bundle: Path) -> Context:
    return context_of(tiny_bundle)


def mean_colour(picture: Image.Image) -> np.ndarray:
    pixels = np.asarray(picture.convert("RGBA"), float)
    return pixels[pixels[..., 3] == 255][:, :3].mean(axis=0) / 255


@pytest.mark.parametrize("blind", [False, True])
def test_a_model_that_sees_colours_alone_tells_colours_and_guesses_objects(
    context: Context, monkeypatch: pytest.MonkeyPatch, blind: bool
) -> None:
    """Its embedding is the mean colour, and that of a text the colour that it names."""

    def of_images(loaded: object, pictures: object) -> torch.Tensor:
        rows = np.stack([mean_colour(picture) for picture in pictures])
        rows = np.zeros_like(rows) if blind else rows - rows.mean(axis=1, keepdims=True)
        return torch.nn.functional.normalize(torch.from_numpy(rows), dim=1)

    def of_texts(loaded: object, texts: list[str]) -> torch.Tensor:
        assert all(text.startswith("a ") for text in texts)
        rows = np.array([ImageColor.getrgb(text.split(" ")[1]) for text in texts], float) / 255
        rows -= rows.mean(axis=1, keepdims=True)
        return torch.nn.functional.normalize(torch.from_numpy(rows), dim=1)

    monkeypatch.setattr(phrasing, "encode_images", of_images)
    monkeypatch.setattr(phrasing, "encode_texts", of_texts)
    found = measure_colours(context)
    assert found is not None
    assert found["names"] == found["pictures"] == 4
    told = found["colour"]["value"]
    assert told == pytest.approx(1 / len(COLOURS), abs=1e-4) if blind else told > 0.95
    assert found["object"]["value"] == pytest.approx(1 / 4)


def test_pictures_without_cut_outs_are_left_out(context: Context) -> None:
    opaque = SimpleNamespace(picture=lambda number: Image.new("RGB", (8, 8), "red"))
    context.evaluation = replace(context.evaluation, source=opaque)
    assert measure_colours(context) is None

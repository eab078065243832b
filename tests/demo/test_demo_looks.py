"""The words for a picture's looks, on drawings whose looks are known."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from explorer.demo.looks import LEAST_SHARE, MANNER_OF_SET, colours, looks


def drawn(shape="fill", colour=(32, 32, 32), size=168):
    picture = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    pen = ImageDraw.Draw(picture)
    box = (20, 20, size - 20, size - 20)
    if shape == "fill":
        pen.ellipse(box, fill=colour)
    else:
        pen.ellipse(box, outline=colour, width=8)
    return np.asarray(picture)


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((255, 255, 255), "white"),
        ((10, 10, 12), "black"),
        ((128, 128, 128), "gray"),
        ((220, 20, 30), "red"),
        ((250, 140, 20), "orange"),
        ((250, 220, 40), "yellow"),
        ((40, 160, 60), "green"),
        ((30, 190, 190), "turquoise"),
        ((40, 90, 220), "blue"),
        ((130, 60, 200), "purple"),
        ((250, 130, 190), "pink"),
        ((120, 70, 30), "brown"),
    ],
)
def test_colours_have_their_names(rgb, name):
    assert colours(drawn(colour=rgb)) == (name,)


def test_a_small_patch_of_colour_is_not_named():
    picture = drawn(colour=(220, 20, 30)).copy()
    side = int(168 * (LEAST_SHARE / 2) ** 0.5)
    picture[60 : 60 + side // 2, 60 : 60 + side // 2, :3] = (40, 90, 220)
    assert colours(picture) == ("red",)
    picture[20:148, 84:, :3] = (40, 90, 220)
    assert set(colours(picture)) == {"red", "blue"}


def test_what_is_transparent_has_no_colour():
    assert colours(np.zeros((20, 20, 4), np.uint8)) == ()


def test_thin_strokes_make_a_line_drawing_and_areas_a_silhouette():
    assert looks(drawn("line"), "any-set", "mono")[0] == "line drawing"
    assert looks(drawn("fill"), "any-set", "mono")[0] == "silhouette"


def test_the_manner_comes_first_and_colours_follow():
    red = drawn(colour=(220, 20, 30))
    assert looks(red, "noto", "colour") == ("shaded emoji", "emoji", "red")
    assert looks(red, "openclipart", "clipart") == ("clip art", "red")
    assert looks(red, "tuxpaint", "photo") == ("photograph", "photo", "red")
    assert looks(red, "pixelarticons", "mono") == ("pixel art", "pixelated")


def test_no_set_has_two_manners():
    assert MANNER_OF_SET["fluent-emoji"] == "glossy emoji"
    assert MANNER_OF_SET["fluent-emoji-flat"] == "flat emoji"

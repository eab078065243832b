"""Scenes: seeded, with exact masks."""

import numpy as np
import pytest
from PIL import Image

from explorer.scenes.compose import (
    BACKGROUNDS,
    SceneObject,
    SceneSettings,
    caption,
    compose,
    draw_background,
)


def disc(colour=(255, 0, 0), size=64):
    """A filled disc on transparent ground."""
    rows, columns = np.mgrid[0:size, 0:size] - size / 2 + 0.5
    pixels = np.zeros((size, size, 4), np.uint8)
    inside = np.hypot(rows, columns) < size / 2
    pixels[inside] = (*colour, 255)
    return SceneObject(Image.fromarray(pixels, "RGBA"), "red disc")


def test_same_seed_same_pixels_other_seed_other_pixels():
    things = [disc(), disc((0, 0, 255))]
    first = compose(np.random.default_rng(5), things)
    again = compose(np.random.default_rng(5), things)
    other = compose(np.random.default_rng(6), things)
    assert np.array_equal(np.asarray(first.image), np.asarray(again.image))
    assert np.array_equal(first.masks, again.masks)
    assert not np.array_equal(np.asarray(first.image), np.asarray(other.image))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_masks_are_disjoint_and_show_the_objects_own_colour(count):
    settings = SceneSettings(jitter=0, tilt=0, backgrounds=("plain",))
    colours = [(250, 10, 10), (10, 250, 10), (10, 10, 250), (250, 250, 10)][:count]
    for seed in range(5):
        scene = compose(np.random.default_rng(seed), [disc(c) for c in colours], settings)
        assert scene.masks.shape == (count, 168, 168)
        assert scene.masks.sum(0).max() <= 1
        pixels = np.asarray(scene.image).astype(int)
        for mask, colour in zip(scene.masks, colours, strict=True):
            if mask.sum() > 200:
                assert np.abs(np.median(pixels[mask], axis=0) - colour).max() < 10


def test_a_lone_object_keeps_to_the_size_asked_for():
    settings = SceneSettings(size=200, smallest=0.4, largest=0.6, tilt=0)
    for seed in range(20):
        mask = compose(np.random.default_rng(seed), [disc()], settings).masks[0]
        height = np.flatnonzero(mask.any(1))
        assert 0.38 * 200 <= len(height) <= 0.62 * 200


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_backgrounds_differ_from_seed_to_seed(kind):
    drawn = {draw_background(np.random.default_rng(s), kind, 40).tobytes() for s in range(8)}
    assert len(drawn) > 4


def test_photographs_serve_as_backgrounds():
    photo = Image.new("RGB", (80, 60), (1, 2, 3))
    scenes = [compose(np.random.default_rng(s), [disc()], photographs=[photo]) for s in range(30)]
    taken = [s for s in scenes if s.background == "photograph"]
    assert taken
    scene = taken[0]
    outside = ~scene.masks[0] & (np.asarray(scene.image).sum(-1) < 20)
    assert outside.sum() > 1000


def test_a_single_colour_picture_stands_out_from_its_background():
    black = SceneObject(disc((0, 0, 0)).image, "disc", mono=True)
    for seed in range(20):
        settings = SceneSettings(backgrounds=("plain",), tilt=0)
        scene = compose(np.random.default_rng(seed), [black], settings)
        grey = np.asarray(scene.image.convert("L")).astype(float)
        assert abs(grey[scene.masks[0]].mean() - grey[~scene.masks[0]].mean()) > 40


def test_captions_read_as_english():
    assert caption(["dog face"]) == "a dog face"
    assert caption(["apple", "car"]) == "an apple and a car"
    assert caption(["apple", "car", "owl"]) == "an apple, a car and an owl"


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="smallest"):
        SceneSettings(smallest=0.8, largest=0.5)
    with pytest.raises(ValueError, match="unknown backgrounds"):
        SceneSettings(backgrounds=("lava",))

"""Framing, segmentation and discovery: geometry, the picture's own pixels, sums."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.picture.competition import NAMING_TEMPERATURE, named_shares
from explorer.picture.discover import (
    NAMED_NEURONS,
    NEAR,
    concept_scores,
    discover,
    join_near,
    rank_concepts,
    significant_rows,
)
from explorer.picture.framing import Framing, border_colour
from explorer.picture.maps import strongest_patches, text_shares, token_vectors
from explorer.picture.model import bare_lens_model, open_lens_model
from explorer.picture.presence import UNUSUAL, Presence
from explorer.picture.reading import read
from explorer.picture.refinement import diffuse
from explorer.picture.segment import Segmentation, scaled
from explorer.picture.settings import (
    FLOOR,
    USUAL_THRESHOLD,
    SegmentSettings,
    calibrated_threshold,
)
from explorer.picture.study import Study
from tests.conftest import draw

GRID, SIDE = 12, 168
SHAPES = {"square": (300, 300), "landscape": (500, 260), "portrait": (240, 450), "long": (900, 150)}
CORNERS = ("top left", "top right", "bottom left", "bottom right")


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.open(tiny_bundle)


def with_object(size: tuple[int, int], corner: str) -> tuple[Image.Image, tuple[int, int]]:
    """A dark picture with one light disc in a corner, and the disc's centre (x, y)."""
    picture = Image.new("RGB", size, (20, 20, 20))
    radius = min(size) // 6
    x = radius + 6 if "left" in corner else size[0] - radius - 6
    y = radius + 6 if "top" in corner else size[1] - radius - 6
    box = (x - radius, y - radius, x + radius, y + radius)
    ImageDraw.Draw(picture).ellipse(box, fill="white")
    return picture, (x, y)


def brightness(windows: list[Image.Image]) -> torch.Tensor:
    """[window, 1, row, column]: a map that is known to see what is light."""
    pixels = np.stack([np.asarray(window.convert("L"), np.float32) for window in windows])
    cells = pixels.reshape(len(windows), GRID, SIDE // GRID, GRID, SIDE // GRID).mean((2, 4))
    return torch.from_numpy(cells)[:, None]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fit", ["pad", "tile"])
@pytest.mark.parametrize("corner", CORNERS)
def test_an_object_in_a_corner_lights_that_corner(shape: str, fit: str, corner: str) -> None:
    picture, (x, y) = with_object(SHAPES[shape], corner)
    framing = Framing.of(picture.size, fit)
    seen = framing.to_picture(brightness(framing.cut(picture, SIDE)))[0].numpy()
    assert seen.shape == (picture.height, picture.width)
    rows, columns = np.mgrid[0 : picture.height, 0 : picture.width]
    light = seen > 0.6 * seen.max()
    patch = max(window.side for window in framing.windows) / GRID
    assert abs(rows[light].mean() - y) < patch / 2
    assert abs(columns[light].mean() - x) < patch / 2
    assert light[y, x]


def test_padding_takes_the_borders_colour_and_hides_nothing() -> None:
    picture = Image.new("RGB", (60, 30), (10, 200, 30))
    (window,) = Framing.of(picture.size).cut(picture, SIDE)
    assert window.size == (SIDE, SIDE)
    assert np.ptp(np.asarray(window).reshape(-1, 3), axis=0).max() <= 1
    assert border_colour(picture) == (10, 200, 30)


def test_tiles_cover_a_long_picture() -> None:
    framing = Framing.of((900, 150), "tile")
    reach = sorted((window.left, window.left + window.side) for window in framing.windows)
    assert reach[0][0] == 0
    assert reach[-1][1] == 900
    assert all(after[0] < before[1] for before, after in itertools.pairwise(reach))
    assert {window.side for window in framing.windows} == {150}


def test_a_preview_is_the_same_map_at_another_size() -> None:
    framing = Framing.of((200, 100))
    maps = torch.rand(1, 2, GRID, GRID, generator=torch.Generator().manual_seed(0))
    large, small = framing.to_picture(maps, (400, 200)), framing.to_picture(maps, (100, 50))
    pooled = torch.nn.functional.avg_pool2d(large[None], 4)[0]
    assert (pooled - small).abs().max() < 0.05


@pytest.mark.parametrize(("size", "fit"), [((0, 4), "pad"), ((900, 4), "pad"), ((9, 9), "crop")])
def test_shapes_that_cannot_be_read(size: tuple[int, int], fit: str) -> None:
    with pytest.raises(InputError, match="picture"):
        Framing.of(size, fit)


@pytest.mark.parametrize("fit", ["pad", "tile"])
def test_labels_are_at_the_pictures_own_resolution(bundle: Bundle, fit: str) -> None:
    picture = draw("red", "circle", 16).resize((123, 61))
    texts = ["red", "circle", "red"]
    found = Study.of(bundle, picture).segment(texts, SegmentSettings(fit=fit))
    assert found.texts == ("red", "circle")
    labels = found.labels()
    assert labels.shape == (61, 123)
    assert labels.dtype == np.uint8
    assert labels.max() <= 2
    assert found.labels((246, 122)).shape == (122, 246)
    assert all(0 <= share <= 1 for share in found.confidence)
    assert set(found.doubtful) <= set(found.texts)
    torch.testing.assert_close(
        found.difference("red", "circle"), -found.difference("circle", "red")
    )
    with pytest.raises(InputError, match="was not looked for"):
        found.difference("red", "dog")


def test_labels_follow_threshold_and_floor() -> None:
    framing = Framing.of((GRID, GRID))
    grids = torch.zeros(1, 3, GRID, GRID)
    grids[0, 0, :4] = 1.0
    grids[0, 0, 4:6] = 0.3
    grids[0, 1, 8:] = 0.5
    grids[0, 2, 6:8] = FLOOR / 2  # weaker than the floor: not in the picture
    grids[0, 2, 0] = -5.0

    def labels(threshold: float) -> np.ndarray:
        texts = ("a", "b", "c")
        return Segmentation(texts, framing, grids, threshold, (1, 1, 1)).labels()[:, 0]

    assert labels(0.5).tolist() == [1] * 4 + [0] * 4 + [2] * 4
    assert labels(0.25).tolist() == [1] * 6 + [0] * 2 + [2] * 4
    assert labels(1.0).tolist() == [1] * 4 + [0] * 4 + [2] * 4
    nothing = Segmentation(("a",), framing, -torch.ones(1, 1, GRID, GRID), 0.5, (1,))
    assert not nothing.labels().any()


def test_scales() -> None:
    maps = torch.tensor([[[2.0, -1.0]], [[0.5, 0.25]]])
    assert scaled(maps).tolist() == [[[1, 0]], [[1, 0.5]]]
    assert scaled(maps, "shared").tolist() == [[[1, 0]], [[0.25, 0.125]]]
    assert not scaled(-maps.abs()).any()
    with pytest.raises(InputError, match="no scale"):
        scaled(maps, "log")


def test_one_window_and_its_map_agree_with_plain_heatmaps(bundle: Bundle) -> None:
    study = Study.of(bundle, draw("blue", "square"))
    again = study.segment(["blue"], SegmentSettings(method="attention"))
    assert study.segment([" blue "], SegmentSettings(method="attention")) is again
    assert again.grids.shape == (1, 1, 4, 4)
    strengths = again.strengths((40, 40))
    assert float(strengths.max()) == pytest.approx(1)
    assert float(strengths.min()) >= 0


def test_thresholds(bundle: Bundle) -> None:
    assert calibrated_threshold(None, "second-order") == USUAL_THRESHOLD
    measured = {"segmentation": {"thresholds": {"second-order": 0.31}}}
    object.__setattr__(bundle.manifest, "evidence", measured)
    try:
        assert calibrated_threshold(bundle, "second-order") == 0.31
        assert calibrated_threshold(bundle, "legrad") == USUAL_THRESHOLD
        assert Study.of(bundle, draw("red", "circle")).segment(["red"]).threshold == 0.31
    finally:
        object.__setattr__(bundle.manifest, "evidence", {})
    with pytest.raises(InputError, match="from 0 to 1"):
        SegmentSettings(threshold=1.5)


def test_a_model_without_dictionary_has_no_doubts(bundle: Bundle) -> None:
    bare = bare_lens_model(open_lens_model(bundle).loaded)
    presence = Presence(read(bare, [draw("red", "circle")]))
    assert presence.confidence(bare.text_directions(["red"])).tolist() == [1.0]
    assert presence.likely(4) == []
    assert not presence.unfamiliar(bundle)


@pytest.mark.parametrize(("size", "fit"), [((40, 40), "pad"), ((120, 40), "tile")])
def test_confidence_counts_texts_behind_in_patches_and_output(
    bundle: Bundle, size: tuple[int, int], fit: str
) -> None:
    """Against a loop over the dictionary, for a picture of one window and one of several."""
    opened = open_lens_model(bundle)
    study = Study.of(bundle, draw("red", "circle").resize(size))
    reading, presence = study.reading(fit), study.presence(fit)
    directions = opened.text_directions(["red", "circle", "a word that no dictionary has"])
    outputs = reading.trace.representation
    count = len(opened.dictionary)

    spread = reading.affinity @ token_vectors(reading)[:, 1:]
    fits = torch.nn.functional.normalize(spread, dim=2) / NAMING_TEMPERATURE
    everything = torch.exp(fits @ opened.dictionary.T).sum(dim=2)

    def patches(direction: torch.Tensor) -> float:
        named = (spread @ direction) * torch.exp(fits @ direction) / everything
        return max(float(strongest_patches(found[None])) for found in named)

    def whole(direction: torch.Tensor) -> float:
        return max(float(torch.cosine_similarity(direction, out, dim=0)) for out in outputs)

    for direction, sure in zip(directions, presence.confidence(directions), strict=True):
        behind = [
            np.mean([kind(other) >= kind(direction) * (1 - 1e-5) for other in opened.dictionary])
            for kind in (patches, whole)
        ]
        assert float(sure) == pytest.approx(1 - np.sqrt(np.prod(behind)), abs=1.5 / count)
    every = presence.confidence(opened.dictionary)
    assert 0 <= float(every.min()) <= float(every.max()) <= 1


def test_likely_texts_are_the_surest_and_named_once(bundle: Bundle) -> None:
    study = Study.of(bundle, draw("red", "circle"))
    presence = study.presence()
    atoms = open_lens_model(bundle).dictionary
    sure = presence.confidence(atoms)
    places = presence.likely(4)
    assert sure[places[0]] == sure.max()
    near = atoms[places] @ atoms[places].T - torch.eye(len(places))
    assert float(near.max()) < NEAR
    assert presence.likely(10_000)[:4] == places
    assert study.likely(4) == tuple(bundle.texts[place] for place in places)


def test_few_of_the_bundles_own_pictures_are_unfamiliar(bundle: Bundle) -> None:
    """The bundle is its own measure, so that the rule holds for any model."""
    found = [
        Study.of(bundle, bundle.pictures.rgb(n)).unfamiliar
        for n in range(bundle.pictures.corpus_size)
    ]
    share = np.mean(found)
    assert share <= UNUSUAL + 2 / len(found)


def test_discovery_adds_up(bundle: Bundle) -> None:
    study = Study.of(bundle, bundle.pictures.rgb(3))
    effects = study.effects
    found = study.discovery(top=5, neurons=7)
    assert study.discovery(top=5, neurons=7) is found
    thresholds = bundle.neurons["threshold"].to_numpy()
    significant = np.flatnonzero((np.abs(effects) >= thresholds) & (thresholds > 0))
    assert found.significant == len(significant) > 0
    assert len(found.neurons) == min(7, len(significant))
    strongest = significant[np.argsort(-np.abs(effects[significant]))]
    assert [neuron.row for neuron in found.neurons] == strongest[:7].tolist()
    scores = np.zeros(len(bundle.texts))
    for row in significant:
        for text, weight in zip(bundle.concept_ids[row], bundle.concept_weights[row], strict=True):
            if text >= 0:
                scores[text] += effects[row] * float(weight)
    np.testing.assert_allclose(
        concept_scores(bundle, effects, significant.tolist()), scores, rtol=1e-5, atol=1e-7
    )
    texts = [text for concept in found.concepts for text in (concept.text, *concept.joined)]
    assert len(texts) == len(set(texts))
    for concept in found.concepts:
        assert concept.support == pytest.approx(
            scores[bundle.texts.index(concept.text)], rel=1e-4, abs=1e-7
        )
        assert concept.patches.shape == (4, 4)
        place = bundle.texts.index(concept.text)
        named = named_shares(study.reading(), study.lens_model.dictionary[place : place + 1])
        assert bool((named.abs() <= concept.patches.flatten().abs()).all())
        whole = float(named.flatten().topk(2).values.mean())
        assert concept.score <= whole * (1 + 1e-5)  # stronger ones explain a part of it
        assert concept is not found.concepts[0] or concept.score == pytest.approx(whole, rel=1e-5)
        parts = [part for _, _, part in concept.neurons]
        assert parts == sorted(parts, reverse=True)
        if len(parts) < NAMED_NEURONS:
            assert sum(parts) == pytest.approx(concept.support, rel=1e-4, abs=1e-7)
    order = [concept.score for concept in found.concepts]
    assert order == sorted(order, reverse=True)
    json.dumps(found.as_dict())


def test_a_concepts_patches_are_the_texts_refined_map(bundle: Bundle) -> None:
    """Found through one product for all texts, and the same as the text's own diffused shares."""
    reading = read(open_lens_model(bundle), [bundle.pictures.rgb(5)])
    concept = discover(bundle, reading, top=1).concepts[0]
    atom = reading.lens_model.dictionary[bundle.texts.index(concept.text)]
    shares = text_shares(reading, atom[None])[:, :, 1:]
    expected = diffuse(shares, reading.affinity)[0, 0]
    torch.testing.assert_close(concept.patches.flatten(), expected, rtol=1e-3, atol=1e-6)


def test_near_texts_join_the_stronger_one() -> None:
    atoms = np.array([[1, 0], [0.9, 0.436], [0, 1], [0.95, -0.312], [-1, 0]], np.float32)
    scores = torch.tensor([0.5, 0.9, 0.7, 0.1, -1.0])
    maps = torch.diag(scores)  # each on a patch of its own
    found = rank_concepts(maps, 9, atoms)
    assert [(one.place, one.joined) for one in found] == [(1, [0, 3]), (2, [])]
    assert [one.score for one in found] == pytest.approx([0.9, 0.7])
    assert rank_concepts(maps, 1, atoms) == found[:1]
    assert [one.place for one in rank_concepts(maps, 9)] == [1, 2, 0, 3]
    assert rank_concepts(-torch.ones(5, 5), 3, atoms) == []


def test_a_second_object_comes_before_the_firsts_further_names() -> None:
    first, second = torch.zeros(20), torch.zeros(20)
    first[:6], second[12:16] = 1.0, 0.8
    maps = torch.stack([first, 0.95 * first, 0.9 * first, second])
    found = rank_concepts(maps, 4)
    assert [one.place for one in found] == [0, 3, 1, 2]
    assert [one.score for one in found] == pytest.approx([1, 0.8, 0.95 * 0.5, 0.9 * 0.25])


def test_near_scores_join_the_stronger_one() -> None:
    atoms = np.array([[1, 0], [0.9, 0.436], [0, 1], [0.95, -0.312], [-1, 0]], np.float32)
    scores = np.array([0.5, 0.9, 0.7, 0.1, -1.0])
    assert join_near(atoms, scores, 9) == [(1, [0, 3]), (2, [])]
    assert join_near(atoms, scores, 1) == [(1, [0, 3])]
    assert join_near(atoms, -np.ones(5), 3) == []


def test_effects_beyond_the_bundles_pictures_are_said_to_be_and_come_last(bundle: Bundle) -> None:
    """A bug: a neuron seldom driven led the list, thousands of times its threshold."""
    reading = read(open_lens_model(bundle), [draw("red", "circle")])
    rows = significant_rows(bundle, reading.effects[0])
    assert len(rows) > 4
    largest = np.abs(reading.effects[0])
    beyond = set(rows[:2])
    norms = [size / 2 if row in beyond else 2 * size for row, size in enumerate(largest)]
    altered = replace(bundle, path=bundle.path)
    altered.__dict__["neurons"] = bundle.neurons.assign(max_norm=norms)
    found = discover(altered, reading, neurons=len(rows))
    assert [neuron.row for neuron in found.neurons] == [*rows[2:], *rows[:2]]
    assert [neuron.row for neuron in found.neurons if not neuron.comparable] == rows[:2]
    plain = discover(bundle, reading, neurons=len(rows))
    assert [one.text for one in found.concepts] == [one.text for one in plain.concepts]
    listed = found.as_dict()["neurons"]
    assert [neuron["comparable"] for neuron in listed] == [True] * (len(rows) - 2) + [False] * 2


def test_a_picture_without_significant_neurons_has_no_concepts(bundle: Bundle) -> None:
    reading = read(open_lens_model(bundle), [draw("red", "circle")])
    quiet = replace(bundle, path=bundle.path)
    quiet.__dict__["neurons"] = bundle.neurons.assign(threshold=1e9)
    found = discover(quiet, reading, top=3, neurons=2)
    assert found.concepts == []
    assert found.significant == 0
    assert [neuron.significant for neuron in found.neurons] == [False, False]
    with pytest.raises(InputError, match="at least one"):
        discover(bundle, reading, top=0)

"""Maps in which texts compete: against the formula in loops, and what may not change them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from explorer.bundle import Bundle
from explorer.picture import competition
from explorer.picture.competition import (
    NAMING_TEMPERATURE,
    RELATED,
    TEMPERATURE,
    named_shares,
    won,
)
from explorer.picture.heatmaps import grounded, heatmaps
from explorer.picture.maps import concept_maps, token_vectors
from explorer.picture.model import LensModel, open_lens_model
from explorer.picture.reading import Reading, read
from explorer.picture.settings import EXACT, MapSettings
from tests.support.tiny import tiny_images

TEXTS = ["red circle", "blue square", "triangle"]
FEW = MapSettings(neurons=20)  # the tiny model has 128 a layer


@pytest.fixture(scope="module")
def lens_model(tiny_bundle: Path) -> LensModel:
    return open_lens_model(Bundle.open(tiny_bundle))


@pytest.fixture(scope="module")
def reading(lens_model: LensModel) -> Reading:
    return read(lens_model, tiny_images(3))


def with_dictionary(reading: Reading, dictionary: Tensor) -> Reading:
    return read(replace(reading.lens_model, dictionary=dictionary), reading.images)


def patch_vectors(reading: Reading) -> Tensor:
    """[image, patch, embed], spread over alike patches, unit norm."""
    spread = reading.affinity @ token_vectors(reading)[:, 1:]
    return spread / spread.norm(dim=2, keepdim=True)


def test_the_map_is_the_activation_times_what_the_text_wins(
    reading: Reading, lens_model: LensModel
) -> None:
    vectors = patch_vectors(reading).double().numpy()
    dictionary = lens_model.dictionary.double().numpy()
    directions = lens_model.text_directions(TEXTS).double().numpy()
    active = grounded(heatmaps(reading, TEXTS, "activation", FEW), "activation").flatten(2).numpy()
    expected = np.empty_like(active)
    for image, text, patch in np.ndindex(*active.shape):
        own = np.exp(vectors[image, patch] @ directions[text] / TEMPERATURE)
        others = sum(
            np.exp(vectors[image, patch] @ other / TEMPERATURE)
            for other in dictionary
            if other @ directions[text] < RELATED
        )
        expected[image, text, patch] = active[image, text, patch] * own / (own + others)
    found = heatmaps(reading, TEXTS, "competing", FEW).flatten(2).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_without_a_dictionary_every_text_wins(reading: Reading) -> None:
    alone = with_dictionary(reading, reading.lens_model.dictionary[:0])
    found = heatmaps(alone, TEXTS, "competing", FEW)
    active = heatmaps(reading, TEXTS, "activation", FEW)
    torch.testing.assert_close(found, grounded(active, "activation"))


def test_synonyms_take_nothing_away(reading: Reading, lens_model: LensModel) -> None:
    directions = lens_model.text_directions(TEXTS[:1])
    others = lens_model.dictionary[lens_model.dictionary @ directions[0] < RELATED]
    alone = with_dictionary(reading, others)
    near = torch.nn.functional.normalize(directions + 0.2 * others[:1], dim=1)
    beside = with_dictionary(reading, torch.cat([others, directions, near]))
    assert float(near[0] @ directions[0]) > RELATED
    torch.testing.assert_close(won(beside, directions, EXACT), won(alone, directions, EXACT))


def test_a_text_that_a_patch_fits_better_takes_that_patch_away(
    reading: Reading, lens_model: LensModel
) -> None:
    directions = lens_model.text_directions(TEXTS[:1])
    vectors = patch_vectors(reading)[0]
    place = int((vectors @ directions[0]).argmin())  # its rival is no relative of the text
    none = with_dictionary(reading, reading.lens_model.dictionary[:0])
    rival = with_dictionary(reading, vectors[place : place + 1])
    lost = (won(none, directions, EXACT) - won(rival, directions, EXACT))[0, 0]
    fits = vectors @ vectors[place]
    assert int(lost.argmax()) == int((fits - vectors @ directions[0]).argmax())
    assert float(lost.min()) > 0
    assert float(lost[place]) > 0.99


def test_what_is_asked_beside_a_text_does_not_change_its_map(reading: Reading) -> None:
    together = heatmaps(reading, TEXTS, "competing", FEW)
    for place, text in enumerate(TEXTS):
        alone = heatmaps(reading, [text], "competing", FEW)
        torch.testing.assert_close(alone[:, 0], together[:, place])


def test_large_dictionaries_are_taken_in_parts(
    reading: Reading, lens_model: LensModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    directions = lens_model.text_directions(TEXTS)
    whole = won(reading, directions, EXACT)
    assert 0 < float(whole.min()) < float(whole.max()) < 1
    monkeypatch.setattr(competition, "AT_ONCE", 3)
    assert len(lens_model.dictionary) > 6
    torch.testing.assert_close(won(reading, directions, EXACT), whole)


def test_concepts_share_what_each_patch_is_named(
    reading: Reading, lens_model: LensModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of a dictionary's texts together win each patch once."""
    atoms = lens_model.dictionary
    for image in range(len(reading.images)):
        found = named_shares(reading, atoms, image)
        won_there = found / concept_maps(reading, atoms, image)
        torch.testing.assert_close(won_there.sum(dim=0), torch.ones(found.shape[1]))
        fits = patch_vectors(reading)[image] @ atoms.T
        expected = torch.softmax(fits / NAMING_TEMPERATURE, dim=1).T
        torch.testing.assert_close(won_there, expected, rtol=1e-3, atol=1e-6)
        some = named_shares(reading, atoms[2:5], image)
        torch.testing.assert_close(some, found[2:5])  # those that are not asked compete too
    monkeypatch.setattr(competition, "AT_ONCE", 3)
    torch.testing.assert_close(named_shares(read(lens_model, reading.images), atoms, image), found)

"""One reading of a picture for all: effects, maps, search and audits speak of the same pixels."""

from __future__ import annotations

import gc
import io
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from explorer.attack import audit as attack_audit
from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.kept import kept
from explorer.lens.models import encode_images
from explorer.lens.texts import embed_texts
from explorer.picture.model import open_lens_model
from explorer.picture.reading import embed_pictures, neuron_shares
from explorer.picture.settings import SegmentSettings
from explorer.picture.study import MOST_SEGMENTATIONS, Study
from explorer.search.texts import text_directions, text_embeddings
from explorer.ui.data import studies
from explorer.ui.data.loaders import View
from explorer.ui.widgets.picture_choice import ChosenPicture

SHAPES = {"square": (60, 60), "3:1": (150, 50), "1:3": (50, 150)}


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.open(tiny_bundle)


def long_picture(size: tuple[int, int]) -> Image.Image:
    """Different things at the two ends, which a centre crop would not see."""
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((2, 2, 40, 40), fill="red")
    pen.rectangle((size[0] - 40, size[1] - 40, size[0] - 3, size[1] - 3), fill="blue")
    return picture


@pytest.mark.parametrize("shape", SHAPES)
def test_every_neurons_effect_is_the_sum_of_its_map(bundle: Bundle, shape: str) -> None:
    study = Study.of(bundle, long_picture(SHAPES[shape]))
    effects = torch.from_numpy(study.effects)
    layers = bundle.neurons["layer"].to_numpy()
    for layer in study.lens_model.layers:
        rows = np.flatnonzero(layers == layer)
        shares = neuron_shares(study.reading(), layer, range(len(rows)))[0]
        torch.testing.assert_close(shares.sum(dim=1), effects[rows], rtol=1e-3, atol=1e-5)
        patches = study.neuron_maps([int(row) for row in rows])
        torch.testing.assert_close(patches.flatten(1), shares[:, 1:])
    alive = effects.abs() > 1e-4
    assert alive.sum() > 100
    listed = study.discovery(neurons=5).neurons
    assert [neuron.effect for neuron in listed] == [study.effects[neuron.row] for neuron in listed]


@pytest.mark.parametrize("shape", ["3:1", "1:3"])
def test_an_audit_and_an_embedding_see_the_whole_picture(bundle: Bundle, shape: str) -> None:
    picture = long_picture(SHAPES[shape])
    study = Study.of(bundle, picture)
    pair = tuple(text_embeddings(bundle, ["red circle", "blue square"]))
    found = attack_audit.audit(bundle, picture, "red circle", "blue square", pair)
    for pusher in found.neurons:
        row = bundle.row(pusher.layer, pusher.neuron)
        assert pusher.effect == pytest.approx(float(study.effects[row]), rel=1e-4, abs=1e-6)
    lens_model = study.lens_model
    embedding = embed_pictures(lens_model, [picture])[0]
    output = torch.nn.functional.normalize(study.reading().trace.representation[0], dim=0)
    torch.testing.assert_close(embedding, output, rtol=1e-3, atol=1e-5)
    assert found.before[0] == pytest.approx(float(output @ torch.from_numpy(pair[0])), abs=1e-4)
    cropped = encode_images(lens_model.loaded, [picture])[0]
    assert float(embedding @ cropped) < 0.999  # the crop is another picture


def test_a_path_is_no_picture(bundle: Bundle) -> None:
    with pytest.raises(InputError, match=r"got a str: open it first, with PIL\.Image\.open"):
        Study.of(bundle, "photo.jpg")  # type: ignore[arg-type]


def test_everything_of_a_study_is_made_once(bundle: Bundle) -> None:
    study = Study.of(bundle, long_picture((90, 60)))
    assert study.reading() is study.reading("pad")
    assert study.reading("tile") is study.reading("tile") is not study.reading()
    assert len(study.reading("tile").images) > 1
    assert study.presence() is study.presence()
    assert study.patches is study.patches
    assert study.discovery() is study.discovery(12, 12)
    first = study.segment(["red"])
    assert study.segment(["red", "red"]) is first
    for number in range(MOST_SEGMENTATIONS):
        study.segment(["red"], SegmentSettings(threshold=number / 100))
    assert study.segment(["red"]) is not first  # no more are kept than said
    with pytest.raises(InputError, match="'crop'"):
        study.segment(["red"], SegmentSettings(fit="crop"))
    with pytest.raises(InputError, match="crop it until"):
        Study.of(bundle, Image.new("RGB", (900, 4)))


def test_methods_asked_together_share_one_explained_pass(bundle: Bundle) -> None:
    reading = Study.of(bundle, long_picture((60, 60))).reading()
    with reading.sharing():
        one = weakref.ref(reading.explained)
        assert reading.explained is one()
    gc.collect()
    assert one() is None  # a graph of gradients is not kept with a session's picture
    assert reading.explained is not None


def test_methods_asked_together_share_the_moved_readings(bundle: Bundle) -> None:
    reading = Study.of(bundle, long_picture((60, 60))).reading()
    assert reading.moved(0, 0) is reading
    with reading.sharing():
        one = weakref.ref(reading.moved(3, 0))
        assert reading.moved(3, 0) is one()
        assert reading.moved(0, 3) is not one()
    gc.collect()
    assert one() is None


def test_what_is_derived_from_a_bundle_goes_with_it(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    opened = weakref.ref(open_lens_model(bundle))
    assert open_lens_model(bundle) is opened()
    assert kept(bundle, "lens model", lambda: pytest.fail("made twice")) is opened()
    del bundle
    gc.collect()
    assert opened() is None


def test_texts_come_from_the_dictionary_or_the_model(bundle: Bundle) -> None:
    texts = ["red circle", "a word that no dictionary has", "Red Circle"]
    found = text_embeddings(bundle, texts)
    row = bundle.dictionary.index_of("red circle")
    assert (found[0] == bundle.text_embeddings[row].astype(np.float32)).all()
    assert (found[2] == found[0]).all()
    live = embed_texts(bundle.model, [texts[1]])[0].numpy()
    assert (found[1] == live).all()
    np.testing.assert_allclose(
        text_directions(bundle, texts[1:2])[0],
        open_lens_model(bundle).text_directions([texts[1]])[0].numpy(),
        atol=1e-6,
    )


@pytest.mark.parametrize("shape", ["3:1", "1:3"])
def test_a_picture_tried_on_any_page_has_one_effect(bundle: Bundle, shape: str) -> None:
    """What the Neuron, Compare and Search pages show is what the Image page sums."""
    view = View("tiny", bundle)
    buffer = io.BytesIO()
    long_picture(SHAPES[shape]).save(buffer, "PNG")
    chosen = ChosenPicture("long.png", data=buffer.getvalue())
    study = studies.study(view, chosen.picture(view))
    effects = chosen.effects(view)
    strongest = np.argsort(-np.abs(effects))[:50]
    for row in (int(row) for row in strongest):
        layer, neuron = view.place(row)
        whole = float(neuron_shares(study.reading(), layer, [neuron]).sum())
        assert float(effects[row]) == pytest.approx(whole, rel=1e-3, abs=1e-5)
    assert studies.study(view, chosen.picture(view)) is study  # read once for all pages

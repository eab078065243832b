"""The Image page through AppTest: each parameter set, absent and wrong; its widgets and maps."""

from __future__ import annotations

import io
import json
import os
import platform
import re
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import numpy as np
import pytest
from PIL import Image
from streamlit.runtime.uploaded_file_manager import DeletedFile
from streamlit.testing.v1 import AppTest

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.formats import file_stem
from explorer.picture import painting
from explorer.picture.discover import neuron_maps, significant_rows
from explorer.picture.maps import concept_maps
from explorer.picture.methods import METHODS
from explorer.picture.patches import Patch, strongest_at_patches
from explorer.picture.presence import Presence
from explorer.picture.study import Study
from explorer.ui.address import address
from explorer.ui.core import glossary
from explorer.ui.data import own_pictures
from explorer.ui.data.image_query import MOST_SHOWN, ImageQuery, read_query, split_texts
from explorer.ui.data.loaders import View
from explorer.ui.html import maps, shots
from explorer.ui.image import parts as image_parts
from explorer.ui.image import sections as image
from explorer.ui.image import source as image_source
from explorer.ui.image import views as image_views
from explorer.ui.image.accuracy import accuracy
from tests.conftest import draw
from tests.support.app import html_of, run_page

ROOT = Path(__file__).parents[2]
LISTED = r'<li><span class="muted">([^<]*)</span>'


def run(through_app: bool = False, /, **params: str) -> AppTest:
    return run_page("image", through_app, **params)


CASES = [
    ({}, "Example 1", None),
    ({"bundle": "tiny"}, "Concepts discovered", None),
    ({"bundle": "nowhere"}, "Example 1", "There is no bundle “nowhere”"),
    ({"scene": "3"}, "Example 4", None),
    ({"scene": "77"}, "Example 1", "There is no scene “77”"),
    ({"image": "3"}, "Picture 3: green", None),
    ({"image": "40"}, "Example 1", "There is no image “40”"),
    ({"image": "x"}, "Example 1", "There is no image “x”"),
    ({"image": "3", "scene": "2"}, "Picture 3", None),
    ({"texts": "red,blue"}, "Where “blue” comes from", None),
    ({"texts": " , "}, "Where “", None),
    ({"view": "mask"}, "The picture, segmented", None),
    ({"view": "methods"}, "Attention rollout", None),
    ({"view": "difference", "texts": "red,blue"}, "“red” against “blue”", None),
    ({"view": "difference", "texts": "red"}, "Enter two texts", None),
    ({"view": "film"}, "Where “", "“film” is not a value for “view”"),
    ({"method": "legrad"}, "Where “", None),
    ({"method": "magic"}, "Where “", "“magic” is not a value for “method”"),
    ({"scale": "shared"}, "Where “", None),
    ({"scale": "log"}, "Where “", "“log” is not a value for “scale”"),
    ({"fit": "tile"}, "Where “", None),
    ({"fit": "crop"}, "Where “", "“crop” is not a value for “fit”"),
    ({"form": "exact"}, "Where “", None),
    ({"form": "fine"}, "Where “", None),
    ({"form": "raw"}, "Where “", "“raw” is not a value for “form”"),
    ({"opacity": "35"}, "Where “", None),
    ({"opacity": "x"}, "Where “", "“x” is not a valid opacity"),
    ({"opacity": "4"}, "Where “", "write a percentage from 10 to 100"),
    ({"opacity": "33"}, "Where “", None),
    ({"own": "1"}, "it was kept in their session only", "Upload it here"),
    ({"own": "1", "scene": "2"}, "Example 3", None),
    ({"view": "methods", "texts": "red,blue", "first": "1"}, "“blue” by every method", None),
    ({"view": "methods", "texts": "red,blue", "first": "7"}, "“blue” by every method", None),
    (
        {"view": "difference", "texts": "red,blue,dog", "first": "2", "second": "0"},
        "“dog” against “red”",
        None,
    ),
    (
        {"view": "difference", "texts": "red,blue", "first": "1"},
        "“blue” against “red”",
        None,
    ),
    ({"first": "9"}, "Where “", "write a number from 0 to 7"),
    ({"second": "x"}, "Where “", "write a number from 0 to 7"),
    ({"threshold": "20", "view": "mask"}, "above 20 %", None),
    ({"threshold": "200"}, "Where “", "“200” is not a valid threshold"),
    ({"neuron": "1.5"}, "Layer 1 · Neuron 5 on this picture", None),
    ({"neuron": "1.900"}, "Where “", "choose 0 to 127"),
    ({"neuron": "five"}, "Where “", "is not a neuron"),
]


RUNS = [(False, *case) for case in CASES] + [
    (True, *case) for case in CASES if case[2] or len(case[0]) < 1
]


@pytest.mark.parametrize(("through_app", "params", "shown", "problem"), RUNS)
def test_page_shows_what_its_address_says(
    through_app: bool, params: dict[str, str], shown: str, problem: str | None
) -> None:
    html = html_of(run(through_app, **params))
    assert shown in html
    notices = [part for part in html.split('class="notice"')[1:] if "Low confidence" not in part]
    assert len(notices) == (problem is not None)
    if problem:
        assert problem in notices[0]


def test_first_texts_are_the_pictures_labels(view: View) -> None:
    app = run(image="3")
    assert app.text_input(key="_texts").value == view.labels[3]
    assert f'alt="Where “{view.labels[3]}” comes from"' in html_of(app)


def test_widgets_write_the_address(view: View) -> None:
    app = run(image="3")
    app.text_input(key="_texts").set_value("red, circle,red").run()
    assert app.query_params["texts"] == "red,circle"
    app.segmented_control(key="_view").set_value("mask").run()
    assert app.query_params["view"] == "mask"
    app.slider(key="_threshold").set_value(15).run()
    assert app.query_params["threshold"] == "15"
    app.selectbox(key="_method").set_value("attention").run()
    app.slider(key="_opacity").set_value(50).run()
    assert not app.exception
    assert dict(app.query_params) == {
        "bundle": "tiny",
        "image": "3",
        "texts": "red,circle",
        "view": "mask",
        "threshold": "15",
        "method": "attention",
        "opacity": "50",
    }
    assert "above 15 %" in html_of(app)


def test_an_unchanged_text_stays_out_of_the_address() -> None:
    app = run(image="3")
    app.segmented_control(key="_view").set_value("mask").run()
    assert "texts" not in app.query_params


def test_neurons_and_concepts_link_to_their_pages(view: View) -> None:
    html = html_of(run(image="3"))
    found = Study.of(view.bundle, view.bundle.pictures.rgb(3)).discovery()
    for neuron in found.neurons:
        assert f"layer={neuron.layer}&amp;neuron={neuron.neuron}" in html
    for concept in found.concepts[:3]:
        assert concept.text in html
    assert html.count('data-page="image"') >= 10  # the examples
    assert html.count("<span></span>") == 15  # patches, but for the one that is outlined
    assert html.count('<span class="on"></span>') == 1


@pytest.mark.parametrize("comparable", [True, False])
def test_a_card_gives_no_multiple_of_what_cannot_be_compared(view: View, comparable: bool) -> None:
    found = Study.of(view.bundle, view.bundle.pictures.rgb(3)).discovery().neurons[0]
    shown = replace(found, comparable=comparable, strength=6871.3)
    card = image_parts.neuron_card(view, shown, Image.new("RGB", (4, 4)))
    assert ("6,871.3 × its threshold" in card) is comparable
    assert ("beyond anything among the bundle" in card) is not comparable


def test_likely_texts_are_looked_for_first_in_an_upload(view: View) -> None:
    app = run()
    picture = draw("blue", "square")
    app.file_uploader[0].set_value(("mine.png", png_of(picture), "image/png")).run()
    study = Study.of(view.bundle, picture)
    texts = study.likely(5)
    assert app.text_input(key="_texts").value == ", ".join(texts[:3])
    html = html_of(app)
    listed = re.findall(LISTED, html.split('class="likely"')[1].split("</ol>")[0])
    assert listed == list(texts)  # in grey: in this bundle texts fit no better than chance
    other = study.discovery().concepts[-1].text
    added = "%2C".join(quote_plus(text) for text in dict.fromkeys([*texts[:3], other]))
    assert f"texts={added}" in html  # the way to one more map, beside the others
    assert "own=1" in html


def test_a_picture_unlike_the_bundles_is_said_to_be(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    for answer in (True, False):
        monkeypatch.setattr(Presence, "unfamiliar", lambda self, bundle, said=answer: said)
        assert (image_parts.UNFAMILIAR in html_of(run(image="3"))) is answer


def test_of_several_objects_the_measured_rate_stands_in_place_of_a_warning(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Presence, "unfamiliar", lambda self, bundle: True)
    examples = image_source.example_scenes(view)
    several = next(n for n, example in enumerate(examples) if len(example.labels) > 1)
    assert len(examples[0].labels) == 1  # what is read best comes first
    assert image_parts.UNFAMILIAR in html_of(run(scene="0"))
    html = html_of(run(scene=str(several)))
    assert image_parts.UNFAMILIAR not in html
    assert "Of several objects no text stands for all" in html


def test_the_rate_is_that_of_the_scenes_set(view: View) -> None:
    picture = view.bundle.pictures.rgb(3)
    name = "photographic, multiple"
    source = image_source.Source("x", picture, (9, 9), ("a", "b"), "scene", name)
    assert "such scenes" not in image_parts.unfamiliar(view, source)
    rates = {"scenes": 0.7, "named": 0.4, "named_elsewhere": 0.47}
    measured = {key: {"value": rate, "interval": None, "count": 9} for key, rate in rates.items()}
    object.__setattr__(
        view.bundle.manifest, "evidence", {"discovery": {name: {"unfamiliar": measured}}}
    )
    said = image_parts.unfamiliar(view, source)
    assert "in 70 % of such scenes; ten concepts name 40 % of the objects in these, 47 %" in said


def test_measured_rates_stand_beside_what_is_discovered(view: View) -> None:
    assert image_parts.hit_rates(view) == ""
    rate = {"concepts": {"hit@10": {"mean": 0.5}}}
    measured = {"discovery": {"pictogram, single": rate, "pictogram, multiple": rate}}
    object.__setattr__(view.bundle.manifest, "evidence", measured)
    assert image_parts.hit_rates(view).count("50 %") == 2
    photographs = {"photographic, single": rate, "photographic, multiple": rate}
    object.__setattr__(
        view.bundle.manifest, "evidence", {"discovery": measured["discovery"] | photographs}
    )
    assert image_parts.hit_rates(view).count("50 %") == 4


def scored(**precisions: float) -> dict[str, Any]:
    methods = {
        name: {"refined": {"foreground_average_precision": {"value": value, "interval": None}}}
        for name, value in precisions.items()
    }
    return {"segmentation": {"sets": {"pictogram, multiple": {"methods": methods}}}}


def test_the_precision_of_maps_stands_beside_the_best_and_a_blind_method(view: View) -> None:
    query = ImageQuery(method="legrad", texts=("red",), threshold=20)
    assert accuracy(view, query) == ""
    evidence = scored(legrad=0.723, attention=0.31, competing=0.784, retired=0.99)
    object.__setattr__(view.bundle.manifest, "evidence", evidence)
    said = accuracy(view, query)
    assert "average precision of 0.72; a map that never reads the text, 0.31" in said
    assert METHODS["competing"].title in said
    assert "texts=red&amp;method=competing" in said or "method=competing&amp;texts=red" in said
    assert "threshold" not in said  # it is another method's
    assert "retired" not in said
    assert "No other method" in accuracy(view, replace(query, method="competing"))
    assert accuracy(view, replace(query, form="fine")) == ""  # measured in no such form
    without_blind = scored(legrad=0.7, textspan=0.6)  # attention is not measured in every form
    object.__setattr__(view.bundle.manifest, "evidence", without_blind)
    assert "precision of 0.70. No other method" in accuracy(view, query)
    object.__setattr__(view.bundle.manifest, "evidence", scored(legrad=0.7))
    assert accuracy(view, query) == ""
    object.__setattr__(view.bundle.manifest, "evidence", {"segmentation": {"sets": [1]}})
    assert accuracy(view, query) == ""


def test_every_state_has_an_address(view: View) -> None:
    usual = ImageQuery()
    for change in (
        {"image": 7},
        {"scene": 2},
        {"texts": ("a b", "c")},
        {"method": "rollout"},
        {"view": "mask"},
        {"scale": "shared"},
        {"fit": "tile"},
        {"form": "exact"},
        {"form": "fine"},
        {"opacity": 30},
        {"threshold": 0},
        {"neuron": (2, 9)},
        {"own": True},
        {"first": 3, "second": 0},
    ):
        query = replace(usual, **change)
        assert read_query(query.params(), view) == (query, [])
    assert usual.params() == {}
    assert replace(usual, image=3, texts=("a",), view="mask").elsewhere().params() == {
        "view": "mask"
    }


def test_texts_are_split_at_commas() -> None:
    assert split_texts(" a  b, c,,a b , ") == ("a b", "c")
    assert len(split_texts(",".join(str(n) for n in range(50)))) == MOST_SHOWN
    assert split_texts("") == ()


def test_examples_are_the_same_in_every_session_and_apart_from_tests(view: View) -> None:
    found = image_source.example_scenes(view)
    assert len(found) == 10
    again = image_source.example_scenes(View("tiny", Bundle.open(view.bundle.path)))
    for one, other in zip(found, again, strict=True):
        assert one.labels == other.labels
        assert (np.asarray(one.picture) == np.asarray(other.picture)).all()
    assert len({example.picture.tobytes() for example in found}) == 10
    assert image_source.example_scenes(view) is found


def test_uploads_become_sources_or_one_sentence() -> None:
    buffer = io.BytesIO()
    draw("red", "circle").resize((50, 20)).save(buffer, "PNG")
    source = image_source.uploaded(buffer.getvalue(), "<b>mine</b>.png")
    assert source.size == (50, 20)
    assert source.picture.mode == "RGB"
    assert source.suggested == ()
    with pytest.raises(InputError, match="not a readable picture"):
        image_source.uploaded(b"nothing", "x")


def test_patches_name_what_is_strongest_there(view: View) -> None:
    """Against sums over all significant neurons and all texts of their sets, one by one."""
    bundle = view.bundle
    reading = Study.of(bundle, bundle.pictures.rgb(3)).reading()
    patches = strongest_at_patches(bundle, reading, top=2)
    rows = significant_rows(bundle, reading.effects[0])
    shares = neuron_maps(bundle, reading, rows)
    texts = sorted({int(i) for i in bundle.concept_ids[rows].ravel() if i >= 0})
    maps = concept_maps(reading, reading.lens_model.dictionary[texts]).unflatten(1, (4, 4))
    for row, column in ((0, 0), (1, 3)):
        patch = patches[row][column]
        best = int(shares[:, row, column].abs().argmax())
        assert patch.neurons[0] == (rows[best], pytest.approx(float(shares[best, row, column])))
        assert len(patch.neurons) == 2
        strongest = int(maps[:, row, column].argmax())
        if maps[strongest, row, column] > 0:
            name, value = patch.concepts[0]
            assert name == bundle.texts[texts[strongest]]
            assert value == pytest.approx(float(maps[strongest, row, column]))
        assert all(value > 0 for _, value in patch.concepts)


def test_patches_without_significant_neurons_say_nothing(view: View) -> None:
    reading = Study.of(view.bundle, view.bundle.pictures.rgb(3)).reading()
    quiet = replace(view.bundle, path=view.bundle.path)
    quiet.__dict__["neurons"] = view.bundle.neurons.assign(threshold=1e9)
    patches = strongest_at_patches(quiet, reading)
    assert {patch for line in patches for patch in line} == {Patch((), ())}


def test_the_patch_reader_lies_over_the_picture_and_carries_its_texts(view: View) -> None:
    picture = view.bundle.pictures.rgb(3).resize((60, 30))
    source = image_source.Source("<b>", picture, (120, 60), (), "upload")
    study = Study.of(view.bundle, picture)
    patches = study.patches
    html = image_parts.patch_reader(view, source, study)
    said = json.loads(unescape(html.split('data-patches="')[1].split('"')[0]))
    assert said["grid"] == [4, 4]
    assert len(said["cells"]) == 16
    for cell, patch in zip(said["cells"], [p for line in patches for p in line], strict=True):
        named = [said["texts"][place] for place, _ in cell[0]]
        assert named == [text for text, _ in patch.concepts]
        rows = [view.bundle.row(*said["neurons"][place][:2]) for place, _ in cell[1]]
        assert rows == [row for row, _ in patch.neurons]
    cells = re.findall(r'<span( class="on")?></span>', html)
    assert len(cells) == 16
    at = cells.index(' class="on"')
    assert f'data-at="{at}"' in html
    assert 'alt="&lt;b&gt;"' in html
    readout = html.split('class="readout unsure"')[
        1
    ]  # of the strongest patch, before any is pointed at
    strongest = max(
        (patch for line in patches for patch in line),
        key=lambda patch: patch.concepts[0][1] if patch.concepts else 0,
    )
    named = re.findall(LISTED, readout.split("</ol>")[0])
    assert named == [text for text, _ in strongest.concepts]
    assert patches[at // 4][at % 4] == strongest
    numbers = re.findall(r'<span class="muted num">([^<]*)</span>', readout)
    shares = [share for _, share in (*strongest.concepts, *strongest.neurons)]
    assert numbers == [glossary.effect(share) for share in shares]  # as below the maps
    assert [said["cells"][at][kind][0][1] for kind in (0, 1)] == [
        glossary.effect(found[0][1]) for found in (strongest.concepts, strongest.neurons)
    ]
    assert "120 × 60 pixels" in html
    assert "aspect-ratio:60/30" in html
    assert "top:-50.000%" in html  # the window reaches above and below a landscape picture
    assert "height:200.000%" in html


def test_previews_keep_the_shape() -> None:
    assert shots.preview_size((2000, 1000)) == (480, 240)
    assert shots.preview_size((100, 50)) == (100, 50)


def test_markup_in_texts_is_escaped() -> None:
    evil = '<img src=x onerror="alert(1)">'
    html = html_of(run(image="3", texts=evil))
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html
    assert "<img" not in maps.doubts([evil])
    shown = shots.shot(Image.new("RGB", (4, 4)), evil)
    assert shown.count("<img") == 1


def png_of(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def test_an_upload_takes_the_addresss_place_until_it_is_cleared() -> None:
    app = run(image="3", texts="red", view="mask")
    sent = ("mine.png", png_of(draw("blue", "square").resize((90, 45))), "image/png")
    app.file_uploader[0].set_value(sent).run()
    assert not app.exception
    html = html_of(app)
    assert "<h2>mine.png</h2>" in html
    assert "90 × 45 pixels" in html
    assert app.query_params.get("view") == "mask"
    assert "image" not in app.query_params
    assert app.text_input(key="_texts").value != "red"
    app.text_input(key="_texts").set_value("red, blue").run()
    assert "<h2>mine.png</h2>" in html_of(app)
    next(b for b in app.button if b.label == "Clear my picture").click().run()
    assert not app.exception
    assert "<h2>Example 1</h2>" in html_of(app)
    assert app.file_uploader[0].value is None


def test_an_upload_is_there_again_after_another_page() -> None:
    app = run(True)
    app.file_uploader[0].set_value(("mine.png", png_of(draw("blue", "square")), "image/png")).run()
    app.text_input(key="_texts").set_value("red, blue").run()
    asked = dict(app.query_params)
    assert asked["own"] == "1"
    app.switch_page(address.PAGES["neurons"]).run()
    app.switch_page(address.PAGES["image"])
    for key, value in asked.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    html = html_of(app)
    assert "<h2>mine.png</h2>" in html
    assert image.GONE not in html
    assert app.text_input(key="_texts").value == "red, blue"
    next(b for b in app.button if b.label == "Clear my picture").click().run()
    assert "<h2>Example 1</h2>" in html_of(app)
    assert not app.session_state[own_pictures.PICTURES]


def test_an_address_without_a_picture_leads_to_ones_own_and_says_so() -> None:
    app = run(True)
    app.file_uploader[0].set_value(("mine.png", png_of(draw("blue", "square")), "image/png")).run()
    app.switch_page(address.PAGES["neurons"]).run()
    app.switch_page(address.PAGES["image"]).run()
    assert "<h2>mine.png</h2>" in html_of(app)
    app.text_input(key="_texts").set_value("red").run()
    assert app.query_params["own"] == "1"
    app.query_params["scene"] = "2"
    app.run()
    assert "<h2>Example 3</h2>" in html_of(app)


def test_one_picture_is_kept_and_an_emptied_widget_keeps_none() -> None:
    app = run()
    for name in ("one.png", "two.png"):
        app.file_uploader[0].set_value((name, png_of(draw("blue", "square")), "image/png")).run()
        assert [own.name for own in app.session_state[own_pictures.PICTURES].values()] == [name]
    app.file_uploader[0].set_value(None).run()
    assert not app.exception
    assert not app.session_state[own_pictures.PICTURES]
    assert "<h2>Example 1</h2>" in html_of(app)


def test_an_upload_is_written_nowhere(tmp_path: Path) -> None:
    """Everything this process opens for writing is listened to while an upload is studied."""
    written: list[object] = []
    listening = True

    def listen(event: str, args: tuple[object, ...]) -> None:
        if listening and event == "open" and args[0] != "/dev/null":
            path, mode, flags = args
            plain = isinstance(mode, str) and not set(mode) & set("wax+")
            if not plain and int(flags) & (os.O_WRONLY | os.O_RDWR):
                written.append(path)

    sys.addaudithook(listen)  # it cannot be taken back, so it stops listening at the end
    try:
        (tmp_path / "control").write_bytes(b"1")
        assert len(written) == 1, "what is written is heard of"
        app = run(texts="red, blue")
        sent = ("mine.png", png_of(draw("blue", "square").resize((90, 45))), "image/png")
        app.file_uploader[0].set_value(sent).run()
        assert "<h2>mine.png</h2>" in html_of(app)
        assert written[1:] == []
    finally:
        listening = False


def test_a_damaged_upload_is_one_sentence_and_no_study() -> None:
    app = run()
    app.file_uploader[0].set_value(("bad.png", b"\x89PNG\r\n\x1a\nxxxx", "image/png")).run()
    assert not app.exception
    html = html_of(app)
    assert html.count('class="notice"') == 1
    assert "Concepts discovered" not in html


def test_a_picture_too_long_to_see_is_one_sentence() -> None:
    app = run()
    app.file_uploader[0].set_value(
        ("long.png", png_of(Image.new("RGB", (1000, 10))), "image/png")
    ).run()
    assert not app.exception
    assert "20 times the short one" in html_of(app)


def test_methods_are_compared_with_the_doubts_about_their_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("explorer.picture.segment.DOUBTFUL", 2.0)  # above any confidence
    html = html_of(run(image="3", view="methods", texts="red,blue", first="1"))
    assert "Low confidence: “blue” is not much nearer" in html
    assert html.count("so the map may mean nothing") == 1


def test_without_texts_the_page_asks_for_some(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Study, "likely", lambda self, top: ())
    app = run()
    app.file_uploader[0].set_value(("x.png", png_of(draw("red", "circle")), "image/png")).run()
    assert "Type a text to look for" in html_of(app)


def test_a_bundle_too_small_for_scenes_shows_a_picture_of_its_own(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*args: object) -> None:
        raise InputError("too few")

    monkeypatch.setattr(image_source, "draw_scene", none)
    assert image_source._draw_scenes(view) == []
    monkeypatch.setattr(image_source, "example_scenes", lambda view: [])
    assert "Picture 0: " in html_of(run())


def test_tiles_open_their_picture_here(view: View) -> None:
    app = AppTest.from_file(str(ROOT / address.PAGES["neuron"]), default_timeout=60).run()
    number = int(view.bundle.top_images[view.bundle.row(2, 0), 0, 0])
    assert f'href="image?bundle=tiny&amp;image={number}"' in html_of(app)


def downloads_of(monkeypatch: pytest.MonkeyPatch, **params: str) -> dict[str, bytes]:
    """The files that the page offers, by their names."""
    made: dict[str, Callable[[], bytes | str]] = {}

    def keep(
        label: str, data: Callable[[], bytes | str], name: str, *rest: object, **more: object
    ) -> None:
        made[name] = data

    monkeypatch.setattr(image_views.st, "download_button", keep)
    html_of(run(**params))
    contents = {name: data() for name, data in made.items()}
    return {n: c.encode() if isinstance(c, str) else c for n, c in contents.items()}


def test_downloads_are_whole_files(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    found = downloads_of(monkeypatch, image="3", texts="red,blue")
    stem = file_stem(f"Picture 3: {view.labels[3]}", "picture")
    assert set(found) == {
        f"{stem}-overlays.zip", f"{stem}-labels.png", f"{stem}-maps.npz", f"{stem}-settings.json",
    }  # fmt: skip
    picture = view.bundle.pictures.rgb(3)
    expected = Study.of(view.bundle, picture).segment(["red", "blue"])
    with zipfile.ZipFile(io.BytesIO(found[f"{stem}-overlays.zip"])) as archive:
        assert archive.namelist() == ["1-where-red-comes-from.png", "2-where-blue-comes-from.png"]
        for place, name in enumerate(archive.namelist()):
            with Image.open(io.BytesIO(archive.read(name))) as overlay:
                strength = expected.strengths()[place].numpy()
                wanted = painting.paint(picture, strength, painting.colour_of(place))
                apart = np.asarray(overlay, np.int16) - np.asarray(wanted, np.int16)
                assert np.abs(apart).max() <= 1  # a map's last bit may round a colour elsewhere
    labels = np.asarray(Image.open(io.BytesIO(found[f"{stem}-labels.png"])))
    assert (labels == expected.labels()).all()
    arrays = np.load(io.BytesIO(found[f"{stem}-maps.npz"]))
    np.testing.assert_allclose(arrays["maps"], expected.maps().numpy(), rtol=1e-4, atol=1e-7)
    assert (arrays["labels"] == labels).all()
    facts = json.loads(found[f"{stem}-settings.json"])
    assert [text["text"] for text in facts["texts"]] == ["red", "blue"]
    assert facts["settings"]["method"] == "second-order"
    assert facts["bundle"]["identity"] == view.bundle.manifest.identity
    assert facts["versions"]["python"] == platform.python_version()
    assert facts["shown"]["address"] == "image?bundle=tiny&image=3&texts=red%2Cblue"
    assert facts["picture"]["name"] == f"Picture 3: {view.labels[3]}"


@pytest.mark.parametrize(
    ("params", "name", "files"),
    [
        ({"texts": "red"}, "-overlay.png", 1),
        ({"texts": "red,blue", "view": "mask"}, "-overlay.png", 1),
        ({"texts": "red,blue", "view": "difference"}, "-overlay.png", 1),
        ({"texts": "red,blue", "view": "methods"}, "-overlays.zip", len(METHODS)),
        ({"texts": "red", "view": "difference"}, "-labels.png", 1),
    ],
)
def test_overlays_are_what_is_shown(
    params: dict[str, str], name: str, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = downloads_of(monkeypatch, image="3", **params)
    data = next(content for key, content in found.items() if key.endswith(name))
    if files > 1:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert len(archive.namelist()) == files
    else:
        assert Image.open(io.BytesIO(data)).size == (40, 40)


def test_what_cannot_be_looked_for_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise InputError("These texts cannot be looked for.")

    monkeypatch.setattr(Study, "segment", refuse)
    assert "These texts cannot be looked for." in html_of(run(image="3"))


def test_a_file_that_the_server_has_no_more_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state: dict[str, object] = {"_upload": DeletedFile("a")}
    monkeypatch.setattr(own_pictures.st, "session_state", state)
    state[own_pictures.PICTURES] = {"image": own_pictures.OwnPicture("a.png", b"data")}
    assert not own_pictures.sent("image", "_upload")
    assert own_pictures.kept("image") is not None
    state["_upload"] = None
    assert not own_pictures.sent("image", "_upload")
    assert own_pictures.kept("image") is None

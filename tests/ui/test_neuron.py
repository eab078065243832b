"""The neuron page's deeper sections: heads, intervals, number of texts, downloads."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.bundle import Bundle
from explorer.bundle.pairs import pairs_of
from explorer.picture.model import open_lens_model
from explorer.picture.reading import neuron_shares, read
from explorer.ui.core import glossary
from explorer.ui.data import export, grouping, loaders
from explorer.ui.data.grouping import Picture
from explorer.ui.data.intervals import intervals
from explorer.ui.data.loaders import View
from explorer.ui.data.neuron import TABS, cut, head_shares, read_neuron
from explorer.ui.html.pictures import image
from explorer.ui.neuron import texts
from explorer.ui.neuron.downloads import vector_file
from explorer.ui.neuron.pairs import colour_of, coloured
from explorer.ui.widgets import neuron_maps
from tests.conftest import draw, png
from tests.support.app import html_of, run_page
from tests.support.told import SHARED, WORDS, unpaired


def test_intervals_hold_every_sampled_picture_once(view: View) -> None:
    row = view.bundle.row(1, 5)
    found = intervals(view, row)
    assert sum(interval.share for interval in found) == pytest.approx(1)
    effects = view.bundle.sample_effects[row] / view.neurons["scale"].iloc[row]
    for interval in found:
        inside = (effects >= interval.low) & (effects < interval.high)
        assert interval.share == pytest.approx(inside.mean())
        places = np.searchsorted(view.bundle.sample_images, interval.images)
        assert inside[places].all()
        assert (np.diff(effects[places]) <= 0).all()
    assert found[0].name == "above 4"
    assert found[-1].name == "below −4"


def test_heads_are_those_of_the_later_blocks(view: View) -> None:
    row = view.bundle.row(1, 5)
    blocks, table = head_shares(view, row)
    assert blocks == [2, 3]
    assert table.shape == (2, 2)
    assert table.sum() == pytest.approx(1, abs=5e-3)
    blocks, table = head_shares(view, view.bundle.row(2, 5))
    assert blocks == [3]
    assert table.sum() == pytest.approx(1, abs=5e-3)


def test_cut_sets_keep_the_first_texts_and_their_clusters(view: View) -> None:
    row = view.bundle.row(1, 5)
    whole = grouping.concept_clusters(view, row)
    kept = cut(view, row, whole, 3)
    texts = {concept.text for cluster in kept for concept in cluster.concepts}
    assert texts == {view.bundle.texts[i] for i in view.bundle.concept_ids[row, :3]}
    assert sum(cluster.share for cluster in kept) == pytest.approx(1)
    assert cut(view, row, whole, 8) is whole


@pytest.mark.parametrize(
    ("asked", "problem"),
    [("3", None), ("8", None), ("0", "choose 1 to 8"), ("99", "choose 1"), ("few", "“few” texts")],
)
def test_number_of_texts_comes_from_the_address(asked: str, problem: str | None) -> None:
    app = run_page("neuron", layer="1", neuron="5", texts=asked)
    html = html_of(app)
    assert html.count('class="notice"') == (problem is not None)
    assert (problem or "") in html
    assert app.slider[0].value == (8 if problem else int(asked))


def test_the_slider_writes_the_address() -> None:
    app = run_page("neuron", layer="1", neuron="5", pictures="grouped", more="texts")
    app.slider[0].set_value(2).run()
    assert not app.exception
    assert app.query_params["texts"] == "2"
    assert app.query_params["pictures"] == "grouped"
    app.slider[0].set_value(8).run()
    assert "texts" not in app.query_params


def test_the_page_draws_heads_and_intervals(view: View) -> None:
    html = html_of(run_page("neuron", layer="1", neuron="5"))
    assert "Most goes through head" in html
    assert "36 pictures drawn at random" not in html
    below = html_of(run_page("neuron", layer="1", neuron="5", more="effects"))
    assert "36 pictures drawn at random" in below


def test_an_untested_page_warns_of_texts_that_do_not_tell_the_pictures(
    view: View, untested_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(untested_bundle.parent))
    told = view.neurons["agreement"].to_numpy()
    for row in (int(told.argmin()), int(told.argmax())):
        layer, neuron = view.place(row)
        html = html_of(run_page("neuron", layer=str(layer), neuron=str(neuron)))
        assert ("where guessing gives 50 %" in html) == (told[row] < 0.6)
    assert told.min() < 0.6 <= told.max()


def test_the_vector_downloads_as_numpy(view: View) -> None:
    row = view.bundle.row(1, 5)
    loaded = np.load(io.BytesIO(vector_file(view, row)))
    assert loaded.dtype == np.float32
    assert np.array_equal(loaded, view.bundle.directions[row].astype(np.float32))


def test_the_page_offers_its_facts_vector_and_slide() -> None:
    app = run_page("neuron", layer="1", neuron="5", more="files")
    labels = [button.proto.label for button in app.get("download_button")]
    assert labels == ["Facts as JSON", "Direction as .npy", "Slide (PNG)"]


# --- where a neuron's effect comes from ---------------------------------------------------------


def test_the_switch_lays_maps_over_the_pictures(view: View) -> None:
    plain = html_of(run_page("neuron", layer="1", neuron="5"))
    app = run_page("neuron", layer="1", neuron="5", where="1", pictures="grouped")
    assert not app.exception
    mapped = html_of(app)
    assert "the patches from which the effect comes" in mapped
    first = image(view, int(view.bundle.top_images[view.bundle.row(1, 5), 0, 0]))
    source = first.split('"')[1]
    assert plain.count(source) == mapped.count(source) + 1
    app.toggle(key="_where").set_value(False).run()
    assert "where" not in app.query_params
    assert app.query_params["pictures"] == "grouped"


def test_maps_light_where_the_shares_are(view: View) -> None:
    row = view.bundle.row(1, 5)
    image = int(view.bundle.top_images[row, 0, 0])
    picture = Picture(image, float(view.bundle.top_effects[row, 0, 0]), -1, 0)
    (source,) = neuron_maps.overlays(view, row, [picture]).values()
    drawn = Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).convert("RGB")
    shown = view.bundle.pictures.rgb(image)
    assert max(drawn.size) == neuron_maps.SIDE
    opened = open_lens_model(view.bundle)
    shares = neuron_shares(read(opened, [shown]), 1, [5])[0, 0, 1:].unflatten(0, opened.grid)
    place = int(shares.argmax())
    row_, column = divmod(place, opened.grid[1])
    pixels = np.asarray(drawn, np.float32)
    blueness = pixels[..., 2] - pixels[..., 0]
    step = (blueness.shape[0] / opened.grid[0], blueness.shape[1] / opened.grid[1])
    middle = (int((row_ + 0.5) * step[0]), int((column + 0.5) * step[1]))
    assert blueness[middle] > np.quantile(blueness, 0.75)


def test_a_picture_is_tried_on_the_neuron(view: View) -> None:
    row = view.bundle.row(1, 5)
    image = int(view.bundle.top_images[row, 0, 0])
    html = html_of(run_page("neuron", layer="1", neuron="5", image=str(image)))
    effect = float(view.bundle.top_effects[row, 0, 0])
    assert glossary.effect(effect) in html
    sample = np.abs(np.asarray(view.bundle.sample_effects[row], np.float32))
    stated = re.search(rf"stronger than (\d+) of {len(sample)} random", html)
    assert stated
    # the picture itself is in the sample, rounded to half precision
    assert 0 <= int(stated[1]) - (sample < 0.999 * abs(effect)).sum() <= 1
    lost = html_of(run_page("neuron", layer="1", neuron="5", image="999"))
    assert "There is no picture “999”" in lost


def test_an_upload_is_tried_or_refused() -> None:
    app = run_page("neuron", layer="1", neuron="5", more="try")
    file = ("mine.png", png(draw("purple", "square")), "image/png")
    app.file_uploader(key="_upload").set_value([file]).run()
    assert not app.exception
    assert "mine.png" in html_of(app)
    app.file_uploader(key="_upload").set_value([("cat.png", b"nothing", "image/png")]).run()
    assert not app.exception
    assert "cat.png: The file is not a readable picture" in html_of(app)


def test_how_pictures_are_shown_is_kept_by_every_control() -> None:
    """A bug: choosing an order of the pictures dropped the number of texts and the maps."""
    given = {"layer": "1", "neuron": "5", "texts": "3", "image": "2", "pins": "2.7"}
    app = run_page("neuron", **given, more="pictures")
    app.segmented_control(key="_pictures").set_value("grouped").run()
    shown = {"bundle": "tiny", "pictures": "grouped"}
    assert app.query_params == given | shown | {"more": "pictures"}
    given |= shown | {"more": "texts"}
    app = run_page("neuron", **given)
    app.slider(key="_texts").set_value(2).run()
    assert app.query_params == given | {"texts": "2"}
    app.slider(key="_texts").set_value(8).run()
    assert "texts" not in app.query_params


def test_the_next_number_is_looked_at_in_the_same_way() -> None:
    html = html_of(run_page("neuron", layer="1", neuron="5", pictures="grouped", texts="3"))
    following = re.search(r'<a href="([^"]*)"[^>]*rel="next"', html)
    assert following is not None
    assert following[1] == "neuron?bundle=tiny&amp;layer=1&amp;neuron=6&amp;pictures=grouped"


def test_both_ends_are_grouped_and_under_their_maps() -> None:
    html = html_of(run_page("neuron", layer="1", neuron="5", pictures="grouped", where="1"))
    first, second = html.split("Pictures with its strongest opposite effect")
    for part in (first, second):
        assert '<section class="group"' in part
        assert "data:image/webp;base64" in part


def test_shared_words_are_carried_by_the_pictures_they_count(view: View) -> None:
    for row in range(0, len(view.neurons), 7):
        for end in (0, 1):
            images = [int(i) for i in view.bundle.top_images[row, end] if i >= 0]
            for word, count in grouping.shared_words(view, row, end):
                assert count == sum(word in view.words[image] for image in images) > 1
    assert grouping.shared_words(view, view.bundle.row(1, 5))


def test_the_json_holds_what_the_page_shows(view: View) -> None:
    row = view.bundle.row(1, 5)
    facts = json.loads(export.neuron_json(view, row))
    assert (facts["layer"], facts["neuron"]) == (1, 5)
    assert len(facts["concepts"]) == (view.bundle.concept_ids[row] >= 0).sum()
    assert len(facts["reconstruction_cosines"]) == len(facts["concepts"])
    assert sum(head["share"] for head in facts["heads"]) == pytest.approx(1, abs=0.01)
    assert sum(part["share"] for part in facts["intervals"]) == pytest.approx(1, abs=0.01)
    assert facts["shared_words"] == dict(grouping.shared_words(view, row))
    assert [pair["head"] for pair in facts["pairs"]] == [
        pair.name for pair in pairs_of(view.bundle, row)
    ]


def test_a_value_for_maps_that_is_none_is_named() -> None:
    html = html_of(run_page("neuron", layer="1", neuron="5", where="yes"))
    assert "“yes” is not a value for “where”: write 1 or leave it out." in html


def test_similar_neurons_lead_to_a_comparison_and_to_the_map() -> None:
    html = html_of(run_page("neuron", layer="1", neuron="5", more="similar"))
    assert re.search(r'href="compare\?bundle=tiny&amp;pins=1\.5%2C[0-9.%C2]*"', html)
    assert 'href="atlas?bundle=tiny&amp;at=1.5"' in html


# --- the first screen -----------------------------------------------------------------------------


def first_screen(bundle: Path, row: int, monkeypatch: pytest.MonkeyPatch) -> tuple[View, str]:
    """What a page says above its tabs of the neuron in a row of a bundle."""
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(bundle.parent))
    shown = View(bundle.name, Bundle.open(bundle))
    layer, neuron = shown.place(row)
    html = html_of(run_page("neuron", layer=str(layer), neuron=str(neuron)))
    return shown, html.split('<div class="tabs">')[0]


def test_the_answer_and_its_chance_come_first(
    told_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, html = first_screen(told_bundle, 0, monkeypatch)  # by words
    order = ["<h1", 'class="answer"', "What drives it", "What it adds", "How sure", "Which heads"]
    places = [html.index(part) for part in order]
    assert places == sorted(places)
    words = {told.bundle.texts[int(i)] for i in told.bundle.concept_ids[0, :WORDS]}
    listed = html.split('<ol class="told">')[1].split("</ol>")[0]
    assert set(re.findall(r'class="name"[^>]*>([^<]+)</a>', listed)) == words
    sure = html.split('<div class="sure">')[1]
    assert sure.count('class="chance"') == 3  # chance, or the p-value up to which neurons pass
    assert sure.count("<s style") == 1  # p-values have no bar
    assert sure.count("random weights: not measured") == 2
    _, html = first_screen(told_bundle, 1, monkeypatch)  # by its pictures
    assert "".join(f"<b>{word}</b>, " for word in SHARED.split(", ")).rstrip(", ") in html
    assert "No word fits its direction better than chance" in html


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "None of these texts is above"),
        (1, "Only the first text is above"),
        (3, "The first 3 texts are above"),
    ],
)
def test_how_many_texts_are_above_chance_is_a_sentence(
    view: View, monkeypatch: pytest.MonkeyPatch, count: int, said: str
) -> None:
    """A bug: it said “first 1 are”."""
    neuron, _ = read_neuron({"layer": "1", "neuron": "5"}, view)
    counts = np.full(len(view.neurons), count)
    monkeypatch.setitem(vars(view), "passing", replace(view.passing, counts=counts))
    assert said in texts.chance_said(neuron)


def test_a_meaningless_neuron_is_said_to_be_one(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, html = first_screen(tiny_bundle, 7, monkeypatch)
    assert "Its strongest pictures share no word more surely than chance" in html
    assert "No word fits its direction better than chance" in html
    assert '<ol class="told">' not in html
    heads = re.findall(r"<h3[^>]*>(?!<span)", html)  # but those that name no word
    assert heads and set(heads) == {'<h3 class="unclaimed">'}


@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ({}, "pictures"),
        ({"texts": "3"}, "texts"),
        ({"image": "2"}, "try"),
        ({"image": "2", "more": "files"}, "files"),
        ({"more": "nothing"}, "pictures"),
    ],
)
def test_older_addresses_open_the_part_they_are_about(
    params: dict[str, str], shown: str, view: View
) -> None:
    neuron, problems = read_neuron({"layer": "1", "neuron": "5", **params}, view)
    assert neuron.more == shown
    assert bool(problems) == (params.get("more") == "nothing")


# --- head by head ---------------------------------------------------------------------------------


def test_a_neuron_is_a_tree_of_its_heads(view: View) -> None:
    row = view.bundle.row(1, 5)
    pairs = sorted(pairs_of(view.bundle, row), key=lambda pair: -pair.share)
    html = html_of(run_page("neuron", layer="1", neuron="5", more="heads"))
    tree = html.split('<ul class="tree">')[1].split("</ul>")[0]
    assert re.findall(r">Head ([0-9.]+)</a>", tree) == [pair.name for pair in pairs]
    assert re.findall(r'<li class="c(\d)">', tree) == [str(colour_of(pair)) for pair in pairs]
    assert (
        f"hold {glossary.share(max(pair.held for pair in pairs))} of the neuron’s squared effect"
        in html
    )
    for pair, branch in zip(pairs, tree.split("<li")[1:], strict=True):
        assert glossary.share(pair.share) in branch
        assert branch.count("<img") == min(6, len(pair.images))
        assert f"head={pair.name}" in branch
        assert ("no word above chance" in branch) == (not pair.words)


def test_a_head_has_an_address_that_keeps_the_page(view: View) -> None:
    pairs = pairs_of(view.bundle, view.bundle.row(1, 5))
    name = pairs[-1].name
    html = html_of(run_page("neuron", layer="1", neuron="5", head=name))
    assert f"Head {pairs[-1].head} of block {pairs[-1].block}" in html
    assert '<ul class="tree">' not in html
    switch = html.split('<div class="heads-switch">')[1].split("</nav>")[0]
    assert re.findall(r"aria-current=\"true\">([0-9.]+)", switch) == [name]
    assert switch.count("data-stay") == len(pairs) + 1
    back = re.search(r'href="([^"]*)"[^>]*>All heads', switch)
    assert back is not None
    assert back[1] == "neuron?bundle=tiny&amp;layer=1&amp;neuron=5&amp;more=heads"
    tabs = html.split('<div class="tabs">')[1].split("</nav>")[0]
    assert tabs.count(f"head={name}") == len(TABS)
    following = re.search(r'<a href="([^"]*)"[^>]*rel="next"', html)
    assert following is not None and "head" not in following[1]


@pytest.mark.parametrize("head", ["9.9", "two", "2", "-1.0"])
def test_a_head_that_is_none_is_one_sentence_with_those_there_are(head: str, view: View) -> None:
    html = html_of(run_page("neuron", layer="1", neuron="5", head=head))
    names = ", ".join(sorted(p.name for p in pairs_of(view.bundle, view.bundle.row(1, 5))))
    assert f"“{head}” is not a head that carries much of this neuron" in html
    assert f"one of {names}." in html
    assert html.count('class="notice"') == 1
    assert '<ul class="tree">' in html


def test_pictures_take_the_colour_of_the_head_with_the_larger_effect(view: View) -> None:
    row = view.bundle.row(1, 5)
    pairs = pairs_of(view.bundle, row)
    shown = [Picture(image, 1.0, -1, 0) for image in range(36)]
    for picture in coloured(shown, pairs):
        own = {
            place: next((s.effect for s in pair.images if s.image == picture.image), 0.0)
            for place, pair in enumerate(pairs)
        }
        best = max(own, key=lambda place: own[place])
        if own[best] > 0:
            assert picture.colour == colour_of(pairs[best])
        else:
            assert picture.colour == grouping.REST


def test_a_bundle_without_pairs_opens_and_says_what_it_lacks(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unpaired(tiny_bundle, tmp_path / "tiny")
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tmp_path))
    for asked in ({"more": "heads"}, {"head": "2.0"}):
        html = html_of(run_page("neuron", layer="1", neuron="5", **asked))
        said = f"has no neuron-head pairs: add them with 'python -m explorer pairs {folder}'"
        assert said.replace("'", "&#39;") in html or said in html
        assert "What drives it" in html

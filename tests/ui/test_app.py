"""The app's pages through AppTest: alone and through app.py, each parameter set, absent, wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plotly import graph_objects as go

from explorer.errors import InputError
from explorer.ui.address import address
from explorer.ui.address.address import NeuronsQuery, href, parse_jump, read_neurons
from explorer.ui.core import glossary
from explorer.ui.data import grouping, highlights, loaders, selection
from explorer.ui.data.grouping import PictureGroup
from explorer.ui.data.loaders import View
from explorer.ui.home import sections as home
from explorer.ui.html import charts
from explorer.ui.html.cards import card, legend
from explorer.ui.html.elements import figures, notice, table
from explorer.ui.html.pictures import group_heading, meanings, tiles
from tests.support.app import html_of, run_page

CASES = [
    ("home", {}, "What does a neuron of CLIP mean?", None),
    ("home", {"bundle": "tiny"}, "Browse all neurons", None),
    ("home", {"bundle": "nowhere"}, "What does", "There is no bundle “nowhere”"),
    ("neurons", {}, "384</b> neurons, 1 to 24 shown, by prediction", None),
    ("neurons", {"layers": "1"}, "128</b> neurons", None),
    ("neurons", {"layers": "0,2"}, "256</b> neurons", None),
    ("neurons", {"layers": "7"}, "384</b> neurons", "asks for layers “7”"),
    ("neurons", {"layers": "1,x"}, "128</b> neurons", "asks for layers “1,x”"),
    ("neurons", {"sort": "selectivity"}, "by selectivity", None),
    ("neurons", {"sort": "beauty"}, "by prediction", "“beauty” is not a value for “sort”"),
    ("neurons", {"sort": "match"}, "by prediction", None),
    ("neurons", {"order": "asc"}, "by prediction", None),
    ("neurons", {"order": "up"}, "by prediction", "“up” is not a value for “order”"),
    ("neurons", {"page": "2"}, "25 to 48 shown", None),
    ("neurons", {"page": "999"}, "361 to 384 shown", "There are 16 pages of results, not 999"),
    ("neurons", {"page": "-3"}, "1 to 24 shown", "“-3” is not a page number"),
    ("neurons", {"word": "red"}, "Their concept sets contain", None),
    ("neurons", {"word": "zebra"}, "No text of this bundle", None),
    ("neurons", {"word": "trianglo"}, "Similar spellings", None),
    ("neurons", {"bundle": "nowhere"}, "384</b> neurons", "There is no bundle “nowhere”"),
    ("neuron", {}, "Layer 2 · Neuron 0", None),
    ("neuron", {"layer": "1", "neuron": "5"}, "Layer 1 · Neuron 5", None),
    ("neuron", {"layer": "1"}, "Layer 1 · Neuron 0", None),
    ("neuron", {"neuron": "9"}, "Layer 2 · Neuron 9", None),
    ("neuron", {"layer": "9", "neuron": "5"}, "Layer 2 · Neuron 0", "choose one of 0, 1, 2"),
    ("neuron", {"layer": "1", "neuron": "128"}, "Layer 1 · Neuron 0", "choose 0 to 127"),
    ("neuron", {"layer": "one", "neuron": "5"}, "Layer 2 · Neuron 5", "“one” is not a layer"),
    ("neuron", {"layer": "1", "neuron": "-5"}, "Layer 1 · Neuron 0", "“-5” is not a neuron"),
    ("neuron", {"pictures": "grouped"}, '<section class="group"', None),
    ("neuron", {"more": "measures"}, "Prediction p-value", None),
    ("neuron", {"more": "similar"}, "Compare with the nearest 3", None),
    ("neuron", {"more": "less"}, "Layer 2 · Neuron 0", "“less” is no part of this page"),
    ("neuron", {"pictures": "strongest"}, "Layer 2 · Neuron 0", None),
    ("neuron", {"pictures": "upside"}, "Layer 2 · Neuron 0", "“upside” is not a value"),
    ("neuron", {"bundle": "nowhere"}, "Layer 2", "There is no bundle “nowhere”"),
    ("about", {}, "Credits of the pictures", None),
    ("about", {"bundle": "tiny"}, "CC0-1.0", None),
    ("about", {"bundle": "nowhere"}, "nobody", "There is no bundle “nowhere”"),
]


@pytest.mark.parametrize("through_app", [False, True], ids=["alone", "app"])
@pytest.mark.parametrize(("page", "params", "shown", "problem"), CASES)
def test_page_shows_what_its_address_says(
    page: str, params: dict[str, str], shown: str, problem: str | None, through_app: bool
) -> None:
    html = html_of(run_page(page, through_app, **params))
    assert shown in html
    notices = html.count('class="notice"')
    if problem is None:
        assert notices == 0
    else:
        assert problem in html
        assert notices == 1


def test_neuron_page_shows_concepts_pictures_and_neighbours(view: View) -> None:
    row = view.bundle.row(1, 5)
    app = run_page("neuron", layer="1", neuron="5")
    html = html_of(app)
    assert len(app.get("plotly_chart")) == 1  # the heads
    for place in range(3):
        image = int(view.bundle.top_images[row, 0, place])
        assert f'alt="{view.labels[image]}"' in html
    layer, neuron = view.place(int(view.bundle.neighbours[row, 0]))
    similar = html_of(run_page("neuron", layer="1", neuron="5", more="similar"))
    assert f"neuron?bundle=tiny&amp;layer={layer}&amp;neuron={neuron}" in similar
    assert "layer=1&amp;neuron=4" in html  # previous
    assert "layer=1&amp;neuron=6" in html  # next


def test_ends_of_the_neuron_list_have_no_step_beyond(view: View) -> None:
    first = html_of(run_page("neuron", layer="0", neuron="0"))
    assert 'rel="prev"' not in first
    assert 'rel="next"' in first
    last = html_of(run_page("neuron", layer="2", neuron="127"))
    assert 'rel="next"' not in last


def test_widgets_change_the_address() -> None:
    app = run_page("neurons", page="3")
    app.text_input(key="_word").set_value("red").run()
    assert app.query_params == {"bundle": "tiny", "word": "red"}
    app.multiselect(key="_layers").set_value(["1"]).run()
    app.selectbox(key="_order").set_value("asc").run()
    assert app.query_params == {"bundle": "tiny", "word": "red", "layers": "1", "order": "asc"}
    app.text_input(key="_word").set_value("").run()
    assert app.query_params == {"bundle": "tiny", "layers": "1", "order": "asc"}
    assert not app.exception


def test_jump_goes_to_a_neuron_or_says_why_not() -> None:
    app = run_page("home")
    app.text_input(key="_jump").set_value("7 3").run()
    assert "has no layer 7; choose one of 0, 1, 2" in html_of(app)
    app.text_input(key="_jump").set_value("nothing").run()
    assert "is not a neuron" in html_of(app)
    app.text_input(key="_jump").set_value("1 3").run()
    assert 'class="notice"' not in html_of(app)
    assert not app.exception


def test_full_check_reports_a_whole_and_an_altered_bundle(
    bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(bundle_copy.parent))
    app = run_page("about")
    app.button(key="verify").click().run()
    assert "files are as they were built" in html_of(app)
    file = bundle_copy / "directions.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    app.button(key="verify").click().run()
    assert "directions.npy was changed" in html_of(app)
    assert not app.exception


def test_without_a_bundle_the_page_says_how_to_build_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tmp_path))
    for page in address.PAGES:
        html = html_of(run_page(page))
        assert "No bundle yet" in html
        assert "python -m explorer build" in html


def test_broken_bundle_is_named_with_its_remedy(
    bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(bundle_copy.parent))
    (bundle_copy / "top_images.npy").unlink()
    html = html_of(run_page("neurons"))
    assert "cannot be opened" in html
    assert "top_images.npy is missing" in html


def test_switcher_appears_with_several_bundles(
    bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not [box for box in run_page("home").selectbox if box.key == "_bundle"]
    other = bundle_copy.parent / "other"
    other.mkdir()
    for file in bundle_copy.rglob("*"):
        if file.is_file():
            copy = other / file.relative_to(bundle_copy)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(file.read_bytes())
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(bundle_copy.parent))
    app = run_page("neuron", bundle="tiny", layer="1", neuron="2")
    assert app.selectbox(key="_bundle").value == "tiny"
    app.selectbox(key="_bundle").set_value("other").run()
    assert app.query_params == {"bundle": "other"}
    assert not app.exception


def test_dead_neuron_says_so(bundle_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(name: str, value: float) -> None:
        array = np.load(bundle_copy / f"{name}.npy")
        array[0] = value
        np.save(bundle_copy / f"{name}.npy", array)

    for name in ("directions", "concept_weights", "concept_cosines", "norm_histogram"):
        change(name, 0)
    for name in ("concept_ids", "concept_clusters", "top_images", "neighbours"):
        change(name, -1)
    table = pd.read_parquet(bundle_copy / "neurons.parquet")
    table.loc[0, ["scale", "max_norm", "threshold", "polysemy"]] = 0
    table.loc[0, "concepts"] = ""
    table.to_parquet(bundle_copy / "neurons.parquet", index=False)
    monkeypatch.setattr("explorer.bundle.size_problems", lambda folder, manifest: [])
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(bundle_copy.parent))
    html = html_of(run_page("neuron", layer="0", neuron="0"))
    assert "This neuron is dead" in html
    assert "Similar neurons" not in html
    gallery = html_of(run_page("neurons", sort="layer"))
    assert "Neuron 0 · silent" in gallery


# --- the pure parts ---------------------------------------------------------------------------


def test_addresses_come_back_as_they_were_written() -> None:
    query = NeuronsQuery(layers=(0, 2), sort="selectivity", order="asc", word="a & b", page=4)
    reading = read_neurons(query.params(), [0, 1, 2])
    assert reading.query == query
    assert not reading.problems
    assert NeuronsQuery().params() == {}
    assert href("neurons", word="a & b", page=None) == "neurons?word=a+%26+b"
    assert href("home") == "./"
    with pytest.raises(InputError, match="no page"):
        href("nowhere")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("9 1234", (9, 1234)),
        ("L9 N12", (9, 12)),
        ("layer 3, neuron 1,234", (3, 1234)),
        ("9/4", (9, 4)),
        ("77", (None, 77)),
    ],
)
def test_jump_reads_what_people_write(text: str, place: tuple[int | None, int]) -> None:
    assert parse_jump(text) == place


@pytest.mark.parametrize("text", ["", "neuron", "1 2 3", "1 99999999999"])
def test_jump_refuses_the_rest(text: str) -> None:
    with pytest.raises(InputError, match="is not a neuron"):
        parse_jump(text)


def test_a_way_of_sorting_stays_chosen_until_it_is_changed() -> None:
    app = run_page("neurons", sort="selectivity", order="asc")
    app.text_input(key="_word").set_value("red").run()
    expected = {"bundle": "tiny", "sort": "selectivity", "order": "asc", "word": "red"}
    assert app.query_params == expected
    app.selectbox(key="_sort").set_value("match").run()
    app.selectbox(key="_order").set_value("desc").run()
    assert app.query_params == {"bundle": "tiny", "order": "desc", "word": "red"}


def test_selection_sorts_filters_and_pages(view: View) -> None:
    table = view.neurons
    rows = selection.select(view, NeuronsQuery(sort="selectivity")).rows
    alive = rows[~view.silent[rows]]
    assert np.all(np.diff(table["selectivity"].to_numpy()[alive]) <= 0)
    rows = selection.select(view, NeuronsQuery(layers=(1,), sort="neuron", order="desc")).rows
    assert table["neuron"].to_numpy()[rows].tolist() == list(range(127, -1, -1))
    assert set(table["layer"].to_numpy()[rows]) == {1}
    chosen = selection.select(view, NeuronsQuery())
    together = np.concatenate([chosen.page(page) for page in range(1, chosen.pages + 1)])
    assert sorted(together) == list(range(len(table)))


def test_word_filter_agrees_with_the_sparse_sets(view: View) -> None:
    chosen = selection.select(view, NeuronsQuery(word="red"))
    ids = {i for i, text in enumerate(view.bundle.texts) if "red" in text.split()}
    expected = {
        row
        for row in range(len(view.neurons))
        for i, weight in zip(
            view.bundle.concept_ids[row], view.bundle.concept_weights[row], strict=True
        )
        if int(i) in ids and abs(float(weight)) >= selection.LEAST_WEIGHT
    }
    assert set(chosen.rows.tolist()) == expected
    assert expected
    trust = np.clip(2 * view.neurons["agreement"].to_numpy() - 1, 0, 1)
    weights = [chosen.matched[int(row)][1] * trust[int(row)] for row in chosen.page(1)]
    assert weights == pytest.approx(sorted(weights, reverse=True))
    assert weights[0] > 0


def test_matching_takes_words_not_pieces() -> None:
    texts = ["cat", "cat face", "category", "black-cat", "cats", "scatter"]
    assert selection.matching_texts(texts, "Cat") == [0, 1, 3, 4]
    assert selection.matching_texts(texts, "categ") == [2]
    assert selection.matching_texts(texts, "xyz") == []
    assert selection.matching_texts(["mouse", "mousetrap", "foxes"], "mice") == [0]
    assert selection.matching_texts(["mouse", "mousetrap", "foxes"], "fox") == [2]


def test_clusters_hold_every_concept_once(view: View) -> None:
    for row in range(0, len(view.neurons), 37):
        clusters = grouping.concept_clusters(view, row)
        ids = [concept.text_id for cluster in clusters for concept in cluster.concepts]
        kept = [int(i) for i in view.bundle.concept_ids[row] if i >= 0]
        assert sorted(ids) == sorted(kept)
        assert sum(cluster.share for cluster in clusters) == pytest.approx(1)
        shares = [cluster.share for cluster in clusters]
        assert shares == sorted(shares, reverse=True)


def test_pictures_go_to_the_cluster_that_names_them(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    def agreeing() -> int:
        found = 0
        for row in range(0, len(view.neurons), 5):
            clusters = grouping.concept_clusters(view, row)
            for picture in grouping.top_pictures(view, row, grouping.POSITIVE, clusters):
                texts = {c.number: {t.text for t in c.concepts} for c in clusters if c.sign > 0}
                found += view.labels[picture.image] in texts.get(picture.cluster, set())
        return found

    with_bonus = agreeing()
    monkeypatch.setattr(grouping, "WORD_BONUS", 0.0)
    assert with_bonus > agreeing()


def test_highlights_have_groups_with_words_of_their_own(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    clusters = np.zeros_like(view.bundle.top_clusters)  # of all others: one cluster
    images = view.bundle.top_images[7, 0].tolist()
    clusters[7, 0] = [0] * 6 + [1] * 5 + list(range(2, 2 + len(images) - 11))
    words = [frozenset({f"word {place}"}) for place in range(len(view.labels))]
    for place, image in enumerate(images[:11]):
        words[image] = frozenset({"clock" if place < 6 else "heart", "thing"[place % 5]})
    monkeypatch.setitem(view.bundle.__dict__, "top_clusters", clusters)
    monkeypatch.setitem(view.__dict__, "words", words)
    sure = view.neurons.assign(driven_pass=True, driven_by="clock, heart", polysemy=0.5)
    monkeypatch.setitem(view.bundle.__dict__, "neurons", sure)
    found = highlights.striking(view)
    assert found[0].row == 7
    assert [item.groups for item in found[1:]] == [()] * 8  # by their scores alone
    assert len({item.row for item in found}) == 9
    assert found[0].words == ["clock", "heart"]
    assert [p.image for p in found[0].groups[0].pictures] == images[:6]
    one = sure.assign(polysemy=0.0)  # a bug: what passed had one meaning, and two were shown
    monkeypatch.setitem(view.bundle.__dict__, "neurons", one)
    anew = View("tiny", view.bundle)
    monkeypatch.setitem(anew.__dict__, "words", words)
    assert not any(item.groups for item in highlights.striking(anew))
    monkeypatch.setitem(view.bundle.__dict__, "neurons", sure)
    for image in images[:11]:  # a word common to both: no two meanings
        words[image] |= {"timepiece"}
    view.__dict__.pop("word_counts")
    assert not any(item.groups for item in highlights.striking(view))


def test_what_is_no_more_than_chance_is_no_highlight(view: View) -> None:
    assert highlights.striking(view) == []


def test_groups_of_pictures_hold_every_picture_once(view: View) -> None:
    for row in range(0, len(view.neurons), 41):
        pictures = grouping.top_pictures(view, row, grouping.POSITIVE, [])
        groups = grouping.picture_groups(view, row, grouping.POSITIVE, pictures)
        assert sorted(p.image for group in groups for p in group.pictures) == sorted(
            p.image for p in pictures
        )
        assert [group.alike for group in groups] == sorted(
            (group.alike for group in groups), reverse=True
        )


def test_groups_are_named_by_a_word_of_most(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [frozenset({"thing"})] * len(view.labels)
    for image in range(3):
        words[image] = frozenset({"thing", "rare"})
    monkeypatch.setitem(view.__dict__, "words", words)
    monkeypatch.setitem(view.__dict__, "labels", ["x"] * len(words))
    pictures = [grouping.Picture(image, 1.0, -1, grouping.REST) for image in range(5)]
    assert grouping.named(view, pictures).word == "rare"
    assert grouping.named(view, pictures).agreeing == 3
    assert grouping.named(view, pictures[2:]).word == "thing"
    assert "rare <span" in group_heading(grouping.named(view, pictures))


def test_every_text_is_escaped(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = '<img src=x onerror="alert(1)">'
    labels = [evil] * len(view.labels)
    monkeypatch.setitem(view.__dict__, "labels", labels)
    texts = [f"{evil}{n}" for n in range(len(view.bundle.texts))]
    monkeypatch.setitem(view.bundle.__dict__, "texts", texts)
    view.neurons["concepts"] = evil
    clusters = grouping.concept_clusters(view, 0)
    pictures = grouping.top_pictures(view, 0, grouping.POSITIVE, clusters)
    html = "".join(
        (
            tiles(view, pictures),
            card(view, 0),
            legend(clusters),
            meanings(view, [(evil, 0, [0, 1])]),
            group_heading(PictureGroup(evil, 1, tuple(pictures))),
            notice(evil),
            table(["a"], [[evil]]),
            figures([(evil, evil, evil)]),
        )
    )
    assert "<img src=x" not in html
    assert "&lt;img src=x onerror=" in html
    ticks = charts.concept_bars(clusters).layout.yaxis.ticktext
    assert all("<" not in text for text in ticks)


def test_histogram_line_leaves_the_significant_pictures_right_of_it() -> None:
    edges = np.logspace(-2, 2, 9).astype(np.float32)
    counts = np.array([0, 40, 30, 20, 4, 4, 2, 0])
    figure = charts.norm_histogram(counts, edges, 6)
    assert isinstance(figure, go.Figure)
    assert figure.layout.shapes[0].x0 == pytest.approx(np.log10(edges[5]), abs=1e-6)
    figure = charts.norm_histogram(counts, edges, 8)
    assert np.log10(edges[4]) < figure.layout.shapes[0].x0 < np.log10(edges[5])
    assert not charts.norm_histogram(counts * 0, edges, 6).layout.shapes


def test_significant_count_is_the_builds(view: View) -> None:
    assert view.significant == 4  # 10 % of 36, rounded up


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.1234, "+0.123"), (-12.34, "−12.3"), (0, "0"), (float("nan"), "–"), (1234.5, "+1234")],
)
def test_effects_have_three_digits(value: float, shown: str) -> None:
    assert glossary.effect(value) == shown


def test_no_headline_figure_is_one_that_random_networks_have(view: View) -> None:
    """Bugs: explained variance was one, and prediction, which words that mean nothing have too."""
    shown = {name: (value, why) for name, value, why in home.headlines(view)}
    assert not {"Explained variance", "Prediction"} & shown.keys()


def test_negative_numbers_have_a_true_minus() -> None:
    assert (glossary.number(-0.2), glossary.signed(-0.2)) == ("−0.20", "−0.20")
    assert glossary.number(-0.001) == "0.00"

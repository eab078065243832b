"""Search, concept and compare pages, pins, lists, ranges, the table and its downloads: AppTest."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from explorer.bundle import Bundle
from explorer.bundle.meaning import words_of
from explorer.bundle.measures import measures_of
from explorer.pixels import FORMATS
from explorer.search import Hit, open_search
from explorer.search.query import Term, parse_query
from explorer.ui.address import address
from explorer.ui.address.address import Here, NeuronsQuery, Range, href, read_neurons, read_places
from explorer.ui.address.attack_query import AttackQuery
from explorer.ui.adversarial import sections as adversarial
from explorer.ui.compare import sections as compare
from explorer.ui.compare.items import Item, weights_of
from explorer.ui.concept import sections as concept
from explorer.ui.core import glossary
from explorer.ui.data import export, grouping, labelled, loaded_model, loaders, selection, texts
from explorer.ui.data.loaders import View
from explorer.ui.html import cards
from explorer.ui.html.hits import found_by
from explorer.ui.html.links import pin_button
from explorer.ui.search import sections as search
from explorer.ui.shell import pins
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import picture_choice
from tests.conftest import draw, png
from tests.support.app import html_of, run_page

EVIL = '"><img src=x onerror=alert(1)>'
UPLOADERS: list[tuple[str, dict[str, str]]] = [
    ("search", {"mode": "picture"}),
    ("image", {}),
    ("neuron", {"layer": "1", "neuron": "5", "more": "try"}),
]


def tall() -> bytes:
    """Return a picture of 1 × 10,000 pixels."""
    return png(Image.new("RGB", (1, 10_000)))


@pytest.fixture(autouse=True)
def _nowhere() -> None:
    address.arrive("home", {})


CASES = [
    ("search", {}, "For example", None),
    ("search", {"bundle": "tiny"}, "For example", None),
    ("search", {"q": "red circle"}, "direction</b> +", None),
    ("search", {"q": "red circle", "show": "away"}, "direction</b> −", None),
    ("search", {"q": "red circle", "show": "sets"}, "<b>set</b> red circle", None),
    ("search", {"q": "red circle", "show": "both"}, "by cosine", None),  # needs two texts
    ("search", {"q": "red + circle"}, "at the same end", None),
    ("search", {"q": "red + circle - blue"}, "minus what they carry", None),
    ("search", {"q": "red - blue", "show": "towards"}, "the combined text", None),
    ("search", {"q": "red circle"}, "how well the neuron’s pictures show the text", None),
    ("search", {"q": "red circle", "rank": "best"}, "pictures show", "“best” is not a ranking"),
    ("search", {"q": "red circle", "show": "sideways"}, "by cosine", "“sideways” is not a kind"),
    ("search", {"q": "red circle", "page": "2"}, "page 2 of 5", None),
    ("search", {"q": "red circle", "page": "99"}, "page 5 of 5", "There are 5 pages"),
    ("search", {"q": "red circle", "page": "zero"}, "page 1 of 5", "“zero” is not a page number"),
    ("search", {"q": "a yellow star"}, "embedded live", "makes of"),
    ("search", {"q": "circel"}, "Did you mean", None),
    ("search", {"q": "circel + red squaer"}, "“red squaer” is not in the dictionary", None),
    ("search", {"q": '"circel"'}, "embedded live", "makes of"),
    ("search", {"q": "Red Circles"}, "for “Red Circles”", None),
    ("search", {"q": "red +"}, "For example", "after the last operator"),
    ("search", {"q": "red - red"}, "For example", "cancel out"),
    ("search", {"mode": "picture"}, "Choose a picture", None),
    ("search", {"mode": "smell"}, "For example", "“smell” is not a way to search"),
    ("search", {"image": "3"}, "× its typical effect", None),
    ("search", {"image": "3", "show": "away"}, "<b>effect</b> −", None),
    ("search", {"image": "3", "by": "relative"}, "× its typical effect", None),
    ("search", {"image": "3", "by": "beauty"}, "× its typical effect", "“beauty” is not an order"),
    ("search", {"image": "999"}, "Choose a picture", "There is no picture “999”"),
    ("search", {"image": "cat"}, "Choose a picture", "There is no picture “cat”"),
    ("search", {"q": "red", "image": "3"}, "direction</b>", "names texts and a picture"),
    ("search", {"mode": "picture", "find": "circle"}, 'alt="red circle"', None),
    ("search", {"mode": "picture", "find": "zebra"}, "Choose", "hold “zebra”"),
    ("concept", {}, "carry most weight", None),
    ("concept", {"text": "red circle"}, "sparse sets, where a text at random is in", None),
    (
        "concept",
        {"text": "a yellow star"},
        "the model has just embedded it",
        "makes of",
    ),
    ("concept", {"text": "red - red"}, "“red - red”", None),  # one text
    ("concept", {"text": EVIL}, "&lt;img src=x", "makes of"),
    ("concept", {"text": "circel"}, "Did you mean", None),
    ("concept", {"text": '"circel"'}, "<h1>“circel”</h1>", "makes of"),
    ("concept", {"text": "circles"}, "Shown is “circle”", None),
    ("compare", {}, "Nothing pinned yet", None),
    ("compare", {"pins": "1.5"}, "Pictures they respond to", "One neuron is pinned"),
    ("compare", {"pins": "1.5,2.7"}, "How alike their directions are", None),
    ("compare", {"pins": "1.5,2.7,0.3,1.9", "image": "4"}, "× its typical effect", None),
    ("compare", {"pins": "1.5,2.7", "image": "cat"}, "Measures", "There is no picture “cat”"),
    ("compare", {"pins": "1.5,1.6,7.7,x"}, "How alike", "Pinned neurons x, 7.7 "),
    ("compare", {"pins": "0.1,0.2,0.3,0.4,0.5"}, "How alike", "5 neurons are pinned"),
    ("home", {"pins": "1.5"}, "Unpin Layer 1 · Neuron 5", None),
    ("neuron", {"layer": "1", "neuron": "5", "pins": "1.5"}, "✓ Pinned", None),
    ("neuron", {"layer": "1", "neuron": "5"}, "+ Pin to compare", None),
    ("neurons", {"view": "table"}, '<table class="neurons">', None),
    ("neurons", {"view": "gallery"}, 'class="cards"', None),
    ("neurons", {"view": "globe"}, 'class="cards"', "“globe” is not a view"),
    ("neurons", {"view": "table", "word": "red"}, "<th>Match</th>", None),
    ("neurons", {"view": "table", "page": "3"}, "101 to 150 shown", None),
    ("neurons", {"polysemy": "0..0"}, "neurons", None),
    ("neurons", {"max_norm": "1e9.."}, "No neuron matches all of these filters", None),
    ("neurons", {"polysemy": "much"}, "384</b> neurons", "“much” is not a range of “Polysemy”"),
    ("neurons", {"polysemy": "0.9..0.1"}, "384</b> neurons", "is not a range"),
    ("neurons", {"polysemy": "nan.."}, "384</b> neurons", "is not a range"),
    ("neurons", {"neurons": "1.5,2.7"}, "A list of neurons", None),
    ("neurons", {"list": "My <b>", "neurons": "1.5,2.7"}, "<h1>My &lt;b&gt;</h1>", None),
    ("neurons", {"list": "Mine", "neurons": "1.5,9.9,x"}, "A list of 1 neurons", "names x, 9.9"),
    ("neurons", {"list": "Mine"}, "<h1>Neurons</h1>", None),
    ("neurons", {"neurons": "1.5,2.7", "order": "desc"}, "reverse order of the list", None),
]


@pytest.mark.parametrize(("page", "params", "shown", "problem"), CASES)
def test_page_shows_what_its_address_says(
    page: str, params: dict[str, str], shown: str, problem: str | None
) -> None:
    html = html_of(run_page(page, False, **params))
    assert shown in html
    assert html.count('class="notice"') == (problem is not None)
    assert problem is None or problem in html
    assert "<img src=x" not in html


THROUGH_APP = [
    ("search", {"q": "red + circle"}, "at the same end"),
    ("search", {"image": "3"}, "× its typical effect"),
    ("concept", {"text": "red"}, "In which layers"),
    ("compare", {"pins": "1.5,2.7"}, "Words they share"),
    ("neurons", {"view": "table", "neurons": "1.5,2.7"}, '<table class="neurons">'),
]


@pytest.mark.parametrize(("page", "params", "shown"), THROUGH_APP)
def test_pages_work_through_the_app(page: str, params: dict[str, str], shown: str) -> None:
    assert shown in html_of(run_page(page, True, **params))


# --- widgets write the address --------------------------------------------------------------------


def test_the_search_box_writes_the_address() -> None:
    app = run_page("search", pins="1.5")
    app.text_input(key="_q").set_value("red  + circle").run()
    assert app.query_params == {"bundle": "tiny", "pins": "1.5", "q": "red + circle"}
    assert "at the same end" in html_of(app)


@pytest.mark.parametrize(
    ("page", "asked", "meant", "written"),
    [
        ("search", {"q": "circel - red"}, {"q": "circle − red"}, {"q": '"circel" − red'}),
        ("concept", {"text": "circel"}, {"text": "circle"}, {"text": '"circel"'}),
    ],
)
def test_a_slip_is_asked_about_before_anything_is_embedded(
    page: str,
    asked: dict[str, str],
    meant: dict[str, str],
    written: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("explorer.lens.texts.embed_texts", lambda *_: pytest.fail("embedded"))
    html = html_of(run_page(page, **asked))
    offered = re.findall(r'class="(?:chip|button)" href="([^"]+)"|href="([^"]+)"[^>]*class="', html)
    addresses = {first or second for first, second in offered}
    for params in (meant, written):
        assert href(page, bundle="tiny", **params).replace("&", "&amp;") in addresses
    monkeypatch.undo()
    for params in (meant, written):
        answer = html_of(run_page(page, **params))
        assert "Did you mean" not in answer
        assert 'class="card' in answer


def test_finding_a_picture_keeps_the_chosen_one() -> None:
    app = run_page("search", image="3")
    app.text_input(key="_find").set_value("circle").run()
    expected = {"bundle": "tiny", "mode": "picture", "image": "3", "find": "circle"}
    assert app.query_params == expected
    assert "× its typical effect" in html_of(app)


def test_the_concept_box_writes_the_address() -> None:
    app = run_page("concept")
    app.text_input(key="_concept").set_value("red").run()
    assert app.query_params == {"bundle": "tiny", "text": "red"}


def test_an_uploaded_picture_is_searched_until_the_address_names_one() -> None:
    app = run_page("search", image="3")
    upload = app.get("file_uploader")[0]
    assert upload is not None
    app.file_uploader(key="_upload").set_value(
        [("mine.png", png(draw("purple", "square")), "image/png")]
    ).run()
    assert app.query_params == {"bundle": "tiny", "mode": "picture"}
    html = html_of(app)
    assert "<h2>mine.png</h2>" in html
    assert "stays in this session" in html
    app.query_params["image"] = "5"
    app.run()
    assert "<h2>mine.png</h2>" not in html_of(app)
    assert "The address holds this picture" in html_of(app)


def test_an_uploaded_picture_is_there_again_after_another_page() -> None:
    app = run_page("search", True, mode="picture")
    sent = ("mine.png", png(draw("purple", "square")), "image/png")
    app.file_uploader(key="_upload").set_value([sent]).run()
    assert not [button for button in app.button if button.label == "Clear my picture"]
    app.switch_page(address.PAGES["home"]).run()
    app.switch_page(address.PAGES["search"])
    app.query_params["mode"] = "picture"
    app.run()
    assert "<h2>mine.png</h2>" in html_of(app)
    next(button for button in app.button if button.label == "Clear my picture").click().run()
    assert not app.exception
    assert "<h2>mine.png</h2>" not in html_of(app)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_of_any_kind_is_searched_and_shown(kind: str) -> None:
    data = io.BytesIO()
    shown = draw("purple", "square").convert("RGB").resize((61, 40))
    if kind == "GIF":  # its first frame is empty
        empty = Image.new("RGBA", shown.size, (0, 0, 0, 0))
        empty.save(data, kind, save_all=True, append_images=[shown.convert("RGBA")])
    else:
        shown.save(data, kind)
    app = run_page("search", mode="picture")
    app.file_uploader(key="_upload").set_value([(f"x.{kind}", data.getvalue(), "image/x")]).run()
    assert not app.exception
    html = html_of(app)
    assert f"<h2>x.{kind}</h2>" in html
    assert 'class="notice"' not in html
    source = re.search(rf'src="data:image/webp;base64,([^"]+)" alt="x.{kind}"', html)
    assert source
    seen = Image.open(io.BytesIO(base64.b64decode(source[1]))).convert("RGB")
    assert seen.size == (61, 40)
    assert len(seen.getcolors(9999) or []) > 1, "an empty frame is shown"


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("x.heic", b"\x00\x00\x00\x18ftypheic" + bytes(40), "HEIC|damaged|readable"),
        ("x.jxl", b"\xff\x0a" + bytes(40), "JPEG XL pictures are not read"),
        ("x.svg.png", b"<svg onload='alert(1)'/>", "not a readable"),
        ("x.gif", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", "readable|damaged"),
        ("x.png", tall(), "20 times the short one"),
        ("<svg onload=alert(1)>.png", b"x", "not a readable"),
    ],
)
@pytest.mark.parametrize(("page", "params"), UPLOADERS)
def test_what_is_no_picture_is_one_sentence_on_every_page(
    page: str, params: dict[str, str], name: str, data: bytes, said: str
) -> None:
    app = run_page(page, **params)
    app.file_uploader[0].set_value([(name, data, "image/x")]).run()
    assert not app.exception
    html = html_of(app)
    assert len(re.findall(f'class="notice"[^<]*({said})', html)) == 1, html
    assert "<svg onload" not in html


def test_uploaders_take_every_kind_there_is_something_to_say_of() -> None:
    for page, params in UPLOADERS:
        proto = run_page(page, **params).file_uploader[0].proto
        assert {".avif", ".heic", ".jxl", ".gif", ".tiff"} <= set(proto.type)


def test_texts_are_no_markdown_for_streamlit(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    """Markdown in a spinner or label would fetch pictures from wherever an address says."""
    said: list[str] = []
    monkeypatch.setattr(loaded_model.st, "spinner", said.append)
    loaded_model._embedding(["![x](https://a.example/x.png) :red[y] $z$"])
    monkeypatch.setattr(adversarial.st, "file_uploader", lambda label, **_: said.append(label))
    pair = AttackQuery("![x](https://a.example/x.png)", "$z$ *a* :red[b]")
    adversarial._why(Page("adversarial", view, {}, head=None), pair)
    assert len(said) == 2
    for text in said:
        assert not re.search(r"(?<!\\)[$*:\[\](]", text.replace("dictionary:", ""))


def test_accents_are_found_however_they_are_written(view: View) -> None:
    one, apart = "caf\u00e9", "cafe\u0301"
    assert parse_query(apart) == parse_query(one)
    assert run_page("search", q=apart).text_input(key="_q").value == one


def test_a_file_that_is_no_picture_is_refused() -> None:
    app = run_page("search", mode="picture")
    app.file_uploader(key="_upload").set_value([("cat.png", b"no picture", "image/png")]).run()
    assert "cat.png: The file is not a readable picture" in html_of(app)
    assert not app.exception


def test_a_list_is_retitled_in_the_address() -> None:
    app = run_page("neurons", list="Mine", neurons="1.5,2.7")
    app.text_input(key="_title").set_value("Yours ").run()
    assert app.query_params == {"bundle": "tiny", "list": "Yours", "neurons": "1.5,2.7"}


def test_tools_keep_the_list_the_view_and_the_ranges() -> None:
    app = run_page("neurons", neurons="1.5,2.7", view="table", polysemy="0..", page="1")
    app.multiselect(key="_layers").set_value(["1"]).run()
    expected = {"neurons": "1.5,2.7", "view": "table", "polysemy": "0..", "layers": "1"}
    assert app.query_params == expected | {"bundle": "tiny"}
    assert "<b>1</b> neurons" in html_of(app)


def test_the_range_form_writes_bounds_in_order() -> None:
    app = run_page("neurons", selectivity="0.1..")
    app.selectbox(key="_range_key").set_value("polysemy")
    app.number_input(key="_range_low").set_value(0.9)
    app.number_input(key="_range_high").set_value(0.25)
    next(b for b in app.button if b.label == "Filter").click().run()
    expected = {"bundle": "tiny", "selectivity": "0.1..", "polysemy": "0.25..0.9"}
    assert app.query_params == expected
    assert "Polysemy 0.25 to 0.9" in html_of(app)
    app.selectbox(key="_range_key").set_value("selectivity")
    next(
        b for b in app.button if b.label == "Filter"
    ).click().run()  # both ends open: the range is lifted
    assert app.query_params == {"bundle": "tiny", "polysemy": "0.25..0.9"}
    assert not app.exception


# --- pins and links -------------------------------------------------------------------------------


def test_pins_travel_on_every_link() -> None:
    for page in address.PAGES:
        html = html_of(run_page(page, pins="1.5,2.7"))
        targets = [part.split('"')[0] for part in html.split('<a href="')[1:]]
        inner = [target for target in targets if not target.startswith("http")]
        toggles = [target for target in inner if "pins=1.5%2C2.7" not in target]
        assert len(inner) > 5
        # only those that pin and unpin say something else
        assert all("pins=" in target for target in toggles)


def test_pin_buttons_add_and_remove(view: View) -> None:
    address.arrive("neurons", {"sort": "layer", "pins": "1.5"})
    add, remove = pin_button(2, 7), pin_button(1, 5)
    assert 'href="neurons?sort=layer&amp;pins=1.5%2C2.7"' in add
    assert 'aria-label="Pin Layer 2 · Neuron 7 to compare"' in add
    assert 'href="neurons?sort=layer"' in remove
    assert 'aria-label="Unpin Layer 1 · Neuron 5"' in remove
    address.arrive("neurons", {"pins": "1.5,1.6,1.7,1.8"})
    assert pin_button(2, 7) == ""
    assert "Four are pinned" in pins.bar(view)


def test_parameters_of_the_address_are_no_arguments() -> None:
    strange = {"css": EVIL, "rel": EVIL, "marks": EVIL, "page": EVIL, "text": "x", "pins": "1.5"}
    html = html_of(run_page("neuron", False, **strange))
    assert "<img src=x" not in html
    assert "✓ Pinned" not in html


def test_one_thread_knows_where_it_is() -> None:
    import threading

    address.arrive("search", {"pins": "1.2"})
    seen: list[Here] = []
    thread = threading.Thread(target=lambda: seen.append(address.here()))
    thread.start()
    thread.join()
    assert seen == [Here()]
    assert href("home") == "./?pins=1.2"
    assert href("home", pins="") == "./"


def test_unreadable_places_are_named() -> None:
    assert read_places("9.12, 8.77,9.12,x,9,-1.2,9.1.2") == (
        [(9, 12), (8, 77)],
        ["x", "9", "-1.2", "9.1.2"],
    )


# --- selection, table, export ---------------------------------------------------------------------


def test_addresses_of_lists_and_ranges_come_back_as_they_were_written(view: View) -> None:
    query = NeuronsQuery(
        layers=(1,),
        view="table",
        ranges=(Range("polysemy", 0.25, None), Range("max_norm", None, 1.5)),
        title="A & B",
        places=((1, 5), (2, 7)),
        page=2,
    )
    reading = read_neurons(query.params(), [0, 1, 2], view.has)
    assert reading.query == query
    assert not reading.problems


def test_long_lists_are_cut_with_a_word(view: View) -> None:
    places = tuple((layer, neuron) for layer in (0, 1, 2) for neuron in range(128))
    reading = read_neurons({"neurons": address.write_places(places * 2)}, [0, 1, 2], view.has)
    assert len(reading.query.places) == 384
    assert not reading.problems
    many = ",".join(f"1.{number}" for number in range(500))
    reading = read_neurons({"neurons": many}, [0, 1, 2])
    assert len(reading.query.places) == address.LIST_LENGTH
    assert "500 neurons" in reading.problems[0]


def test_ranges_select_by_value(view: View) -> None:
    values = view.neurons["selectivity"].to_numpy(np.float64)
    low, high = (float(f"{end:.6g}") for end in np.quantile(values, [0.3, 0.6]))
    rows = selection.select(view, NeuronsQuery(ranges=(Range("selectivity", low, high),))).rows
    inside = (values >= low - 1e-6) & (values <= high + 1e-6)
    assert set(rows.tolist()) == set(np.flatnonzero(inside).tolist())
    assert 50 < len(rows) < 200
    # the extreme value itself, written with six digits, is still inside
    top = Range("selectivity", float(f"{values.max():.6g}"), None)
    assert int(values.argmax()) in selection.select(view, NeuronsQuery(ranges=(top,))).rows


def test_a_measure_that_a_bundle_lacks_selects_and_sorts_nothing(view: View) -> None:
    del view.neurons["label_diversity"]
    query = NeuronsQuery(sort="label_diversity")
    assert len(selection.select(view, query).rows) == 384
    query = NeuronsQuery(ranges=(Range("label_diversity", 0, 1),))
    assert len(selection.select(view, query).rows) == 0


def test_a_list_keeps_its_order_until_it_is_sorted(view: View) -> None:
    places = ((2, 7), (0, 3), (1, 5))
    rows = [view.bundle.row(*place) for place in places]
    assert selection.select(view, NeuronsQuery(places=places)).rows.tolist() == rows
    backwards = selection.select(view, NeuronsQuery(places=places, order="desc"))
    assert backwards.rows.tolist() == rows[::-1]
    by_layer = selection.select(view, NeuronsQuery(places=places, sort="layer"))
    assert by_layer.rows.tolist() == sorted(rows)


@pytest.mark.parametrize(
    "query",
    [NeuronsQuery(sort="selectivity"), NeuronsQuery(word="red"), NeuronsQuery(places=((2, 7),))],
)
def test_exports_agree_with_the_page(view: View, query: NeuronsQuery) -> None:
    found = export.selected(view, query)
    chosen = selection.select(view, query)
    assert len(found) == len(chosen.rows)
    for place, row in enumerate(chosen.page(1)):
        record = found.iloc[place]
        assert (record["Layer"], record["Neuron"]) == view.place(int(row))
        for key, measure in glossary.MEASURES.items():
            assert measure.show(record[measure.name]) == measure.show(view.neurons[key][row])
        assert record["Heaviest texts"] == view.neurons["concepts"][row]
        labels = [view.labels[image] for image in grouping.strongest(view, int(row))]
        assert record["Strongest pictures"].split(export.LABELS) == labels
        if query.word:
            text, weight = chosen.matched[int(row)]
            assert record["Matching concept"] == text
            assert record["Weight"] == pytest.approx(weight)
    again = pd.read_parquet(io.BytesIO(export.parquet_bytes(view, query)))
    pd.testing.assert_frame_equal(again, found, check_dtype=False)
    data = export.csv_bytes(view, query)
    read = pd.read_csv(io.BytesIO(data), encoding="utf-8-sig")
    assert read.columns.tolist() == found.columns.tolist()
    assert read["Polysemy"].to_numpy() == pytest.approx(found["Polysemy"].to_numpy(), rel=1e-5)


def test_the_table_page_names_its_columns_as_the_export(view: View) -> None:
    html = html_of(run_page("neurons", view="table", sort="meanings"))
    head = html.split("<thead>")[1].split("</thead>")[0]
    columns = set(export.selected(view, NeuronsQuery()).columns)
    shown = {re.sub(r" [↓↑]$", "", name) for name in re.findall(r">([^<>]+)<", head)}
    assert shown - {"Meaning"} <= columns
    leading = {m.name for m in measures_of("card")}
    assert {"Layer", "Neuron", "Meaning", "Meanings", *leading} <= shown
    assert 'aria-sort="descending"' in head
    assert "sort=meanings&amp;order=asc" in head  # turns the order
    assert html.count("<tr>") == selection.TABLE_PAGE + 1


# --- search ---------------------------------------------------------------------------------------


def test_cards_are_marked_by_how_they_were_found(view: View) -> None:
    found = open_search(view.bundle, "red + circle")
    hit = found.carriers(1)[0]
    note = found_by(found, hit)
    assert "<b>all</b>" in note and "<b>direction</b>" in note
    assert ("positive" if hit.end > 0 else "negative") in note
    near = open_search(view.bundle, "red circle").near_sets(1)[0]
    single = open_search(view.bundle, "red circle")
    text, weight = near.found[0]
    assert f"<b>set</b> {text} {glossary.signed(weight)}" in found_by(single, near)


def test_what_is_said_of_pictures_is_said_of_the_end_that_is_shown(view: View) -> None:
    """A bug: a neuron found at its negative end was given the figure of its positive one."""
    found = open_search(view.bundle, "red + circle")
    shown = found.shown(np.arange(len(view.neurons)))
    row = int(np.argmin(shown))  # its negative end shows the texts
    nearer = float(shown[row])
    assert nearer < 0.4
    for end, said in ((1, nearer), (-1, 1 - nearer)):
        note = found_by(found, Hit(row, 0.1, (), end))
        assert f"<b>pictures</b> {glossary.share(said)}" in note


def test_a_neuron_that_carries_texts_at_its_negative_end_shows_that_end(view: View) -> None:
    card = cards.card(view, 5, end=grouping.NEGATIVE)
    shown = re.findall(r'src="[^"]*/(\d+)"', card)
    images = view.bundle.top_images[5, 1, : grouping.STRONGEST]
    assert shown == [str(i) for i in images if i >= 0]
    assert f"pictures: {cards.words_said(view, 5, grouping.NEGATIVE)}" in card
    assert "opposite end</span>" in card and "opposite end" not in cards.card(view, 5)


def test_a_match_is_what_a_neuron_stands_for_before_what_it_is_opposed_to(view: View) -> None:
    """A bug: neurons that write against a word stood among those that write it."""
    ids = selection.matching_texts(view.folded_texts, "red")
    strength, place = selection.match_strength(view, ids)
    for row in range(len(view.neurons)):
        held = np.isin(view.bundle.concept_ids[row], ids)
        weights = view.bundle.concept_weights[row, held].astype(np.float32)
        towards = weights[weights >= selection.LEAST_WEIGHT]
        expected = towards.max() if len(towards) else weights.min(initial=0)
        assert strength[row] == expected
        if expected:
            assert view.bundle.concept_weights[row, place[row]] == np.float16(expected)
    rows = selection.select(view, NeuronsQuery(word="red")).rows
    signs = np.sign(strength[rows])[~view.silent[rows]]
    assert (np.diff(signs) <= 0).all()
    assert {1.0, -1.0} <= set(signs.tolist())


def test_a_word_in_no_set_leads_to_the_search_by_meaning() -> None:
    html = html_of(run_page("neurons", word="zzqx"))
    assert 'href="search?bundle=tiny&amp;q=zzqx"' in html


def test_labelled_counts_the_top_pictures_that_carry_a_text(view: View) -> None:
    """Against a count picture by picture."""
    hits = {hit.row: hit for hit in labelled.labelled(view, [Term("red")], 999)}
    for row in range(len(view.neurons)):
        ends = view.bundle.top_images[row]
        counts = [sum("red" in view.words[i] for i in end if i >= 0) for end in ends]
        assert (row in hits) == (max(counts) > 0)
        if row in hits:
            assert hits[row].score == max(counts)
            assert counts[0 if hits[row].end > 0 else 1] == max(counts)
    scores = [hit.score for hit in hits.values()]
    assert scores == sorted(scores, reverse=True)


def test_labelled_balances_added_and_taken_texts(view: View) -> None:
    terms = [Term("red"), Term("circle"), Term("blue", -1)]
    hits = labelled.labelled(view, terms, 5, end=1)
    assert hits
    for hit in hits:
        assert hit.end == -1
        images = [i for i in view.bundle.top_images[hit.row, 1] if i >= 0]
        counts = [sum(term.text in view.words[i] for i in images) for term in terms]
        assert hit.found == tuple((t.text, c) for t, c in zip(terms, counts, strict=True))
        assert hit.score == min(counts[:2]) - counts[2] > 0


def test_labelled_finds_nothing_for_a_text_no_picture_carries(view: View) -> None:
    assert labelled.labelled(view, [Term("zebra")], 5) == []
    assert labelled.labelled(view, [Term("red", -1)], 5) == []
    html = html_of(run_page("search", q="zebra", show="labels"))
    assert "Nothing found" in html


def test_search_by_labels_says_in_how_many_pictures(view: View) -> None:
    html = html_of(run_page("search", q="red + circle", show="labels"))
    best = labelled.labelled(view, parse_query("red + circle"), 1)[0]
    counts = ", ".join(f"{text} {count:.0f}" for text, count in best.found)
    assert f"<b>labels</b> {counts} of" in html
    assert "Shown in pictures first" not in html  # there is one order only


@pytest.mark.parametrize("by", ["", "direction", "sets", "labels"])
def test_a_concept_page_shows_both_sides_by_each_evidence(view: View, by: str) -> None:
    html = html_of(run_page("concept", text="red", by=by))
    assert "Towards it" in html and "Away from it" in html
    assert html.count('class="notice"') == 0
    if by == "sets":
        weights = open_search(view.bundle, "red").weights
        assert html.count("<b>set</b> red +") == min(concept.NEURONS, (weights > 0.005).sum())
        assert html.count("<b>set</b> red −") == min(concept.NEURONS, (weights < -0.005).sum())


def test_an_unknown_evidence_is_named() -> None:
    html = html_of(run_page("concept", text="red", by=EVIL))
    assert "finds no neurons. Possible: direction, sets, labels" in html
    assert EVIL not in html


@pytest.mark.parametrize(
    ("page", "key"),
    [("neuron", "pictures"), ("atlas", "colour"), ("search", "mode"), ("search", "page")],
)
def test_an_empty_parameter_is_an_absent_one(page: str, key: str) -> None:
    assert html_of(run_page(page, **{key: ""})).count('class="notice"') == 0


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "0", "1.5", "²", "x"])
def test_a_page_number_that_is_none_shows_the_first(number: str) -> None:
    """A bug: thousands of digits ended the page with an exception."""
    app = run_page("search", q="red", page=number)
    assert not app.exception
    assert "is not a page number: the first page is shown" in html_of(app)


def test_ranking_by_a_picture_takes_one_sign() -> None:
    scores = np.array([0.5, -1, 0, 2, -3], np.float32)
    assert [hit.row for hit in search.ranked(scores, 1)] == [3, 0]
    assert [hit.row for hit in search.ranked(scores, -1, most=1)] == [4]


def test_examples_are_answered(view: View) -> None:
    queries = texts.example_queries(view)
    assert len(queries) >= 6
    for query in queries:
        found = open_search(view.bundle, query, lambda texts: pytest.fail(str(texts)))
        assert found.towards(1)
    for first, second in texts.carried_together(view):
        held = [
            row for row in range(len(view.neurons)) if {first, second} <= set(weights_of(view, row))
        ]
        assert held


def test_pictures_are_offered_by_word(view: View) -> None:
    offered = picture_choice._offered(view, "circle")
    assert offered
    assert all("circle" in view.labels[image] for image in offered)
    assert len(set(picture_choice._offered(view, ""))) == picture_choice.OFFERED
    assert max(picture_choice._offered(view, "")) < view.bundle.pictures.corpus_size


def test_a_comparison_shows_where_each_neuron_sees_the_picture() -> None:
    """The same maps as the neurons' own pages draw."""
    html = html_of(run_page("compare", pins="1.5,2.7", image="4"))
    for layer, neuron in ((1, 5), (2, 7)):
        found = re.search(
            rf'src="([^"]*)" alt="Where [^"]* drives Layer {layer} · Neuron {neuron}"', html
        )
        assert found is not None
        assert found[1].startswith("data:image/webp;base64,")
        own = html_of(run_page("neuron", layer=str(layer), neuron=str(neuron), image="4"))
        assert found[1] in own


# --- concept and compare --------------------------------------------------------------------------


def test_layers_count_the_sets_that_hold_the_text(view: View) -> None:
    found = open_search(view.bundle, "red")
    towards, away = concept.layer_counts(view, found)
    place = view.bundle.texts.index("red")
    rows, slots = np.nonzero(view.bundle.concept_ids == place)
    weights = view.bundle.concept_weights[rows, slots]
    assert towards.sum() == (weights > 0).sum()
    assert away.sum() == (weights < 0).sum()
    for number, layer in enumerate(view.layers):
        inside = view.neurons["layer"].to_numpy()[rows] == layer
        assert towards[number] == (inside & (weights > 0)).sum()


def test_a_concept_is_counted_above_chance_before_its_sets(
    told_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug: the sets that hold a text were counted, as many as hold a text at random."""
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(told_bundle.parent))
    told = View("told", Bundle.open(told_bundle))
    word, _ = next(one for one in words_of(told.bundle, 0) if one[1] > 0)
    found = open_search(told.bundle, word)
    claimed = concept.claimed_weights(told, found)
    for row in range(len(told.neurons)):
        assert claimed[row] == pytest.approx(dict(words_of(told.bundle, row)).get(word, 0))
    named, held = int((claimed > 0).sum()), int((found.weights != 0).sum())
    usual = (np.asarray(told.bundle.concept_ids) >= 0).sum() / len(told.bundle.texts)
    html = html_of(run_page("concept", text=word))
    names = "1 neuron names" if named == 1 else f"{named:,} neurons name"
    assert names in html
    assert f"It is in {held:,} sparse sets, where a text at random is in {usual:,.0f}." in html
    behind = concept.layer_counts(told, found)
    figure = concept.layers_figure(told.layers, *(np.zeros_like(side) for side in behind), behind)
    assert [list(bars.y) for bars in figure.data[:2]] == [behind[0].tolist(), (-behind[1]).tolist()]


def test_hits_stand_beside_what_the_best_neuron_reaches_by_chance() -> None:
    for page, params in (("search", {"q": "red circle"}), ("concept", {"text": "red circle"})):
        assert "The best neuron for a meaningless text reaches about +" in html_of(
            run_page(page, **params)
        )


def test_layers_of_an_unknown_text_count_the_nearest_directions(view: View) -> None:
    rng = np.random.default_rng(0)
    row = rng.normal(size=view.bundle.directions.shape[1]).astype(np.float32)
    found = open_search(view.bundle, "something new", lambda texts: row[None] / np.linalg.norm(row))
    towards, away = concept.layer_counts(view, found)
    assert towards.sum() + away.sum() == round(concept.NEAREST * 384)
    figure = concept.layers_figure(view.layers, towards, away)
    assert list(figure.data[0].y) == towards.tolist()
    assert list(figure.data[1].y) == (-away).tolist()


def test_chance_stands_below_a_measures_name_too(view: View) -> None:
    """A bug: on a phone the last column, chance, lay outside the screen; style.css swaps them."""
    html = html_of(run_page("compare", pins="1.5,2.7"))
    assert '<span class="narrow muted">chance 50 %</span>' in html
    assert 'class="named with-last"' in html


def test_truncated_lines_of_cards_are_whole_in_their_tooltip(view: View) -> None:
    """A bug: every card's tooltip said the same."""
    html = html_of(run_page("neurons"))
    lines = re.findall(r'<div class="shows" title="([^"]*)">([^<]*)</div>', html)
    assert lines and all(title == text for title, text in lines)
    page = html_of(run_page("neuron", layer="1", neuron="5"))
    labels = re.findall(r'<span class="label" title="([^"]*)">([^<]*)</span>', page)
    assert labels and all(title == text for title, text in labels)


def test_shared_concepts_are_those_in_two_sets() -> None:
    sets = [{"a": 0.5, "b": -0.2, "c": 0.1}, {"a": 0.3, "c": 0.9}, {"a": -0.1, "d": 1.0, "b": 0.4}]
    assert compare.shared_texts(sets) == ["a", "b", "c"]
    assert compare.shared_texts([{"a": 1.0}, {"b": 1.0}]) == []


def test_cosines_between_directions(view: View) -> None:
    table = compare.cosine_table([Item(view, row) for row in (3, 150, 300)])
    directions = view.bundle.directions[[3, 150, 300]].astype(np.float64)
    assert table == pytest.approx(directions @ directions.T, abs=2e-3)
    assert np.diag(table) == pytest.approx(1, abs=1e-5)


def test_weights_of_a_neuron_are_its_set(view: View) -> None:
    held = weights_of(view, 9)
    values = [abs(weight) for weight in held.values()]
    assert values == sorted(values, reverse=True)
    ids = [int(i) for i in view.bundle.concept_ids[9] if i >= 0]
    assert set(held) <= {view.bundle.texts[i] for i in ids}


def test_without_model_weights_known_texts_are_served(
    bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle whose model cannot be had still answers what its dictionary holds."""
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(bundle_copy.parent))
    monkeypatch.setattr("explorer.bundle.size_problems", lambda folder, manifest: [])
    (bundle_copy / "model" / "open_clip_model.safetensors").unlink()
    assert "direction</b>" in html_of(run_page("search", q="red circle"))
    html = html_of(run_page("search", q="a yellow star"))
    assert 'class="notice"' in html
    assert "has no weights" in html
    html = html_of(run_page("search", image="3"))
    assert "has no weights" in html


def test_neurons_whose_pictures_show_the_text_come_first(view: View) -> None:
    trusted = html_of(run_page("search", q="red circle"))
    plain = html_of(run_page("search", q="red circle", rank="plain"))
    assert "weighs this" not in plain
    found = open_search(view.bundle, "red circle")
    shown = found.shown(np.arange(len(view.neurons)))
    counted = found.cosines * np.clip(np.sign(found.cosines) * (2 * shown - 1), 0, 1)
    for html, scores in ((trusted, counted), (plain, found.cosines)):
        layer, neuron = view.place(int(np.argmax(scores)))
        card = html[html.index('class="card') :]
        assert card.index(f"layer={layer}&amp;neuron={neuron}") < card.index("direction</b>")

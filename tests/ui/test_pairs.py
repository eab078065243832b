"""Neurons and heads on the Search and Compare pages, pins of pairs: through AppTest."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explorer.bundle import MODEL_FOLDER, Bundle
from explorer.bundle.pair_directions import pair_directions
from explorer.bundle.pairs import pair_at, pairs_of
from explorer.lens import SecondOrderLens
from explorer.picture.model import open_lens_model
from explorer.picture.pair_effects import own_shares, pair_effects
from explorer.picture.reading import Reading
from explorer.search import open_search
from explorer.search.pairs import PairSearch, above_chance
from explorer.ui.address import address
from explorer.ui.address.found import HEADS
from explorer.ui.address.pin import Pin, read_pins, write_pins
from explorer.ui.address.search_query import OF_HEADS, SearchQuery, read_search
from explorer.ui.compare import sections as compare
from explorer.ui.compare.items import item_of
from explorer.ui.core import glossary
from explorer.ui.data import loaders, studies
from explorer.ui.data.loaders import View
from explorer.ui.html.pair_cards import pair_card
from explorer.ui.widgets.picture_choice import ChosenPicture
from tests.support.app import html_of, run_page
from tests.support.told import rewrite, told_pairs, unpaired


@pytest.fixture(autouse=True)
def _nowhere() -> None:
    address.arrive("home", {})


@pytest.fixture
def pair(view: View) -> str:
    """A pair of neuron 1.5 as an address pins it."""
    return Pin(1, 5, pairs_of(view.bundle, view.bundle.row(1, 5))[0].key).written


def cards_of(html: str) -> list[str]:
    """Return the names on the cards."""
    return re.findall(r'<div class="where">([^<]*)</div>', html)


def names(view: View, hits: list) -> list[str]:
    return [
        glossary.neuron_name(*view.place(hit.row), pair_at(view.bundle, hit.row, hit.place).key)
        for hit in hits
    ]


# --- search ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("show", OF_HEADS)
def test_search_lists_the_pairs_that_are_found(view: View, show: str) -> None:
    html = html_of(
        run_page("search", q="red circle", of="heads", above="0", show=show, rank="plain")
    )
    search = PairSearch(open_search(view.bundle, "red circle"), trusted=False)
    hits = {"towards": search.towards, "away": search.away, "sets": search.sets}[show](24)
    assert cards_of(html) == names(view, hits)
    first = pair_at(view.bundle, hits[0].row, hits[0].place)
    assert f"<b>{glossary.share(first.share)}</b> of its neuron" in html
    assert f"<b>direction</b> {glossary.signed(float(search.cosines[hits[0].number]))}" in html
    assert f"more=heads&amp;head={first.name}" in html
    assert "known from the model’s weights" in html
    assert html.count('class="notice"') == 0


def test_where_no_pair_passes_all_are_shown_under_that_sentence(view: View) -> None:
    """A bug: a search among pairs was empty unless it was asked for those at chance too."""
    said = f"None of this bundle’s {len(above_chance(view.bundle)):,} pairs has words that are"
    usual = html_of(run_page("search", q="red circle", of="heads"))
    asked = html_of(run_page("search", q="red circle", of="heads", above="0"))
    assert said in usual and usual.count('class="notice"') == 1
    assert said in asked and asked.count('class="notice"') == 0
    assert cards_of(usual) == cards_of(asked) and len(cards_of(usual)) == 24


def test_claims_are_shown_alone_unless_told(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = told_pairs(tiny_bundle, tmp_path / "told")
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tmp_path))
    bundle = Bundle.open(folder)
    only = html_of(run_page("search", q="red circle", of="heads"))
    hidden = int((bundle.pair_words[np.asarray(bundle.pair_paths) >= 0] == 0).sum())
    assert f"{hidden:,} pairs whose words are no more than chance left out" in only
    assert len(cards_of(only)) == 24
    assert "no word above chance" not in only
    every = html_of(run_page("search", q="red circle", of="heads", above="0"))
    assert "Show only those above chance" in every
    assert "no word above chance" in every


CASES = [
    ({"q": "red", "of": "tails"}, "direction</b>", "“tails” is nothing to show here"),
    ({"q": "red", "of": "heads", "show": "labels", "above": "0"}, "carries <b>", "“labels” is not"),
    ({"q": "red", "of": "heads", "above": "x"}, "carries <b>", "None of this bundle’s"),
    ({"q": "red", "of": "heads", "above": "0", "page": "99"}, "page 5 of 5", "There are 5 pages"),
    ({"q": "red", "of": "heads", "rank": "best", "above": "0"}, "carries <b>", "“best” is not a"),
    ({"q": "red + circle", "of": "heads", "above": "0"}, "pair’s pictures show the text", None),
    ({"of": "heads"}, "For example", None),
    ({"of": "heads", "mode": "picture"}, "pair of one with a head", None),
    ({"of": "heads", "image": "3", "above": "0"}, "× its typical effect", None),
    ({"of": "heads", "image": "3", "above": "0", "show": "away"}, "<b>effect</b> −", None),
    ({"of": "heads", "image": "3"}, "× its typical effect", "None of this bundle’s"),
]


@pytest.mark.parametrize(("params", "shown", "problem"), CASES)
def test_the_address_of_a_search_among_pairs(
    params: dict[str, str], shown: str, problem: str | None
) -> None:
    html = html_of(run_page("search", False, **params))
    assert shown in html
    twice = params.get("above") == "x"  # no such value, and no pair above chance
    assert html.count('class="notice"') == (problem is not None) + twice
    assert problem is None or problem in html
    current = re.search(r'aria-current="true">([^<]*)</a>', html)
    assert current is not None
    assert current[1] == ("Neurons" if params["of"] == "tails" else "Neurons and heads")


def test_the_address_comes_back_as_it_was_written() -> None:
    query = SearchQuery(text="red", show="away", rank="plain", page=2, usually=True, of=HEADS)
    assert query.params()["above"] == "0"
    assert read_search(query.params(), 40) == (query, [])


def test_every_control_keeps_what_is_found(view: View) -> None:
    app = run_page("search", q="red", of="heads", above="0")
    switches = re.findall(r'<nav class="choices".*?</nav>', html_of(app))
    found, modes, kinds, ranking = switches[:4]
    assert found.count("of=") == 2 and found.count("q=red") == 2
    assert all(nav.count("of=heads") == nav.count("<a ") for nav in (modes, kinds, ranking))
    app.text_input(key="_q").set_value("blue").run()
    assert app.query_params == {"bundle": "tiny", "q": "blue", "of": "heads"}
    start = html_of(run_page("search", of="heads")).split("For example")[1]
    tries = re.findall(r'href="(search[^"]*q=[^"]*)"', start)
    assert len(tries) > 1 and all("of=heads" in address for address in tries)


def test_a_picture_moves_pairs_as_the_lens_says(view: View) -> None:
    """Effects against the lens's own, centred by the mean over the pictures; maps sum to them."""
    image = 3
    html = html_of(run_page("search", of="heads", image=str(image), above="0"))
    loaded, store = view.bundle.model, view.bundle.pictures
    pixels = loaded.preprocess(studies.whole(view.bundle, image))[None]
    found = pair_directions(view.bundle)
    reading = Reading(open_lens_model(view.bundle), pixels)
    effects = pair_effects(view.bundle, reading)
    assert store.corpus_size == 36
    for layer in view.layers:
        lens = SecondOrderLens(loaded.model, layer).pairs
        coefficients = lens.coefficients(pixels)[0] - reading.lens_model.means[layer]
        for neuron in range(0, 128, 31):
            row = view.bundle.row(layer, neuron)
            for pair in pairs_of(view.bundle, row):
                path = lens.path(pair.block, pair.head)
                wanted = float(coefficients[path, neuron] * lens.sizes[neuron, path])
                number = found.number(row, pair.place)
                assert float(effects[number]) == pytest.approx(wanted, rel=1e-3, abs=1e-6)
                shares = own_shares(view.bundle, reading, row, pair)
                assert float(shares.sum()) == pytest.approx(wanted, rel=1e-3, abs=1e-6)
    best = int(np.argmax(ChosenPicture("", image).pair_effects(view)))
    row, place = int(found.rows[best]), int(found.places[best])
    name = glossary.neuron_name(*view.place(row), pair_at(view.bundle, row, place).key)
    assert cards_of(html)[0] == name


def test_without_weights_of_its_own_a_bundle_says_what_stands_for_directions(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(tiny_bundle, tmp_path / "tiny"))
    shutil.rmtree(copy / MODEL_FOLDER)
    rewrite(copy)
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tmp_path))
    html = html_of(run_page("search", q="red circle", of="heads", above="0"))
    assert "the weighted sum of its texts stands for it" in html
    assert len(cards_of(html)) == 24
    view = View("tiny", Bundle.open(copy))
    pin = Pin(1, 5, pairs_of(view.bundle, view.bundle.row(1, 5))[0].key).written
    assert "the weighted sum of its texts stands for" in html_of(
        run_page("compare", pins=f"1.5,{pin}")
    )


def test_a_bundle_without_pairs_says_how_to_add_them(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: str
) -> None:
    folder = unpaired(tiny_bundle, tmp_path / "tiny")
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tmp_path))
    said = f"add them with &#39;python -m explorer pairs {folder}&#39;"
    search = html_of(run_page("search", q="red circle", of="heads"))
    assert said in search and "direction</b>" in search
    compared = html_of(run_page("compare", pins=f"1.5,{pair}"))
    assert said in compared and "Pictures they respond to" in compared
    for html in (search, compared):
        assert html.count(said) == 1


# --- pins and compare -----------------------------------------------------------------------------


def test_pins_are_read_as_they_are_written() -> None:
    pins = [Pin(9, 12), Pin(9, 12, (10, 3)), Pin(8, 7, (11, 0))]
    assert write_pins(pins) == "9.12,9.12@10.3,8.7@11.0"
    assert read_pins(write_pins(pins)) == (pins, [])
    bad = "9.12@,9.12@10,9.12@10.x,@10.3,9.12@10.3@1.2,9.12@-1.2"
    assert read_pins(f"9.12@10.3, 9.12@10.3,{bad}") == ([Pin(9, 12, (10, 3))], bad.split(","))


@pytest.mark.parametrize(
    ("pins", "problem"),
    [
        ("1.5,1.5@9.9", "Pinned pairs 1.5@9.9 are left out"),
        ("1.5,7.7@2.0", "Pinned neurons 7.7@2.0 aren&#39;t in this bundle"),
        ("1.5,1.5@two", "Pinned neurons 1.5@two aren&#39;t in this bundle"),
    ],
)
def test_a_pinned_pair_that_is_none_is_one_sentence(pins: str, problem: str) -> None:
    html = html_of(run_page("compare", pins=pins))
    assert problem in html
    assert html.count('class="notice"') == 2  # and that one neuron alone is pinned
    assert cards_of(html) == ["Layer 1 · Neuron 5"]


def test_a_pair_is_pinned_from_its_head(view: View) -> None:
    pairs = pairs_of(view.bundle, view.bundle.row(1, 5))
    html = html_of(run_page("neuron", layer="1", neuron="5", head=pairs[0].name, pins="2.7"))
    pin = f"1.5@{pairs[0].name}"
    assert f'data-pin="{pin}"' in html
    assert f"Pin Layer 1 · Neuron 5 · Head {pairs[0].name} to compare" in html
    assert f"atlas?bundle=tiny&amp;of=heads&amp;at=1.5%40{pairs[0].name}&amp;pins=2.7" in html
    tree = html_of(run_page("neuron", layer="1", neuron="5", more="heads", pins=pin))
    assert f"Unpin Layer 1 · Neuron 5 · Head {pairs[0].name}" in tree
    assert all(f'data-pin="1.5@{pair.name}"' in tree for pair in pairs)
    bar = tree.split('class="pins"')[1].split("Compare")[0]
    assert f">1 · 5 · Head {pairs[0].name}</a>" in bar
    assert f"more=heads&amp;head={pairs[0].name}" in bar


def test_pairs_stand_beside_neurons(view: View, pair: str) -> None:
    html = html_of(run_page("compare", pins=f"1.5,{pair},2.7"))
    pin = read_pins(pair)[0][0]
    name = glossary.neuron_name(*pin)
    assert cards_of(html) == ["Layer 1 · Neuron 5", name, "Layer 2 · Neuron 7"]
    assert f'<th class="right">{glossary.short_name(*pin)}</th>' in html
    found = item_of(view, pin).pair
    assert found is not None
    assert (
        f'<td>Share of the squared effect</td><td class="right">{glossary.share(found.share)}'
        in html
    )
    assert "not kept for a head" in html
    measures = html.split("<h2>Measures</h2>")[1].split("</table>")[0]
    assert measures.count("</th>") == 4  # the measure, two neurons, chance
    assert html.count('class="notice"') == 0
    alone = html_of(run_page("compare", pins=pair))
    assert "One pair is pinned" in alone
    assert "<h2>Measures</h2>" not in alone
    assert "Pictures at the other end" not in alone


def test_cosines_of_pairs_are_those_of_the_lens(view: View, pair: str) -> None:
    pins = [Pin(1, 5), read_pins(pair)[0][0], Pin(2, 7)]
    table = compare.cosine_table([item_of(view, pin) for pin in pins])
    lens = SecondOrderLens(view.bundle.model.model, 1).pairs
    assert pins[1].head is not None
    own = lens.directions[5, lens.path(*pins[1].head)].numpy()
    rows = [view.bundle.row(*place) for place in ((1, 5), (2, 7))]
    stored = np.asarray(view.bundle.directions[rows], np.float32)
    assert table[1, [0, 2]] == pytest.approx(stored @ own, abs=2e-3)
    assert np.diag(table) == pytest.approx(1, abs=1e-4)


def test_a_picture_is_shown_under_the_map_of_a_pair(view: View, pair: str) -> None:
    html = html_of(run_page("compare", pins=f"1.5,{pair}", image="4"))
    name = glossary.neuron_name(*read_pins(pair)[0][0])
    sources = re.findall(r'src="(data:image/webp[^"]*)" alt="Where [^"]* drives [^"]*"', html)
    assert len(sources) == 2 and sources[0] != sources[1]
    assert f"drives {name}" in html
    assert html.count("× its typical effect") == 2


def test_a_card_says_what_is_more_than_chance_and_what_is_not(view: View) -> None:
    row = view.bundle.row(1, 5)
    bare = pairs_of(view.bundle, row)[0]
    assert bare.said.startswith("no word above chance (nearest: ")
    assert 'class="concepts unclaimed"' in pair_card(view, row, bare)
    told = replace(bare, words=2)
    assert told.said == ", ".join(text for text, _ in bare.texts[:2])
    assert 'class="concepts"' in pair_card(view, row, told)

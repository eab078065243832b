"""Pages say of neurons only what is more than chance: on random weights nothing, in bold never."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from explorer.bundle import Bundle
from explorer.bundle.meaning import AGAINST, NOTHING, title_of
from explorer.bundle.measures import TABLE
from explorer.describe.prediction import random_precision
from explorer.evidence import registry
from explorer.search import TextSearch, open_search
from explorer.ui.address.address import NeuronsQuery, Usual, read_neurons
from explorer.ui.address.search_query import read_search
from explorer.ui.compare.items import Item, weights_of
from explorer.ui.core import glossary
from explorer.ui.data import export, grouping, highlights, loaders, selection
from explorer.ui.data.labelled import labelled
from explorer.ui.data.loaders import View
from explorer.ui.data.neuron import Neuron
from explorer.ui.data.served import hint
from explorer.ui.home import passing
from explorer.ui.html import cards
from explorer.ui.shell import standing
from tests.support.app import html_of, run_page
from tests.support.told import KINDS, SHARED, WORDS

NAMING = [
    ("home", {}),
    ("neurons", {}),
    ("neurons", {"view": "table"}),
    ("neurons", {"neurons": "1.5,2.7,0.3"}),
    ("neuron", {"layer": "1", "neuron": "5"}),
    ("neuron", {"layer": "2", "neuron": "9", "pictures": "grouped"}),
    ("neuron", {"layer": "1", "neuron": "5", "more": "texts"}),
    ("neuron", {"layer": "1", "neuron": "5", "more": "similar"}),
    ("concept", {"text": "red circle"}),
    ("search", {"q": "red circle"}),
    ("search", {"q": "red circle", "show": "labels"}),
    ("search", {"image": "3"}),
    ("atlas", {"neurons": "1.5,2.7"}),
    ("compare", {"pins": "1.5,2.7"}),
    ("image", {"image": "3"}),
    ("findings", {"show": "collections"}),
    ("collection", {"id": "report"}),
]
ASKED = "red circle"  # what a page was asked for may stand in its heading
BOLD = ("b", "strong", "h1", "h2", "h3", "h4")
BOLD_CLASSES = {"concepts", "chip"}


class Bold(HTMLParser):
    """Collects the texts of a page that stand in bold, each once."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[bool | None] = []  # None: folded
        self.texts: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("img", "br", "hr", "input", "path", "rect"):
            return
        css = set((dict(attrs).get("class") or "").split())
        plain = bool(css & {"unclaimed", "muted"})
        bold = tag in BOLD or bool(css & BOLD_CLASSES)
        if (self.open and self.open[-1] is None) or tag == "details":
            self.open.append(None)
        else:
            self.open.append(not plain and (bold or bool(self.open and self.open[-1])))

    def handle_endtag(self, tag: str) -> None:
        if self.open and tag not in ("img", "br", "hr", "input", "path", "rect"):
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] and data.strip():
            self.texts.add(data.strip())


def meanings(view: View) -> set[str]:
    """Every text or word that a page could call a neuron by."""
    return {text.casefold() for text in view.bundle.texts} | set(view.word_counts)


@pytest.mark.parametrize(("page", "params"), NAMING)
def test_on_random_weights_nothing_bold_claims_a_meaning(
    page: str, params: dict[str, str], view: View
) -> None:
    html = html_of(run_page(page, **params))
    assert standing.NO_BETTER in html
    bold = {text.casefold() for text in Bold(html).texts} - {ASKED, f"“{ASKED}”"}
    known = meanings(view)
    said = {text for text in bold if set(re.split(r"[,:·]\s*| and ", text)) & known}
    if page == "image":  # its heading holds the picture's own label
        said = {text for text in said if not text.startswith("picture ")}
    if page in ("search", "concept"):  # texts near the one that was asked for
        near = open_search(view.bundle, ASKED).texts(40)
        said -= {view.bundle.texts[row].casefold() for row, _ in near}
    assert said == set()
    if page in ("neurons", "neuron", "compare"):
        assert NOTHING in html


def test_the_test_sees_bold_meanings(told_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same look at a bundle where meanings pass finds them, and none that doesn't."""
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(told_bundle.parent))
    told = View("told", Bundle.open(told_bundle))
    html = html_of(run_page("neurons", sort="neuron", above="0"))
    bold = Bold(html).texts
    for row in np.flatnonzero(told.neurons["neuron"].to_numpy() < 4):
        title = title_of(told.bundle, int(row))
        assert (title.text in bold) == title.claims
    assert standing.NO_BETTER not in html


def test_a_card_shows_no_word_beyond_those_above_chance(told_bundle: Path) -> None:
    told = View("told", Bundle.open(told_bundle))
    for row in range(0, 30, KINDS):
        words = {told.bundle.texts[int(i)] for i in told.bundle.concept_ids[row, :WORDS]}
        shown = re.search(r'<div class="concepts"[^>]*>([^<]*)</div>', cards.card(told, row))
        assert shown and set(shown[1].removeprefix(AGAINST).split(", ")) <= words


def test_pages_agree_on_a_neuron(told_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug: the Overview named by groups of pictures, and Compare weighed words by the whole set.

    One title on every page, and one weight of a word: of the words above chance alone.
    """
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(told_bundle.parent))
    told = View("told", Bundle.open(told_bundle))
    home = html_of(run_page("home"))
    named = set(re.findall(r'class="concepts[^>]*>([^<]*)<', home))
    assert named == {told.title(found.row).text for found in highlights.held(told)}
    row = KINDS  # passes by words
    page = {c.text: c.weight for c in grouping.by_weight(Neuron(told, row).told)}
    assert Item(told, row).told == pytest.approx(page)
    assert Item(told, row).told != pytest.approx(
        {text: weights_of(told, row)[text] for text in page}
    )


def test_a_p_value_stands_beside_what_passes(told_bundle: Path) -> None:
    """A bug: “chance 0.500” beside a p-value suggested that 0.3 would do."""
    told = View("told", Bundle.open(told_bundle))
    table = told.neurons
    larger = table[["text_p", "prediction_p"]].max(axis=1)[table["words_pass"]].max()
    drivers = table["driven_p"][table["driven_pass"]].max()
    for key, level in {"text_p": larger, "prediction_p": larger, "driven_p": drivers}.items():
        found = glossary.MEASURES[key].chance_in(told.bundle)
        assert found.value == pytest.approx(level)
        assert found.said == f"passes up to {glossary.probability(level)}"
        line = cards.measure_line(told, 5, glossary.MEASURES[key])
        assert found.said in line and 'class="rank"' not in line


def test_hints_and_files_name_neurons_by_the_same_rule(told_bundle: Path) -> None:
    told = View("told", Bundle.open(told_bundle))
    table = export.described(told, [0, 1, 2])
    for row in range(3):
        title = title_of(told.bundle, row)
        assert (hint(told, row)["title"], hint(told, row)["claims"]) == (title.text, title.claims)
        assert (table["Meaning"][row], table["Rests on"][row]) == (title.text, title.basis)
    assert table["Meaning"][1] == f"pictures of {SHARED}"


# --- what lists leave out -----------------------------------------------------------------------


def test_lists_leave_out_what_is_no_more_than_chance(
    told_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(told_bundle.parent))
    html = html_of(run_page("neurons"))
    assert "256</b> neurons, 1 to 24 shown, by prediction" in html
    assert "128 neurons that are no more than chance left out" in html
    assert NOTHING not in html
    assert 'href="neurons?bundle=told&amp;above=0"' in html or "above=0" in html
    whole = html_of(run_page("neurons", above="0"))
    assert "384</b> neurons" in whole and "Show only those above chance" in whole
    listed = html_of(run_page("neurons", neurons="0.2,0.5"))  # a list is shown as it is
    assert "2</b> neurons" in listed
    one = html_of(run_page("neurons", layers="1"))
    rows = np.flatnonzero(np.arange(384) // 128 == 1)
    assert f"{(rows % KINDS == KINDS - 1).sum()} neurons that are no more than chance" in one


def test_search_and_map_leave_out_the_same(
    told_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(told_bundle.parent))
    for page, params in (
        ("search", {"q": ASKED}),
        ("search", {"q": ASKED, "show": "sets"}),
        ("search", {"q": ASKED, "show": "labels"}),
        ("search", {"image": "3"}),
        ("atlas", {}),
    ):
        html = html_of(run_page(page, **params))
        assert "128 neurons that are no more than chance left out" in html
        # what drives a neuron says nothing of its opposite end
        assert html.count(f"{NOTHING}</") <= html.count('title="Pictures that move it against')
        whole = html_of(run_page(page, **params, above="0"))
        assert "Show only those above chance" in whole


def test_nothing_is_left_out_where_nothing_passes() -> None:
    html = html_of(run_page("neurons"))
    assert "384</b> neurons" in html and "left out" not in html
    asked = html_of(run_page("neurons", above="1"))
    assert "No neuron of this bundle is known to be above chance: all are shown." in asked
    assert "384</b> neurons" in asked


def test_found_neurons_are_among_those_asked_for(view: View) -> None:
    found = open_search(view.bundle, "red + circle")
    some = np.arange(len(view.neurons)) % 5 == 0
    only = type(found)(**{**vars_of(found), "among": some})
    for kind in ("towards", "away", "sets", "near_sets", "carriers"):
        every = [hit.row for hit in getattr(found, kind)(len(some))]
        assert [hit.row for hit in getattr(only, kind)(len(some))] == [r for r in every if some[r]]
    rows = [hit.row for hit in labelled(view, found.terms, 400)]
    kept = [hit.row for hit in labelled(view, found.terms, 400, among=some)]
    assert kept == [row for row in rows if some[row]]


def vars_of(found: TextSearch) -> dict[str, Any]:
    given = [field.name for field in dataclasses.fields(found) if field.init]
    return {name: getattr(found, name) for name in given if name != "among"}


def test_addresses_say_what_is_left_out() -> None:
    usual = Usual("prediction", above=True)
    for params in ({}, {"above": "0"}, {"neurons": "1.5"}, {"neurons": "1.5", "above": "1"}):
        reading = read_neurons(params, [0, 1, 2], usual=usual)
        assert reading.query.params() == params and not reading.problems
        assert reading.query.above == (params.get("above", "") == "1" or params == {})
    assert read_neurons({"above": "yes"}, [0], usual=usual).problems
    assert read_neurons({}, [0]).query == NeuronsQuery()
    query, problems = read_search({"q": "red", "above": "0"}, 9, usually=True)
    assert not query.above and query.params() == {"q": "red", "above": "0"} and not problems


def test_sorting_starts_with_prediction_where_it_is_known(
    view: View, untested_bundle: Path
) -> None:
    assert NeuronsQuery(usual=view.usual).sort_key == "prediction"
    rows = selection.select(view, NeuronsQuery(usual=view.usual)).rows
    told = view.neurons["prediction"].to_numpy()[rows[~view.silent[rows]]]
    assert (np.diff(told) <= 0).all()
    old = View("untested", Bundle.open(untested_bundle))
    assert NeuronsQuery(usual=old.usual).sort_key == "agreement"


# --- how a bundle stands --------------------------------------------------------------------------


@pytest.fixture
def old(untested_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> View:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(untested_bundle.parent))
    return View("untested", Bundle.open(untested_bundle))


def test_an_untested_bundle_says_what_it_lacks_and_the_command(old: View) -> None:
    html = html_of(run_page("home"))
    assert "built before neurons were compared with chance" in html
    assert standing.rebuild_command(old.bundle) in html
    assert standing.NO_BETTER not in html
    assert "More than chance" not in html


def test_the_command_builds_what_is_lacking(old: View, tmp_path: Path) -> None:
    """The command as it stands; only the folder it writes into is changed."""
    import shlex

    from explorer.commands.main import main

    parts = shlex.split(standing.rebuild_command(old.bundle))
    assert parts[:4] == ["python", "-m", "explorer", "build"]
    options = [*parts[3:-1], str(tmp_path / "again")]
    assert main([*options, "--nonzero", "4", "--nulls", "30"]) == 0
    again = Bundle.open(tmp_path / "again")
    assert again.tested
    assert again.texts == old.bundle.texts
    assert len(again.neurons) == len(old.neurons)


@pytest.mark.parametrize("page", ["neurons", "neuron", "atlas", "compare", "search"])
def test_pages_of_an_untested_bundle_name_neurons_in_grey(page: str, old: View) -> None:
    params = {"q": ASKED} if page == "search" else {}
    html = html_of(run_page(page, **params, **({"pins": "1.5"} if page == "compare" else {})))
    shown = set(re.findall(r'class="(concepts[^"]*)"', html))
    assert shown <= {"concepts unclaimed"}


def test_home_counts_what_passes_by_layer(
    told_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(told_bundle.parent))
    told = View("told", Bundle.open(told_bundle))
    found = passing.shares(told)
    for place, layer in enumerate(told.layers):
        rows = np.flatnonzero(told.neurons["layer"].to_numpy() == layer)
        assert found.words[place] == pytest.approx((rows % KINDS == 0).mean())
        assert found.drivers[place] == pytest.approx((rows % KINDS == 1).mean())
    figure = passing.passing_figure(told.layers, found)
    assert figure.layout.shapes[0].y0 == 5  # the nominal level, per cent
    assert [list(bar.y) for bar in figure.data] == [
        pytest.approx(100 * found.words), pytest.approx(100 * found.drivers)
    ]  # fmt: skip
    html = html_of(run_page("home"))
    assert "words describe 128 (33 %)" in html
    assert 'href="evidence?bundle=told' in html


def test_the_chart_leads_to_the_controls_where_there_are_any(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = registry.sections()
    without = {name: part for name, part in sections.items() if "controls" not in part.claims}
    monkeypatch.setattr(registry, "sections", lambda: without)
    assert "claim=controls" not in passing.controls_link(view)
    controls = registry.Section("controls", "what chance gives", ("controls",))
    monkeypatch.setattr(registry, "sections", lambda: without | {"controls": controls})
    assert "claim=controls" in passing.controls_link(view)


# --- where chance lies ----------------------------------------------------------------------------


def test_every_bar_with_a_known_chance_has_a_tick_there(view: View) -> None:
    html = str(cards.measures(view, 5))
    parts = html.split('<div class="name">')[1:]
    page = [measure for measure in TABLE if "page" in measure.places]
    assert len(parts) == len(page)
    for measure, part in zip(page, parts, strict=True):
        chance = measure.chance_in(view.bundle)
        assert ('class="chance"' in part) == (chance is not None)
        assert ("<s style" in part) == (chance is not None and not measure.passes)
        if chance is None or measure.passes:
            continue
        values = view.neurons[measure.key].to_numpy()
        share = (values[np.isfinite(values)] <= chance.value).mean()
        assert f'<s style="left:{100 * share:.0f}%">' in part
        assert chance.said in part


def test_without_a_chance_of_its_own_a_measure_says_what_random_weights_give(view: View) -> None:
    said = {m.key: m.chance_in(view.bundle) for m in TABLE}
    assert said["explained_variance"] is said["selectivity"] is None  # not measured here
    given = {"controls": {"measures": {"selectivity": {"random_weights": {"value": 0.274}}}}}
    measured = view.bundle.manifest.model_copy(update={"evidence": given})
    told = SimpleNamespace(manifest=measured)
    by_key = {m.key: m for m in TABLE}
    assert by_key["selectivity"].chance_in(told).said == "untrained 27 %"
    assert by_key["explained_variance"].chance_in(told) is None
    half = view.bundle.manifest.counts["images"] // 2
    assert said["precision"].value == pytest.approx(random_precision(half))
    assert said["agreement"].said == "chance 50 %"
    assert said["polysemy"] is None
    html = html_of(run_page("neuron", layer="1", neuron="5", more="measures"))
    assert "The tick ┃ stands where chance lies" in html

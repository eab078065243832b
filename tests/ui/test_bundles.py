"""The page of two bundles through AppTest, its address and its ranking."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explorer.bundle import MANIFEST, Bundle
from explorer.bundle.match import match_neurons
from explorer.ui.address.bundles_query import ALIKE, BundlesQuery, layer_of, read_bundles
from explorer.ui.bundles.plot import overlap_figure
from explorer.ui.data import loaders, matches
from explorer.ui.data.loaders import View
from tests.support.app import html_of, run_page


@pytest.fixture
def pair(
    tiny_bundle: Path, other_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with two bundles that share some pictures and two layers."""
    (tmp_path / "tiny").symlink_to(tiny_bundle)
    (tmp_path / "other").symlink_to(other_bundle)
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("params", "shown", "problem"),
    [
        ({}, "“other” beside those of “tiny”", None),
        ({"bundle": "tiny"}, "“tiny” beside those of “other”", None),
        ({"bundle": "tiny", "other": "other"}, "over the 32 pictures that both hold", None),
        ({"bundle": "tiny", "show": "alike"}, "the largest overlap first", None),
        ({"bundle": "tiny", "layer": "2"}, "128 neurons, each", None),
        ({"bundle": "tiny", "page": "2"}, "page 2 of", None),
        ({"bundle": "tiny", "other": "none"}, "those of “other”", "There is no bundle “none” here"),
        ({"bundle": "tiny", "other": "tiny"}, "those of “other”", "a bundle is like itself"),
        ({"bundle": "tiny", "layer": "0"}, "256 neurons, each", "hold the layers 1, 2, not 0"),
        ({"bundle": "tiny", "layer": "x"}, "256 neurons, each", "“x” is not a layer"),
        ({"bundle": "tiny", "show": "odd"}, "Most changed", "“odd” is not a value for “show”"),
        ({"bundle": "tiny", "page": "999"}, "page 22 of 22", "There are 22 pages of neurons"),
        ({"bundle": "tiny", "page": "-1"}, "page 1 of 22", "“-1” is not a page number"),
    ],
)
def test_the_page_shows_what_its_address_says(
    pair: Path, params: dict[str, str], shown: str, problem: str | None
) -> None:
    html = html_of(run_page("bundles", **params))
    assert shown in html
    assert (problem in html) if problem else ('class="notice"' not in html)


def test_both_sides_are_shown_and_lead_to_their_neurons(pair: Path) -> None:
    app = run_page("bundles", True, bundle="tiny", other="other", pins="0.3")
    html = html_of(app)
    assert len(app.get("plotly_chart")) == 1
    assert re.search(r'href="neuron\?bundle=tiny&amp;layer=[12]&amp;neuron=\d+&amp;pins=0.3"', html)
    theirs = re.findall(r'href="neuron\?bundle=other&amp;layer=[12]&amp;neuron=\d+([^"]*)"', html)
    assert theirs and not any("pins" in rest for rest in theirs)  # pins are the other bundle's
    assert 'src="pictures/tiny/' in html and 'src="pictures/other/' in html


def test_choosing_a_bundle_writes_both_into_the_address(pair: Path) -> None:
    app = run_page("bundles", bundle="tiny", other="other", show="alike", page="2")
    app.selectbox(key="_first_bundle").set_value("other").run()
    assert app.query_params == {"bundle": "other", "other": "tiny", "show": "alike"}
    assert "“other” beside those of “tiny”" in html_of(app)


def test_one_bundle_alone_says_what_to_do() -> None:
    html = html_of(run_page("bundles"))
    assert "“tiny” is the only bundle in" in html and "build a second one" in html
    assert 'href="compare?bundle=tiny"' in html


def test_bundles_that_cannot_be_compared_are_told_in_a_sentence(
    pair: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (pair / "other").unlink()
    broken = Path(shutil.copytree(tiny_bundle, pair / "other"))
    (broken / "top_images.npy").unlink()
    html = html_of(run_page("bundles", bundle="tiny", other="other"))
    assert "top_images.npy is missing" in html and "“tiny” cannot be opened" not in html
    (broken / MANIFEST).write_text("{", "utf-8")
    assert "manifest.json" in html_of(run_page("bundles", bundle="tiny", other="other"))


def test_the_compare_page_leads_there(pair: Path) -> None:
    assert 'href="bundles?bundle=tiny"' in html_of(run_page("compare", bundle="tiny"))


def test_addresses_are_read_and_written(pair: Path) -> None:
    found = ["picto", "tuned", "other"]
    params = {"other": "tuned", "layer": "9", "show": "alike", "page": "3"}
    query, problems = read_bundles(params, "picto", found)
    assert not problems and query == BundlesQuery("tuned", 9, ALIKE, 3)
    assert read_bundles(query.params(), "picto", found) == (query, [])
    assert query.at(1).page == 1
    assert layer_of(query, [8, 9]) == (query, [])
    assert layer_of(query, [7, 8])[0].layer is None
    assert read_bundles({"other": "x"}, "only", ["only"])[0].other == ""


def test_the_ranking_is_that_of_sorted_overlaps(tiny_bundle: Path, other_bundle: Path) -> None:
    first, second = Bundle.open(tiny_bundle), Bundle.open(other_bundle)
    view, found = View("tiny", first), match_neurons(first, second)
    shown = int(found.shown.sum())
    for numbered in (False, True):
        told = replace(found, chance=found.same.mean() / 3 if numbered else 1.0)
        assert told.numbered is numbered
        for show in ("changed", ALIKE):
            query = BundlesQuery("other", show=show)
            pages = matches.ranking(view, told, query).pages
            pairs = [
                pair
                for page in range(1, pages + 1)
                for pair in matches.ranking(view, told, query.at(page)).beside
            ]
            assert len(pairs) == shown == len({pair.row for pair in pairs})
            overlaps = [pair.overlap for pair in pairs]
            assert overlaps == sorted(overlaps, reverse=show == ALIKE)
            for pair in pairs[::9]:
                place = int(np.flatnonzero(found.rows == pair.row)[0])
                by_number = numbered and show != ALIKE
                assert pair.other == (found.home if by_number else found.best)[place]
                assert pair.match == found.best[place]
    one = matches.ranking(view, found, BundlesQuery("other", layer=2))
    assert {int(first.neurons["layer"].iloc[pair.row]) for pair in one.beside} == {2}


def test_boxes_stand_at_the_quantiles(tiny_bundle: Path, other_bundle: Path) -> None:
    found = match_neurons(Bundle.open(tiny_bundle), Bundle.open(other_bundle))
    best, dealt = (matches.spread(found, values) for values in (found.overlap, found.dealt))
    figure = overlap_figure(best, dealt)
    chance, measured = figure.data
    shown = found.overlap[:128][found.shown[:128]]
    assert measured.median[0] == pytest.approx(np.median(shown), abs=1e-4)
    assert measured.q3[0] == pytest.approx(np.quantile(shown, 0.75), abs=1e-4)
    assert list(measured.x) == list(chance.x) == ["1", "2"]

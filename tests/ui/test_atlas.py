"""The Atlas page: what the address says, the map's points, a lasso's list."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from explorer.bundle.landmarks import Landmark
from explorer.bundle.pair_directions import pair_directions
from explorer.bundle.pair_map import FARTHEST
from explorer.lens.models import encode_texts
from explorer.palette import COLOURS
from explorer.ui.address import area
from explorer.ui.address.address import NeuronsQuery, Range
from explorer.ui.address.atlas_query import AtlasQuery, read_atlas
from explorer.ui.address.found import HEADS
from explorer.ui.address.pin import Pin
from explorer.ui.atlas import sections as atlas
from explorer.ui.atlas.figure import (
    SEQUENTIAL,
    Marks,
    discrete,
    map_figure,
    places_in,
    scale_of,
)
from explorer.ui.atlas.points import points_of, values_of
from explorer.ui.data import export, loaded_model, loaders
from explorer.ui.data.loaders import View
from explorer.ui.shell.frame import Page
from tests.support.app import html_of, run_page
from tests.support.told import unpaired

CASES = [
    ({}, "Each of the 384 points", None),
    ({"bundle": "nowhere"}, "Each of the 384 points", "There is no bundle “nowhere”"),
    ({"colour": "polysemy"}, "Each of the 384 points", None),
    ({"colour": "taste"}, "Each of the 384 points", "“taste” colours nothing"),
    ({"colour": "text", "text": "red"}, "Each of the 384 points", None),
    ({"colour": "text", "text": "zebra"}, "Each of the 384 points", None),
    ({"layers": "1"}, "<b>128</b> neurons pass the filters", None),
    ({"layers": "7"}, "Each of the 384 points", "asks for layers “7”"),
    ({"word": "red"}, "neurons pass the filters", None),
    ({"neurons": "1.5,2.7,0.3"}, "3 neurons chosen", None),
    ({"neurons": "1.5,9.9,x"}, "1 neurons chosen", "does not have (9.9, x)"),
    ({"at": "9.9"}, "Each of the 384 points", "cannot point to 9.9"),
    ({"colour": "block"}, "Each of the 384 points is a neuron", "“block” colours nothing"),
    ({"of": "tails"}, "points is a neuron", "“tails” is nothing to show"),
    ({"of": "heads"}, "points is a pair", None),
    ({"of": "heads", "colour": "text", "text": "red"}, "points is a pair", None),
    ({"of": "heads", "colour": "text"}, "points is a pair", "Until then blocks are shown"),
    ({"of": "heads", "layers": "1"}, "</b> pairs pass the filters", None),
    ({"of": "heads", "at": "1.5@2.0"}, "Layer 1 · Neuron 5 · Head 2.0</a>", None),
    ({"of": "heads", "at": "1.5@9.9"}, "points is a pair", "cannot point to 1.5@9.9"),
    ({"of": "heads", "neurons": "1.5,2.7,0.3"}, "3 neurons chosen", None),
]


@pytest.mark.parametrize("through_app", [False, True], ids=["alone", "app"])
@pytest.mark.parametrize(("params", "shown", "problem"), CASES)
def test_atlas_shows_what_its_address_says(
    params: dict[str, str], shown: str, problem: str | None, through_app: bool
) -> None:
    html = html_of(run_page("atlas", through_app, **params))
    assert shown in html
    assert html.count('class="notice"') == (problem is not None)
    assert (problem or "") in html


def test_every_living_neuron_has_its_point(view: View) -> None:
    kept = view.neurons["layer"].to_numpy() == 1
    values = view.neurons["polysemy"].to_numpy(np.float32)
    scale = {"colorscale": "Cividis"}
    grey, coloured = map_figure(np.asarray(view.bundle.atlas), values, kept, scale).data
    rows = np.asarray(coloured.customdata)
    alive = np.isfinite(view.bundle.atlas).all(1)
    assert rows.tolist() == np.flatnonzero(kept & alive).tolist()
    assert len(grey.x) == (~kept & alive).sum()
    places = np.asarray(view.bundle.atlas)[rows]
    assert np.allclose(np.column_stack([coloured.x, coloured.y]), places)


def test_layers_have_a_colour_each_while_there_are_enough() -> None:
    values = np.asarray([9, 5, 7, 5], np.float32)
    levels = discrete(values)
    assert levels == [5, 7, 9]
    assert places_in(levels, values).tolist() == [2, 0, 1, 0]
    scale = scale_of("layer", "layer", levels)
    assert [colour for _, colour in scale["colorscale"]] == [c for c in COLOURS[:3] for _ in "ab"]
    assert scale["colorbar"]["ticktext"] == ["5", "7", "9"]
    many = np.arange(32, dtype=np.float32)
    assert discrete(many) == []
    assert places_in([], many) is many
    assert scale_of("layer", "layer")["colorscale"] == SEQUENTIAL


@pytest.mark.parametrize("ground", ["#fcfcfa", "#14161b"])
@pytest.mark.parametrize("colour", [*COLOURS, *(colour for _, colour in SEQUENTIAL)])
def test_every_colour_of_the_map_is_seen_on_both_grounds(colour: str, ground: str) -> None:
    high, low = sorted((_luminance(colour), _luminance(ground)), reverse=True)
    assert (high + 0.05) / (low + 0.05) > 2


def _luminance(colour: str) -> float:
    """Relative luminance as WCAG defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_the_sequential_scale_grows_lighter() -> None:
    lights = [_luminance(colour) for _, colour in SEQUENTIAL]
    assert lights == sorted(lights)


def test_filtered_points_are_smaller_and_axes_have_one_scale(view: View) -> None:
    values = view.neurons["polysemy"].to_numpy(np.float32)
    kept = view.neurons["layer"].to_numpy() == 1
    places = np.asarray(view.bundle.atlas)
    names = (Landmark("<b>cat</b>", 0.5, 0.25),)
    figure = map_figure(places, values, kept, scale_of("polysemy", "p"), landmarks=names)
    rest, coloured = figure.data
    assert rest.marker.size <= coloured.marker.size / 2
    assert figure.layout.yaxis.scaleanchor == "x"
    assert coloured.marker.colorbar.orientation == "h"
    (name,) = figure.layout.annotations
    assert (name.text, name.x, name.y) == ("&lt;b&gt;cat&lt;/b&gt;", 0.5, 0.25)


def test_a_map_of_fifty_thousand_neurons_stays_small() -> None:
    many = 50_000
    drawn = np.random.default_rng(0).uniform(-1, 1, (many, 2)).astype(np.float32)
    figure = map_figure(drawn, drawn[:, 0], drawn[:, 1] > -0.9, {"colorscale": "Cividis"})
    assert len(figure.to_json()) < 1_300_000  # of the 1.5 MB that a first view may send
    assert {trace.type for trace in figure.data} == {"scattergl"}


def test_likeness_is_the_cosine_to_the_centred_text(view: View) -> None:
    query = AtlasQuery("text", "red")
    values, problem = values_of(points_of(view, query), query)
    atom = view.bundle.dictionary.atoms()[view.bundle.texts.index("red")]
    assert not problem
    assert np.allclose(values, view.bundle.directions.astype(np.float32) @ atom, atol=1e-5)


def test_the_address_carries_the_query_there_and_back(view: View) -> None:
    filters = NeuronsQuery(layers=(1, 2), word="blue", ranges=(Range("selectivity", 0.1, None),))
    query = AtlasQuery("polysemy", "red", filters, ((0, 5), (1, 72)), (), Pin(2, 7))
    assert query.params() == {
        "colour": "polysemy",
        "text": "red",
        "layers": "1,2",
        "word": "blue",
        "selectivity": "0.1..",
        "neurons": "0.5,1.72",
        "at": "2.7",
    }
    page = Page("atlas", view, query.params())
    assert read_atlas(page.params, view.layers, view.has) == (query, [])
    outlines = (((0.0, 0.0), (0.5, -0.25), (1.0, 1.0)), ((-1.0, 0.0), (0.0, 1.0), (0.5, 0.125)))
    query = AtlasQuery(area=outlines)
    page = Page("atlas", view, query.params())
    assert read_atlas(page.params, view.layers, view.has) == (query, [])


def test_an_area_lists_the_neurons_inside_that_pass_the_filters(view: View) -> None:
    everywhere = area.write([area.box([-2, 2], [-2, 2])])
    query, problems = read_atlas({"area": everywhere, "layers": "1"}, view.layers, view.has)
    points = points_of(view, query)
    rows = atlas._chosen_rows(points, query, atlas.kept_of(points, query))
    alive = np.isfinite(view.bundle.atlas).all(1) & (view.neurons["layer"] == 1).to_numpy()
    assert not problems
    assert sorted(rows) == np.flatnonzero(alive).tolist()
    assert (np.diff(view.neurons["polysemy"].to_numpy()[rows]) <= 0).all()
    html = html_of(run_page("atlas", area=everywhere))
    assert f"{int(np.isfinite(view.bundle.atlas).all(1).sum())} neurons chosen" in html
    assert "The address holds the area" in html
    empty = area.write([area.box([5, 6], [5, 6])])
    assert "No neuron in this area" in html_of(run_page("atlas", area=empty))


@pytest.mark.parametrize(
    "text", ["0,0,1,1", "0,0,1,0,nan,1", "0,0,1,0,1e99,1", "0,0,1,0,1", "a,b", "1," * 500]
)
def test_an_area_that_is_none_is_left_out(text: str) -> None:
    html = html_of(run_page("atlas", area=text))
    assert "The area is ignored" in html
    assert "neurons chosen" not in html


def test_points_inside_an_outline_by_the_even_odd_rule() -> None:
    """Against the winding of a triangle, and a box with known members."""
    draw = np.random.default_rng(0)
    points = draw.uniform(-1, 1, (2000, 2))
    a, b, c = corners = np.array([[-0.7, -0.6], [0.8, -0.2], [0.1, 0.9]])

    def left(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return np.sign(
            (q[0] - p[0]) * (points[:, 1] - p[1]) - (q[1] - p[1]) * (points[:, 0] - p[0])
        )

    expected = (left(a, b) == left(b, c)) & (left(b, c) == left(c, a))
    outline = tuple((float(x), float(y)) for x, y in corners)
    assert (area.inside(points, [outline]) == expected).all()
    box = area.box([0.5, -0.5], [-0.25, 0.25])
    inside = (np.abs(points[:, 0]) < 0.5) & (np.abs(points[:, 1]) < 0.25)
    assert (area.inside(points, [box]) == inside).all()
    assert (area.inside(points, [box, outline]) == (inside | expected)).all()


def test_a_long_lasso_keeps_few_corners() -> None:
    turn = np.linspace(0, 2 * np.pi, 900)
    outline = area.outline(np.cos(turn).tolist(), np.sin(turn).tolist())
    assert len(outline) == area.CORNERS
    assert area.read(area.write([outline])) == (outline,)
    assert len(area.write([outline])) < 1200  # fits in any address


def test_a_lasso_over_many_neurons_is_kept_as_an_area(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug: of a large lasso only 200 neurons were listed, and nothing said so."""
    monkeypatch.setattr(atlas, "LIST_LENGTH", 10)
    app = run_page("atlas")
    points = [{"customdata": row} for row in range(12)]
    drawn = {"points": points, "lasso": [{"x": [-2, 2, 2, -2], "y": [-2, -2, 2, 2]}], "box": []}
    state: dict = {atlas.CHART: {"selection": drawn}}
    said: dict = {}
    monkeypatch.setattr(atlas.st, "session_state", state)
    monkeypatch.setattr(atlas.frame, "address", lambda page, **params: said.update(params))
    atlas._selected(Page("atlas", view, {}), AtlasQuery(), points_of(view, AtlasQuery()))
    assert said == {"area": "-2,-2,2,-2,2,2,-2,2"}
    drawn["points"] = points[:3]
    said.clear()
    atlas._selected(Page("atlas", view, {}), AtlasQuery(), points_of(view, AtlasQuery()))
    assert sorted(said["neurons"].split(",")) == ["0.0", "0.1", "0.2"]
    assert not app.exception


def test_pairs_stand_beside_their_nearest_neuron(view: View) -> None:
    points = points_of(view, AtlasQuery(of=HEADS))
    found = pair_directions(view.bundle)
    assert points.rows.tolist() == found.rows.tolist()
    directions = np.asarray(view.bundle.directions, np.float32)
    alive = np.isfinite(view.bundle.atlas).all(1)
    cosines = found.cosines(directions)
    beside = np.where(alive, cosines, -2).argmax(axis=1)
    away = np.linalg.norm(points.places - np.asarray(view.bundle.atlas)[beside], axis=1)
    assert (away <= FARTHEST + 1e-6).all()
    assert len(np.unique(points.places, axis=0)) > 0.99 * len(points.rows), "none hides another"
    for row in np.unique(beside)[:20]:  # of a neuron's pairs the nearest is innermost
        around = np.flatnonzero(beside == row)
        order = around[np.argsort(-cosines[around, row], kind="stable")]
        assert (np.diff(away[order]) >= -1e-6).all()


def test_pairs_are_coloured_by_their_own_head_and_text(view: View) -> None:
    query = AtlasQuery(of=HEADS)
    points = points_of(view, query)
    blocks, _ = values_of(points, query)
    for number in range(0, len(blocks), 83):
        head = points.head(number)
        assert head is not None and head[0] == blocks[number]
    asked = AtlasQuery("text", "red", of=HEADS)
    values, _ = values_of(points, asked)
    direction = loaded_model.text_direction(view, "red")
    expected = pair_directions(view.bundle).cosines(direction[None])[:, 0]
    assert np.array_equal(values, expected)
    layers, _ = values_of(points, AtlasQuery("layer", of=HEADS))
    assert layers.tolist() == view.column("layer")[points.rows].tolist()


def test_a_click_opens_the_head_and_a_lasso_lists_the_neurons(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = points_of(view, AtlasQuery(of=HEADS))
    went: list[dict] = []
    drawn: dict = {"points": [{"customdata": 100}]}
    monkeypatch.setattr(atlas.st, "session_state", {atlas.CHART: {"selection": drawn}})
    monkeypatch.setattr(atlas.frame, "go", lambda page, **params: went.append(params))
    monkeypatch.setattr(atlas.frame, "address", lambda page, **params: went.append(params))
    page, query = Page("atlas", view, {}), AtlasQuery(of=HEADS)
    atlas._selected(page, query, points)
    layer, neuron = view.place(int(points.rows[100]))
    head = "{}.{}".format(*points.head(100) or ())
    assert went.pop() == {
        "bundle": "tiny", "layer": layer, "neuron": neuron, "more": "heads", "head": head,
    }  # fmt: skip
    drawn["points"] = [{"customdata": number} for number in range(30)]
    drawn["box"] = [{"x": [-2, 2], "y": [-2, 2]}]
    atlas._selected(page, query, points)
    said = went.pop()
    assert said["of"] == HEADS
    rows = {view.bundle.row(*map(int, place.split("."))) for place in said["neurons"].split(",")}
    assert rows == set(points.rows[:30].tolist())


def test_a_map_of_pairs_has_an_address(view: View) -> None:
    filters = NeuronsQuery(layers=(1,))
    query = AtlasQuery("polysemy", "", filters, (), (), Pin(1, 5, (2, 0)), HEADS)
    assert query.params() == {"of": "heads", "colour": "polysemy", "layers": "1", "at": "1.5@2.0"}
    assert read_atlas(query.params(), view.layers, view.has) == (query, [])
    html = html_of(run_page("atlas", colour="block", of="heads", layers="1"))
    switch = html.split('aria-label="What is shown"')[1].split("</nav>")[0]
    assert switch.count("layers=1") == 2
    assert "colour=" not in switch, "a head’s block colours no neuron"


def test_a_bundle_without_pairs_shows_its_neurons(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unpaired(tiny_bundle, tmp_path / "tiny")
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tmp_path))
    html = html_of(run_page("atlas", of="heads"))
    assert "points is a neuron" in html
    assert f"python -m explorer pairs {folder}" in html
    assert html.count('class="notice"') == 1


def test_the_map_points_to_a_neuron_and_marks_the_chosen(view: View) -> None:
    values = view.neurons["polysemy"].to_numpy(np.float32)
    alive = np.isfinite(view.bundle.atlas).all(1)
    places = np.asarray(view.bundle.atlas)
    marks = Marks(tuple(places[7].tolist()), "0 · 7", frozenset({3, 9}))
    figure = map_figure(places, values, alive, {"colorscale": "Cividis"}, marks)
    (arrow,) = figure.layout.annotations
    assert (arrow.x, arrow.y) == tuple(map(float, view.bundle.atlas[7]))
    rows = np.asarray(figure.data[1].customdata)
    assert rows[list(figure.data[1].selectedpoints)].tolist() == [3, 9]
    html = html_of(run_page("atlas", at="0.7"))
    assert "The arrow points to" in html


def test_ranges_filter_the_map_as_they_filter_the_neurons() -> None:
    app = run_page("atlas", image_polysemy="0.5..")
    html = html_of(app)
    count = re.search(r"<b>(\d+)</b> neurons pass", html)
    assert count is not None
    assert f"<b>{count[1]}</b> neurons, 1 to" in html_of(
        run_page("neurons", image_polysemy="0.5..")
    )
    assert "Lift the filter Picture polysemy from 0.5" in html
    assert 'href="neurons?bundle=tiny&amp;image_polysemy=0.5..' in html
    app.number_input(key="_range_low").set_value(0.2)
    app.selectbox(key="_range_key").set_value("selectivity")
    next(b for b in app.button if b.label == "Filter").click().run()
    ranges = {"image_polysemy": "0.5..", "selectivity": "0.2.."}
    assert app.query_params == {"bundle": "tiny", **ranges}


def test_colour_by_a_text_asks_for_one() -> None:
    html = html_of(run_page("atlas", colour="text"))
    assert "Enter a text to colour by similarity" in html


def test_the_list_downloads_as_it_is_shown(view: View, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(export.csv_of(view, [200, 5]))
    table = pd.read_csv(file)
    assert table[["Layer", "Neuron"]].to_numpy().tolist() == [[1, 72], [0, 5]]
    assert table["Heaviest texts"][0] == view.neurons["concepts"].iloc[200]


def test_a_choice_opens_as_a_list() -> None:
    html = html_of(run_page("atlas", neurons="0.5,1.72"))
    assert 'href="neurons?bundle=tiny&amp;list=From+the+atlas&amp;neurons=' in html


def test_a_text_outside_the_dictionary_is_embedded(view: View) -> None:
    text = "a crimson disc"
    assert text not in view.bundle.texts
    app = run_page("atlas", colour="text", text=text)
    assert not app.exception
    assert "The colours show layers" not in html_of(app)
    loaded = view.bundle.load_model()
    embedding = encode_texts(loaded, [text]).numpy()[0] - view.bundle.text_mean
    expected = embedding / np.linalg.norm(embedding)
    np.testing.assert_allclose(loaded_model.text_direction(view, text), expected, atol=1e-4)

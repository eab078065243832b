"""The Atlas page: what the address says, the map's points, a lasso's list."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest

from explorer.bundle import Bundle
from explorer.models import encode_texts
from explorer.ui import atlas, export, live, loaders
from explorer.ui.frame import Page
from explorer.ui.loaders import View
from tests.test_app import html_of, run_page


@pytest.fixture(autouse=True)
def _bundles(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tiny_bundle.parent))


@pytest.fixture
def view(tiny_bundle: Path) -> View:
    return View("tiny", Bundle.open(tiny_bundle))


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
    grey, coloured = atlas.map_figure(view, values, kept, {"colorscale": "Cividis"}).data
    rows = np.asarray(coloured.customdata)
    alive = np.isfinite(view.bundle.atlas).all(1)
    assert rows.tolist() == np.flatnonzero(kept & alive).tolist()
    assert len(grey.x) == (~kept & alive).sum()
    places = np.asarray(view.bundle.atlas)[rows]
    assert np.allclose(np.column_stack([coloured.x, coloured.y]), places)


def test_a_map_of_fifty_thousand_neurons_stays_small() -> None:
    many = 50_000
    drawn = np.random.default_rng(0).uniform(-1, 1, (many, 2)).astype(np.float32)
    view = cast(View, SimpleNamespace(bundle=SimpleNamespace(atlas=drawn)))
    figure = atlas.map_figure(view, drawn[:, 0], drawn[:, 1] > -0.9, {"colorscale": "Cividis"})
    assert len(figure.to_json()) < 1_300_000  # of the 1.5 MB that a first view may send
    assert {trace.type for trace in figure.data} == {"scattergl"}


def test_likeness_is_the_cosine_to_the_centred_text(view: View) -> None:
    values, problem = atlas._values(view, atlas.AtlasQuery("text", "red"))
    atom = view.bundle.dictionary.atoms()[view.bundle.texts.index("red")]
    assert not problem
    assert np.allclose(values, view.bundle.directions.astype(np.float32) @ atom, atol=1e-5)


def test_the_address_carries_the_query_there_and_back(view: View) -> None:
    query = atlas.AtlasQuery("polysemy", "red", (1, 2), "blue", (5, 200))
    assert query.params(view) == {
        "colour": "polysemy",
        "text": "red",
        "layers": "1,2",
        "word": "blue",
        "neurons": "0.5,1.72",
    }
    page = Page("atlas", view, query.params(view))
    assert atlas.read_query(page) == (query, [])


def test_the_list_downloads_as_it_is_shown(view: View, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(export.csv_of(view, [200, 5]))
    table = pd.read_csv(file)
    assert table[["Layer", "Neuron"]].to_numpy().tolist() == [[1, 72], [0, 5]]
    assert table["Concepts"][0] == view.neurons["concepts"].iloc[200]


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
    np.testing.assert_allclose(live.text_direction(view, text), expected, atol=1e-4)

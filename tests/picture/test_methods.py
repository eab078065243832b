"""A heatmap method is one entry: pages, the command line and the evidence read the same table."""

from __future__ import annotations

import json
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
import torch
from PIL import Image

from explorer.bundle import Bundle
from explorer.commands.main import main
from explorer.evidence.measures.segmentation import measure_segmentation
from explorer.picture.heatmaps import heatmaps
from explorer.picture.methods import METHODS, Method
from explorer.picture.reading import Reading
from explorer.picture.settings import MapSettings
from explorer.picture.study import Study
from explorer.ui.data import loaders
from explorer.ui.data.image_query import read_query
from explorer.ui.data.loaders import View
from tests.conftest import draw
from tests.support.app import html_of, run_page


def corner(reading: Reading, directions: torch.Tensor, settings: MapSettings) -> torch.Tensor:
    """All of every text comes from the first patch."""
    rows, columns = reading.lens_model.grid
    maps = torch.zeros(len(reading.images), len(directions), rows * columns)
    maps[:, :, 0] = 1
    return maps


@pytest.fixture
def dummy(monkeypatch: pytest.MonkeyPatch) -> Method:
    method = Method("corner", "Only the corner", "What it says of any text.", corner)
    monkeypatch.setitem(METHODS, method.name, method)
    return method


def test_a_new_method_is_on_the_page(
    dummy: Method, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tiny_bundle.parent))
    view = View("tiny", Bundle.open(tiny_bundle))
    query, problems = read_query({"method": "corner"}, view)
    assert (query.method, problems) == ("corner", [])
    app = run_page("image", False, image="3", method="corner")
    assert dummy.title in app.selectbox(key="_method").options
    assert app.selectbox(key="_method").value == "corner"
    compared = html_of(run_page("image", False, image="3", view="methods"))
    assert all(method.title in compared for method in METHODS.values())


@pytest.mark.parametrize("name", METHODS)
def test_the_page_says_what_the_open_method_shows(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A bug: it said of every method that its maps are shares of what the neurons add."""
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tiny_bundle.parent))
    html = unescape(html_of(run_page("image", False, image="3", method=name)))
    assert f"{METHODS[name].about} Numbers: {METHODS[name].unit}." in html
    others = [method.about for method in METHODS.values() if method.name != name]
    assert not any(about in html for about in others)


def test_a_new_method_is_on_the_command_line(
    dummy: Method, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["segment", "--help"])
    assert "corner" in capsys.readouterr().out
    picture = tmp_path / "picture.png"
    Image.new("RGB", (40, 40), "red").save(picture)
    arguments = [str(tiny_bundle), str(picture), "red", "-o", str(tmp_path), "--method", "corner"]
    assert main(["segment", *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["method"] == "corner"


def test_a_new_method_is_evaluated(dummy: Method, tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    found = measure_segmentation(bundle, scenes=2, photographic=0, calibration=1, methods=None)
    assert all(set(part["methods"]) == set(METHODS) for part in found["sets"].values())
    assert "corner" in found["thresholds"]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_it_is(tiny_bundle: Path, name: str) -> None:
    method = METHODS[name]
    assert method.name == name
    assert method.title != name
    assert method.about.endswith(".")
    reading = Study.of(Bundle.open(tiny_bundle), draw("red", "circle")).reading()
    maps = heatmaps(reading, ["red circle", "blue square"], name, MapSettings(neurons=20))
    assert torch.allclose(maps[:, 0], maps[:, 1]) != method.reads_text


def test_an_images_address_is_read_without_torch() -> None:
    """Pages that only browse import it: the Evidence page names methods, for one."""
    script = (
        "import sys; import explorer.ui.data.image_query, explorer.picture.methods; "
        "assert not {'torch', 'open_clip', 'faiss'} & set(sys.modules), "
        "sorted(name for name in sys.modules if name.startswith('explorer'))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

"""Search, pins, comparison, table and lists in a real browser; the app's benchmark, small."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.atlas import widen
from explorer.bundle import Bundle
from explorer.commands.main import main
from explorer.errors import InputError
from explorer.ui.data.loaders import FOLDER_VARIABLE
from tests.support.browser import EVERYWHERE, ROOT, Visit

QUERY = "search?bundle=tiny&q=red+%2B+circle+-+blue"
PAGES = {
    "texts": ("search?bundle=told&q=red+%2B+circle+-+blue", "Search"),
    "picture": ("search?bundle=tiny&image=3&find=circle", "Search"),
    "concept": ("concept?bundle=told&text=red", "“red”"),
    "compare": ("compare?bundle=told&pins=1.4,1.5,2.7,0.3&image=3", "Compare"),
    "bundles": ("bundles?bundle=tiny&other=told", "Two bundles"),
    "pairs": ("search?bundle=told&q=red+circle&of=heads", "Search"),
    "pairs without claims": ("search?bundle=tiny&q=red&of=heads&pins=1.5@2.0", "Search"),
    "pairs compared": ("compare?bundle=tiny&pins=1.5,1.5@2.0,2.7@3.1&image=3", "Compare"),
    "table": ("neurons?bundle=told&view=table&polysemy=0..&pins=1.5", "Neurons"),
}
EVIL = "%3Cimg%20src%3Dx%20onerror%3D%22window.stolen%3D1%22%3E"


@pytest.mark.parametrize("visit", EVERYWHERE, indirect=True, ids=str)
@pytest.mark.parametrize("name", PAGES)
def test_page_opens_cleanly(visit: Visit, name: str) -> None:
    visit.open(*PAGES[name])
    visit.clean()


def test_text_search_to_a_neuron_and_back(visit: Visit) -> None:
    visit.open("search?bundle=tiny", "Search")
    box = visit.page.get_by_label("A text, or several with + and −")
    box.fill("red + circle - blue")
    box.press("Enter")
    visit.shows("text=minus what they carry")
    visit.shows("a.card .where")
    assert visit.query() == {"bundle": "tiny", "q": "red + circle - blue"}
    found = visit.page.locator("a.card .where").all_inner_texts()
    visit.page.locator("a.card").first.click()
    visit.settled(found[0].removesuffix(" opposite end"))
    visit.page.go_back()
    visit.shows("text=minus what they carry")
    visit.shows("a.card .where")
    assert visit.page.locator("a.card .where").all_inner_texts() == found
    visit.page.get_by_role("link", name="Away from it").click()
    visit.shows("text=points most strongly away")
    assert visit.query()["show"] == "away"
    visit.page.reload()
    visit.shows("text=points most strongly away")
    visit.check()


def test_near_text_to_its_concept_page(visit: Visit) -> None:
    visit.open(QUERY, "Search")
    near = visit.page.locator(".chips").nth(1).locator("a").first
    text = near.inner_text().rsplit(None, 1)[0]
    near.click()
    visit.settled(f"“{text}”")
    assert visit.query() == {"bundle": "tiny", "text": text}
    visit.check()


def test_pins_lead_to_a_comparison_that_is_an_address(visit: Visit) -> None:
    visit.open("neurons?bundle=tiny&sort=layer", "Neurons")
    main_area = visit.page.locator('[data-testid="stMain"]')
    names = visit.page.locator("a.card .where").all_inner_texts()
    main_area.evaluate("e => e.scrollTo(0, 600)")
    visit.page.get_by_role("link", name=f"Pin {names[9]} to compare").click()
    visit.shows(".pins .chip")
    assert main_area.evaluate("e => e.scrollTop") > 300  # pinning keeps the place
    # at once, while the page may still show the address before
    for place in (20, 1):
        visit.page.get_by_role("link", name=f"Pin {names[place]} to compare").click()
    visit.page.wait_for_function("() => document.querySelectorAll('.pins .chip').length === 3")
    visit.page.locator(".pins").get_by_role("link", name=f"Unpin {names[20]}").click()
    visit.page.wait_for_function("() => document.querySelectorAll('.pins .chip').length === 2")
    assert visit.query() == {"bundle": "tiny", "sort": "layer", "pins": "0.9,0.1"}
    visit.page.locator(".pins").get_by_role("link", name="Compare").click()
    visit.settled("Compare")
    assert visit.query() == {"bundle": "tiny", "pins": "0.9,0.1"}
    compared = visit.page.locator(".compare a.card .where").all_inner_texts()
    assert compared == [names[9], names[1]]
    visit.page.reload()
    visit.settled("Compare")
    assert visit.page.locator(".compare a.card .where").all_inner_texts() == compared
    visit.page.get_by_role("link", name=f"Unpin {names[9]}").first.click()
    visit.shows("text=One neuron is pinned")
    assert visit.query() == {"bundle": "tiny", "pins": "0.1"}
    visit.check()


def test_pairs_are_found_pinned_and_compared(visit: Visit) -> None:
    visit.open("search?bundle=tiny&q=red+circle", "Search")
    visit.page.get_by_role("link", name="Neurons and heads").click()
    visit.shows("a.card .share-line")
    asked = {"bundle": "tiny", "q": "red circle", "of": "heads"}
    assert visit.query() == asked
    names = visit.page.locator("a.card .where").all_inner_texts()
    assert all(re.fullmatch(r"Layer \d · Neuron \d+ · Head \d\.\d", name) for name in names)
    visit.page.get_by_role("link", name=f"Pin {names[1]} to compare").click()
    visit.shows(".pins .chip")
    layer, neuron, head = re.findall(r"[\d.]+", names[1])
    assert visit.query() == asked | {"pins": f"{layer}.{neuron}@{head}"}
    visit.page.locator("a.card").first.click()
    visit.shows(".heads-switch")
    shown = re.findall(r"[\d.]+", names[0])
    assert visit.page.locator("h1").inner_text() == names[0].rsplit(" · ", 1)[0]
    assert visit.query()["head"] == shown[2]
    visit.page.get_by_role("link", name=f"Pin {names[0]} to compare").click()
    visit.page.wait_for_function("() => document.querySelectorAll('.pins .chip').length === 2")
    visit.page.locator(".pins").get_by_role("link", name="Compare").click()
    visit.settled("Compare")
    assert visit.page.locator(".compare a.card .where").all_inner_texts() == [names[1], names[0]]
    pins = f"{layer}.{neuron}@{head},{shown[0]}.{shown[1]}@{shown[2]}"
    assert visit.query() == {"bundle": "tiny", "pins": pins}
    visit.check()


def test_table_sorts_by_its_headings_and_downloads_what_it_shows(visit: Visit) -> None:
    visit.open("neurons?bundle=tiny&view=table&list=Mine&neurons=2.7,1.5,0.3", "Mine")
    visit.page.get_by_role("link", name="Selectivity").click()
    visit.shows('th[aria-sort="descending"]')
    assert visit.query()["sort"] == "selectivity"
    rows = visit.page.locator("table.neurons tbody tr")
    shown = [rows.nth(i).locator("td").all_inner_texts()[:2] for i in range(rows.count())]
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name="All 3 as CSV").click()
    assert download.value.suggested_filename == "tiny-list.csv"
    data = Path(download.value.path()).read_text("utf-8-sig")
    assert [[row["Layer"], row["Neuron"]] for row in csv.DictReader(io.StringIO(data))] == shown
    visit.check()


def test_a_range_is_set_and_lifted(visit: Visit) -> None:
    visit.open("neurons?bundle=tiny", "Neurons")
    visit.page.get_by_role("button", name="Ranges").click()
    visit.page.get_by_label("From").fill("0.2")
    visit.page.get_by_role("button", name="Filter").click()
    visit.shows("text=Prediction from 0.2")
    assert visit.query() == {"bundle": "tiny", "prediction": "0.2.."}
    visit.page.get_by_label("Lift the filter Prediction from 0.2").click()
    visit.shows("text=384 neurons")
    assert visit.query() == {"bundle": "tiny"}
    visit.check()


@pytest.mark.parametrize(
    "path",
    [
        "search?bundle=untrusted&image=1",
        "search?bundle=untrusted&q=" + EVIL,
        "concept?bundle=untrusted&text=" + EVIL,
        "compare?bundle=untrusted&pins=1.5,1.6",
        "neurons?bundle=untrusted&view=table",
        "neurons?bundle=untrusted&neurons=1.5&list=" + EVIL,
    ],
)
def test_script_in_a_text_never_runs(visit: Visit, path: str) -> None:
    visit.page.goto(visit.server + path)
    visit.shows(".lens h1")
    visit.harmless()
    assert not visit.errors, visit.errors


def bench(bundles: Path, *options: str) -> dict[str, Any]:
    """What a benchmark of the app prints, run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "explorer", "bench", *options, "--json", "--bundle=tiny"],
        cwd=ROOT,
        env=os.environ | {FOLDER_VARIABLE: str(bundles)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_bench_app_measures_a_real_server(bundles: Path, chromium: str) -> None:
    few = ("--views=1", "--memory-views=1", "--sessions=1", "--pages", "about", "neuron")
    found = bench(bundles, "app", *few)
    assert found["neurons"] == len(Bundle.open(bundles / "tiny").neurons)
    for times in found["server_ms"].values():
        assert 0 < times["median"] <= times["p95"]
    assert set(found["first_view"]) == {"about", "neuron"}
    for page in found["first_view"].values():
        assert page["bytes"] > 10_000
        assert page["scripts_bytes"] > 100_000
    assert found["memory_mb"]["warm"] > 50


def test_bench_app_needs_a_bundle(
    bundles: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(bundles))
    assert main(["bench", "app", "--bundle=nowhere"]) == 2
    assert "no bundle nowhere" in capsys.readouterr().err


def test_bench_atlas_moves_on_a_map_of_more_neurons(bundles: Path, chromium: str) -> None:
    found = bench(bundles, "atlas", "--neurons=3000", "--moves=10")
    assert 1 < found["chosen"] < 3000
    for frames in found["frames_ms"].values():
        assert 0 < frames["median"] <= frames["p95"]
        assert frames["frames"] > 1


def test_a_widened_bundle_opens_as_any_other(bundles: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(bundles / "tiny")
    wide = widen(bundle, 1000, tmp_path / "wide", np.random.default_rng(0))
    assert len(wide.neurons) == 3 * (1000 // 3)
    rows = wide.row(1, 200)
    assert wide.neurons["layer"].iloc[rows] == 1
    near = np.abs(wide.atlas[rows] - bundle.atlas).max(axis=1).argmin()
    assert np.array_equal(wide.directions[rows], bundle.directions[near])
    with pytest.raises(InputError, match="one per layer"):
        widen(bundle, 2, tmp_path / "narrow", np.random.default_rng(0))

"""The load benchmark: a few visitors on a real server of the tiny bundle; no time is asserted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.load import LoadBench, bench_load
from explorer.errors import InputError
from explorer.ui.data.loaders import FOLDER_VARIABLE


def test_visitors_see_pages_and_pictures_without_an_error(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tiny_bundle.parent))
    pages = "home,neurons,neuron,findings"
    found = bench_load(LoadBench(visitors=3, seconds=5, pause=0.1, pages=pages, cores=1))
    assert found["errors"] == {}
    assert found["all"]["count"] == sum(page["count"] for page in found["pages"].values()) >= 3
    assert set(found["pages"]) <= set(pages.split(","))
    assert found["all"]["p95_ms"] >= found["all"]["median_ms"] > 0
    assert found["files"]["count"] > 0
    assert found["memory_mb"]["most"] >= found["memory_mb"]["before"] > 0
    assert json.loads(json.dumps(found)) == found


def test_what_measures_nothing_is_refused() -> None:
    for wrong in ({"visitors": 0}, {"seconds": 0}, {"pause": -1}, {"cores": -1}):
        with pytest.raises(InputError, match="at least one visitor"):
            LoadBench(**wrong)
    with pytest.raises(InputError, match="no page 'nowhere'"):
        LoadBench(pages="home,nowhere")
    assert "finding" not in LoadBench().chosen

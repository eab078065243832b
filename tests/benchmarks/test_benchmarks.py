"""The benchmarks: what they report, and what they refuse. Tiny models, so no time is asserted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.app import AppBench
from benchmarks.build import BuildBench, bench_build
from benchmarks.bundle import BundleBench, _described
from benchmarks.index import IndexBench, bench_index, recall
from benchmarks.lens import LensBench, bench_lens
from benchmarks.maps import MapsBench, bench_maps
from benchmarks.omp import OmpBench, bench_omp
from benchmarks.pairs import PairsBench, bench_pairs
from benchmarks.precision import PrecisionBench, bench_precision
from benchmarks.synthetic import Sizes, write_bundle
from explorer.bundle import MODEL_FOLDER, Bundle, verify
from explorer.errors import InputError
from explorer.ui.data.loaders import FOLDER_VARIABLE
from tests.support.app import run_page
from tests.support.told import rewrite

MAP_ROWS = {
    "one_text": 1.25, "one_text_refined": 1.25, "ten_texts": 1.5, "ten_texts_refined": 1.5,
}  # fmt: skip


def test_bench_maps(tiny_model: Path, tiny_bundle: Path) -> None:
    before = torch.get_num_threads()
    for source in (f"local-dir:{tiny_model}", str(tiny_bundle)):
        result = bench_maps(MapsBench(source, batch=2, repeats=2, threads=1))
        assert result["threads"] == 1
        assert torch.get_num_threads() == before
        rows = {name: row for name, row in result.items() if name in MAP_ROWS}
        assert set(rows) == set(MAP_ROWS)
        for row in rows.values():
            assert row["ratio"] == row["seconds"] / result["forward_s"]
        held = all(row["ratio"] <= MAP_ROWS[name] for name, row in rows.items())
        assert result["within_limits"] is held
        assert result["text_s"] > 0
        assert json.loads(json.dumps(result)) == result
    with pytest.raises(InputError, match="no model"):
        bench_maps(MapsBench("no-such-model"))


def test_bench_lens(tiny_model: Path) -> None:
    source = f"local-dir:{tiny_model}"
    result = bench_lens(LensBench(source, (0, 2), batch=2, repeats=3))
    assert list(result) == [
        "model",
        "layers",
        "batch",
        "forward_s",
        "lens_s",
        "ratio",
        "processor_s",
        "peak_gb",
        "neurons",
        "threads",
    ]
    assert result["neurons"] == 256
    assert result["processor_s"] > 0
    assert 0.1 < result["peak_gb"] < 100, "a process with torch, in gigabytes"
    assert result["threads"] == torch.get_num_threads()
    assert result["ratio"] == result["lens_s"] / result["forward_s"]
    assert json.loads(json.dumps(result)) == result
    with pytest.raises(InputError, match="from 0 to 2"):
        bench_lens(LensBench(source, (3,), batch=2, repeats=1))


def test_bench_build(tiny_model: Path) -> None:
    for decode in (False, True):
        settings = BuildBench(
            f"local-dir:{tiny_model}", (0, 2), pictures=7, planned=20, batch=4, repeats=2,
            decode=decode, workers=1,
        )  # fmt: skip
        result = bench_build(settings)
        assert {"forward_s", "build_s", "ratio", "cpu_ratio", "peak_rss_mb"} <= set(result)
        assert 1 < result["pairs_ratio"] < 5
        assert min(v for v in result.values() if isinstance(v, float)) >= 0
        assert result["peak_rss_mb"] >= result["model_rss_mb"] > 0
        assert json.loads(json.dumps(result)) == result
    with pytest.raises(InputError, match="room for all runs"):
        BuildBench(pictures=300, planned=500, repeats=2)


def test_bench_omp_compares_and_reports() -> None:
    result = bench_omp(OmpBench(targets=6, texts=300, embed=32, nonzero=8))
    assert result["equal_supports"] is True
    assert result["max_weight_difference"] < 1e-10
    assert result["share_equal_supports"] == 1
    assert result["sklearn_targets"] == 6
    assert result["sklearn_scaled"] is False
    scaled = bench_omp(OmpBench(targets=4, texts=100, embed=16, nonzero=4, sklearn_targets=1))
    assert scaled["sklearn_scaled"] is True


def test_bench_index_finds_the_nearest_texts() -> None:
    result = bench_index(IndexBench(texts=200, embed=16, queries=20, near=12))
    assert result["exact"] is True
    assert result["recall"] == 1
    assert 0 < result["p50_ms"] <= result["p95_ms"]
    assert result["file_mb"] > 200 * 16 * 2 / 1e6
    rows = np.linspace(0, 1, 30, dtype=np.float16)[:, None]  # the nearest are 20 to 29
    queries = np.ones((2, 1), np.float32)
    found = np.array([[*range(20, 25), *range(5)], [*range(20, 29), -1]])
    assert recall(rows, queries, found) == pytest.approx((0.5 + 0.9) / 2)


def test_settings_that_measure_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="10 texts"):
        IndexBench(texts=9)
    with pytest.raises(InputError, match="measures nothing"):
        LensBench(repeats=0)
    with pytest.raises(InputError, match="measures nothing"):
        MapsBench(threads=0)
    with pytest.raises(InputError, match="1 to 4"):
        OmpBench(targets=4, sklearn_targets=5)
    with pytest.raises(InputError, match="at least one view"):
        AppBench(sessions=0)
    with pytest.raises(InputError, match="no page “nowhere”; there are home, "):
        AppBench(pages=("nowhere",))


def test_bench_pairs(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tiny_bundle.parent))
    result = bench_pairs(PairsBench(views=1, pairs=50))
    assert set(result["server_ms"]) == {"search", "atlas"}
    for times in result["server_ms"].values():
        assert times["ratio"] == pytest.approx(times["pairs"] / times["neurons"], abs=0.006)
    assert all(0 <= share <= 1 for share in result["kept"].values())
    assert result["kept"]["neurons themselves"] > 0.3
    assert -1 < result["texts_cosine"] < 0.999
    assert json.loads(json.dumps(result)) == result
    shutil.copytree(tiny_bundle, tmp_path / "bare")
    shutil.rmtree(tmp_path / "bare" / MODEL_FOLDER)
    rewrite(tmp_path / "bare")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(InputError, match="no weights"):
        bench_pairs(PairsBench())
    with pytest.raises(InputError, match="at least one"):
        PairsBench(views=0)


def test_bench_precision(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tiny_bundle.parent))
    with pytest.raises(InputError, match="50 pictures at least"):
        PrecisionBench(pictures=20)
    with pytest.raises(InputError, match="not float8"):
        PrecisionBench(dtypes=("float8",))
    monkeypatch.setattr("benchmarks.precision.FEWEST", 30)
    found = bench_precision(PrecisionBench(pictures=36, batch=7))
    assert found["pictures"] == 36
    assert list(found["dtypes"]) == ["float32", "bfloat16", "float16", "autocast"]
    for dtype in ("bfloat16", "float16"):
        layers = found["dtypes"][dtype]["layers"]
        assert [layer["layer"] for layer in layers] == [0, 1, 2]
        assert all(layer["percentile_1"] <= layer["median"] <= 1.0001 for layer in layers)
        assert all(layer["median"] > 0.99 and layer["shared"] > 0.7 for layer in layers)
    medians = [found["dtypes"][dtype]["layers"][1]["median"] for dtype in ("bfloat16", "float16")]
    assert medians[0] < medians[1]  # more bits, nearer


def test_a_made_up_bundle_is_whole_and_its_pages_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_bundle(tmp_path / "made-up", Sizes(3, 40, 120, 150, 32))
    assert verify(made) == []
    bundle = Bundle.open(made)
    assert (len(bundle.neurons), bundle.directions.shape) == (120, (120, 32))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    for page in ("neurons", "atlas"):
        run_page(page)
    run_page("neuron", layer="2", neuron="39")
    described = _described(bundle, 60)
    assert described["neurons"] == 60 and described["extrapolated"]
    assert described["whole_minutes"] >= 0
    assert _described(bundle, 0) == {}
    with pytest.raises(InputError, match="neurons to describe"):
        BundleBench(layers=1, width=8, described=9)

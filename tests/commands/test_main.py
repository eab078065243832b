"""The command line: one JSON object, one clear line, the right exit status."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import types
from pathlib import Path

import pytest

import explorer.build
from benchmarks.atlas import AtlasBench
from benchmarks.lens import LensBench
from benchmarks.maps import MapsBench
from explorer.bundle import MANIFEST, Bundle
from explorer.bundle.facts import neuron_facts
from explorer.bundle.pictures import PictureStore
from explorer.commands import serve
from explorer.commands.main import as_text, main
from explorer.evidence import measure
from explorer.evidence.figures import figure
from tests.conftest import HELD_OUT, flip, picture_rows


def run(capsys: pytest.CaptureFixture, *arguments: object) -> dict:
    """Return the JSON object a command prints."""
    assert main([*map(str, arguments), "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


def refused(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """Return the one line that a refused command prints."""
    assert main(list(map(str, arguments))) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    line = captured.err.splitlines()[-1]
    assert line.startswith("error: ")
    assert "Traceback" not in captured.err
    return line


def test_build(
    capsys: pytest.CaptureFixture, tiny_model: Path, tiny_store: Path, tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_text("red\ngreen\nblue\n", "utf-8")
    found = run(
        capsys,
        *("build", "--model", f"local-dir:{tiny_model}", "--images", f"store:{tiny_store}"),
        *("--texts", tmp_path / "words.txt", "--layers", "2", "--out", tmp_path / "out"),
        *("--name", "mine", "--nonzero", 2),
    )
    assert found["neurons"] == 128
    assert found["images"] == 36
    assert Bundle.open(tmp_path / "out").name == "mine"
    line = refused(capsys, "build", "--model", "ViT-B-32", "--out", tmp_path / "other")
    assert "random weights" in line
    (tmp_path / "file").write_text("", "utf-8")
    arguments = ["--images", f"store:{tiny_store}", "--out", tmp_path / "file" / "out"]
    assert "file" in refused(capsys, "build", "--model", f"local-dir:{tiny_model}", *arguments)


def test_ctrl_c_exits_with_130(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise explorer.build.Interrupted("stopped after 3; run the same command to go on")

    monkeypatch.setattr(explorer.build, "build", stop)
    assert main(["build", "--model", "local-dir:x", "--out", "y"]) == 130
    assert "run the same command" in capsys.readouterr().err


def test_verify(capsys: pytest.CaptureFixture, tiny_bundle: Path, bundle_copy: Path) -> None:
    found = run(capsys, "verify", tiny_bundle)
    assert found["verified"] is True
    assert found["files"] == len(Bundle.open(tiny_bundle).manifest.files)
    flip(bundle_copy / "directions.npy")
    flip(bundle_copy / "model" / "open_clip_config.json")
    line = refused(capsys, "verify", bundle_copy, "--json")
    assert "directions.npy" in line and "open_clip_config.json" in line and "restore" in line
    flip(bundle_copy / MANIFEST, 3)
    assert MANIFEST in refused(capsys, "verify", bundle_copy)
    assert "no bundle" in refused(capsys, "verify", bundle_copy / "nowhere")


def test_verify_names_the_first_of_many(capsys: pytest.CaptureFixture, bundle_copy: Path) -> None:
    for number in range(9):
        (bundle_copy / f"more{number}").write_text("x", "utf-8")
    line = refused(capsys, "verify", bundle_copy)
    assert "more4" in line and "more5" not in line and "And 4 more." in line


def test_describe(capsys: pytest.CaptureFixture, tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    found = run(capsys, "describe", tiny_bundle, 1, 5)
    assert found == neuron_facts(bundle, 1, 5)
    row = bundle.row(1, 5)
    assert found["images"]["positive"][0]["image"] == bundle.top_images[row, 0, 0]
    towards = next(concept["text"] for concept in found["concepts"] if concept["weight"] > 0)
    assert bundle.neurons["concepts"][row].split(", ")[0] == towards
    assert len(found["neighbours"]) == 12
    assert main(["describe", str(tiny_bundle), "1", "5"]) == 0
    text = capsys.readouterr().out
    assert "explained_variance:" in text
    lines = [line.strip() for line in text.splitlines()]
    heading = lines.index("concepts:") + 1
    assert lines[heading].split() == ["text", "weight", "cluster"]
    assert lines[heading + 1].startswith(found["concepts"][0]["text"])


def test_tables_have_headings_and_leave_lists_in_rows_out() -> None:
    rows = [{"name": "a", "in": ["x", "y"]}, {"name": "long", "in": [], "map": [[1.0]]}]
    parted = [{"layer": 0, "kept": {"value": 0.5}}, {"layer": 1, "kept": {"value": 0.25}}]
    result = {"rows": rows, "none": {}, "few": [1, 2], "gone": None, "parted": parted}
    assert as_text(result).splitlines() == [
        *("rows:", "  name  in", "  a     x, y", "  long  –"),
        *("none: –", "few: 1, 2", "gone: –", "parted:"),
        *("  - layer: 0", "    kept:", "      value: 0.5"),
        *("  - layer: 1", "    kept:", "      value: 0.25"),
    ]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NotADirectoryError(20, "", "a/b"), "a/b is a file, or lies in one: name a folder."),
        (FileExistsError(17, "", "a"), "a is a file where a folder is needed: name another."),
        (PermissionError(13, "", "a"), "a may not be read or written by you: change its"),
        (OSError(5, "Input/output error", "a"), "a cannot be used: Input/output error; check"),
        (OSError(28, "No space left on device"), "error: No space left on device."),
    ],
)
def test_what_the_system_refuses_is_a_sentence(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, error: OSError, said: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(explorer.build, "build", fail)
    assert said in refused(capsys, "build", "--model", "local-dir:x", "--out", "y")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["describe", "BUNDLE", 7, 0], "choose one of 0, 1, 2"),
        (["describe", "BUNDLE", 1, 128], "choose 0 to 127"),
        (["describe", "BUNDLE", 1, -1], "choose 0 to 127"),
        (["describe", "BUNDLE", "one", 0], "'one' is no whole number"),
        (["describe", "BUNDLE"], "layer, neuron"),
        (["describe", "nowhere", 1, 0], "no bundle at nowhere"),
        (["search", "BUNDLE", "  "], "a text to search for"),
        (["search", "BUNDLE", "red", "--top", 0], "must be at least 1; got 0"),
        (["search", "BUNDLE", "red", "--top", "ten"], "'ten' is no whole number"),
        (["search", "BUNDLE", "red", "circle"], "see 'python -m explorer search --help'"),
        (["search", "", "red"], "is empty: name a file or a folder"),
        (["build", "--batch-size", "0"], "--batch-size is a number from 1 on, or auto; got '0'."),
        (["evidence", "BUNDLE", "--only", "magic"], "choose among: recall"),
        (["bench", "all"], "invalid choice"),
        (["demo", "all"], "invalid choice"),
        (["demo", "bundle", "--work", "nowhere"], "no nowhere/store: run the step 'images' first"),
        (["dream", "BUNDLE"], "invalid choice"),
        ([], "COMMAND"),
        (["build", "--model", "local-dir:x"], "--out"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture, tiny_bundle: Path, arguments: list, words: str
) -> None:
    given = [tiny_bundle if word == "BUNDLE" else word for word in arguments]
    assert words in refused(capsys, *given)


def test_search_for_a_known_text(capsys: pytest.CaptureFixture, tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    found = run(capsys, "search", tiny_bundle, " Red circle ", "--top", 5)
    assert found["in_dictionary"] is True
    assert len(found["texts"]) == 5
    assert "red circle" not in [near["text"] for near in found["texts"]]
    cosines = [near["cosine"] for near in found["directions"]]
    assert cosines == sorted(cosines, reverse=True)
    place = bundle.texts.index("red circle")
    for hit in found["sets"]:
        row = bundle.row(hit["layer"], hit["neuron"])
        assert place in bundle.concept_ids[row]


def test_search_for_an_unknown_text(capsys: pytest.CaptureFixture, tiny_bundle: Path) -> None:
    found = run(capsys, "search", tiny_bundle, "a yellow star")
    assert found["in_dictionary"] is False
    assert found["sets"] == []
    assert len(found["texts"]) == len(found["directions"]) == 12


def test_recall(capsys: pytest.CaptureFixture, bundle_copy: Path) -> None:
    found = run(capsys, "evidence", bundle_copy, "--only", "recall")["recall"]
    assert found["pictures"] == found["candidates"] == HELD_OUT
    assert 0 <= found["recall@1"]["value"] <= found["recall@10"]["value"] == 1
    assert found["recall@1"]["interval"] is None  # of four pictures
    assert found["commonest"]["1"] == 1 / HELD_OUT


def test_recall_counts_the_pictures_whose_name_is_nearest(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the ranks taken one picture at a time."""
    from explorer.lens.models import encode_images, encode_texts

    bundle = Bundle.open(tiny_bundle)
    loaded = bundle.load_model()
    held = range(bundle.pictures.corpus_size, len(bundle.pictures))
    names = sorted({str(bundle.pictures.table["label"][i]) for i in held})
    texts = encode_texts(loaded, names)
    hits = 0
    for i in held:
        image = encode_images(loaded, [bundle.pictures.rgb(i)])[0]
        hits += names[int((texts @ image).argmax())] == bundle.pictures.table["label"][i]
    assert measure(bundle, ["recall"])["recall"]["recall@1"]["value"] == hits / HELD_OUT


def test_a_bundle_without_held_out_pictures(
    capsys: pytest.CaptureFixture,
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = PictureStore.write(tmp_path, list(picture_rows())[:3])
    monkeypatch.setattr(Bundle, "pictures", store)
    options = ("--no-write", "--only", "recall")
    assert "no held-out pictures" in refused(capsys, "evidence", tiny_bundle, *options)


def test_intervals_cover_the_rate() -> None:
    import numpy as np

    hits = np.arange(1000) < 600
    low, high = figure(hits, seed=0)["interval"]
    assert low == pytest.approx(0.6 - 1.96 * 0.0155, abs=0.004)
    assert high == pytest.approx(0.6 + 1.96 * 0.0155, abs=0.004)
    assert figure(hits, seed=0)["interval"] == [low, high]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["lens", "--layers", 8, 9, "--batch", 4], LensBench(layers=(8, 9), batch=4)),
        (["maps", "--threads", 2, "--model", "x"], MapsBench("x", threads=2)),
        (["maps"], MapsBench()),
        (["atlas", "--neurons", 100], AtlasBench(neurons=100)),
    ],
)
def test_bench_passes_its_options(
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list,
    expected: object,
) -> None:
    asked: list = []
    module = f"benchmarks.{arguments[0]}.bench_{arguments[0]}"
    monkeypatch.setattr(module, lambda settings: asked.append(settings) or {"ratio": 1.0})
    assert run(capsys, "bench", *arguments) == {"ratio": 1.0}
    assert asked == [expected]


def test_bench_omp_compares_with_scikit_learn(capsys: pytest.CaptureFixture) -> None:
    found = run(capsys, "bench", "omp", "--targets", 2, "--texts", 300)
    assert found["equal_supports"] is True
    assert found["ratio"] > 0


def test_a_place_without_benchmarks_is_one_line(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "benchmarks.omp", None)
    assert "top folder" in refused(capsys, "bench", "omp")


def test_demo_gets_the_rest_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list = []
    stand_in = types.ModuleType("explorer.commands.demo")
    stand_in.main = lambda argv: asked.extend(argv) or 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "explorer.commands.demo", stand_in)
    assert main(["demo", "images", "--json"]) == 0
    assert asked == ["images", "--json"]


def test_a_taken_port_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        command = [sys.executable, "-m", "explorer", "serve"]
        command += ["--port", str(taken.getsockname()[1]), "--address", "127.0.0.1"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert found.returncode == 2 and found.stdout == ""
    assert "choose another --port" in found.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--port", "99999"), "port 99999: "),
        (("--address", "nowhere.invalid"), "at nowhere.invalid, port "),
    ],
)
def test_where_nothing_can_listen_is_one_line(
    capfd: pytest.CaptureFixture, options: tuple[str, ...], said: str
) -> None:
    """A bug: Streamlit's stack trace stood above the line."""
    assert main(["serve", *options]) == 2
    err = capfd.readouterr().err
    assert said in err and err.count("\n") == 1 and "choose another" in err


@pytest.mark.parametrize(
    ("ends", "status"),
    [("os.kill(os.getpid(), 15)", 0), ("os.kill(os.getpid(), 9)", 2), ("pass", 0)],
)
def test_the_server_is_asked_to_end_or_fails(
    ends: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = [sys.executable, "-c", f"import os; {ends}"]
    monkeypatch.setattr(serve, "command", lambda address, port: ended)
    assert main(["serve"]) == status


def test_help_is_quick_and_lists_the_commands() -> None:
    code = (
        "import sys; sys.argv = ['explorer', '--help']\n"
        "try:\n    import runpy; runpy.run_module('explorer', run_name='__main__')\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'pandas', 'faiss', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("build", "verify", "describe", "search", "evidence", "bench", "demo"):
        assert command in done.stdout


def test_a_finished_build_is_not_done_again(
    capsys: pytest.CaptureFixture, tiny_bundle: Path, tiny_model: Path, tiny_store: Path
) -> None:
    """A bug: the same command again exited 2 with "is not empty; remove it"."""
    before = (tiny_bundle / MANIFEST).stat().st_mtime_ns
    given = (
        *("build", "--model", f"local-dir:{tiny_model}", "--images", f"store:{tiny_store}"),
        *("--layers", "0,1,2", "--out", tiny_bundle, "--nonzero", 8, "--batch-size", 5),
        *("--warm-up", 12, "--significant", 0.1, "--significant-cap", 6),
    )
    found = run(capsys, *given)
    assert found["built_before"] and found["differs"] == []
    assert found["neurons"] == 384
    assert main([*map(str, given), "--seed", "3", "--layers", "1,2"]) == 0
    said = capsys.readouterr()
    assert "is built already" in said.err
    assert "seed: built with 0, asked for 3" in said.err
    assert "layers: built with [0, 1, 2], asked for [1, 2]" in said.err
    assert (tiny_bundle / MANIFEST).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("build", "--model", "local-dir:x", "--out", "y"),
        ("evidence", "BUNDLE"),
        ("attack", "BUNDLE"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_negative_seed_is_refused(
    capsys: pytest.CaptureFixture, tiny_bundle: Path, arguments: tuple[str, ...]
) -> None:
    given = [str(tiny_bundle) if part == "BUNDLE" else part for part in arguments]
    assert "--seed is -1: give 0 or more." in refused(capsys, *given, "--seed", "-1")

"""`segment` and `discover` from the shell; what is painted and saved."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.commands.main import main
from explorer.picture import painting
from tests.conftest import draw


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "picture.png"
    draw("red", "circle", 20).resize((90, 60)).save(file)
    return file


def result_of(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_segment_writes_overlays_labels_arrays_and_settings(
    tiny_bundle: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = [str(tiny_bundle), str(picture), "red circle", "blue", "-o", str(out), "--json"]
    assert main(["segment", *arguments]) == 0
    result = result_of(capsys)
    assert [entry["text"] for entry in result["texts"]] == ["red circle", "blue"]
    assert result["size"] == [90, 60]
    labels = Image.open(out / "labels.png")
    assert labels.mode == "P"
    assert labels.size == (90, 60)
    arrays = np.load(out / "maps.npz")
    assert (np.asarray(labels) == arrays["labels"]).all()
    assert arrays["maps"].shape == (2, 60, 90)
    assert arrays["texts"].tolist() == ["red circle", "blue"]
    assert Image.open(out / "1-red-circle.png").size == (90, 60)
    saved = json.loads((out / "settings.json").read_text("utf-8"))
    assert saved["settings"] == result["settings"]
    assert saved["settings"]["refined"] is True
    assert saved["versions"]["torch"] != "unknown"
    assert sorted(result["files"]) == sorted(str(path) for path in out.iterdir())
    share = float((np.asarray(labels) == 1).mean())
    assert result["texts"][0]["share"] == pytest.approx(share, abs=1e-4)


def test_segment_takes_methods_fits_and_thresholds(
    tiny_bundle: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, more in enumerate(
        (["--method", "attention"], ["--fit", "tile", "--exact"], ["--threshold", "1"])
    ):
        out = tmp_path / str(number)
        arguments = [str(tiny_bundle), str(picture), "red", "-o", str(out), "--json", *more]
        assert main(["segment", *arguments]) == 0
        settings = result_of(capsys)["settings"]
        if "tile" in more:
            assert settings["windows"] > 1
            assert settings["refined"] is False
        if "--threshold" in more:
            assert settings["threshold"] == 1


def test_fine_maps_are_of_the_same_peaks_and_sums(
    tiny_bundle: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figures of a patch and of a map stay comparable, though there are four values a patch."""
    found = {}
    for form in ("--fine", ""):
        arguments = [str(tiny_bundle), str(picture), "red", "-o", str(tmp_path), "--json"]
        assert main(["segment", *arguments, *filter(None, [form])]) == 0
        found[form] = result_of(capsys)
        assert found[form]["settings"]["fine"] == bool(form)
        assert found[form]["settings"]["refined"] is True
    for name in ("peak", "sum"):
        fine, once = (found[form]["texts"][0][name] for form in ("--fine", ""))
        assert 0.4 < fine / once < 2.5
        assert fine != once


def test_discover_lists_concepts_and_neurons(
    tiny_bundle: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["discover", str(tiny_bundle), str(picture), "--json", "--top", "3"]) == 0
    result = result_of(capsys)
    assert result["size"] == [90, 60]
    assert len(result["neurons"]) <= 3
    assert {"concepts", "neurons", "significant_neurons"} <= set(result)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["segment", "{bundle}", "nowhere.png", "red", "-o", "out"], "Cannot read nowhere.png"),
        (["segment", "{bundle}", "{text}", "red", "-o", "out"], "not a readable picture"),
        (["segment", "{bundle}", "{picture}", "", "-o", "out"], "at least one text"),
        (
            ["segment", "{bundle}", "{picture}", "red", "-o", "out", "--method", "magic"],
            "no heatmap method",
        ),
        (
            ["segment", "{bundle}", "{picture}", "red", "-o", "out", "--threshold", "7"],
            "from 0 to 1",
        ),
        (["segment", "{bundle}", "{picture}", "red", "-o", "out", "--fit", "crop"], "'crop'"),
        (["discover", "{bundle}", "{picture}", "--top", "0"], "must be at least 1"),
        (["discover", "nowhere", "{picture}"], "no bundle"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str],
    said: str,
    tiny_bundle: Path,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    text = tmp_path / "text.txt"
    text.write_text("no picture")
    names = {"bundle": str(tiny_bundle), "picture": str(picture), "text": str(text)}
    assert main([argument.format(**names) for argument in arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "\n" not in error


def test_paint_is_as_opaque_as_the_map_is_strong() -> None:
    picture = Image.new("RGB", (4, 2), (200, 100, 50))
    strength = np.zeros((2, 4))
    strength[:, 2:] = 1
    painted = np.asarray(painting.paint(picture, strength, (0, 0, 255), opacity=1.0))
    assert (painted[:, 2:] == (0, 0, 255)).all()
    assert (painted[:, :2] == painting.ground(picture).round()[:, :2]).all()
    half = np.asarray(painting.paint(picture, strength, (0, 0, 255), opacity=0.5)).astype(int)
    middle = (painting.ground(picture)[:, 2:] + (0, 0, 255)) / 2
    assert np.abs(half[:, 2:] - middle).max() <= 1


def test_difference_takes_two_colours() -> None:
    picture = Image.new("RGB", (2, 1), "white")
    painted = painting.paint_difference(picture, np.array([[2.0, -2.0]]), opacity=1.0)
    assert painted.getpixel((0, 0)) == painting.colour_of(0)
    assert painted.getpixel((1, 0)) == painting.colour_of(1)
    assert painting.paint_difference(picture, np.zeros((1, 2))).getpixel((0, 0)) == (255,) * 3


def test_label_pictures_keep_labels_and_colours() -> None:
    labels = np.array([[0, 1, 8], [2, 0, 3]], np.uint8)
    found = painting.label_picture(labels)
    assert (np.asarray(found) == labels).all()
    assert found.convert("RGB").getpixel((1, 0)) == painting.colour_of(0)
    assert found.convert("RGB").getpixel((0, 0)) == (0, 0, 0)
    over = painting.paint_labels(Image.new("RGB", (3, 2), "white"), labels, opacity=1.0)
    assert over.getpixel((2, 0)) == painting.colour_of(7)
    assert painting.encode(over, "WEBP").startswith(b"RIFF")

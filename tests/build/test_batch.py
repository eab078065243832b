"""The batch size that a build finds: by the memory formula, by trying; kept for a resumed one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from explorer.build import BuildSettings, Interrupted, build
from explorer.build.batch import MOST, RECORD, halved, planned_batch
from explorer.build.finished import differences
from explorer.build.memory import GIB, LEAST, grouped, needed
from explorer.build.plan import plan
from explorer.build.settings import AUTO
from explorer.bundle import WORK, Manifest
from explorer.commands.main import main
from explorer.commands.options import Parser, add_settings, read_settings
from explorer.errors import InputError
from explorer.lens.shapes import shape_of
from tests.build.test_build import stop_at
from tests.conftest import settings_for


def quiet(line: str) -> None:
    """Take progress and say nothing."""


def test_the_planned_batch_is_the_largest_that_costs_no_further_pass(tmp_path: Path) -> None:
    shape = shape_of("ViT-L-14")
    for device in ("cpu", "cuda"):
        asked = BuildSettings(model="ViT-L-14", out=tmp_path, batch_size=AUTO, device=device)
        for room in (12, 16, 20, 64, 500):
            batch = planned_batch(shape, shape.layers, asked, 5000, room * GIB)
            assert LEAST <= batch <= MOST[device]

            def passes(count: int, room: float = room, asked: BuildSettings = asked) -> int:
                tried = replace(asked, batch_size=count)
                return len(grouped(shape, shape.layers, tried, 5000, room * GIB))

            assert passes(batch) == passes(LEAST)
            if batch < MOST[device]:
                larger = replace(asked, batch_size=2 * batch)
                try:
                    assert passes(2 * batch) > passes(batch)
                except InputError:
                    assert needed(shape, [0], larger, 5000) > room * GIB
    assert batch == MOST["cuda"]  # with room for all


def test_a_batch_that_is_named_stays_and_where_none_fits_the_pass_says_so(tmp_path: Path) -> None:
    shape = shape_of("ViT-L-14")
    named = BuildSettings(model="ViT-L-14", out=tmp_path, batch_size=3)
    assert planned_batch(shape, shape.layers, named, 5000, 0) == 3
    asked = replace(named, batch_size=AUTO)
    assert planned_batch(shape, shape.layers, asked, 5000, 0) == LEAST


@pytest.mark.parametrize(("room", "found"), [(256, 256), (255, 128), (40, 32), (1, 1)])
def test_a_batch_is_halved_until_it_fits(room: int, found: int) -> None:
    tried: list[int] = []

    def attempt(count: int) -> None:
        tried.append(count)
        if count > room:
            raise torch.OutOfMemoryError("CUDA out of memory")

    assert halved(256, attempt) == found
    assert tried == [256 >> place for place in range(len(tried))]


def test_no_memory_for_one_image_is_a_sentence_and_other_errors_pass() -> None:
    def never(count: int) -> None:
        raise torch.OutOfMemoryError

    def broken(count: int) -> None:
        raise RuntimeError("shapes")

    with pytest.raises(InputError, match="no memory for a single image"):
        halved(8, never)
    with pytest.raises(RuntimeError, match="shapes"):
        halved(8, broken)


def test_the_option_takes_a_number_or_auto(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser(prog="build")
    add_settings(parser, BuildSettings)

    def read(size: str) -> int:
        given = ["--model", "m", "--out", "o", "--batch-size", size]
        return read_settings(parser.parse_args(given), BuildSettings).batch_size

    assert (read("auto"), read("7")) == (AUTO, 7)
    for wrong in ("0", "-3", "much"):
        with pytest.raises(InputError, match="--batch-size"):
            read(wrong)
    with pytest.raises(InputError, match="--batch-size"):
        BuildSettings(model="m", out=Path("o"), batch_size=-1)
    with pytest.raises(SystemExit):
        main(["build", "--help"])
    assert "default: 32" in capsys.readouterr().out


def test_a_build_keeps_the_batch_that_it_found(
    tiny_model: Path, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MOST, "cpu", 8)
    settings = settings_for(tmp_path / "b", tiny_model, tiny_store, batch_size=AUTO)
    assert plan(settings, quiet)["batch_size"] == 8
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_at(patch, 3)
        build(settings, quiet)
    assert json.loads((settings.out / WORK / RECORD).read_text("utf-8")) == 8
    monkeypatch.setitem(MOST, "cpu", 16)  # another machine: it goes on as it began
    build(settings, quiet)
    assert Manifest.read(settings.out).settings["batch_size"] == 8
    assert differences(settings) == []
    whole = settings_for(tmp_path / "w", tiny_model, tiny_store, batch_size=8)
    build(whole, quiet)
    assert Manifest.read(settings.out).files == Manifest.read(whole.out).files

"""What a build will take: memory against what it allocates, groups of layers, and the remedy."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from explorer.build import BuildSettings, Interrupted, build
from explorer.build.corpus import Corpus
from explorer.build.gathering import Gathering
from explorer.build.memory import GIB, grouped, needed, parts_of, statistics_settings
from explorer.build.plan import plan
from explorer.bundle import WORK, Manifest
from explorer.commands.main import main
from explorer.describe.directions import LayerStatistics
from explorer.errors import InputError
from explorer.lens import MultiLayerLens
from explorer.lens.models import load_model
from explorer.lens.shapes import model_shape, shape_of
from tests.build.test_build import stop_at
from tests.conftest import settings_for


def quiet(line: str) -> None:
    """Take progress and say nothing."""


@pytest.mark.parametrize(
    ("name", "blocks", "heads", "neurons", "embed", "tokens"),
    [
        ("ViT-B-32", 12, 12, 3072, 512, 50),
        ("ViT-L-14-336", 24, 16, 4096, 768, 577),
        ("ViT-H-14", 32, 16, 5120, 1024, 257),
        ("ViT-bigG-14", 48, 16, 8192, 1280, 257),
    ],
)
def test_shapes_need_no_weights(
    name: str, blocks: int, heads: int, neurons: int, embed: int, tokens: int
) -> None:
    shape = shape_of(name)
    assert (shape.blocks, shape.heads, shape.neurons) == (blocks, heads, neurons)
    assert (shape.embed, shape.tokens) == (embed, tokens)
    assert shape.paths(blocks - 2) == heads
    assert shape.paths(0) == heads * (blocks - 1)


def test_the_planned_memory_is_what_the_statistics_hold(
    tiny_model: Path, tiny_store: Path, tmp_path: Path
) -> None:
    loaded = load_model(f"local-dir:{tiny_model}")
    settings = settings_for(tmp_path, tiny_model, tiny_store)
    layers = [0, 1, 2]
    lens = MultiLayerLens(loaded.model, layers)
    kept = statistics_settings(settings, 36)
    made = {layer: LayerStatistics(lens.paths[layer], kept) for layer in layers}
    parts = parts_of(model_shape(loaded.model), layers, settings, 36)
    assert parts["paths"] == sum(lens.paths[layer].nbytes for layer in layers)
    assert parts["factors"] == sum(s._factor.nbytes for s in made.values())
    assert parts["waiting"] == sum(s._pending.nbytes for s in made.values())
    held = [
        sum(c.scores.nbytes + c.ids.nbytes + c.deltas.nbytes for c in s._candidates.values())
        for s in made.values()
    ]
    assert parts["candidates"] == sum(held)
    output = lens.run(torch.zeros(5, 3, 32, 32))
    coefficients = sum(c.nbytes for c in output.coefficients.values())
    assert coefficients < parts["batch"] < 4 * coefficients + 3 * 5 * 17 * (128 + 32) * 4


def test_groups_fit_and_are_none_too_many(tmp_path: Path) -> None:
    shape = shape_of("ViT-L-14")
    settings = BuildSettings(model="ViT-L-14", out=tmp_path)
    for room in (13, 16, 64, 500):
        groups = grouped(shape, shape.layers, settings, 5000, room * GIB)
        assert [layer for group in groups for layer in group] == shape.layers
        assert all(needed(shape, group, settings, 5000) <= room * GIB for group in groups)
        for one, next_one in pairwise(groups):
            assert needed(shape, [*one, next_one[0]], settings, 5000) > room * GIB
    assert len(groups) == 1


def test_a_layer_that_fits_nowhere_names_the_option(tmp_path: Path) -> None:
    shape = shape_of("ViT-L-14")
    settings = BuildSettings(model="ViT-L-14", out=tmp_path, batch_size=64)
    for room in (13.0, 10.5, 5.0):
        with pytest.raises(InputError, match=r"Layer 0 takes .* GiB .*fits?|needed") as said:
            grouped(shape, [0], settings, 50_000, room * GIB)
        words = str(said.value).split()
        if "makes" in words:
            options = words[words.index(next(w for w in words if w.startswith("--"))) :]
            named = dict(zip(options[0::2], options[1::2], strict=False))
            changes = {
                name[2:].replace("-", "_"): int(value)
                for name, value in named.items()
                if name.startswith("--")
            }
            grouped(shape, [0], replace(settings, **changes), 50_000, room * GIB)
        else:
            assert "--layers" in str(said.value)


def test_groups_of_layers_give_the_arrays_of_one_pass(
    tiny_bundle: Path, tiny_model: Path, tiny_store: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    settings = settings_for(tmp_path / "b", tiny_model, tiny_store)
    shape = shape_of(settings.model)
    room = max(needed(shape, layers, settings, 36) for layers in ([0], [1, 2]))
    cramped = replace(settings, memory=room / GIB)
    lines: list[str] = []
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_at(patch, 12)  # in the second pass
        build(cramped, lines.append)
    record = json.loads((settings.out / WORK / "passes.json").read_text("utf-8"))
    assert record == [[0], [1, 2]]
    with monkeypatch.context() as patch:  # the first pass is over and is not run again
        made: list[list[int]] = []
        real = Gathering.__init__

        def counted(self: Gathering, corpus: Corpus, *more: object) -> None:
            real(self, corpus, *more)
            made.append(corpus.layers)

        patch.setattr(Gathering, "__init__", counted)
        build(settings, lines.append)  # with more memory: it keeps to the groups
    assert made == [[1, 2]]
    assert "pass 2 of 2: layers 1, 2" in lines
    assert Manifest.read(settings.out).files == Manifest.read(tiny_bundle).files


def test_a_plan_says_what_a_build_takes_and_makes_nothing(
    tiny_model: Path, tiny_store: Path, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "b", tiny_model, tiny_store)
    found = plan(settings, quiet)
    assert (found["pictures"], found["neurons"], found["passes"]) == (36, 384, [[0, 1, 2]])
    assert found["fits"] is True and found["remedy"] == ""
    assert found["seconds"]["all_passes"] > 0
    assert not settings.out.exists()
    cramped = plan(replace(settings, memory=1e-6), quiet)
    assert cramped["fits"] is False
    assert "Layer 0 takes" in cramped["remedy"]


def test_a_models_name_is_enough_for_a_plan(
    tmp_path: Path, tiny_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "build", "--plan", "--json", "--model", "ViT-bigG-14", "--images", f"store:{tiny_store}",
        "--out", str(tmp_path / "b"), "--memory", "16",
    ]  # fmt: skip
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"]["neurons"] == 8192
    assert found["memory_gib"]["model"] == pytest.approx(2.54e9 * 4 / GIB, rel=0.01)
    assert "seconds" not in found  # the model alone is larger than that
    assert not (tmp_path / "b").exists()


def test_a_build_that_cannot_fit_says_so_before_it_runs(
    tiny_model: Path, tiny_store: Path, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "b", tiny_model, tiny_store, memory=1e-6)
    with pytest.raises(InputError, match=r"Layer 0 takes .*: .*(fits|makes it fit|is needed)"):
        build(settings, quiet)


def test_paths_on_disk_change_no_bit(
    tiny_bundle: Path, tiny_model: Path, tiny_store: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    settings = settings_for(tmp_path / "b", tiny_model, tiny_store)
    monkeypatch.setattr("explorer.build.stored_paths.IN_MEMORY", 0)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_at(patch, 5)
        build(settings, quiet)
    assert len(list((settings.out / WORK).glob("paths_*.npy"))) == 3
    build(settings, quiet)
    assert Manifest.read(settings.out).files == Manifest.read(tiny_bundle).files

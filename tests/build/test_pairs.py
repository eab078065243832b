"""Pairs of a bundle: the build's and those added later, bundles without, the commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from explorer.build import pairs as build_pairs
from explorer.build.pairs import STAGED, add_pairs
from explorer.bundle import MANIFEST, Bundle, reseal_evidence, verify
from explorer.bundle.arrays import PAIR_ARRAYS
from explorer.bundle.facts import neuron_facts
from explorer.bundle.pairs import find_pair, heads_of, pair_facts, pairs_of
from explorer.commands.main import main
from explorer.describe.pairs import HELD, MOST
from explorer.errors import BundleError, InputError
from explorer.lens import SecondOrderLens
from explorer.pixels import to_rgb
from explorer.resumable import Interrupted
from tests.support.altered import manifest_of, write_manifest
from tests.support.told import unpaired


@pytest.fixture
def without(tiny_bundle: Path, tmp_path: Path) -> Path:
    return unpaired(tiny_bundle, tmp_path / "tiny")


def quiet(line: str) -> None:
    """Take progress and say nothing."""


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file but the manifest and those of pairs."""
    pairs = {array.file() for array in PAIR_ARRAYS.values()} | {MANIFEST}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in pairs
    }


@pytest.mark.parametrize("layer", [0, 2])
def test_the_builds_pairs_are_those_of_whole_effects(tiny_bundle: Path, layer: int) -> None:
    bundle = Bundle.open(tiny_bundle)
    loaded, store = bundle.load_model(), bundle.pictures
    pixels = [loaded.preprocess(to_rgb(store.image(i))) for i in range(store.corpus_size)]
    lens = SecondOrderLens(loaded.model, layer)
    for neuron in range(0, 128, 25):
        effects = lens.pairs.effects(torch.stack(pixels), neuron).double()
        effects -= effects.mean(0)
        whole = effects.sum(1)
        row = bundle.row(layer, neuron)
        heads = heads_of(bundle, layer)
        shares = np.asarray(bundle.pair_shares[row], np.float32)[-len(heads) :]
        expected = (effects * whole[:, None]).sum(dim=(0, 2)) / whole.square().sum()
        np.testing.assert_allclose(shares, expected, atol=2e-3)
        assert list(dict.fromkeys(block for block, _ in heads)) == list(range(layer + 1, 4))
        pairs = pairs_of(bundle, row)
        assert pairs[-1].held >= HELD - 1e-3 or len(pairs) == min(MOST, shares.size)
        for pair in pairs:
            path = lens.pairs.path(pair.block, pair.head)
            assert pair.share == pytest.approx(float(shares[heads.index(pair.key)]))
            along = effects[:, path] @ lens.pairs.directions[neuron, path].double()
            assert pair.scale == pytest.approx(float(along.square().mean().sqrt()), rel=1e-3)
            best = float(along.max())
            assert pair.images[0].effect == pytest.approx(best, rel=2e-3)
            assert float(along[pair.images[0].image]) == pytest.approx(best, rel=1e-4)


def test_pairs_are_added_to_a_bundle_and_nothing_else_changes(
    tiny_bundle: Path, without: Path
) -> None:
    before, built = files_of(without), Bundle.open(tiny_bundle)
    assert verify(without) == []
    bundle = Bundle.open(without)
    assert not bundle.paired
    said: list[str] = []
    added = add_pairs(without, said.append, batch_size=5)
    assert added.paired and verify(without) == []
    assert files_of(without) == before
    assert not list(without.parent.glob(".tiny.pairs"))
    for name in ("pair_paths", "pair_meanings", "pair_texts"):
        assert (getattr(added, name) == getattr(built, name)).mean() > 0.99, name
    for name in ("pair_shares", "pair_means", "pair_deviations", "pair_sizes"):
        np.testing.assert_allclose(getattr(added, name), getattr(built, name), atol=1e-3)
    there = built.pair_paths >= 0
    same = (added.pair_images == built.pair_images) | ~there[..., None]
    assert same.mean() > 0.99
    seals = (without / MANIFEST).read_bytes()
    add_pairs(without, said.append)
    assert said[-1] == f"{without} has its pairs already"
    assert (without / MANIFEST).read_bytes() == seals


def test_a_stopped_run_goes_on(without: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*args: object) -> None:
        raise Interrupted("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(build_pairs, "write_pairs", stop)
        with pytest.raises(Interrupted):
            add_pairs(without, quiet, pictures=20, batch_size=5)
    assert not Bundle.open(without).paired
    said: list[str] = []
    assert add_pairs(without, said.append, pictures=20, batch_size=5).paired
    assert not any(line.startswith("pairs [") for line in said)  # nothing was left to pass
    with pytest.raises(InputError, match="two pictures or more"):
        add_pairs(unpaired(without, without.parent / "other"), quiet, pictures=1)


@pytest.mark.parametrize("steps", [0, 3, len(PAIR_ARRAYS), len(PAIR_ARRAYS) + 1])
def test_a_run_that_dies_while_its_files_arrive_goes_on(
    without: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """It dies before a file moves, between two, before the manifest, or behind it."""
    before, beside = files_of(without), set(without.parent.iterdir())
    taken: list[object] = []

    def dies(real: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **options: object) -> object:
            if len(taken) == steps:
                raise OSError("killed")
            taken.append(args)
            return real(*args, **options)

        return step

    moved = Path.replace

    def replaced(file: Path, target: Path) -> object:
        ours = file.parent.name == STAGED or target.name == MANIFEST
        return dies(moved)(file, target) if ours else moved(file, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replaced)
        patch.setattr(shutil, "rmtree", dies(shutil.rmtree))  # what is dead tidies nothing
        with pytest.raises(OSError, match="killed"):
            add_pairs(without, quiet, pictures=20, batch_size=5)
    assert Bundle.open(without).paired == (steps > len(PAIR_ARRAYS))
    assert add_pairs(without, quiet, pictures=20, batch_size=5).paired
    assert verify(without) == []
    assert files_of(without) == before
    assert set(without.parent.iterdir()) == beside


def test_a_second_run_is_refused_and_evidence_of_the_meantime_stays(
    without: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = build_pairs.write_pairs

    def meanwhile(*args: object) -> None:
        with pytest.raises(
            InputError, match=r"^Another build is working in .*: wait until .* over"
        ):
            add_pairs(without, quiet, pictures=20)
        reseal_evidence(Bundle.open(without), {"later": {"found": 1}})
        write(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(build_pairs, "write_pairs", meanwhile)
    added = add_pairs(without, quiet, pictures=20, batch_size=5)
    assert added.paired and added.manifest.evidence["later"] == {"found": 1}
    assert verify(without) == []


def test_a_bundle_without_pairs_says_how_to_add_them(without: Path) -> None:
    bundle = Bundle.open(without)
    remedy = f"add them with 'python -m explorer pairs {without}'"
    with pytest.raises(InputError, match="no neuron-head pairs") as caught:
        pairs_of(bundle, 0)
    assert remedy in str(caught.value)
    assert neuron_facts(bundle, 1, 5)["neuron"] == 5


def test_pairs_are_whole_or_not_there(bundle_copy: Path) -> None:
    content = manifest_of(bundle_copy)
    del content["files"]["pair_held.npy"]
    write_manifest(bundle_copy, content)
    with pytest.raises(BundleError, match=r"does not list pair_held\.npy"):
        Bundle.open(bundle_copy)


def test_a_head_of_a_neuron_is_found_or_refused(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    pairs = pairs_of(bundle, bundle.row(1, 5))
    for pair in pairs:
        assert find_pair(pairs, f" {pair.name} ") is pair
    for text in ("9.9", "2", "", "2.x", "-1.0"):
        with pytest.raises(InputError, match=r"write block\.head, one of [0-9.]+"):
            find_pair(pairs, text)


def test_the_command_line_tells_heads(
    tiny_bundle: Path, without: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["describe", str(tiny_bundle), "1", "5", "--heads", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    bundle = Bundle.open(tiny_bundle)
    assert {key: told[key] for key in ("pairs", "pairs_hold")} == pair_facts(bundle, 1, 5)
    assert [head["head"] for head in told["pairs"]] == [
        pair.name for pair in pairs_of(bundle, bundle.row(1, 5))
    ]
    assert main(["describe", str(without), "1", "5", "--heads"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["pairs", str(without), "--json"]) == 0
    held = json.loads(capsys.readouterr().out)
    assert held["pairs"] == int((bundle.pair_paths >= 0).sum())

"""Directions of pairs from weights alone, against the lens; and from texts, where weights lack."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from explorer.build import build
from explorer.bundle import MODEL_FOLDER, Bundle
from explorer.bundle.pair_directions import WEIGHTS, PairDirections, Tower, pair_directions
from explorer.bundle.pairs import pairs_of
from explorer.errors import InputError
from explorer.lens import SecondOrderLens
from explorer.lens.weights import second_order_paths
from tests.conftest import settings_for
from tests.support.tiny import save_tiny
from tests.support.told import rewrite, unpaired


def by_the_lens(bundle: Bundle, found: PairDirections) -> np.ndarray:
    """Return each pair's direction as the lens has it: [pair, embed]."""
    model = bundle.load_model().model
    lenses = {
        layer: SecondOrderLens(model, layer, bundle.manifest.centre).pairs
        for layer in bundle.manifest.layers
    }
    places = bundle.neurons[["layer", "neuron"]].to_numpy()
    expected = []
    for row, place in zip(found.rows, found.places, strict=True):
        layer, neuron = places[row]
        pair = next(pair for pair in pairs_of(bundle, int(row)) if pair.place == place)
        path = lenses[layer].path(pair.block, pair.head)
        expected.append(lenses[layer].directions[neuron, path])
    return torch.stack(expected).numpy()


def vectors(found: PairDirections) -> np.ndarray:
    """Return all directions, [pair, embed], from their cosines with the axes."""
    return found.cosines(np.eye(found.parts[0].outputs.shape[1], dtype=np.float32))


@pytest.fixture(params=["usual", "half precision, later layers"])
def bundle(
    request: pytest.FixtureRequest, tiny_bundle: Path, tiny_store: Path, tmp_path: Path
) -> Bundle:
    if request.param == "usual":
        return Bundle.open(tiny_bundle)
    save_tiny(tmp_path / "model", width=32, heads=4, embed=24, layer_scale=True)
    file = tmp_path / "model" / WEIGHTS
    save_file({n: v.astype(np.float16) for n, v in load_file(file).items()}, file)
    settings = settings_for(tmp_path / "half", tmp_path / "model", tiny_store, layers="1,2")
    return Bundle.open(build(settings, progress=lambda line: None))


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("layer_scale", [True, False])
def test_a_tower_gives_the_paths_of_the_lens(
    tmp_path: Path, centre: bool, layer_scale: bool
) -> None:
    model = save_tiny(tmp_path, layer_scale=layer_scale)
    weights = load_file(tmp_path / WEIGHTS)
    expected = second_order_paths(model, 1, centre=centre).numpy()
    with safe_open(tmp_path / WEIGHTS, "numpy") as opened:
        tower = Tower(opened.get_tensor, 4, centre)
        written = tower.written(1)
        found = [
            written @ tower.values(block)[head] @ tower.outputs(block)[head]
            for block in (2, 3)
            for head in range(4)
        ]
    np.testing.assert_allclose(np.stack(found, axis=1), expected, atol=1e-5)
    assert any("ls_1" in name for name in weights) == layer_scale


def test_directions_are_those_of_the_lens(bundle: Bundle) -> None:
    found = pair_directions(bundle)
    assert found.exact
    assert len(found) == (np.asarray(bundle.pair_paths) >= 0).sum() > 100
    expected = by_the_lens(bundle, found)
    np.testing.assert_allclose(vectors(found), expected, atol=2e-5)
    assert pair_directions(bundle) is found, "they are read once"
    for number in range(0, len(found), 97):
        row, place = int(found.rows[number]), int(found.places[number])
        assert found.number(row, place) == number
        np.testing.assert_allclose(found.vector(row, place), expected[number], atol=2e-5)


def test_the_nearest_neuron_is_that_of_all_cosines(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    found = pair_directions(bundle)
    directions = np.array(bundle.directions, np.float32)
    directions[:7] = 0
    rows, cosines = found.nearest(directions)
    every = vectors(found) @ directions.T
    every[:, :7] = -2
    np.testing.assert_allclose(cosines, every.max(axis=1), atol=1e-5)
    np.testing.assert_allclose(every[np.arange(len(rows)), rows], cosines, atol=1e-5)
    assert rows.min() >= 7
    with pytest.raises(InputError, match="No neuron"):
        found.nearest(np.zeros_like(directions))


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "tiny"))


def told_by_texts(bundle: Bundle) -> bool:
    """Return whether directions are the weighted sums of texts, each as an independent sum."""
    found = pair_directions(bundle)
    if found.exact:
        return False
    atoms = dict(zip(bundle.texts, bundle.dictionary.atoms(), strict=True))
    for number in range(0, len(found), 61):
        row, place = int(found.rows[number]), int(found.places[number])
        pair = next(pair for pair in pairs_of(bundle, row) if pair.place == place)
        total = sum(weight * atoms[text] for text, weight in pair.texts)
        expected = total / np.linalg.norm(total)
        np.testing.assert_allclose(found.vector(row, place), expected, atol=1e-5)
    return True


@pytest.mark.parametrize("damage", ["none", "others", "cut", "renamed"])
def test_without_the_bundles_own_weights_they_are_sums_of_texts(copy: Path, damage: str) -> None:
    file = copy / MODEL_FOLDER / WEIGHTS
    weights = load_file(file)
    file.unlink()
    if damage == "others":
        name = "visual.transformer.resblocks.2.mlp.c_proj.weight"
        save_file(weights | {name: np.roll(weights[name], 1, axis=1)}, file)
    elif damage == "cut":
        file.write_bytes(b"\x10" * 5000)
    elif damage == "renamed":
        save_file({f"x.{name}": value for name, value in weights.items()}, file)
    elif damage == "none":
        shutil.rmtree(copy / MODEL_FOLDER)
    assert told_by_texts(Bundle.open(rewrite(copy)))


def test_a_bundle_without_pairs_says_how_to_add_them(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(unpaired(tiny_bundle, tmp_path / "tiny"))
    with pytest.raises(InputError, match="python -m explorer pairs"):
        pair_directions(bundle)
    found = pair_directions(Bundle.open(tiny_bundle))
    with pytest.raises(InputError, match="no pair 6"):
        found.number(0, 6)

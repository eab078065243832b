"""What is measured of pairs, against effects that are formed whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.evidence import EvidenceSettings, measure
from explorer.evidence.claim import FAILS, HOLDS, PARTLY
from explorer.evidence.context import Context
from explorer.evidence.measures import pairs as measured
from explorer.evidence.registry import claims
from explorer.lens import SecondOrderLens
from tests.evidence.test_verdicts import of
from tests.support.evidence import SMALL, batch_of, context_of
from tests.support.told import unpaired


@pytest.fixture(scope="module")
def context(tiny_bundle: Path) -> Context:
    return context_of(tiny_bundle)


def pair_effects(context: Context, layer: int) -> torch.Tensor:
    """Every pair's centred effect, formed: [image, path, neuron, embed]."""
    count = len(context.evaluation)
    pixels = context.evaluation.pixels(context.loaded, range(count))
    lens = SecondOrderLens(context.loaded.model, layer)
    mean = torch.from_numpy(np.array(context.bundle.mean_coefficients(layer)))
    return (lens.coefficients(pixels) - mean)[..., None] * lens.paths.transpose(0, 1)


def test_what_pairs_hold_is_what_is_left_of_whole_effects(context: Context) -> None:
    found = measured.probe(context).take(batch_of(context))
    left, along = np.zeros_like(found["left"]), np.zeros_like(found["along"])
    alive = 0
    for layer, table in context.tables.items():
        effects = pair_effects(context, layer)
        scale = torch.from_numpy(context.bundle.neurons["scale"].to_numpy()[table.rows].copy())
        whole = effects.sum(1)
        widest = context.bundle.pair_shares.shape[1]
        for neuron in torch.nonzero(scale > 0)[:, 0].tolist():
            alive += 1
            own = effects[:, :, neuron].clone()
            rows = [own.sum(1)]
            for path in context.bundle.pair_paths[table.rows][neuron]:
                if path >= 0:
                    own[:, int(path) - (widest - own.shape[1])] = 0
                rows.append(own.sum(1))
            left += (torch.stack(rows, 1).square().sum(2) / scale[neuron] ** 2).numpy()
            projected = whole[:, neuron] @ table.directions[neuron]
            along += (projected.square() / scale[neuron] ** 2).numpy()
    np.testing.assert_allclose(found["left"], left / alive, rtol=2e-3, atol=1e-5)
    np.testing.assert_allclose(found["along"], along / alive, rtol=2e-3)


def test_heads_are_those_that_carry_most_along_the_direction(context: Context) -> None:
    found = measured.probe(context).take(batch_of(context))["head"]
    table = context.tables[1]
    effects = pair_effects(context, 1)
    along = torch.einsum("ikne,ne->ikn", effects, table.directions)
    for neuron in range(0, 128, 17):
        for image in range(len(along)):
            parts = along[image, :, neuron] * along[image, :, neuron].sum().sign()
            chosen = int(found[image, table.rows.start + neuron])
            assert parts[chosen] >= parts.max() - 1e-5


def test_ablation_keeps_as_many_pairs_each_way_and_the_strongest_first(context: Context) -> None:
    kept = measured.chosen_pairs(context)
    total = sum(len(table.mean) * len(table.directions) for table in context.tables.values())
    ways = len(measured.WAYS)
    for place in range(ways * len(measured.SHARES)):
        count = sum(len(kept[layer][place]) for layer in kept)
        share = measured.SHARES[place % len(measured.SHARES)]
        slack = max(len(table.mean) for table in context.tables.values())
        assert abs(count - share * total) <= slack + 1
    energies = {n: measured.pair_energies(context, t) for n, t in context.tables.items()}
    inside = np.concatenate([energies[n][kept[n][0]] for n in kept])
    outside = np.concatenate([np.delete(energies[n], kept[n][0]) for n in kept])
    assert inside.min() >= outside.max()
    view = batch_of(context).views[1]
    changes = measured._changes(view, kept)
    effects = pair_effects(context, view.layer)
    for place in (0, 8):
        mask = torch.zeros(effects.shape[1] * effects.shape[2], dtype=torch.bool)
        mask[kept[view.layer][place]] = True
        left = effects * mask.reshape(effects.shape[1:3])[None, ..., None]
        expected = left.sum(dim=(1, 2)) - effects.sum(dim=(1, 2))
        torch.testing.assert_close(changes[1 + place], expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(changes[0], -effects.sum(dim=(1, 2)), rtol=1e-3, atol=1e-4)


def test_mutual_information_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(4, size=60), rng.integers(3, size=60)
    expected = mutual_info_score(one, other) / np.log(2)
    assert measured.mutual_information(one, other) == pytest.approx(expected)
    assert measured.mutual_information(one, one % 2) == pytest.approx(
        mutual_info_score(one, one % 2) / np.log(2)
    )
    assert measured.mutual_information(one, np.zeros(60)) == pytest.approx(0)


def test_clusters_are_verified_by_two_labels() -> None:
    centres = np.eye(3, 4, dtype=np.float32)
    labels = np.eye(4, dtype=np.float32)[[0, 0, 1, 1, 1, 2, 3]]
    found = measured.verified_clusters(centres, labels, 0.5)
    assert found.tolist() == [0, 0, 1, 1, 1, -1, -1]
    assert measured.verified_clusters(centres[:0], labels, 0.5).tolist() == [-1] * 7


def test_the_section_measures_and_judges(tiny_bundle: Path, tmp_path: Path) -> None:
    result = measure(Bundle.open(tiny_bundle), ["pairs"], EvidenceSettings(**SMALL))["pairs"]
    assert result["pairs"] == 128 * (6 + 4 + 2)
    for row in result["held"]["first_pairs"]:
        assert row["value"] <= 1
    assert result["held"]["first_pairs"][-1]["value"] > 0.85  # of two heads a block, all six
    for key in ("pairs", "heads"):
        claim = claims()[key]
        assert claim.judge(result).because.endswith(".")
        assert claim.draw(result).plots and claim.explain is not None
        assert all(said.endswith(".") for said in claim.explain(result))
    with pytest.raises(InputError, match="no neuron-head pairs"):
        measure(Bundle.open(unpaired(tiny_bundle, tmp_path / "tiny")), ["pairs"])


@pytest.mark.parametrize(
    ("own", "beyond", "expected"),
    [(0.92, 0.1, HOLDS), (0.905, 0.1, PARTLY), (0.95, 0.0, FAILS), (0.4, 0.2, FAILS)],
)
def test_few_pairs_are_compared_with_whole_neurons(
    own: float, beyond: float, expected: str
) -> None:
    row = {
        "share": 0.1,
        "strongest": {"kept": of(own), "lead": of(own)},
        "whole_neurons": {"kept": of(own - beyond), "lead": of(own - beyond)},
        "beyond_whole_neurons": of(beyond),
    }
    result = {"drop": of(0.3), "carried": of(0.3), "kept": [row]}
    assert claims()["pairs"].judge(result).outcome == expected
    spared = claims()["pairs"].judge(result | {"drop": of(0.0)})
    assert spared.outcome == (FAILS if expected == FAILS else PARTLY)


@pytest.mark.parametrize(
    ("beyond", "expected"), [(0.12, HOLDS), (0.105, PARTLY), (0.0, FAILS), (None, FAILS)]
)
def test_heads_are_compared_with_shuffled_ones(beyond: float | None, expected: str) -> None:
    found = {"neurons": 5, "information": of(0.5), "beyond_shuffled": of(beyond)}
    assert claims()["heads"].judge({"meanings": found}).outcome == expected

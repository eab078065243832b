"""Controls: a tower without meaning passes nowhere, planted meaning is found, and it resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from explorer.bundle import Bundle
from explorer.evidence.claims.segmentation import MEASURE
from explorer.evidence.context import Context
from explorer.evidence.judging import TowerTests
from explorer.evidence.measures import controls, tower_maps
from explorer.evidence.measures.segmentation import measure_segmentation
from explorer.evidence.registry import beside_random, judged
from explorer.evidence.stored import stored_evidence
from explorer.evidence.towers import LayerStudy, redrawn, study_tower
from explorer.evidence.work import Work
from explorer.lens import SecondOrderLens
from explorer.resumable import Interrupted
from tests.support.evidence import context_of

CONTROLS = {
    "words": {"passing", "random_weights", "dealt_texts", "random_directions"},
    "drivers": {"passing", "random_weights", "shuffled_labels"},
}


@pytest.fixture(scope="module")
def context(tiny_bundle: Path) -> Context:
    return context_of(tiny_bundle)


@pytest.fixture(scope="module")
def found(context: Context) -> dict[str, Any]:
    return controls.measure(context)


def test_a_random_model_passes_no_more_than_its_controls(found: dict[str, Any]) -> None:
    """The tiny bundle has random weights itself."""
    for side, names in CONTROLS.items():
        assert set(found[side]) == names
        for name in names:
            assert found[side][name]["value"] <= 0.07, (side, name)
            assert found[side][name]["count"] == found["neurons"]
            assert found["uncorrected"][side][name]["value"] <= 0.25, (side, name)
    assert [row["blocks"] for row in found["cascade"]] == [0, 1, 4]
    assert found["cascade"][0]["words"] == found["words"]["passing"]
    assert found["cascade"][-1]["drivers"] == found["drivers"]["random_weights"]
    assert [row["layer"] for row in found["layers"]] == [0, 1, 2]
    assert {row["pursuit"] for row in found["pursuits"]} == {"coherent", "nonnegative", "omp"}
    assert all(set(pair) == {"own", "random_weights"} for pair in found["measures"].values())


def test_maps_are_those_of_the_segmentation(context: Context, found: dict[str, Any]) -> None:
    """The same scenes, scored by the section of its own; the random tower finds other places."""
    each = context.settings.scenes
    whole = measure_segmentation(
        context.bundle, scenes=each, photographic=0, calibration=1, methods=("second-order",)
    )
    sums = [
        part["objects"] * part["methods"]["second-order"]["exact"][MEASURE]["value"]
        for part in whole["sets"].values()
    ]
    objects = sum(part["objects"] for part in whole["sets"].values())
    maps = found["measures"]["maps"]
    assert maps["own"]["value"] == pytest.approx(sum(sums) / objects, abs=1e-4)
    assert maps["own"]["count"] == maps["random_weights"]["count"] == 2 * each
    assert maps["random_weights"]["value"] > 0
    assert maps["random_weights"] != maps["own"]  # means of ten scenes were once the same


def test_a_towers_means_are_those_of_a_build(context: Context) -> None:
    means = tower_maps.mean_coefficients(context, context.loaded.model)
    for layer in context.layers:
        expected = context.bundle.mean_coefficients(layer)
        np.testing.assert_allclose(means[layer], expected, atol=1e-5 * np.abs(expected).max())


def test_maps_no_better_than_a_random_towers_hold_nothing(measured: Path) -> None:
    """The claim is judged on figures that say that second-order maps are best by far."""
    evidence = dict(stored_evidence(Bundle.open(measured)))
    sets = evidence["segmentation"]["sets"]
    for part in sets.values():
        for method, forms in part["methods"].items():
            high = 0.9 if method == "second-order" else 0.2
            forms["exact"][MEASURE] = {"value": high, "interval": [high, high], "count": 9}

    def outcome(own: float, random: float) -> str:
        pair = {
            name: {"value": value, "interval": [value - 0.05, value + 0.05], "count": 9}
            for name, value in (("own", own), ("random_weights", random))
        }
        return judged(
            "segmentation", {**evidence, "controls": {"measures": {"maps": pair}}}
        ).outcome

    assert outcome(0.9, 0.3) == "holds"
    assert outcome(0.9, 0.86) == outcome(0.3, 0.9) == "partly"
    said, beaten = beside_random("segmentation", evidence)
    assert "with random weights 0." in said and not beaten


def test_a_layer_is_studied_as_the_lens_gives_it(context: Context) -> None:
    sample = controls.draw(context)
    layer = 1
    tests = TowerTests.of(context, sample)
    tower = tests.judge("own", context.loaded.model)
    study = tower.layers[1].study
    lens = SecondOrderLens(context.loaded.model, layer)
    from explorer.evidence.reference import corpus_pixels

    pixels = corpus_pixels(context.bundle, context.loaded, sample.images)
    effects = lens.effects(pixels)[:, torch.from_numpy(sample.neurons[layer])]
    effects = (effects - effects.mean(0)).numpy()
    along = np.einsum("ine,ne->ni", effects, study.found.directions)
    np.testing.assert_allclose(study.along, along, atol=1e-4 * np.abs(along).max())
    other = study.half_directions[1 - sample.halves]  # [image, neuron, embed]
    across = np.einsum("ine,ine->ni", effects, other)
    np.testing.assert_allclose(study.across, across, atol=1e-4 * np.abs(across).max())


def test_neurons_that_follow_their_words_pass(context: Context) -> None:
    """Planted: effects are the products of pictures with two texts, directions their sum."""
    rng = np.random.default_rng(0)
    texts, images, neurons, embed = 300, 400, 120, 32

    def unit(rows: np.ndarray) -> np.ndarray:
        return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)

    atoms = unit(rng.normal(size=(texts, embed)))
    shown = rng.integers(40, size=images)
    pictures = unit(atoms[shown] + 0.5 * unit(rng.normal(size=(images, embed))))
    wanted = np.stack([rng.choice(40, 2, replace=False) for _ in range(neurons)])
    directions = unit(atoms[wanted].sum(1))
    answers = (shown[:, None, None] == wanted).any(2) + 0.1 * rng.random((images, neurons))
    paths = torch.from_numpy(directions[:, None])
    coefficients = torch.from_numpy(answers[:, None].astype(np.float32))
    halves = (np.arange(images) % 2).astype(np.int8)
    study = LayerStudy.of(paths, coefficients, halves)
    # directions come with the sign of their effects
    assert (np.einsum("ne,ne->n", study.found.directions, directions) > 0.99).all()
    sample = controls.Sample(np.arange(images, dtype=np.int32), halves, {0: np.arange(neurons)})
    tests = object.__new__(TowerTests)
    looks = rng.random((images, 16, 16, 3)).astype(np.float32)
    words = [frozenset({f"thing {n}"}) for n in shown]
    settings = context.settings
    fields = {
        "context": context, "sample": sample, "thumbnails": looks, "once": np.arange(images),
        "pursue": controls.partial(controls.pursue, "coherent"),
        "labels": controls.Labels.of(words, looks, settings.seed),
    }  # fmt: skip
    for name, value in fields.items():
        object.__setattr__(tests, name, value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TowerTests, "atoms", property(lambda self: atoms))
        embeddings = pictures - pictures.mean(0)
        own = controls.JudgedTower(embeddings, [tests._layer(embeddings, study)])
        shares = controls.Shares(sample, 0)
        words_found = shares.passing(
            {
                "own": own.words_p,
                "dealt": controls.dealt_texts(own, tests),
                "random": controls.random_directions(own, tests),
            }
        )
        drivers = shares.passing(
            {"own": own.drivers_p, "shuffled": controls.shuffled_labels(own, tests)}
        )
        two = controls.two_meanings(own, tests)
    assert words_found["own"]["value"] >= 0.9
    assert words_found["dealt"]["value"] <= 0.07
    assert words_found["random"]["value"] <= 0.07
    assert drivers["own"]["value"] >= 0.9
    assert drivers["shuffled"]["value"] <= 0.07
    assert two.mean() >= 0.9


def test_blocks_are_drawn_anew_from_the_top(context: Context) -> None:
    model = context.loaded.model
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def changed(blocks: int) -> set[str]:
        after = redrawn(model, blocks, 0).state_dict()
        return {name for name in before if not torch.equal(before[name], after[name])}

    one = changed(1)
    assert {"visual.proj", "visual.ln_post.weight"} <= one
    assert {name.split(".")[3] for name in one if "resblocks" in name} == {"3"}
    assert not any(name.startswith("visual.conv1") for name in one)
    every = changed(4)
    assert {name for name in before if name.startswith("visual.")} - every == set()
    assert not any(not name.startswith("visual.") for name in every)
    for name, value in model.state_dict().items():
        assert torch.equal(before[name], value)
    weights = redrawn(model, 4, 0).state_dict()["visual.transformer.resblocks.0.mlp.c_fc.weight"]
    original = before["visual.transformer.resblocks.0.mlp.c_fc.weight"]
    assert float(weights.std()) == pytest.approx(float(original.std()), rel=0.05)
    assert controls.stages(24) == [1, 4, 16, 24]
    assert controls.stages(4) == [1, 4]


def test_a_pass_that_was_stopped_goes_on(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = controls.draw(context)
    pixels = TowerTests.of(context, sample)

    def study(work: Work, stop: int | None) -> Any:
        seen: list[int] = []

        def take(places: range) -> torch.Tensor:
            seen.append(places.start)
            if stop is not None and places.start >= stop:
                raise KeyboardInterrupt
            from explorer.evidence.reference import corpus_pixels

            images = sample.images[places.start : places.stop]
            return corpus_pixels(context.bundle, context.loaded, images)

        found = study_tower("t", context.loaded.model, sample, take, 5, work, lambda line: None)
        return found, seen

    del pixels, monkeypatch
    work = Work(tmp_path)
    with pytest.raises(Interrupted):
        study(work, 10)
    resumed, seen = study(work, None)
    assert seen[0] == 10
    whole, _ = study(Work(None), None)
    np.testing.assert_array_equal(resumed.layers[2].along, whole.layers[2].along)
    np.testing.assert_array_equal(resumed.embeddings, whole.embeddings)

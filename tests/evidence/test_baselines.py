"""Baselines of descriptions: neurons that are known to follow labels, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import pearsonr

from explorer.evidence.claims import descriptions
from explorer.evidence.context import Context
from explorer.evidence.figures import figure
from explorer.evidence.measures import baselines, effects, predict
from explorer.evidence.measures.metrics import pearson
from tests.support.evidence import context_of

EMBED, PICTURES, NEURONS = 24, 60, 384


@pytest.fixture
def labels() -> np.ndarray:
    found = np.random.default_rng(0).normal(size=(PICTURES, EMBED)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture
def context(tiny_bundle: Path, labels: np.ndarray) -> Context:
    """A context whose evaluation pictures have these labels."""
    context = context_of(tiny_bundle)
    context.__dict__["label_atoms"] = labels
    return context


def described(context: Context) -> np.ndarray:
    return predict.reconstructions(context)


def test_a_neuron_that_follows_its_description_is_seen_to(
    context: Context, labels: np.ndarray
) -> None:
    """The positive control: effects of labels along the neuron's own texts, with noise."""
    rng = np.random.default_rng(1)
    along = labels @ described(context).T
    alive = np.arange(NEURONS)
    quiet = predict._descriptions(context, along, alive, 5)
    assert quiet["description"]["pearson"]["value"] == pytest.approx(1, abs=1e-4)
    assert quiet["description"]["f1"]["value"] == pytest.approx(1, abs=1e-4)
    assert abs(quiet["other_neuron"]["pearson"]["value"]) < 0.5
    noisy = along + along.std(0) * 3 * rng.normal(size=along.shape)
    found = predict._descriptions(context, noisy, alive, 5)["description"]["pearson"]
    assert found["interval"][0] < 1 / np.sqrt(10) < found["interval"][1] + 0.02
    assert found["interval"][0] > 0.2
    against = predict._descriptions(context, -along, alive, 5)
    assert against["description"]["pearson"]["value"] == pytest.approx(-1, abs=1e-4)


def test_effects_that_follow_other_labels_are_seen_by_the_fit_alone(
    context: Context, labels: np.ndarray
) -> None:
    """Neurons that respond to labels which their directions do not name."""
    rng = np.random.default_rng(2)
    responded = rng.normal(size=(NEURONS, EMBED)).astype(np.float32)
    fitted = baselines.label_directions(labels, labels @ responded.T)
    unseen = rng.normal(size=(40, EMBED)).astype(np.float32)
    acted = unseen @ responded.T
    assert baselines.correlations(acted, baselines.Products(unseen, fitted)).mean() > 0.9
    own = baselines.correlations(acted, baselines.Products(unseen, described(context)))
    assert abs(own.mean()) < 0.1
    noise = rng.normal(size=(PICTURES, NEURONS))
    nothing = baselines.label_directions(labels, noise)
    assert abs(baselines.correlations(acted, baselines.Products(unseen, nothing)).mean()) < 0.05


def test_correlations_are_scipys_whatever_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    measured, pictures, vectors = (rng.normal(size=s) for s in ((9, 5), (9, 4), (5, 4)))
    wanted = [pearsonr(measured[:, n], pictures @ vectors[n]).statistic for n in range(5)]
    monkeypatch.setattr(baselines, "CHUNK", 2)
    found = baselines.correlations(measured, baselines.Products(pictures, vectors))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(pearson(measured, pictures @ vectors.T), wanted)


def test_labels_of_top_pictures_are_summed_by_effect(context: Context) -> None:
    bundle = context.bundle
    table = np.random.default_rng(4).normal(size=(bundle.pictures.corpus_size, EMBED))
    rows = np.array([0, 17, 383])
    found = baselines.top_label_sums(context, rows, table.astype(np.float32))
    for place, row in enumerate(rows):
        total = np.zeros(EMBED)
        for end in range(2):
            for image, effect in zip(
                bundle.top_images[row, end], bundle.top_effects[row, end], strict=True
            ):
                total += float(effect) * table[image] if image >= 0 else 0
        np.testing.assert_allclose(found[place], total, rtol=1e-3, atol=1e-4)


def test_planted_neurons_follow_their_directions_on_real_pictures(tiny_bundle: Path) -> None:
    context = context_of(tiny_bundle)
    context.probes["effects"] = effects.probe(context)
    signed = context.record("effects")["signed"]
    alive = np.flatnonzero(context.alive)
    texts = described(context)[alive]
    other = np.roll(np.arange(len(alive)), 1)
    found = baselines.measure_baselines(context, signed, alive, texts, other)
    outputs = context.record("effects")["representation"] - context.bundle.mean_representation
    planted = outputs @ np.asarray(context.bundle.directions, np.float32)[alive].T
    predicted = context.label_atoms @ texts.T
    wanted = figure(pearson(planted, predicted), context.settings.seed)
    assert found["planted"]["value"] == pytest.approx(wanted["value"], abs=1e-4)
    swapped = figure(pearson(planted, predicted[:, other]), context.settings.seed)
    assert found["planted_other_neuron"]["value"] == pytest.approx(swapped["value"], abs=1e-4)
    own = figure(pearson(signed[:, alive].astype(np.float32), planted), context.settings.seed)
    assert found["output"]["value"] == pytest.approx(own["value"], abs=1e-4)
    assert {row["layer"] for row in found["layers"]} == set(context.layers)
    assert found["fitted"]["count"] == found["corpus"]["count"] == len(alive)


def test_a_corpus_without_labels_has_no_fit(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = context_of(tiny_bundle)
    monkeypatch.setitem(context.bundle.pictures.table, "label", "")
    found = baselines._corpus(
        context, np.zeros((4, 3)), np.arange(3), np.zeros((3, EMBED)), np.zeros((3, EMBED))
    )
    assert set(found) == {"fitted", "top_labels", "corpus", "alignment"}
    assert all(np.isnan(values).all() for values in found.values())


def some(value: float) -> dict[str, Any]:
    return {"value": value, "interval": [value - 0.01, value + 0.01], "count": 7}


def test_what_labels_tell_is_said_only_where_they_do() -> None:
    def said(
        fitted: float, own: float, corpus: float | None = 0.1, layers: Sequence[float] = ()
    ) -> str:
        names = ("planted", "planted_other_neuron", "top_labels", "output", "alignment")
        found = {name: some(0.3) for name in names} | {"fitted": some(fitted)}
        nothing = {"value": None, "interval": None, "count": 0}
        found["corpus"] = nothing if corpus is None else some(corpus)
        found["strong"] = [{"agreement": 0.9, "pearson": nothing}]
        part = {"description": {"pearson": some(own)}, "direction": {"pearson": some(0.05)}}
        part["layers"] = [
            {"layer": n, "description": some(value)} for n, value in enumerate(layers)
        ]
        result = {"controls": found, "descriptions": part, "neurons": 384}
        return " ".join(descriptions.explain(result))

    assert "Neurons do follow labels" in said(0.4, 0.02)
    assert "0.400" in said(0.4, 0.02)
    assert "Neurons do follow labels" not in said(0.3, 0.2)
    assert "Neurons do follow labels" not in said(0.005, 0.0)
    assert "The exceptions" not in said(0.4, 0.02)
    assert "Layers differ" not in said(0.4, 0.02)
    assert "Layers differ" not in said(0.4, 0.02, layers=[0.3, 0.315])  # intervals meet
    differ = said(0.4, 0.02, layers=[0.2, 0.1, 0.3])
    assert "Layers differ: 0.100 in layer 1, 0.300 in layer 2." in differ
    assert "corpus pictures in place" not in said(0.4, 0.02, None)
    assert "corpus pictures in place of unseen ones the description 0.100" in said(0.4, 0.02)

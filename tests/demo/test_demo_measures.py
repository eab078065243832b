"""The small measures against plain loops, and on neurons whose answers are known."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from explorer.demo.features import Corpus
from explorer.demo.measures import Probe, Quiz, _auc, effects_of, measure, neuron_measures
from explorer.demo.probe import make_probe
from explorer.lens import SecondOrderLens
from tests.demo.toys import TOWER, toy_lexicon, toy_photographs, toy_pictures
from tests.support.tiny import tiny_clip


def clean_neurons(pictures=200, neurons=6, embed=8, noise=0.0):
    """Effects of neurons each of which answers to pictures of one of eight things."""
    generator = torch.Generator().manual_seed(0)
    thing = torch.arange(pictures) % embed
    meanings = functional.normalize(
        torch.eye(embed)[thing] + 0.05 * torch.randn(pictures, embed, generator=generator), dim=-1
    )
    strength = (thing[:, None] == torch.arange(neurons)).float()
    strength = strength * (0.5 + torch.rand(pictures, neurons, generator=generator))
    effects = strength[..., None] * torch.eye(embed)[:neurons]
    return effects + noise * torch.randn(effects.shape, generator=generator), meanings


def test_neurons_of_one_thing_each_pass_every_measure():
    effects, meanings = clean_neurons()
    found = neuron_measures(effects, meanings, effects, meanings, torch.eye(8))
    assert found["auc"] > 0.9
    assert found["predicts"] == 1
    assert found["pearson"] > 0.8
    assert found["rank one"] > 0.99
    assert found["silent"] == 0


def test_neurons_of_nothing_stay_at_chance():
    generator = torch.Generator().manual_seed(1)
    effects = torch.randn(300, 64, 16, generator=generator)
    _, meanings = clean_neurons(300, 6, 16)
    found = neuron_measures(effects, meanings, effects, meanings, torch.eye(16))
    assert found["predicts"] < 0.25
    assert 0.3 < found["auc"] < 0.7
    assert found["energy"] < 0.08
    assert found["rank one"] < 0.5


def test_auc_equals_a_plain_loop():
    effects, meanings = clean_neurons(60, 3, 8, noise=0.2)
    directions = functional.normalize(torch.randn(3, 8, generator=torch.Generator().manual_seed(2)))
    centred = effects - effects.mean(0)
    found = _auc(centred, directions, meanings, pictures=5)
    for neuron in range(3):
        along = centred[:, neuron] @ directions[neuron]
        place = (meanings @ directions[neuron]).numpy()
        top = along.argsort(descending=True)[:5]
        weight = along[top].clamp(min=0).numpy() ** 2
        ranks = np.array([(place < place[picture]).mean() for picture in top])
        assert found[neuron].item() == pytest.approx(float((ranks * weight).sum() / weight.sum()))


def test_effects_are_the_lenss():
    model = tiny_clip(**TOWER)
    pixels = np.random.default_rng(0).integers(0, 255, (3, 28, 28, 3), dtype=np.uint8)
    chosen = {2: torch.tensor([5, 60])}
    effects, outputs = effects_of(model, pixels, chosen)
    from explorer.demo.features import normalise

    expected = SecondOrderLens(model, 2).effects(normalise(pixels))[:, [5, 60]]
    assert torch.allclose(effects[2], expected, atol=1e-4)
    assert torch.allclose(outputs.norm(dim=1), torch.ones(3), atol=1e-5)


def test_the_probe_shows_no_test_and_every_quiz_has_its_answer():
    table, pixels = toy_pictures()
    photographs, lexicon = toy_photographs(), toy_lexicon()
    asked = []

    def embed(texts):
        asked.extend(texts)
        return functional.normalize(torch.randn(len(texts), 16), dim=-1)

    probe = make_probe(Corpus(table, pixels, table.iloc[:0]), photographs, lexicon, embed, 28)
    assert "ship" not in asked  # the test photograph's name
    assert {quiz.name for quiz in probe.quizzes} == {
        "style",
        "photographs",
        "everyday",
        "unknown names",
    }
    for quiz in probe.quizzes:
        assert len(quiz.pixels) == len(quiz.answers) > 0
        assert quiz.answers.max() < len(quiz.texts)
    assert len(probe.corpus) == 4  # trained drawings that are not single-colour


def test_measuring_a_tower_gives_recall_and_every_layer():
    model = tiny_clip(**TOWER)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (40, 28, 28, 3), dtype=np.uint8)
    texts = functional.normalize(torch.randn(20, 16), dim=-1)
    quiz = Quiz("style", pixels[:6], texts, np.arange(6))
    probe = Probe([quiz], pixels, pixels[:30], texts)
    found = measure(model, probe, (2, 3), neurons=8)
    assert set(found) == {"style", "layer 2", "layer 3"}
    assert 0 <= found["style"]["recall@1"] <= found["style"]["recall@10"] <= 1
    assert set(found["layer 2"]) >= {"auc", "energy", "predicts", "best text"}

"""What passes: planted neurons do, random weights don't, and a bundle says so of each neuron."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from explorer.build.chance import SecondLook, drawings, measure_chance
from explorer.build.gathering import PassResult
from explorer.build.pair_pass import PairEffects
from explorer.bundle import Bundle
from explorer.bundle.facts import neuron_facts
from explorer.bundle.pictures import PictureStore
from explorer.decompose import SparseCode, sparse_codes
from explorer.describe.prediction import split_halves
from explorer.describe.pursuits import pursue
from tests.conftest import settings_for

EMBED, TEXTS, IMAGES, NEURONS, PLANTED = 64, 400, 900, 400, 200


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@dataclass
class Corpus:
    """Pictures that show one text each, and neurons of which the first ones are planted.

    A planted neuron writes the sum of two texts and answers to pictures of either. The others write
    random directions and answer to nothing that pictures show.
    """

    seed: int = 0

    @cached_property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    @cached_property
    def atoms(self) -> np.ndarray:
        return unit(self.rng.normal(size=(TEXTS, EMBED)) * np.linspace(1.5, 0.4, EMBED))

    @cached_property
    def shown(self) -> np.ndarray:
        return self.rng.integers(60, size=IMAGES)

    @cached_property
    def planted(self) -> np.ndarray:
        return np.stack([self.rng.choice(60, 2, replace=False) for _ in range(PLANTED)])

    @cached_property
    def directions(self) -> np.ndarray:
        noise = unit(self.rng.normal(size=(NEURONS, EMBED)) * np.linspace(1.5, 0.4, EMBED))
        found = noise.copy()
        found[:PLANTED] = unit(self.atoms[self.planted].sum(1) + 0.5 * noise[:PLANTED])
        return found

    @cached_property
    def effects(self) -> np.ndarray:
        effects = self.rng.normal(size=(NEURONS, IMAGES))
        for neuron, texts in enumerate(self.planted):
            effects[neuron, np.isin(self.shown, texts)] += 4
        return effects.astype(np.float32)

    @cached_property
    def found(self) -> PassResult:
        embeddings = unit(
            self.atoms[self.shown] + 0.5 * unit(self.rng.normal(size=(IMAGES, EMBED)))
        )
        halves = [
            unit(self.directions + 0.1 * self.rng.normal(size=(NEURONS, EMBED)) / 8) for _ in "ab"
        ]
        layer = SimpleNamespace(directions=self.directions)
        return PassResult(
            {3: layer},  # type: ignore[dict-item]
            {3: np.stack(halves)},
            embeddings.astype(np.float16),
            np.zeros(EMBED, np.float32),
            {},
        )

    @cached_property
    def look(self) -> SecondLook:
        halves = split_halves([""] * IMAGES)
        images = np.arange(IMAGES, dtype=np.int32)
        return SecondLook(images, halves, self.effects, self.effects, PairEffects({}))

    @cached_property
    def code(self) -> SparseCode[np.ndarray]:
        return sparse_codes(self.directions, self.atoms, 12)

    @cached_property
    def store(self) -> PictureStore:
        table = pd.DataFrame(
            {"label": [f"thing {n}" for n in self.shown], "concept": "", "keywords": ""}
        )
        pixels = self.rng.integers(256, size=(IMAGES, 8, 8, 3), dtype=np.uint8)
        rgb = [Image.fromarray(picture) for picture in pixels]
        return SimpleNamespace(table=table, rgb=rgb.__getitem__)  # type: ignore[return-value]

    def columns(self, tmp_path: Path) -> dict[str, np.ndarray]:
        settings = settings_for(tmp_path, tmp_path, tmp_path)
        choose = partial(pursue, settings.pursuit)
        found, look, code = self.found, self.look, self.code
        return measure_chance(
            found, look, code, self.atoms, choose, self.store, settings, lambda line: None
        )


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus()


@pytest.fixture(scope="module")
def columns(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return corpus.columns(tmp_path_factory.mktemp("chance"))


def test_planted_neurons_pass_and_the_others_do_not(columns: dict[str, np.ndarray]) -> None:
    for passed in (columns["words_pass"], columns["driven_pass"]):
        assert passed[:PLANTED].mean() >= 0.9
        assert passed[PLANTED:].mean() <= 0.07
    assert columns["prediction"][:PLANTED].mean() > 0.3
    assert abs(columns["prediction"][PLANTED:].mean()) < 0.02
    assert columns["precision"][:PLANTED].mean() > 5 * columns["precision"][PLANTED:].mean()


def test_the_planted_words_are_found(corpus: Corpus, columns: dict[str, np.ndarray]) -> None:
    both, driven = [], []
    for neuron, texts in enumerate(corpus.planted):
        words = set(corpus.code.ids[neuron, : columns["words"][neuron]])
        both.append(set(texts) <= words)
        named = set(columns["driven_by"][neuron].split(", "))
        driven.append({f"thing {text}" for text in texts} <= named)
    assert np.mean(both) >= 0.9
    assert np.mean(driven) >= 0.9
    assert np.median(columns["words"][:PLANTED]) == 2


def test_texts_dealt_to_other_neurons_do_not_pass(corpus: Corpus, tmp_path: Path) -> None:
    dealt = Corpus()
    order = np.random.default_rng(1).permutation(NEURONS)
    dealt.effects = corpus.effects[order]  # each neuron answers to another's pictures
    assert dealt.columns(tmp_path)["words_pass"].mean() <= 0.07


def test_labels_dealt_to_other_pictures_do_not_pass(corpus: Corpus, tmp_path: Path) -> None:
    shuffled = Corpus()
    labels = np.random.default_rng(2).permutation(corpus.store.table["label"])
    shuffled.store.table["label"] = labels
    assert shuffled.columns(tmp_path)["driven_pass"].mean() <= 0.02


def test_a_model_with_random_weights_says_nothing(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    assert bundle.tested
    table = bundle.neurons
    assert table["words_pass"].mean() <= 0.07
    assert table["driven_pass"].mean() <= 0.07
    tested = table["text_p"].dropna()
    assert ((tested > 0) & (tested <= 1)).all()
    facts = neuron_facts(bundle, 1, 5)
    assert {"words", "text_p", "prediction", "prediction_p", "driven_by", "above_chance"} <= set(
        facts
    )
    assert facts["above_chance"] == (facts["words_above_chance"] or facts["driven_above_chance"])


def test_a_bundle_that_was_not_tested_says_nothing_of_chance(bundle_copy: Path) -> None:
    bundle = Bundle.open(bundle_copy)
    untested = bundle.neurons.drop(columns=["words_pass"])
    object.__setattr__(bundle, "neurons", untested)
    assert not bundle.tested
    assert "above_chance" not in neuron_facts(bundle, 1, 5)


def test_pictures_of_one_drawing() -> None:
    rows = [
        ("noto", "cat", "colour", b"1"),
        ("noto-v1", "cat", "mono", b"2"),
        ("openmoji", "cat", "colour", b"3"),
        ("folder", "cat", "photo", b"4"),
        ("folder", "cat", "photo", b"5"),
        ("folder", "dog", "photo", b"4"),
        ("noto", "", "colour", b"6"),
    ]
    table = pd.DataFrame(rows, columns=["source", "label", "kind", "data"])
    store = SimpleNamespace(
        table=table, corpus_size=len(rows), encoded=lambda image: rows[image][3]
    )
    found = drawings(store)  # type: ignore[arg-type]
    assert found[0] == found[1]
    assert found[3] == found[5]
    assert len(set(found)) == 5

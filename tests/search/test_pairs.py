"""Pairs for a query: orders against plain loops over the lens's directions, trust, the claims."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from explorer.bundle import Bundle
from explorer.bundle.pairs import pairs_of
from explorer.commands.main import main
from explorer.errors import InputError
from explorer.lens import SecondOrderLens
from explorer.search import open_search
from explorer.search.pairs import PairSearch, above_chance, search_pairs
from tests.support.told import told_pairs, unpaired

QUERY = "red + circle - blue"


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.open(tiny_bundle)


@pytest.fixture(scope="module")
def cosines(bundle: Bundle) -> dict[tuple[int, int], float]:
    """(Row, place) -> the lens's cosine of the pair with the query."""
    query, model = open_search(bundle, QUERY).direction, bundle.load_model().model
    found = {}
    for layer in bundle.manifest.layers:
        pairs = SecondOrderLens(model, layer).pairs
        for neuron in range(128):
            row = bundle.row(layer, neuron)
            for pair in pairs_of(bundle, row):
                path = pairs.path(pair.block, pair.head)
                direction = pairs.directions[neuron, path].numpy()
                found[row, pair.place] = float(direction @ query)
    return found


def test_pairs_come_by_their_cosine_with_the_query(
    bundle: Bundle, cosines: dict[tuple[int, int], float]
) -> None:
    search = PairSearch(open_search(bundle, QUERY), trusted=False)
    for hits, sign in ((search.towards(30), 1), (search.away(30), -1)):
        best = sorted(cosines.values(), key=lambda value: -sign * value)[:30]
        assert [hit.score for hit in hits] == pytest.approx(best, abs=1e-5)
        for hit in hits:
            assert hit.score == pytest.approx(cosines[hit.row, hit.place], abs=1e-5)
            assert search.directions.number(hit.row, hit.place) == hit.number
    assert len(search.cosines) == len(cosines)


def test_trust_puts_pairs_whose_pictures_show_the_text_first(bundle: Bundle) -> None:
    search = PairSearch(open_search(bundle, "red circle"))
    query = search.search.direction
    along = np.asarray(bundle.image_embeddings, np.float64) @ query

    def shown(row: int, place: int) -> float:
        images, effects = bundle.pair_images[row, place], bundle.pair_effects[row, place]
        held = images >= 0
        weights = np.square(effects[held].astype(np.float64))
        nearer = [(along < a).mean() + (along == a).mean() / 2 for a in along[images[held]]]
        return float(weights @ nearer / weights.sum())

    merits = []
    for number in range(len(search.cosines)):
        told = shown(int(search.directions.rows[number]), int(search.directions.places[number]))
        assert search.shown[number] == pytest.approx(told, abs=2e-3)
        cosine = float(search.cosines[number])
        merits.append(cosine * float(np.clip(np.sign(cosine) * (2 * told - 1), 0, 1)))
    best = sorted(merits, reverse=True)[:10]
    assert [merits[hit.number] for hit in search.towards(10)] == pytest.approx(best, abs=2e-3)


def test_sets_are_those_that_hold_the_texts(bundle: Bundle) -> None:
    search = PairSearch(open_search(bundle, "red - blue"), trusted=False)
    expected = {}
    for row in range(len(bundle.neurons)):
        for pair in pairs_of(bundle, row):
            held = dict(pair.texts)
            weight = held.get("red", 0.0) - held.get("blue", 0.0)
            if abs(weight) >= 0.005:
                expected[row, pair.place] = weight
    hits = search.sets(10_000)
    assert {(hit.row, hit.place): hit.score for hit in hits} == pytest.approx(expected, abs=1e-6)
    sizes = [abs(hit.score) for hit in hits]
    assert sizes == sorted(sizes, reverse=True)


def test_only_claims_are_found_where_that_is_asked(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(told_pairs(tiny_bundle, tmp_path / "told"))
    passing = above_chance(bundle)
    assert 0 < passing.sum() < len(passing)
    search = PairSearch(open_search(bundle, "red"), trusted=False, above=True)
    hits = search.towards(10_000)
    assert len(hits) == passing.sum()
    for hit in hits:
        assert bundle.pair_words[hit.row, hit.place] > 0


def test_the_command_finds_pairs(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", str(tiny_bundle), "red", "--heads", "--top", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == search_pairs(Bundle.open(tiny_bundle), "red", 3)
    assert found["exact"]
    assert [len(found[kind]) for kind in ("towards", "away", "sets")] == [3, 3, 3]
    for entry in found["towards"]:
        row = Bundle.open(tiny_bundle).row(entry["layer"], entry["neuron"])
        pair = next(p for p in pairs_of(Bundle.open(tiny_bundle), row) if p.name == entry["head"])
        assert entry["texts"] == [text for text, _ in pair.texts]
    bare = unpaired(tiny_bundle, tmp_path / "bare")
    assert main(["search", str(bare), "red", "--heads"]) == 2
    assert "python -m explorer pairs" in capsys.readouterr().err
    with pytest.raises(InputError, match="python -m explorer pairs"):
        above_chance(Bundle.open(bare))

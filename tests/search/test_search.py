"""The query language, text search against brute force, and the effects of one picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from explorer.bundle import Bundle
from explorer.bundle.facts import relative_effects
from explorer.errors import InputError
from explorer.lens import SecondOrderLens, own_projections
from explorer.lens.models import LoadedModel
from explorer.picture.model import open_lens_model
from explorer.picture.reading import read
from explorer.picture.study import Study
from explorer.pixels import to_rgb
from explorer.search import (
    CHUNK,
    NEAR_COSINE,
    least,
    open_search,
    products,
    search_text,
    unknown_texts,
)
from explorer.search.query import MOST_TEXTS, Term, format_query, parse_query
from tests.conftest import TINY_LAYERS, draw
from tests.support.tiny import tiny_clip

END_TO_END = ("towards", "away")  # these run from one sign to the other


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.open(tiny_bundle)


@pytest.fixture(scope="module")
def loaded(tiny_bundle: Path) -> LoadedModel:
    return Bundle.open(tiny_bundle).load_model()


# --- the language -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("ship", [("ship", 1)]),
        ("  red   circle ", [("red circle", 1)]),
        ("ship + car", [("ship", 1), ("car", 1)]),
        ("dog - cat", [("dog", 1), ("cat", -1)]),
        ("dog − cat", [("dog", 1), ("cat", -1)]),
        ("dog -cat +red bird", [("dog", 1), ("cat", -1), ("red bird", 1)]),
        ("- cat", [("cat", -1)]),
        ("+ cat", [("cat", 1)]),
        ("t-shirt + c++", [("t-shirt", 1), ("c++", 1)]),
        ("dog- cat", [("dog- cat", 1)]),
        ('"dog - cat" + red', [("dog - cat", 1), ("red", 1)]),
        ("“dot - dash” − „a + b“", [("dot - dash", 1), ("a + b", -1)]),
        ('big "red dog"', [("big red dog", 1)]),
        ('5" disk', [('5" disk', 1)]),
        ('"a b"+c', [("a b", 1), ("c", 1)]),
    ],
)
def test_queries_are_read(query: str, terms: list[tuple[str, int]]) -> None:
    found = parse_query(query)
    assert [(term.text, term.sign) for term in found] == terms
    assert parse_query(format_query(found)) == found


def test_only_what_stands_in_quotation_marks_is_taken_as_it_is_written() -> None:
    query = '"red circle" + big "red dog" - „cat“ + dog'
    assert [term.exact for term in parse_query(query)] == [True, False, True, False]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "Give a text"),
        (" \t ", "Give a text"),
        ("ship +", "after the last operator"),
        ("-", "after the last operator"),
        ("ship + - car", "between two operators"),
        ("+ + car", "between two operators"),
        ('"ship', "left open"),
        ('"  " + a', "between the quotation marks"),
        (" + ".join("abcdefghi"), f"at most {MOST_TEXTS}"),
        ("a" * 201, "at most 200"),
    ],
)
def test_unreadable_queries_say_what_to_write(query: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_query(query)


# --- text search --------------------------------------------------------------------------------


def centred(bundle: Bundle, text: str) -> np.ndarray:
    """A text's atom, computed the slow way."""
    row = bundle.text_embeddings[bundle.texts.index(text)].astype(np.float64)
    row = row - bundle.text_mean
    return row / np.linalg.norm(row)


@pytest.mark.parametrize("count", [1, 2, 7, 500])
def test_the_least_values_are_those_of_a_stable_sort(count: int) -> None:
    rng = np.random.default_rng(count)
    for values in (rng.normal(size=count), rng.integers(0, 4, count), np.zeros(count)):
        for top in (0, 1, 6, count, count + 3):
            expected = np.argsort(values, kind="stable")[:top]
            assert least(values.astype(np.float32), top).tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(("rows", "embed"), [(1, 3), (5000, 64), (3, 2 * CHUNK)])
def test_products_by_chunks_equal_one_product(rows: int, embed: int, dtype: type) -> None:
    rng = np.random.default_rng(0)
    stored = (rng.normal(size=(rows, embed)) / np.sqrt(embed)).astype(dtype)
    vectors = rng.normal(size=(3, embed)).astype(np.float32)
    expected = stored.astype(np.float64) @ vectors.T.astype(np.float64)
    found = products(stored, vectors)
    assert found.shape == (rows, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_directions_follow_the_combined_text(bundle: Bundle) -> None:
    found = open_search(bundle, "red circle - blue square", lambda texts: pytest.fail("known"))
    combined = centred(bundle, "red circle") - centred(bundle, "blue square")
    combined /= np.linalg.norm(combined)
    expected = bundle.directions.astype(np.float64) @ combined
    assert found.cosines == pytest.approx(expected, abs=1e-5)
    towards, away = found.towards(7), found.away(7)
    assert [h.row for h in towards] == np.argsort(-expected, kind="stable")[:7].tolist()
    assert [h.row for h in away] == np.argsort(expected, kind="stable")[:7].tolist()
    assert away[0].score < 0 < towards[0].score
    mirrored = open_search(bundle, "blue square - red circle")
    assert mirrored.cosines == pytest.approx(-found.cosines, abs=1e-5)


def test_near_texts_and_pictures_equal_brute_force(bundle: Bundle) -> None:
    found = open_search(bundle, "red circle + green - blue")
    mean = bundle.text_mean
    query = mean.copy()
    for text, sign in (("red circle", 1), ("green", 1), ("blue", -1)):
        query += sign * (bundle.text_embeddings[bundle.texts.index(text)] - mean)
    query /= np.linalg.norm(query)
    scores = bundle.text_embeddings.astype(np.float32) @ query
    own = set(found.places)
    expected = [i for i in np.argsort(-scores, kind="stable") if i not in own][:5]
    assert [row for row, _ in found.texts(5)] == expected
    assert [s for _, s in found.texts(5)] == pytest.approx(scores[expected], abs=1e-4)
    pictures = bundle.image_embeddings.astype(np.float32) @ query
    assert [i for i, _ in found.pictures(6)] == np.argsort(-pictures, kind="stable")[:6].tolist()


def test_a_single_text_is_searched_with_its_own_embedding(bundle: Bundle) -> None:
    found = open_search(bundle, "Red Circle")
    stored = bundle.text_embeddings[bundle.texts.index("red circle")].astype(np.float32)
    assert found.embedding == pytest.approx(stored / np.linalg.norm(stored), abs=1e-6)


def test_sets_sum_signed_weights(bundle: Bundle) -> None:
    found = open_search(bundle, "red - blue")
    red, blue = (bundle.texts.index(text) for text in ("red", "blue"))
    expected = np.zeros(len(bundle.neurons))
    for row, ids in enumerate(bundle.concept_ids):
        for i, weight in zip(ids, bundle.concept_weights[row], strict=True):
            expected[row] += (int(i == red) - int(i == blue)) * float(weight)
    assert found.weights == pytest.approx(expected, abs=1e-6)
    hits = found.sets(1000)
    assert {h.row for h in hits} == set(np.flatnonzero(np.abs(expected) >= 0.005).tolist())
    strengths = [abs(h.score) for h in hits]
    assert strengths == sorted(strengths, reverse=True)
    for hit in hits[:20]:
        weights = dict(hit.found)
        assert hit.score == pytest.approx(weights.get("red", 0) - weights.get("blue", 0))


def test_what_pictures_show_counts_at_the_end_where_the_direction_points(bundle: Bundle) -> None:
    found = open_search(bundle, "red circle")
    mirrored = replace(found, terms=(Term("red circle", -1),))
    every = np.arange(len(bundle.neurons))
    shown, told = found.shown(every), found.told(every)
    np.testing.assert_allclose(mirrored.shown(every), 1 - shown, atol=1e-5)
    np.testing.assert_allclose(mirrored.told(every), told, atol=1e-5)
    agreeing = (found.cosines > 0) == (shown > 0.5)
    assert not told[~agreeing].any()
    assert 0 < agreeing.sum() < len(agreeing)
    np.testing.assert_allclose(told[agreeing], np.abs(2 * shown[agreeing] - 1), atol=1e-6)


def test_trust_orders_results_and_changes_no_score(bundle: Bundle) -> None:
    plain = open_search(bundle, "red + circle")
    trust = np.random.default_rng(3).random(len(bundle.neurons)).astype(np.float32)
    trust[::7] = 0
    found = plain.by_pictures()
    vars(found)["told"] = lambda rows: trust[rows]
    everyone = len(trust)
    for kind in ("towards", "away", "sets", "near_sets", "carriers"):
        before = {hit.row: hit.score for hit in getattr(plain, kind)(everyone)}
        after = [(hit.row, hit.score) for hit in getattr(found, kind)(everyone)]
        assert dict(after) == before, kind
        counted = [abs(score) * trust[row] for row, score in after if kind not in END_TO_END]
        assert counted == sorted(counted, reverse=True), kind
    first = found.towards(10)
    counted = (plain.cosines * trust).astype(np.float64)
    assert [hit.row for hit in first] == np.argsort(-counted, kind="stable")[:10].tolist()
    last = found.away(10)
    assert [hit.row for hit in last] == np.argsort(counted, kind="stable")[:10].tolist()


@pytest.mark.parametrize("probed", [1, 2, 1000])
def test_pictures_of_few_neurons_are_looked_at_and_the_order_is_that_of_all(
    bundle: Bundle, probed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.search.PROBED", probed)
    found = open_search(bundle, "red circle").by_pictures()
    every = np.arange(len(bundle.neurons))
    told = found.told(every)
    asked: list[int] = []

    def telling(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return told[rows]

    vars(found)["told"] = telling
    for kind, sign in (("towards", 1), ("away", -1)):
        order = np.argsort(-sign * found.cosines * told, kind="stable")
        assert [hit.row for hit in getattr(found, kind)(7)] == order[:7].tolist(), kind
        assert len(getattr(found, kind)(len(every))) == len(every)
    assert min(asked) < len(every)


def test_near_sets_hold_a_near_text_and_none_of_the_query(bundle: Bundle) -> None:
    found = open_search(bundle, "red circle")
    own = bundle.texts.index("red circle")
    near = [row for row, _ in found.texts(12)]
    hits = found.near_sets(50)
    assert hits
    for hit in hits:
        ids = bundle.concept_ids[hit.row].tolist()
        assert own not in ids
        ((text, weight),) = hit.found
        place = bundle.texts.index(text)
        likeness = float(centred(bundle, text) @ centred(bundle, "red circle"))
        assert place in near and likeness >= NEAR_COSINE
        assert weight == bundle.concept_weights[hit.row, ids.index(place)]
        assert hit.score == pytest.approx(weight * likeness, abs=1e-4)


def constructed(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, rows: list[np.ndarray]) -> None:
    """Give the first neurons these directions, all others none."""
    directions = np.zeros_like(bundle.directions, np.float32)
    for place, row in enumerate(rows):
        directions[place] = row / np.linalg.norm(row)
    monkeypatch.setitem(bundle.__dict__, "directions", directions)


def orthogonal(bundle: Bundle, *texts: str) -> list[np.ndarray]:
    """Vectors that meet one text's atom each and are orthogonal to the others'."""
    atoms = np.stack([centred(bundle, text) for text in texts])
    return list(np.linalg.pinv(atoms).T)


def test_polysemy_search_finds_neurons_that_carry_all(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    red, blue, circle = orthogonal(bundle, "red", "blue", "triangle")
    rows = [
        red + blue,  # both, equally
        -(red + blue),  # both at the negative end
        red - blue,  # at different ends
        red,  # one alone
        3 * red + blue,  # both, unequally
        red + blue + circle,  # both, and what shall not be carried
    ]
    constructed(bundle, monkeypatch, rows)
    found = open_search(bundle, "red + blue")
    hits = {hit.row: hit for hit in found.carriers(20)}
    assert set(hits) == {0, 1, 4, 5}
    assert hits[0].score == pytest.approx(hits[1].score, abs=1e-5)
    assert (hits[0].end, hits[1].end) == (1, -1)
    assert hits[0].score > hits[4].score
    assert hits[4].score == pytest.approx(min(v for _, v in hits[4].found), abs=1e-6)
    assert [name for name, _ in hits[0].found] == ["red", "blue"]
    without = {
        hit.row: hit.score for hit in open_search(bundle, "red + blue - triangle").carriers(20)
    }
    assert set(without) == {0, 1, 4}  # row 5 carries the triangle as much as the others
    assert without[0] == pytest.approx(hits[0].score, abs=1e-4)
    assert open_search(bundle, "red - blue").carriers(20) == []


def test_polysemy_score_against_the_rule(bundle: Bundle) -> None:
    found = open_search(bundle, "red + circle - blue")
    plus = np.stack([centred(bundle, "red"), centred(bundle, "circle")])
    expected = {}
    for row, direction in enumerate(bundle.directions.astype(np.float64)):
        ends = []
        for end in (1, -1):
            least = min(end * (plus @ direction))
            taken = max(0.0, end * float(centred(bundle, "blue") @ direction))
            ends.append(least - taken if least > 0 else 0.0)
        if max(ends) > 1e-6:
            expected[row] = max(ends)
    hits = found.carriers(10_000)
    assert {h.row for h in hits if h.score > 1e-6} == set(expected)
    assert all(h.score == pytest.approx(expected[h.row], abs=1e-5) for h in hits)
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)


def test_unknown_texts_are_embedded_once_and_together(bundle: Bundle) -> None:
    asked: list[list[str]] = []

    def embed(texts: list[str]) -> np.ndarray:
        asked.append(texts)
        rows = np.random.default_rng(0).normal(size=(len(texts), bundle.directions.shape[1]))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    query = "a yellow star + red - a wild yodel"
    assert unknown_texts(bundle, query) == ["a yellow star", "a wild yodel"]
    found = open_search(bundle, query, embed)
    assert asked == [["a yellow star", "a wild yodel"]]
    assert found.places == (-1, bundle.texts.index("red"), -1)
    assert found.text_weights[:, [0, 2]].any() == False  # noqa: E712  an array's own bool
    assert len(found.towards(5)) == len(found.texts(5)) == 5


def test_the_bundles_model_embeds_unknown_texts(bundle: Bundle, loaded: LoadedModel) -> None:
    from explorer.lens.models import encode_texts

    found = open_search(bundle, "a yellow star")
    assert found.embedding == pytest.approx(
        encode_texts(loaded, ["a yellow star"])[0].numpy(), abs=1e-5
    )


def test_texts_that_cancel_out_are_refused(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="cancel out"):
        open_search(bundle, "red - red")


def test_the_json_has_every_way_a_neuron_is_found(bundle: Bundle) -> None:
    found = search_text(bundle, "red + circle", top=4)
    assert [t["sign"] for t in found["terms"]] == [1, 1]
    for key in ("texts", "other_texts", "directions", "away", "sets", "near_sets", "both"):
        assert len(found[key]) <= 4
    assert found["both"]
    hit = found["both"][0]
    named = {"layer", "neuron", "title", "above_chance", "concepts"}
    assert set(hit) == named | {"score", "cosines", "end"}
    assert list(hit["cosines"]) == ["red", "circle"]
    sign = 1 if hit["end"] == "positive" else -1
    assert min(sign * c for c in hit["cosines"].values()) == pytest.approx(hit["score"], abs=1e-4)


def test_the_json_says_what_an_unknown_text_may_mean_and_how_near_it_is(bundle: Bundle) -> None:
    known, slip = search_text(bundle, "Reds + a bleu circle")["terms"]
    assert known == {"text": "red", "written": "Reds", "sign": 1, "in_dictionary": True}
    assert (slip["text"], slip["in_dictionary"]) == ("a bleu circle", False)
    assert slip["did_you_mean"] == ["a blue circle"]
    assert slip["nearest"]["text"] in bundle.texts
    assert -1 <= slip["nearest"]["cosine"] <= 1


# --- one picture --------------------------------------------------------------------------------


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("layer_scale", [True, False])
def test_own_projections_equal_the_paths_products(centre: bool, layer_scale: bool) -> None:
    model = tiny_clip(layer_scale=layer_scale)
    lens = SecondOrderLens(model, 1, centre)
    directions = torch.randn(256, 48, generator=torch.Generator().manual_seed(3))
    expected = torch.einsum("nkp,np->nk", lens.paths, directions)
    found = own_projections(model, 1, directions, centre=centre)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match="one direction per neuron"):
        own_projections(model, 1, directions[:5])


def test_effects_of_a_picture_equal_the_full_effects(bundle: Bundle, loaded: LoadedModel) -> None:
    picture = draw("orange", "triangle", 18)
    effects = read(open_lens_model(bundle, loaded), [picture]).effects[0]
    pixels = loaded.preprocess(to_rgb(picture))[None]
    for layer in TINY_LAYERS:
        lens = SecondOrderLens(loaded.model, layer, bundle.manifest.centre)
        mean = torch.einsum(
            "kn,nkp->np", torch.from_numpy(np.array(bundle.mean_coefficients(layer))), lens.paths
        )
        rows = np.flatnonzero(bundle.neurons["layer"] == layer)
        directions = torch.from_numpy(bundle.directions[rows].astype(np.float32))
        expected = ((lens.effects(pixels)[0] - mean) * directions).sum(1)
        np.testing.assert_allclose(effects[rows], expected, rtol=1e-3, atol=1e-5)


def test_effects_of_a_corpus_picture_are_those_of_the_bundle(
    bundle: Bundle, loaded: LoadedModel
) -> None:
    compared = 0
    for image in (3, 17):
        effects = Study.of(bundle, bundle.pictures.image(image)).effects
        rows, ends, places = np.nonzero(bundle.top_images == image)
        stored = bundle.top_effects[rows, ends, places]
        scale = bundle.neurons["scale"].to_numpy()[rows]
        assert np.abs(effects[rows] - stored).max() <= 5e-3 * scale.max()
        compared += len(rows)
    assert compared > 50


def test_relative_effects_are_in_units_of_the_typical_one(bundle: Bundle) -> None:
    effects = np.ones(len(bundle.neurons), np.float32)
    bundle.neurons.loc[0, "scale"] = 0
    bundle.neurons.loc[1, "scale"] = np.nan
    found = relative_effects(bundle, effects)
    assert found[:2].tolist() == [0, 0]
    assert found[2] == pytest.approx(1 / bundle.neurons["scale"][2])


def test_the_wrong_model_is_refused(bundle: Bundle, loaded: LoadedModel) -> None:
    from dataclasses import replace

    with pytest.raises(InputError, match="own model"):
        open_lens_model(bundle, replace(loaded, embed=7))
    with pytest.raises(InputError, match="own model"):
        open_lens_model(bundle, replace(loaded, layers=2))

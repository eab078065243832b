"""The score on neurons whose meanings are known, and its invariances."""

import numpy as np
import pytest

from explorer.describe import polysemy
from explorer.describe.polysemy import (
    concept_clusters,
    image_clusters,
    label_diversity,
    related_cosine,
)
from explorer.errors import InputError

RELATED = 0.4


def neuron(sizes, embed=64, spread=0.05, seed=0):
    """Items round orthogonal centres: `sizes[c]` of them round centre c."""
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.normal(size=(embed, embed)))[0][: len(sizes)]
    rows = np.repeat(centres, sizes, axis=0)
    return rows + spread * rng.normal(size=rows.shape)


def score(embeddings, weights):
    return concept_clusters(embeddings, np.asarray(weights, float), RELATED).score


def contributions(embeddings, weights):
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    total = sum(w * u for w, u in zip(weights, unit, strict=True))
    parts = np.array([max(w * (u @ total), 0) for w, u in zip(weights, unit, strict=True)])
    return parts / parts.sum()


def naive_score(embeddings, weights, labels):
    """The definition, item by item, given the clusters."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    energy = contributions(embeddings, weights)
    total = 0.0
    for sign in (1, -1):
        items = [i for i in range(len(weights)) if np.sign(weights[i]) == sign]
        share = sum(energy[i] for i in items)
        for c in {labels[i] for i in items}:
            for d in {labels[i] for i in items}:
                ins = [i for i in items if labels[i] == c]
                out = [j for j in items if labels[j] == d]
                m_c, m_d = sum(energy[i] for i in ins), sum(energy[j] for j in out)
                mean = sum(energy[i] * energy[j] * (unit[i] @ unit[j]) for i in ins for j in out)
                alike = (
                    1.0
                    if c == d or m_c * m_d == 0
                    else min(max(2 * mean / (m_c * m_d) / RELATED - 1, 0), 1)
                )
                total += m_c * m_d / (share or 1) * (1 - alike)
    return total


def test_one_tight_cluster_scores_zero():
    result = concept_clusters(neuron([12]), np.linspace(1, 0.1, 12), RELATED)
    assert result.score == 0
    assert result.labels.tolist() == [0] * 12
    assert result.masses.tolist() == [1]


@pytest.mark.parametrize("k", [2, 3, 8])
def test_even_unrelated_clusters_score_their_number(k):
    result = concept_clusters(neuron([4] * k, spread=1e-4), np.ones(4 * k), RELATED)
    assert result.score == pytest.approx(1 - 1 / k, abs=1e-3)
    assert len(result.masses) == k


def test_matches_the_definition_item_by_item():
    rng = np.random.default_rng(0)
    for seed in range(5):
        embeddings = neuron([5, 4, 3, 1], embed=12, spread=0.25, seed=seed)
        weights = rng.normal(size=13)
        result = concept_clusters(embeddings, weights, RELATED)
        assert result.score == pytest.approx(naive_score(embeddings, weights, result.labels))
        assert 0 < result.score < 1
        assert result.masses.sum() == pytest.approx(1)
        both = np.arange(len(result.masses))
        np.testing.assert_array_equal(result.relatedness, result.relatedness.T)
        assert (result.relatedness[both, both] == 1).all()
        for cluster, (mass, side) in enumerate(zip(result.masses, result.sides, strict=True)):
            mine = result.labels == cluster
            assert mass == pytest.approx(contributions(embeddings, weights)[mine].sum())
            assert (np.sign(weights[mine]) == side).all()
        for side in (1, -1):
            assert (np.diff(result.masses[result.sides == side]) <= 0).all()
        assert (np.diff(result.sides) <= 0).all()


def test_grows_with_balance_and_with_meanings():
    pair = neuron([1, 1], spread=0)
    balances = [score(pair, [1, second]) for second in (0.01, 0.1, 0.3, 0.6, 1)]
    assert balances == sorted(balances)
    assert balances[0] < 1e-3
    counts = [score(neuron([2] * k), np.ones(2 * k)) for k in range(1, 8)]
    assert counts == sorted(counts)


def test_unrelated_concepts_without_end_approach_one():
    embeddings = np.random.default_rng(0).normal(size=(64, 256))
    assert score(embeddings, np.ones(64)) > 0.97
    related = related_cosine(embeddings)  # even where only scatter tells what is related
    assert concept_clusters(embeddings, np.ones(64), related).score > 0.9


def test_grows_without_a_jump_as_two_meanings_part():
    cosines = np.linspace(1, -0.2, 400)
    scores = np.array([score(np.array([[1, 0], [c, np.sqrt(1 - c * c)]]), [1, 1]) for c in cosines])
    assert (np.diff(scores) > -1e-12).all()
    assert np.diff(scores).max() < 0.01
    assert (scores[cosines > RELATED] == 0).all()
    assert scores[-1] == pytest.approx(0.5)


def test_a_long_tail_of_small_weights_hardly_matters():
    rng = np.random.default_rng(0)
    embeddings = np.concatenate([neuron([6]), rng.normal(size=(58, 64))])
    weights = np.concatenate([np.full(6, 0.3), 0.02 * rng.normal(size=58)])
    assert score(embeddings, weights) < 0.15
    assert score(embeddings, np.where(np.arange(64) < 6, weights, 0)) == 0


def test_order_length_and_scale_do_not_matter():
    rng = np.random.default_rng(0)
    embeddings, weights = neuron([5, 3, 2, 2], spread=0.2), rng.normal(size=12)
    weights[3:6] = weights[3]  # equal masses
    expected = concept_clusters(embeddings, weights, RELATED)
    for _ in range(5):
        order = rng.permutation(12)
        again = concept_clusters(embeddings[order], weights[order], RELATED)
        assert again.score == pytest.approx(expected.score, abs=1e-12)
        np.testing.assert_array_equal(again.labels, expected.labels[order])
    lengths = rng.uniform(0.1, 9, size=(12, 1))
    assert score(embeddings * lengths, weights * 1e-9) == pytest.approx(expected.score)
    assert score(embeddings, -weights) == pytest.approx(expected.score)
    rotation = np.linalg.qr(rng.normal(size=(64, 64)))[0]
    assert score(embeddings @ rotation, weights) == pytest.approx(expected.score)


def test_sides_are_apart():
    pair = neuron([3, 3])
    opposed = concept_clusters(pair, np.array([1, 1, 1, -1, -1, -1.0]), RELATED)
    assert opposed.score == 0
    assert opposed.sides.tolist() == [1, -1]
    assert opposed.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert opposed.relatedness[0, 1] == 0
    same = neuron([4])  # one thing on both sides stays two clusters
    assert len(concept_clusters(same, np.array([1, 1, -1, -1.0]), RELATED).masses) == 2
    # A side counts by its mass: two of three equal parts lie on a side of two meanings.
    thirds = score(np.eye(3), [1, 1, -1])
    assert thirds == pytest.approx(2 / 3 * 0.5)


def test_mass_is_what_a_concept_adds_to_the_whole():
    # One meaning told by four related texts, another by one: 0.64 and 0.36 of the squared length,
    # while the texts' squared weights would say 0.16 and 0.36.
    told = neuron([4], spread=0)
    other = np.eye(64)[:1] - (np.eye(64)[:1] @ told[0]) * told[0]
    result = concept_clusters(np.concatenate([told, other]), np.array([0.2] * 4 + [0.6]), RELATED)
    np.testing.assert_allclose(result.masses, [0.64, 0.36])
    pictures = image_clusters(np.concatenate([told, other]), np.array([2.0] * 5), RELATED)
    np.testing.assert_allclose(pictures.masses, [0.8, 0.2])  # a picture counts by its effect alone


def test_a_concept_against_the_whole_has_a_cluster_but_no_mass():
    result = concept_clusters(np.eye(2)[[0, 0, 1]], np.array([1.0, -0.2, 0.5]), RELATED)
    assert result.labels.tolist() == [0, 2, 1]
    np.testing.assert_allclose(result.masses, [0.8 / 1.05, 0.25 / 1.05, 0])
    assert result.relatedness[2, 2] == 1
    cancelled = concept_clusters(np.eye(2)[[0, 0]], np.array([1.0, -1.0]), RELATED)
    assert cancelled.masses.tolist() == [0.5, 0.5]


def test_a_chain_of_neighbours_is_not_one_meaning():
    chain = np.eye(9)[:8] + np.eye(9)[1:]  # cosine 0.5 with each neighbour, 0 with the others
    assert len(concept_clusters(chain, np.ones(8), RELATED).masses) >= 3
    assert score(chain, np.ones(8)) > 0.5


def test_degenerate_neurons():
    assert score(np.ones((1, 4)), [0.3]) == 0
    assert score(np.ones((3, 4)), [0, 0, 0]) == 0
    empty = concept_clusters(np.zeros((0, 4)), np.zeros(0), RELATED)
    assert empty.score == 0
    assert empty.masses.shape == empty.sides.shape == (0,)
    assert concept_clusters(np.ones((3, 4)), np.zeros(3), RELATED).labels.tolist() == [-1] * 3
    assert score(np.zeros((2, 4)), [1, 1]) == 0.5  # nothing known of them: unrelated
    assert score(np.ones((2, 4)), [1e-200, 1]) == 0
    assert score(np.eye(2), [1e-200, 1e-200]) == 0.5
    assert image_clusters(np.eye(2), np.array([1e-200, 1e-200]), RELATED).score == 0.5


def test_images_are_grouped_on_each_side():
    many_things = image_clusters(neuron([3, 3, 3, 3]), np.full(12, 7.0), RELATED)
    assert many_things.score == pytest.approx(0.75, abs=0.03)
    assert image_clusters(neuron([9]), None, RELATED).score == 0
    both_ends = image_clusters(neuron([3, 3]), np.array([1, 1, 1, -1, -1, -1.0]), RELATED)
    assert both_ends.score == 0


def test_related_cosine_is_the_quantile_of_all_pairs():
    rows = neuron([30, 30, 40, 1], spread=0.3)
    rows[-1] = 0
    unit = rows[:-1] / np.linalg.norm(rows[:-1], axis=1, keepdims=True)
    pairs = (unit @ unit.T)[np.triu_indices(100, 1)]
    found = related_cosine(rows, quantile=0.9)
    assert found == pytest.approx(np.quantile(pairs, 0.9), abs=0.01)
    assert found == related_cosine(rows, quantile=0.9)
    assert found == pytest.approx(related_cosine(rows * 5, quantile=0.9), abs=1e-6)
    assert found != related_cosine(rows, quantile=0.9, pairs=100)
    assert related_cosine(np.eye(5)) == 0.05
    assert related_cosine(np.ones((5, 3))) == 0.95
    # Never a row with itself: those would be the only pairs with a positive cosine here.
    assert related_cosine(np.array([[1.0, 0], [-1, 0]]), quantile=0.5) == 0.05


def test_label_diversity():
    assert label_diversity(["dog"] * 5) == 0
    assert label_diversity(["dog", "cat", "car"]) == 1
    assert label_diversity(["dog", "dog", "car", "car"]) == pytest.approx(4 / 6)
    assert label_diversity(["dog", None, "", "dog", "car"]) == pytest.approx(2 / 3)
    assert np.isnan(label_diversity(["dog", None]))
    assert np.isnan(label_diversity([]))
    vectors = np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1], [3, 0.6, 0]])
    assert label_diversity(["dog", "puppy", "car", "hound"], vectors, RELATED) == pytest.approx(0.5)
    partly = np.array([[1, 0], [0.3, np.sqrt(0.91)]])
    assert label_diversity(["a", "b"], partly, RELATED) == pytest.approx(0.5)
    assert label_diversity([None, "a", "b"], np.eye(3)[[0, 1, 1]], RELATED) == 0
    assert label_diversity(["a", None, "a"], np.eye(3), RELATED) == 0


BAD = np.full((2, 3), np.nan)
EYE = np.eye(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: concept_clusters(EYE, np.ones(2), RELATED), "one weight per item"),
        (lambda: concept_clusters(np.ones(3), np.ones(3), RELATED), "one weight per item"),
        (lambda: concept_clusters(BAD, np.ones(2), RELATED), "NaN"),
        (lambda: concept_clusters(EYE, np.array([1, 2, np.inf]), RELATED), "NaN"),
        (lambda: concept_clusters(EYE, np.ones(3), 0.0), "related_cosine"),
        (lambda: image_clusters(EYE, None, 1.0), "related_cosine"),
        (lambda: related_cosine(EYE[:1]), "two rows"),
        (lambda: related_cosine(EYE, quantile=1.0), "between 0 and 1"),
        (lambda: related_cosine(EYE[0]), "row, embed"),
        (lambda: related_cosine(EYE, pairs=0), "at least one pair"),
        (lambda: label_diversity(["a", "b", "c"], EYE), "related_cosine"),
        (lambda: label_diversity(["a", "b"], EYE, RELATED), "one weight per item"),
    ],
)
def test_bad_input_says_what_to_do(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_default_relatedness_is_the_stated_constant():
    rng = np.random.default_rng(0)
    items, weights = rng.normal(size=(9, 12)), rng.normal(size=9)
    for cluster in (concept_clusters, image_clusters):
        default, given = cluster(items, weights), cluster(items, weights, polysemy.RELATED)
        np.testing.assert_array_equal(default.labels, given.labels)
        assert default.score == given.score
        assert default.score != cluster(items, weights, 0.6).score

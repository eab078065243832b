"""The rules behind the verdicts, at and around their limits."""

from __future__ import annotations

from typing import Any

import pytest

from explorer.evidence.claim import FAILS, HOLDS, PARTLY
from explorer.evidence.registry import beside_random, claims, judged, section_of, sections


def of(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    """A figure whose interval is near its value unless told."""
    if value is None:
        return {"value": None, "interval": None, "count": 10}
    ends = [value - 0.01 if low is None else low, value + 0.01 if high is None else high]
    return {"value": value, "interval": ends, "count": 10}


def outcome(key: str, result: Any) -> str:
    verdict = claims()[key].judge(result)
    assert verdict.because.endswith(".")
    return verdict.outcome


def test_claims_have_sections_and_words() -> None:
    assert len({claim.title for claim in claims().values()}) == len(claims()) == 14
    for key, claim in claims().items():
        assert key in section_of(key).claims
        assert section_of(key).name in sections()
        assert claim.sentence.endswith(".")
        assert "holds if" in claim.rule.lower()


@pytest.mark.parametrize(
    ("drop", "beyond", "expected"),
    [(of(0.3), of(0.2), HOLDS), (of(0.3), of(0.0), PARTLY), (of(0.005), of(0.2), FAILS)],
)
def test_ablation_looks_at_the_layer_that_costs_most(
    drop: dict, beyond: dict, expected: str
) -> None:
    less = {"second_order": {"drop": of(0.001)}, "second_beyond_first": of(-1)}
    rows = [
        {"layer": 3, **less},
        {"layer": 7, "second_order": {"drop": drop}, "second_beyond_first": beyond},
    ]
    assert outcome("ablation", {"layers": rows}) == expected


@pytest.mark.parametrize(
    ("kept", "lost", "expected"),
    [(0.51, 0.51, HOLDS), (0.505, 0.6, PARTLY), (0.4, 0.9, PARTLY), (0.4, 0.4, FAILS)],
)
def test_selectivity_counts_both_halves(kept: float, lost: float, expected: str) -> None:
    every = {"kept_by_significant": of(kept), "lost_without_significant": of(lost)}
    assert outcome("selectivity", {"all_layers": every, "drop": of(0.3)}) == expected
    assert outcome("selectivity", {"all_layers": every, "drop": of(0.0)}) == FAILS


@pytest.mark.parametrize(
    ("kept", "expected"), [(0.91, HOLDS), (0.905, PARTLY), (0.51, PARTLY), (0.505, FAILS)]
)
def test_rank_is_a_share_of_what_is_lost(kept: float, expected: str) -> None:
    result = {"all_layers": {"rank_1": {"kept": of(kept)}}, "drop": of(0.3)}
    assert outcome("rank", result) == expected
    assert outcome("rank", result | {"drop": of(-0.2)}) == FAILS


@pytest.mark.parametrize("drop", [of(0.0), of(0.016, 0.001, 0.031)], ids=["none", "little"])
@pytest.mark.parametrize(("share", "expected"), [(0.95, PARTLY), (0.6, PARTLY), (0.3, FAILS)])
def test_where_recall_stays_the_lead_decides_and_nothing_holds_wholly(
    drop: dict, share: float, expected: str
) -> None:
    """A bug: where ablation cost so little that its share had no interval, claims failed."""
    whole = {"value": 1.06, "interval": None, "count": 10}
    kept = {"rank_1": {"kept": whole}}
    kept |= {"kept_by_significant": whole, "lost_without_significant": whole}
    spared, lead = {"drop": drop, "all_layers": kept}, {"carried": of(0.2)}
    rank = spared | {"lead": lead | {"rank_1": of(share)}}
    assert outcome("rank", rank) == expected
    assert outcome("rank", rank | {"lead": {"carried": of(0.0), "rank_1": of(share)}}) == FAILS
    some = lead | {"only_significant": of(share), "without_significant": of(0.9)}
    assert outcome("selectivity", spared | {"lead": some}) == expected
    rows = [{"method": "omp", "m": 64, "of_direction": whole}]
    texts = spared | {"lead": lead | {"of_direction": of(share)}, "rows": rows}
    for beyond, found in ((0.2, expected), (0.0, FAILS)):
        strongest = {"omp_beyond_random": [{"cosine": of(beyond)}]}
        assert outcome("texts", {"all_neurons": texts, "strongest": strongest}) == found


@pytest.mark.parametrize(
    ("kept", "beyond", "expected"),
    [(0.92, 0.2, HOLDS), (0.905, 0.2, PARTLY), (0.3, 0.2, FAILS), (0.95, 0.0, FAILS)],
)
def test_texts_are_compared_with_their_directions(
    kept: float, beyond: float, expected: str
) -> None:
    rows = [
        {"method": "direction", "m": None, "of_direction": of(1)},
        {"method": "omp", "m": 4, "of_direction": of(0.1)},
        {"method": "omp", "m": 64, "of_direction": of(kept)},
    ]
    result = {
        "all_neurons": {"drop": of(0.3), "rows": rows},
        "strongest": {"omp_beyond_random": [{"cosine": of(0.3)}, {"cosine": of(beyond)}]},
    }
    assert outcome("texts", result) == expected
    result["all_neurons"] = {"drop": of(None), "rows": rows}
    assert outcome("texts", result) == FAILS
    rows[2]["of_direction"] = of(None)
    result["all_neurons"] = {"drop": of(0.3), "rows": rows}
    assert outcome("texts", result) == FAILS


@pytest.mark.parametrize(
    ("direct", "indirect", "expected"),
    [(0.2, 0.2, HOLDS), (0.2, -0.2, PARTLY), (0.0, 0.2, PARTLY), (-0.1, 0.0, FAILS)],
)
def test_kinds_are_compared_one_by_one(direct: float, indirect: float, expected: str) -> None:
    result: dict[str, Any] = {
        kind: {"pearson": of(0.3)} for kind in ("second_order", "direct", "indirect")
    }
    result["second_order_beyond_direct"] = {"pearson": of(direct)}
    result["second_order_beyond_indirect"] = {"pearson": of(indirect)}
    assert outcome("kinds", result) == expected


@pytest.mark.parametrize(
    ("found", "beyond", "expected"), [(0.22, 0.1, HOLDS), (0.205, 0.1, PARTLY), (0.5, 0.0, FAILS)]
)
def test_descriptions_beat_other_descriptions(found: float, beyond: float, expected: str) -> None:
    part = {
        "description": {"pearson": of(found)},
        "beyond_other_neuron": {"pearson": of(beyond)},
    }
    assert outcome("descriptions", {"descriptions": part}) == expected


@pytest.mark.parametrize(
    ("share", "beyond", "expected"),
    [(0.52, 0.05, HOLDS), (0.505, 0.08, PARTLY), (0.9, 0.0, FAILS), (None, 0.0, FAILS)],
)
def test_polysemy_is_compared_with_chance_and_with_one_meaning(
    share: float | None, beyond: float, expected: str
) -> None:
    part = {
        "two_meanings": of(0.1),
        "permuted": of(0.05),
        "beyond_permuted": of(beyond),
        "of_verified": of(share),
    }
    assert outcome("polysemy", {"polysemy": part}) == expected


@pytest.mark.parametrize(
    ("share", "expected"), [(0.27, HOLDS), (0.255, PARTLY), (0.005, FAILS), (None, FAILS)]
)
def test_fit_is_a_share_of_the_lead(share: float | None, expected: str) -> None:
    orders = {name: {"logit_share": of(share)} for name in ("second_order", "first_order")}
    assert outcome("fit", {"orders": orders}) == expected


MAP_MEASURE = "foreground_average_precision"


def scenes(own: float, other: float) -> dict[str, Any]:
    def row(value: float) -> dict[str, Any]:
        return {"exact": {MAP_MEASURE: of(value, value - 0.02, value + 0.02)}}

    return {"methods": {"second-order": row(own), "activation": row(0.1), "rollout": row(other)}}


@pytest.mark.parametrize(
    ("single", "multiple", "expected"),
    [
        ((0.8, 0.7), (0.6, 0.5), HOLDS),
        ((0.8, 0.7), (0.6, 0.59), PARTLY),
        ((0.8, 0.79), (0.6, 0.59), FAILS),
        ((0.8, 0.7), (0.5, 0.6), PARTLY),
        ((0.7, 0.8), (0.5, 0.6), FAILS),
    ],
)
def test_maps_are_compared_with_the_best_other(
    single: tuple, multiple: tuple, expected: str
) -> None:
    sets = {"pictogram, single": scenes(*single), "pictogram, multiple": scenes(*multiple)}
    assert outcome("segmentation", {"sets": sets}) == expected


def test_maps_are_named_with_what_was_measured() -> None:
    """A bug: “0.928 (activation) against 0.893 (textspan)” named no metric."""
    sets = {"pictogram, single": scenes(0.8, 0.7), "pictogram, multiple": scenes(0.5, 0.6)}
    because = judged("segmentation", {"segmentation": {"sets": sets}}).because
    assert because == (
        "average precision of “Second-order effects” with one object 0.800 (best other 0.700, "
        "“Attention rollout”), with several 0.500 (best other 0.600, “Attention rollout”)."
    )


def test_one_map_has_to_be_ahead_on_both_kinds_of_scenes() -> None:
    """Two methods that are each ahead on one kind are none that is ahead on both."""
    single, several = scenes(0.9, 0.7), scenes(0.3, 0.5)
    for found, value in ((single, 0.4), (several, 0.8)):
        found["methods"]["activation"] = {"exact": {MAP_MEASURE: of(value)}}
    sets = {"pictogram, single": single, "pictogram, multiple": several}
    assert outcome("segmentation", {"sets": sets}) == PARTLY
    single["methods"]["activation"] = {"exact": {MAP_MEASURE: of(0.8)}}
    assert outcome("segmentation", {"sets": sets}) == HOLDS


def test_competing_texts_are_set_beside_others_that_are_refined() -> None:
    sets = {}
    for kind, values in {
        "single": (0.9, 0.88, 0.7, 0.86),
        "multiple": (0.8, 0.79, 0.6, 0.5),
    }.items():
        own, own_refined, other, other_refined = values
        sets[f"pictogram, {kind}"] = {
            "methods": {
                "competing": {
                    "exact": {MAP_MEASURE: of(own)},
                    "refined": {MAP_MEASURE: of(own_refined)},
                },
                "legrad": {
                    "exact": {MAP_MEASURE: of(other)},
                    "refined": {MAP_MEASURE: of(other_refined)},
                },
            }
        }
    (said, _) = claims()["segmentation"].explain({"sets": sets})
    assert said.endswith(
        "the best of these then reach 0.860 and 0.500, texts that compete 0.880 and 0.790."
    )


def named(found: float, chance: float, whole: float) -> dict[str, Any]:
    def row(value: float) -> dict[str, Any]:
        return {"hit@10": of(value, value - 0.02, value + 0.02)}

    return {"concepts": row(found), "chance": row(chance), "output": row(whole)}


@pytest.mark.parametrize(
    ("single", "multiple", "expected"),
    [
        ((0.5, 0.1, 0.9), (0.3, 0.1, 0.5), HOLDS),
        ((0.5, 0.1, 0.9), (0.2, 0.1, 0.5), PARTLY),
        ((0.5, 0.1, 0.9), (0.1, 0.1, 0.1), FAILS),
    ],
)
def test_discovered_texts_are_compared_with_chance(
    single: tuple, multiple: tuple, expected: str
) -> None:
    result = {"pictogram, single": named(*single), "pictogram, multiple": named(*multiple)}
    assert outcome("discovery", result) == expected


def test_nothing_discovered_is_no_discovery() -> None:
    nothing = {"hit@10": of(None)}
    part = {name: nothing for name in ("concepts", "chance", "output")}
    result = {"pictogram, single": part, "pictogram, multiple": part}
    assert outcome("discovery", result) == FAILS


def attacks(**differences: float) -> dict[str, Any]:
    """Second-order concepts fool 60 % of pictures; others by so much less."""
    rates = {"second-order": 0.6} | {name: 0.6 - d for name, d in differences.items()}
    return {
        "methods": {n: {"two_way": of(v, v - 0.04, v + 0.04)} for n, v in rates.items()},
        "beyond": {n: of(d, d - 0.05, d + 0.05) for n, d in differences.items()},
    }


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (attacks(random=0.3, nearest=0.2), HOLDS),
        (attacks(random=0.3, nearest=0.0), PARTLY),
        (attacks(random=0.04, nearest=0.3), FAILS),
        ({"methods": {"none": {"two_way": of(0.1)}}, "beyond": {}}, FAILS),
    ],
)
def test_attacks_are_compared_one_by_one(result: dict, expected: str) -> None:
    assert outcome("attack", result) == expected


CONTROLS = ("random_weights", "dealt_texts", "random_directions", "shuffled_labels")


def sides(words: float, drivers: float, control: float = 0.0) -> dict[str, Any]:
    none = {name: of(control) for name in CONTROLS}
    return {
        "nominal": 0.05,
        "words": {"passing": of(words)} | none,
        "drivers": {"passing": of(drivers)} | none,
    }


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (sides(0.2, 0.5), HOLDS),
        (sides(0.2, 0.0), PARTLY),
        (sides(0.005, 0.01), FAILS),
        (sides(0.5, 0.5, control=0.055), HOLDS),
        (sides(0.5, 0.5, control=0.08), FAILS),  # a control that passes shows a wrong test
    ],
)
def test_more_than_chance_is_more_than_every_control(result: Any, expected: str) -> None:
    assert outcome("controls", result) == expected


def test_a_claim_holds_only_beyond_random_weights() -> None:
    result = {"all_layers": {"rank_1": {"kept": of(0.95)}}, "drop": of(0.3)}
    evidence: dict[str, Any] = {"rank": result}
    assert judged("rank", evidence).outcome == HOLDS
    assert "not measured" in beside_random("rank", evidence)[0]
    for own, random, expected in ((0.8, 0.5, HOLDS), (0.8, 0.98, PARTLY), (0.8, 0.79, PARTLY)):
        measures = {"explained_variance": {"own": of(own), "random_weights": of(random)}}
        measured = evidence | {"controls": {"measures": measures}}
        assert judged("rank", measured).outcome == expected
        line = beside_random("rank", measured)[0]
        assert f"{100 * random:.1f} %" in line
        assert ("says nothing by itself" in line) == (expected != HOLDS)
    failed = {"rank": result | {"drop": of(-0.2)}, "controls": measured["controls"]}
    assert judged("rank", failed).outcome == FAILS
    assert beside_random("fit", evidence) == ("", True)

"""Stored evidence of every age is read in one shape, and every figure of it is compared."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.evidence.compare import compare, figures_of
from explorer.evidence.measures.recall import commonest
from explorer.evidence.registry import claims, section_of
from explorer.evidence.stored import Recall, stored_evidence, upgraded

HELD = json.loads((Path(__file__).parents[1] / "data" / "evidence_older_shapes.json").read_text())


def halved(part: Any, key: str = "") -> Any:
    """Half of everything that is a figure in any of the shapes that bundles hold."""
    if isinstance(part, dict):
        found = {}
        for name, value in part.items():
            measured = name in ("value", "mean") or f"{name}_interval" in part
            if (name == "interval" or name.endswith("_interval")) and value:
                found[name] = [end / 2 for end in value]
            elif measured and value is not None:
                found[name] = value / 2
            elif name == "paired_difference":
                found[name] = {of: [low / 2, high / 2] for of, (low, high) in value.items()}
            else:
                found[name] = halved(value)
        return found
    return [halved(item) for item in part] if isinstance(part, list) else part


def told_apart(figure: dict[str, Any]) -> bool:
    """Whether half of a figure is outside of its interval."""
    low, high = figure["interval"] or (figure["value"], figure["value"])
    return figure["value"] is not None and not low / 2 <= figure["value"] <= high / 2


@pytest.mark.parametrize("section", HELD)
def test_every_halved_figure_is_reported(section: str) -> None:
    stored, fresh = upgraded({section: halved(HELD[section])}), upgraded({section: HELD[section]})
    found = compare(stored, fresh)
    differ = {key for key, figure in figures_of(fresh).items() if told_apart(figure)}
    assert {row["key"] for row in found["outside"]} == differ
    assert found["figures"] == len(figures_of(fresh)) >= len(differ) > 1
    assert compare(fresh, fresh) == {"figures": found["figures"], "outside": []}


@pytest.mark.parametrize(
    ("section", "figures"),
    [
        ("recall", 2),
        ("segmentation", 4 * (8 * 2 + 2) * 5),
        ("discovery", 4 * (5 * 6 + 6)),
        ("attack", 9 * 3 + 8),
    ],
)
def test_no_figure_of_the_older_shapes_is_lost(section: str, figures: int) -> None:
    found = figures_of(upgraded({section: HELD[section]}))
    assert len(found) == figures
    for figure in found.values():
        assert set(figure) == {"value", "interval", "count"}
        low, high = figure["interval"]
        assert low <= figure["value"] <= high
        assert figure["count"] > 40


def test_older_figures_keep_their_values() -> None:
    found, before = upgraded(HELD), copy.deepcopy(HELD)
    assert found["recall"]["recall@1"] == {
        "value": 0.70958, "interval": HELD["recall"]["recall@1_interval"], "count": 1033
    }  # fmt: skip
    assert "recall@1_interval" not in found["recall"]
    row = HELD["segmentation"]["sets"]["pictogram, single"]["methods"]["rollout"]["exact"]
    now = found["segmentation"]["sets"]["pictogram, single"]["methods"]["rollout"]["exact"]
    assert now["mean_iou"]["value"] == row["mean_iou"]
    assert now["threshold"] == row["threshold"]
    assert found["segmentation"]["thresholds"] == HELD["segmentation"]["thresholds"]
    assert found["attack"]["by_pair"] == HELD["attack"]["by_pair"]
    rates = {name: row["two_way"]["mean"] for name, row in HELD["attack"]["methods"].items()}
    difference = found["attack"]["beyond"]["random"]
    assert difference["value"] == pytest.approx(rates["second-order"] - rates["random"])
    assert difference["interval"] == HELD["attack"]["verdict"]["paired_difference"]["random"]
    assert before == HELD, "what the bundle holds is left as it is"
    assert upgraded(found) == found
    for name in ("ablation", "selectivity", "rank", "texts", "kinds", "predict", "fit"):
        assert found[name] == HELD[name]


def test_older_evidence_lacks_a_plot_and_no_more(measured: Path) -> None:
    """By layer AUPRC and second meanings were not kept."""
    now = stored_evidence(Bundle.open(measured))["predict"]
    for key in ("descriptions", "polysemy"):
        draw = claims()[key].draw
        older, plots = draw(upgraded(HELD)["predict"]).plots, draw(now).plots
        assert len(older) == len(plots) - 1 > 0


def test_older_verdicts_stand() -> None:
    evidence = upgraded(HELD)
    outcomes = {
        key: claim.judge(evidence[section_of(key).name]).outcome
        for key, claim in claims().items()
        if section_of(key).name in evidence
    }
    assert outcomes == {
        "ablation": "holds",
        "selectivity": "doesn't hold",
        "rank": "partly",
        "texts": "holds",
        "kinds": "partly",
        "descriptions": "partly",
        "polysemy": "partly",
        "fit": "holds",
        "segmentation": "doesn't hold",
        "discovery": "holds",
        "attack": "partly",
    }


def test_a_comparison_of_nothing_is_an_error() -> None:
    result = {"fit": {"lead": {"value": 1, "interval": [0, 2], "count": 3}}}
    with pytest.raises(InputError, match="no figures of fit to compare with"):
        compare({}, result)
    with pytest.raises(InputError, match="No figures were measured of fit"):
        compare(result, {"fit": {"lead": 1}})


def test_figures_agree_within_the_stored_interval() -> None:
    def figure(value: float | None, interval: list[float] | None) -> dict[str, Any]:
        return {"fit": {"a": {"value": value, "interval": interval, "count": 3}}}

    stored = figure(0.3, [0.2, 0.4])
    assert compare(stored, figure(0.4, [0.3, 0.5]))["outside"] == []
    assert len(compare(stored, figure(0.41, [0.3, 0.5]))["outside"]) == 1
    assert len(compare(stored, figure(None, None))["outside"]) == 1
    assert compare(figure(None, None), figure(None, None))["outside"] == []
    assert compare(figure(0.3, None), figure(0.3, [0, 1]))["outside"] == []
    assert len(compare(figure(0.3, None), figure(0.31, [0, 1]))["outside"]) == 1


def test_recall_stands_beside_what_the_commonest_names_reach() -> None:
    """A bug: with 45 of 50 pictures under one name, 70 % stood beside “chance 50 %” alone."""
    answers = np.array([1] * 45 + [0] * 3 + [2] * 2)
    assert commonest(answers, 1) == 0.9
    assert commonest(answers, 2) == 0.96
    figure = {"value": 0.7, "interval": [0.56, 0.82], "count": 50}
    found = {"recall@1": figure, "recall@10": figure, "candidates": 2, "pictures": 50}
    uneven = Recall.model_validate(found | {"commonest": {"1": 0.9, "10": 1.0}})
    assert uneven.chance(1) == "chance 50 %, always the commonest name 90 %"
    even = Recall.model_validate(found | {"commonest": {"1": 0.505}})
    assert even.chance(1) == Recall.model_validate(found).chance(1) == "chance 50 %"

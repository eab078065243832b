"""Everything that a bundle allows, cheapest first, each result kept as it comes."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from explorer.bundle import Bundle, Manifest
from explorer.commands.main import main
from explorer.errors import InputError
from explorer.evidence import forecast, registry
from explorer.evidence.forecast import Cost, Speed, duration
from explorer.evidence.registry import Section
from tests.support.evidence import context_of

COST_OF = forecast.COSTS
COSTS = {"dear": Cost(each=1000), "cheap": Cost(each=1), "impossible": Cost(each=10)}


@pytest.fixture
def dummies(monkeypatch: pytest.MonkeyPatch, bundle_copy: Path) -> list[tuple[str, set[str]]]:
    """Three sections; what is in the manifest when each is measured is noted."""
    noted: list[tuple[str, set[str]]] = []

    def section(name: str) -> Section:
        def measure(context: Any) -> dict[str, Any]:
            noted.append((name, set(Manifest.read(bundle_copy).evidence)))
            if name == "impossible":
                raise InputError("There is nothing to measure it on.")
            return {"seed": context.settings.seed}

        module = types.ModuleType(f"explorer.evidence.measures.{name}")
        module.measure = measure  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return Section(name, "a stand-in", ())

    monkeypatch.setattr(registry, "_ALL", tuple(section(name) for name in COSTS))
    monkeypatch.setattr(forecast, "COSTS", COSTS)
    return noted


def test_all_that_is_possible_is_measured_cheapest_first(
    dummies: list[tuple[str, set[str]]], bundle_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evidence", str(bundle_copy), "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["not_measured"] == {"impossible": "There is nothing to measure it on."}
    assert dummies == [("cheap", set()), ("impossible", {"cheap"}), ("dear", {"cheap"})]
    assert set(Bundle.open(bundle_copy).manifest.evidence) == {"cheap", "dear"}
    said = next(line for line in printed.err.splitlines() if line.startswith("about "))
    assert said.index("cheap") < said.index("impossible") < said.index("dear")
    assert "impossible: not measured. There is nothing" in printed.err


def test_named_sections_that_are_impossible_are_an_error(
    dummies: list[tuple[str, set[str]]], bundle_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evidence", str(bundle_copy), "--only", "impossible"]) == 2
    assert "nothing to measure it on" in capsys.readouterr().err


def test_the_forecast_counts_what_a_section_computes(tiny_bundle: Path) -> None:
    """The bundle has 36 pictures, four held-out ones of four names, and three layers."""
    speed = Speed(pass_=1.0, product=1e-3)

    def seconds(name: str, **changes: Any) -> float:
        settings = {"scenes": 500, "pairs": 50, "control_pictures": 20, "pictures": 2000}
        return forecast.forecast(context_of(tiny_bundle, **{**settings, **changes}), name, speed)

    assert seconds("segmentation") == pytest.approx(100 * seconds("segmentation", scenes=5))
    assert seconds("fit", pictures=2) == 2 < seconds("fit", pictures=4) == seconds("fit")
    one, two, four, many = (seconds("attack", pairs=n) for n in (1, 2, 4, 50))
    assert one < two < four == many, "each of four classes is a target once"
    assert four - two == pytest.approx(2 * (two - one))
    assert seconds("texts", text_neurons=60) - seconds("texts") == pytest.approx(
        30 * COST_OF["texts"].neuron * speed.product
    )
    more = seconds("controls", control_pictures=36) - seconds("controls")
    assert more == pytest.approx(16 * COST_OF["controls"].controls)
    few, some = (seconds("kinds", kind_neurons=n) for n in (2, 12))
    assert some - few == pytest.approx(10 * COST_OF["kinds"].kind * (36 + 4)), "all of them"
    assert seconds("controls", scenes=100) == seconds("controls", scenes=900)


def test_both_speeds_are_measured(tiny_bundle: Path) -> None:
    found = forecast.speed_of(context_of(tiny_bundle))
    assert found.pass_ > 0 and found.product > 0


def test_durations_are_rough() -> None:
    assert [duration(s) for s in (0.2, 90, 119.6, 600, 7200, 36_000)] == [
        "1 s", "90 s", "120 s", "10 min", "2 h", "10 h"
    ]  # fmt: skip

"""Every number that the Evidence page shows of a claim is in the command's JSON.

The measured result is scrambled first: each of its numbers becomes one that occurs nowhere else,
so that a number which was computed on the way to the page, or taken from a wrong place, is found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.bundle import Bundle
from explorer.evidence.registry import claims, section_of
from explorer.ui.evidence import plots
from explorer.ui.evidence import sections as evidence
from tests.ui.test_evidence import CLAIMS as MEASURED

NUMBER = re.compile(r"[−-]?\d[\d,]*(?:\.\d+)?")
SAID_ANYWAY = ("95 %", "2 %", "100 %", "recall@1", "recall@10", "arXiv 2504.02821", "1 is the same")
SAID_ANYWAY += ("90 %", "0 … 1", "(1, dotted)", "1, 0.7, 0.5, 0.3, 0.2")
RNG = np.random.default_rng(0)


def scrambled(part: Any) -> Any:
    """Return a result of the same shape with figures of other values."""
    if isinstance(part, dict) and {"value", "interval", "count"} <= set(part):
        if part["value"] is None:
            part = {"count": 3}
        value = round(float(RNG.uniform(0.1, 0.9)), 5)
        ends = [round(value - float(RNG.uniform(0, 0.05)), 5), round(value + 0.0312, 5)]
        return {"value": value, "interval": ends, "count": int(RNG.integers(1000, 9999))}
    if isinstance(part, dict):
        return {key: scrambled(value) for key, value in part.items()}
    if isinstance(part, list):
        return [scrambled(value) for value in part]
    if isinstance(part, float) and not isinstance(part, bool):
        return round(float(RNG.uniform(0.1, 0.9)), 5)
    return part


def numbers(part: Any) -> Iterator[float]:
    """Every number of a result."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield from map(float, re.findall(r"\d+", key))
            yield from numbers(value)
    elif isinstance(part, list):
        yield len(part)
        for value in part:
            yield from numbers(value)
    elif isinstance(part, int | float) and not isinstance(part, bool):
        yield float(part)


def untraced(text: str, known: set[str]) -> list[str]:
    """Return the numbers of a text that are in no key's value, rounded or in percent."""
    text = text.replace("\u00a0", " ")
    for said in SAID_ANYWAY:
        text = re.sub(rf"(?<![\d.]){re.escape(said)}", "", text)
    found = (said.replace(",", "").replace("−", "-") for said in NUMBER.findall(text))
    return [said for said in found if said not in known]


def written(part: Any) -> set[str]:
    """Every way in which a result's numbers may be written."""
    known = set()
    for value in numbers(part):
        for factor in (1, 100):
            for digits in range(6):
                known.add(f"{round(factor * value, digits) + 0.0:.{digits}f}")
    return known


@pytest.fixture(scope="module")
def results(measured: Path) -> dict[str, Any]:
    """All sections with unique numbers."""
    return dict(scrambled(Bundle.open(measured).manifest.evidence))


def texts_of(key: str, result: Any) -> Iterator[str]:
    """Everything that is written of a claim."""
    claim = claims()[key]
    shown = claim.draw(result)
    yield claim.judge(result).because
    yield from claim.explain(result) if claim.explain else []
    for number in shown.numbers:
        yield from evidence._tile(number)
    for plot in shown.plots:
        yield plot.caption
        for trace in plots.draw(plot.drawing).to_plotly_json()["data"]:
            for label in trace.get("customdata") or []:
                yield str(label[-1])
            for line in trace.get("z", []):
                yield " ".join(f"{value:.3f}" for value in line)


@pytest.mark.parametrize("key", MEASURED)
def test_every_number_shown_is_in_the_json(key: str, results: dict[str, Any]) -> None:
    result = results[section_of(key).name]
    known = written(result)
    seen = 0
    for text in texts_of(key, result):
        assert untraced(text, known) == [], text
        seen += len(NUMBER.findall(text))
    assert seen > 10


@pytest.mark.parametrize("key", MEASURED)
def test_every_point_drawn_is_in_the_json(key: str, results: dict[str, Any]) -> None:
    result = results[section_of(key).name]
    known = written(result)
    points = 0
    for plot in claims()[key].draw(result).plots:
        for trace in plots.draw(plot.drawing).to_plotly_json()["data"]:
            values = trace["x" if "error_x" in trace else "y"]
            if "z" in trace or not isinstance(values[0], int | float | None):
                continue
            for value in values:
                if value is not None:
                    assert f"{round(value, 3) + 0.0:.3f}" in known, (plot.caption, value)
                    points += 1
    assert points > 1


def test_a_number_from_nowhere_is_found(results: dict[str, Any]) -> None:
    known = written(results["rank"])
    assert untraced("explains 12.3456 % (95 % interval)", known) == ["12.3456"]

"""A claim is one entry and two modules of one name: everything else follows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import explorer.evidence
from explorer.bundle import Bundle
from explorer.commands.main import main
from explorer.evidence import registry
from explorer.evidence.claim import FAILS, HOLDS, Claim, Result, Verdict
from explorer.evidence.drawing import Dot, Dots, Number, Plot, Scale, Shown
from explorer.evidence.figures import figure
from explorer.evidence.registry import Section
from tests.ui.test_evidence import html_of, run_page

FOLDER = Path(explorer.evidence.__file__).parent


def modules(package: str) -> set[str]:
    return {file.stem for file in (FOLDER / package).glob("*.py")} - {"__init__"}


def test_every_entry_has_its_modules_and_every_claim_an_entry() -> None:
    assert set(registry.sections()) <= modules("measures")
    assert set(registry.claims()) == modules("claims")


def test_few_pictures_show_no_claim() -> None:
    """A bug: two pictures, both recognised, showed claims “partly”."""
    sure = {"value": 0.2, "interval": [0.1, 0.3], "count": 2}
    row = {"layer": 9, "second_order": {"drop": sure}, "second_beyond_first": sure}
    verdict = registry.judged("ablation", {"ablation": {"pictures": 2, "layers": [row]}})
    assert verdict.outcome == FAILS
    assert verdict.because == "it was measured on 2 pictures; fewer than 10 cannot show it."
    assert registry.judged("ablation", {"ablation": {"layers": [row]}}).outcome == HOLDS


@pytest.fixture
def dummy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that whoever adds one would add: an entry and two modules."""

    def measure(context: Any) -> dict[str, Any]:
        return {"share": figure([0.0, 1.0, 1.0, 1.0], context.settings.seed)}

    def judge(result: Result) -> Verdict:
        return Verdict(HOLDS, "it is a dummy.")

    def draw(result: Result) -> Shown:
        scale = Scale("of dummies")
        plot = Plot("A dummy's dots.", Dots([Dot("dummy", result["share"])], scale))
        return Shown([Number.at("Dummies", scale, result, "share")], [plot])

    measured = types.ModuleType("explorer.evidence.measures.dummy")
    measured.measure = measure  # type: ignore[attr-defined]
    claimed = types.ModuleType("explorer.evidence.claims.dummy")
    claimed.CLAIM = Claim(  # type: ignore[attr-defined]
        "A dummy claim", "There is one.", "Holds if it is there.", judge, draw
    )
    for module in (measured, claimed):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    entry = Section("dummy", "a stand-in", ("dummy",))
    monkeypatch.setattr(registry, "_ALL", (*registry._ALL, entry))


@pytest.mark.usefixtures("dummy")
def test_a_claim_is_added_in_one_place(
    bundle_copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "dummy" in [section.name for section in registry.choose_sections(["claims"])]
    html = html_of(run_page(bundle_copy.parent, monkeypatch))
    assert "A dummy claim" in html
    assert "--only dummy" in html_of(run_page(bundle_copy.parent, monkeypatch, claim="dummy"))
    assert main(["evidence", str(bundle_copy), "--only", "dummy", "--json"]) == 0
    share = json.loads(capsys.readouterr().out)["dummy"]["share"]
    assert share["value"] == 0.75
    assert Bundle.open(bundle_copy).manifest.evidence["dummy"] == {"share": share}
    app = run_page(bundle_copy.parent, monkeypatch, claim="dummy")
    html = html_of(app)
    assert len(app.get("plotly_chart")) == 1
    assert "<h1>A dummy claim</h1>" in html
    assert "It is a dummy" in html or "it is a dummy" in html
    assert re.search(r"<td>dummy\.share</td><td>0\.75</td>", html)
    assert main(["evidence", str(bundle_copy), "--only", "dummy", "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"figures": 1, "outside": []}


def test_claims_are_read_without_the_model_code() -> None:
    code = (
        "import sys; from explorer.evidence import registry, stored, measure; registry.claims(); "
        "print([n for n in ('torch', 'open_clip', 'sklearn', 'faiss', 'plotly', 'streamlit') "
        "if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"

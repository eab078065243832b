"""The Evidence page through AppTest: measured and not, every claim, wrong addresses; its plots."""

from __future__ import annotations

import re
import shlex
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from streamlit.testing.v1 import AppTest

from explorer.bundle import MANIFEST, Bundle, reseal_evidence
from explorer.evidence.drawing import (
    Band,
    Dot,
    Dots,
    Heads,
    Lines,
    Scale,
    Series,
    Steps,
    Tone,
    percent,
)
from explorer.evidence.figures import Figure
from explorer.evidence.measures.attack import METHODS
from explorer.evidence.registry import claims, judged, section_of
from explorer.evidence.stored import stored_evidence
from explorer.ui.address import address
from explorer.ui.data import loaders
from explorer.ui.evidence import plots as evidence_plots
from explorer.ui.evidence import sections as evidence_sections

SHOWN = claims()
CLAIMS = {key: claim for key, claim in SHOWN.items() if key != "attack"}  # measured here
ROOT = Path(__file__).parents[2]
NOTHING: Figure = {"value": None, "interval": None, "count": 0}


def run_page(folder: Path, monkeypatch: pytest.MonkeyPatch, /, **params: str) -> AppTest:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(folder))
    app = AppTest.from_file(str(ROOT / address.PAGES["evidence"]), default_timeout=60)
    for key, value in params.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception, app.exception
    return app


def html_of(app: AppTest) -> str:
    return "\n".join(element.proto.body for element in app.get("html"))


def test_what_is_not_measured_says_how(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = run_page(tiny_bundle.parent, monkeypatch)
    html = html_of(app)
    assert not app.get("plotly_chart")
    for claim in SHOWN.values():
        assert html.count(f">{escape(claim.title)}</a>") == 1
    assert html.count("Not measured yet:") == 1
    assert html.count("<pre ") == 1 and 'class="notice"' not in html
    assert "✓" not in html


def test_the_command_is_one_and_runs_as_it_stands(
    bundle_copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another folder than `precomputed`, with a blank in its path, from anywhere."""
    odd = tmp_path / "my bundles" / "tiny"
    odd.parent.mkdir()
    bundle_copy.rename(odd)
    html = html_of(run_page(odd.parent, monkeypatch))
    (command,) = re.findall(r"<pre[^>]*><code>(.*)</code></pre>", html)
    words = shlex.split(unescape(command))
    assert words[:4] == ["python", "-m", "explorer", "evidence"]
    assert words[4:] == [str(odd.resolve())]


def test_claims_are_drawn_as_their_results_arrive(
    measured: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.open(shutil.copytree(tiny_bundle, tmp_path / "bundles" / "tiny"))
    app = run_page(tmp_path / "bundles", monkeypatch)
    assert not app.get("plotly_chart")
    held = Bundle.open(measured).manifest.evidence
    for place, name in enumerate(("rank", "fit"), start=1):
        bundle = reseal_evidence(bundle, {name: held[name]})
        app.run()
        assert not app.exception
        assert len(app.get("plotly_chart")) == place
    again = []
    monkeypatch.setattr(evidence_sections.st, "rerun", lambda: again.append(1))
    manifest = bundle.path / MANIFEST
    evidence_sections._watch((manifest, manifest.stat().st_mtime_ns))
    assert not again
    evidence_sections._watch((manifest, 0))
    assert again == [1]


def test_every_claim_has_verdict_plot_and_figures(
    measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = stored_evidence(Bundle.open(measured))
    app = run_page(measured.parent, monkeypatch)
    html = html_of(app)
    assert html.count("Not measured yet:") == 1
    assert len(app.get("plotly_chart")) == len(CLAIMS)
    for key, claim in CLAIMS.items():
        because = judged(key, evidence).because
        assert escape(because[1:].replace(" %", "")) in html.replace("\u00a0%", "")
        assert f"<p>{escape(claim.sentence)}</p>" in html
        assert f"evidence?bundle=tiny&amp;claim={key}" in html
    current = re.findall(r'<a(?=[^>]*aria-current="page")[^>]*href="(evidence[^"]*)"', html)
    assert set(current) == {"evidence?bundle=tiny"}
    recall = evidence["recall"]["recall@1"]["value"]
    assert f'<div class="value">{100 * recall:.1f} %</div>' in html


@pytest.mark.parametrize("key", CLAIMS)
def test_one_claim_shows_every_figure_with_its_key(
    key: str, measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = section_of(key).name
    evidence = stored_evidence(Bundle.open(measured))
    app = run_page(measured.parent, monkeypatch, claim=key)
    html = html_of(app)
    shown = CLAIMS[key].draw(evidence[section])
    assert len(app.get("plotly_chart")) == len(shown.plots) >= 1
    assert f"<h1>{escape(CLAIMS[key].title)}</h1>" in html
    assert "← All claims" in html
    rows = dict(re.findall(r"<td>([^<]*)</td><td>([^<]*)</td>", html))
    for number in shown.numbers:
        found = rows[f"{section}.{number.key}"]
        assert found == evidence_sections._plain(number.figure["value"])


def test_a_claim_that_is_not_measured(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    html = html_of(run_page(tiny_bundle.parent, monkeypatch, claim="rank"))
    assert "<h1>One direction carries it</h1>" in html
    assert "--only rank" in html


def test_wrong_claim_is_named(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    html = html_of(run_page(tiny_bundle.parent, monkeypatch, claim="magic"))
    assert "“magic” is not a claim: all are shown. Possible: controls," in html
    assert html.count('class="notice"') == 1
    html = html_of(run_page(tiny_bundle.parent, monkeypatch, bundle="nowhere"))
    assert "There is no bundle “nowhere”" in html


def test_attacks_are_shown_where_they_are_measured(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundles"
    bundle = Bundle.open(shutil.copytree(measured, folder / "tiny"))
    row = {"mean": 0.625, "interval": [0.5, 0.75]}
    methods = {name: {"two_way": row, "all_classes": row} for name in METHODS}
    methods["random, tried"] = {"two_way": row | {"mean": 0.4375}, "all_classes": row}
    verdict = {"intervals_apart": {"random": False}, "paired_difference": {"random": [-1, 1]}}
    result = {"pairs": 8, "scenes": 4, "classes": 9, "methods": methods, "verdict": verdict}
    reseal_evidence(bundle, {"attack": result | {"by_pair": [{"concepts": ["a", "b"]}]}})
    app = run_page(folder, monkeypatch, claim="attack")
    html = html_of(app)
    assert len(app.get("plotly_chart")) == 2
    assert "✗ doesn't hold" in html.replace("&#39;", "'")
    assert "<td>attack.methods.random.two_way</td><td>0.625</td><td>0.5 to 0.75</td>" in html
    assert "<td>attack.by_pair[0].concepts</td><td>a, b</td>" in html
    html = html.replace("\u00a0", " ")
    assert "concepts drawn at random reach 43.8 %, texts nearest to the target 62.5 %" in html
    assert "Without trials: by second-order effects 62.5 %" in html
    assert "Next: " not in html


def test_results_of_another_version_are_measured_again(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.open(shutil.copytree(measured, tmp_path / "bundles" / "tiny"))
    reseal_evidence(bundle, {"rank": {"something": "else"}})
    html = html_of(run_page(tmp_path / "bundles", monkeypatch))
    missing = html[html.index("Not measured yet:") :].partition("</p>")[0]
    assert "claim=rank" in missing
    assert missing.count("<a ") == 1 + len(SHOWN) - len(CLAIMS)


def test_older_results_of_recognition_have_no_interval(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.open(shutil.copytree(tiny_bundle, tmp_path / "bundles" / "tiny"))
    facts = {"recall@1": 0.5, "recall@10": 1.0, "candidates": 4, "pictures": 1033}
    reseal_evidence(bundle, {"recall": facts})
    html = html_of(run_page(tmp_path / "bundles", monkeypatch))
    assert (
        '<div class="value">50.0 %</div><div class="why">recall@1; n = 1,033; chance 25 %</div>'
        in html
    )
    assert "Recall@10" not in html  # any order has all four among its first ten


def test_about_page_names_the_sections_only(
    measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(measured.parent))
    app = AppTest.from_file(str(ROOT / address.PAGES["about"]), default_timeout=60).run()
    assert "<td>evidence.rank</td><td>measured, see the Evidence page</td>" in html_of(app)


def data_of(figure: Any, place: int = -1) -> dict[str, Any]:
    return figure.to_plotly_json()["data"][place]


def test_intervals_are_drawn_as_they_are() -> None:
    found = {"value": 0.5, "interval": [0.4, 0.7], "count": 9}
    trace = data_of(
        evidence_plots.draw(Dots([Dot("a<b", found), Dot("none", NOTHING)], percent("x"), 0.2))
    )
    assert trace["x"] == [50, None]
    assert trace["error_x"]["array"] == pytest.approx([20, 0])
    assert trace["error_x"]["arrayminus"] == pytest.approx([10, 0])
    assert trace["customdata"][0][1] == "50.0 % (40.0 % to 70.0 %)"
    assert trace["customdata"][1][1] == "not defined"
    without = {"value": -0.5, "interval": None, "count": 9}
    series = [
        Series("one", Tone.SECOND, [found, without]), Series("two", Tone.CONTROL, [found, NOTHING])
    ]  # fmt: skip
    figure = evidence_plots.draw(Lines(series, ["a", "b"], Scale("y"), "x", 0.3))
    one, two = data_of(figure, 0), data_of(figure, 1)
    assert one["y"] == [0.5, -0.5]
    assert two["y"] == [0.5, None]
    assert one["x"][0] < two["x"][0]
    assert one["customdata"][1] == ["x b", "−0.500"]
    (rule,) = figure.layout.shapes
    assert rule.y0 == rule.y1 == 0.3
    assert figure.layout.showlegend


def test_figures_near_their_reference_are_told_apart() -> None:
    """Recall of 78 to 83 % against 80 %: on an axis from 0 all of it is one place."""
    near: list[Figure] = [
        {"value": 0.79, "interval": [0.78, 0.80], "count": 9},
        NOTHING,
        {"value": 0.82, "interval": [0.81, 0.83], "count": 9},
    ]
    scale = percent("recall@1")
    dots = evidence_plots.draw(Dots([Dot("a", figure) for figure in near], scale, 0.80))
    lines = evidence_plots.draw(
        Lines([Series("a", Tone.SECOND, near)], ["0", "1", "2"], scale, "layer", 0.80)
    )
    for axis in (dots.layout.xaxis, lines.layout.yaxis):
        low, high = axis.range
        assert 77 < low < 78 and 83 < high < 84
        assert axis.title.text == "recall@1 (%); the axis does not start at 0"


@pytest.mark.parametrize(
    ("low", "reference"),
    [(0.30, 0.80), (0.78, None), (0.78, 0.05), (-0.01, 0.0)],
    ids=["far", "no reference", "far from it", "around 0"],
)
def test_other_figures_are_drawn_from_zero(low: float, reference: float | None) -> None:
    row = Dot("a", {"value": low + 0.01, "interval": [low, low + 0.02], "count": 9})
    axis = evidence_plots.draw(Dots([row], percent("share"), reference)).layout.xaxis
    assert axis.range is None and axis.rangemode == "tozero"
    assert axis.title.text == "share (%)"


def test_histograms_have_a_step_a_bin() -> None:
    figure = evidence_plots.draw(Steps([0, 1, 2], [("n", Tone.SECOND, [3, 5])], "v"))
    trace = data_of(figure)
    assert trace["x"] == [0, 0, 1, 1, 2, 2]
    assert trace["y"] == [0, 3, 3, 5, 5, 0]


def test_zeros_are_left_out_of_logarithms() -> None:
    figure = evidence_plots.draw(
        Band([0.5, 1], [0.1, 0.0], [0.05, 0], [0.2, 0.1], "x", percent("y"))
    )
    assert data_of(figure)["y"] == [10, None]
    assert not figure.layout.shapes


def test_heads_stand_in_their_blocks() -> None:
    share = {"value": 0.25, "interval": None, "count": 1}
    figure = evidence_plots.draw(Heads([(4, 0, share), (5, 1, NOTHING)]))
    assert data_of(figure)["z"] == [[25, 0], [0, 0]]
    assert data_of(figure)["y"] == ["block 4", "block 5"]

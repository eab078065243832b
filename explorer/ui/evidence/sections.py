"""The Evidence page: each claim of the paper, measured on this bundle, with a plain verdict."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import streamlit as st

from explorer.evidence import registry
from explorer.evidence.claim import FAILS, HOLDS, PARTLY, Result, Verdict
from explorer.evidence.drawing import Number, Shown, percent
from explorer.evidence.figures import is_figure, leaves
from explorer.evidence.stored import stored_evidence
from explorer.ui.evidence import plots
from explorer.ui.html import charts, parts
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import save_finding

CLAIM = "claim"
MARKS = {HOLDS: "✓", PARTLY: "◐", FAILS: "✗"}
CLASSES = {HOLDS: "holds", PARTLY: "partly", FAILS: "fails"}


def read_claim(page: Page) -> tuple[str, list[str]]:
    """Which claim the address asks for ("": all), and what could not be read."""
    asked = page.params.get(CLAIM, "")
    known = list(registry.claims())
    if not asked or asked in known:
        return asked, []
    return "", [f"“{asked}” is no claim: all are shown. Possible: {', '.join(known)}."]


def body(page: Page, asked: str) -> None:
    """All claims in brief, or one with every plot and figure."""
    evidence = stored_evidence(page.view.bundle)
    frame.title("Evidence")
    if asked:
        _section(page, asked, evidence, whole=True)
        save_finding.of_view(page, registry.claims()[asked].title)
        return
    frame.draw(
        "<h1>Evidence</h1>"
        '<p class="lead">Does the paper’s story hold for this model? Each of its claims, in our '
        "words, measured on pictures that took no part in the build, with a verdict from a rule "
        "stated beside it. Nothing is left out when it fails.</p>"
    )
    save_finding.of_view(page, "Evidence")
    frame.draw(
        _baseline(page, evidence),
        _summary(page, evidence),
    )
    for name in registry.claims():
        _section(page, name, evidence, whole=False)


def _baseline(page: Page, evidence: Mapping[str, Any]) -> str:
    """How well the model recognises the evaluation pictures."""
    result = evidence.get("recall")
    if not result:
        return _command(page, "recall")
    keys = ("recall@1", "recall@10")
    items = [_tile(Number.at(key.capitalize(), percent(key), result, key)) for key in keys]
    items.append(("Candidates", f"{result['candidates']:,}", "distinct names"))
    items.append(("Pictures", f"{result['pictures']:,}", str(result.get("set", "held out"))))
    return (
        "<h2>The model as it is</h2>"
        '<p class="caption">Recognition of the evaluation pictures with nothing changed: how often '
        "a picture’s own name is the nearest of all candidates (recall@1), or among the ten "
        "nearest.</p>" + parts.figures(items)
    )


def _summary(page: Page, evidence: Mapping[str, Any]) -> str:
    """Every claim with its verdict, each a link."""
    rows = []
    for key, claim in registry.claims().items():
        read = _read(key, evidence)
        verdict = read.verdict if read else None
        text = verdict.because if verdict else "not measured yet"
        name = parts.link("evidence", escape(claim.title), bundle=page.view.key, claim=key)
        rows.append(
            f"<tr><td>{_badge(verdict)}</td><td>{name}"
            f'<span class="because muted">{_tied(_sentence(text))}</span></td></tr>'
        )
    return (
        '<h2>In brief</h2><table class="verdicts"><thead><tr><th>Verdict</th><th>Claim</th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _badge(verdict: Verdict | None) -> str:
    if verdict is None:
        return '<span class="verdict">not measured</span>'
    outcome = verdict.outcome
    return f'<span class="verdict {CLASSES[outcome]}">{MARKS[outcome]} {outcome}</span>'


class _Reading(NamedTuple):
    """What a result says of a claim."""

    result: Result
    verdict: Verdict
    shown: Shown
    checks: Sequence[str]
    """Why it may not hold and what was checked, where it does not hold."""


def _read(key: str, evidence: Mapping[str, Result]) -> _Reading | None:
    """Read what is measured of a claim; None without it, or where another version wrote it."""
    claim, result = registry.claims()[key], evidence.get(registry.section_of(key).name)
    if not result:
        return None
    try:
        verdict = claim.judge(result)
        checks = claim.explain(result) if claim.explain and verdict.outcome != HOLDS else []
        return _Reading(result, verdict, claim.draw(result), checks)
    except (KeyError, TypeError):
        return None


def _section(page: Page, key: str, evidence: Mapping[str, Result], whole: bool) -> None:
    """A claim: its sentence, verdict and rule, figures, plots; or how to measure it."""
    claim, section = registry.claims()[key], registry.section_of(key).name
    heading = "h1" if whole else "h2"
    read = _read(key, evidence)
    head = (
        f'<div class="claim-head{"" if whole else " next"}">'
        f"<{heading}>{escape(claim.title)}</{heading}>{_badge(read and read.verdict)}</div>"
        f"<p>{escape(claim.sentence)}</p>"
    )
    steps = _steps(page, key) if whole else ""
    if not read:
        frame.draw(head, steps, _command(page, section))
        return
    result, verdict, shown, checks = read
    reason = f"<p><b>{escape(verdict.outcome.capitalize())}:</b> {_tied(verdict.because)}</p>"
    rule = f'<p class="caption rule">Rule. {_tied(claim.rule)}</p>'
    frame.draw(head, steps, reason, parts.figures(map(_tile, shown.numbers)), rule)
    _drawn(key, shown, whole)
    if checks:
        frame.draw(_checked(checks, whole))
    if whole:
        frame.draw(_settings(result), _table(section, result))
    else:
        more = _more(page, key, len(shown.plots) - 1)
        frame.draw(f'<p class="caption">{_settings_line(result)} {more}</p>')


def _checked(checks: Sequence[str], whole: bool) -> str:
    """Why the claim may not hold, and what was checked to rule out a bug."""
    rows = "".join(f"<li>{_tied(said)}</li>" for said in checks)
    title = "Why, and what was checked"
    if whole:
        return f"<h2>{title}</h2><ul>{rows}</ul>"
    return f"<details><summary>{title}</summary><ul>{rows}</ul></details>"


def _steps(page: Page, key: str) -> str:
    """The way back to all claims, and to the ones before and after."""
    claims = registry.claims()
    keys = list(claims)
    links = [parts.link("evidence", "← All claims", bundle=page.view.key)]
    place = keys.index(key)
    for name, near in (("Previous", place - 1), ("Next", place + 1)):
        if 0 <= near < len(keys):
            title = escape(claims[keys[near]].title)
            to = parts.link("evidence", title, bundle=page.view.key, claim=keys[near])
            links.append(f"{name}: {to}")
    return f'<p class="caption">{" · ".join(links)}</p>'


def _drawn(key: str, shown: Shown, whole: bool) -> None:
    for place, plot in enumerate(shown.plots if whole else shown.plots[:1]):
        frame.draw(f'<p class="caption">{_tied(plot.caption)}</p>')
        name = f"evidence_{key}_{place}"
        st.plotly_chart(plots.draw(plot.drawing), config=charts.CONFIG, key=name, width="stretch")


def _more(page: Page, key: str, plots: int) -> str:
    count = {0: "", 1: "one more plot and "}.get(plots, f"{plots} more plots and ")
    return parts.link("evidence", f"See {count}every figure →", bundle=page.view.key, claim=key)


def _tile(number: Number) -> tuple[str, str, str]:
    """A headline figure: value above, unit, interval and count below."""
    value = number.figure["value"]
    return number.name, "–" if value is None else number.scale.one(value), _why(number)


def _why(number: Number) -> str:
    figure, scale = number.figure, number.scale
    said = scale.title.removesuffix(" (%)")
    if figure["value"] is None:
        return f"{said}; not defined, since nothing is lost"
    if figure["interval"]:
        low, high = (scale.one(end, unit=False) for end in figure["interval"])
        said += f"; 95\u00a0% interval {low} to {high}"
    return f"{said}; n\u00a0=\u00a0{figure['count']:,}"


def _tied(text: str) -> str:
    """Escape a text and keep its numbers together with their unit."""
    return re.sub(r"(?<=\d) (?=%)", "&nbsp;", escape(text))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _settings_line(result: Result) -> str:
    """On what, and with which seed."""
    said = []
    if "pictures" in result:
        said.append(f"{result['pictures']:,} pictures ({escape(str(result.get('set', '')))})")
        said.append(f"{result['candidates']:,} candidates")
    seed = result.get("seed", result.get("bootstrap", {}).get("seed"))
    if seed is not None:
        said.append(f"seed {seed}")
    return ", ".join(said) + "." if said else ""


def _settings(result: Result) -> str:
    ablated = f" Ablated: {escape(str(result['ablation']))}." if "ablation" in result else ""
    return f'<p class="caption">Measured on {_settings_line(result)}{ablated}</p>'


def _table(section: str, result: Result) -> str:
    """Every figure with its key in the command's JSON."""
    rows = [_row(f"{section}.{key}", leaf) for key, leaf in leaves(result)]
    return (
        "<h2>Every figure</h2>"
        '<p class="caption">As <code>python -m explorer evidence … --json</code> prints them, with '
        "their 95 % bootstrap intervals over that many pictures, neurons, scenes or pairs.</p>"
        f'<div class="keys">{parts.table(("Key", "Value", "Interval", "Count"), rows, (3,))}</div>'
    )


def _row(key: str, leaf: Any) -> tuple[str, str, str, str]:
    """Key, value, interval and count of a figure, a plain value or a list of plain values."""
    if is_figure(leaf):
        low, high = leaf["interval"] or (None, None)
        interval = "–" if low is None else f"{low} to {high}"
        return key, _plain(leaf["value"]), interval, str(leaf["count"])
    if isinstance(leaf, list):
        return key, ", ".join(map(_plain, leaf)), "", ""
    return key, _plain(leaf), "", ""


def _plain(value: Any) -> str:
    return "–" if value is None else str(value)


def _command(page: Page, section: str) -> str:
    """How to measure what isn't there."""
    key = page.view.key
    folder = page.view.bundle.path.parent.name
    command = f"python -m explorer evidence {folder}/{key} --only {section}"
    return (
        f'<p class="notice" role="status">Not measured yet on “{escape(key)}”. To measure it:</p>'
        f"<pre><code>{escape(command)}</code></pre>"
    )

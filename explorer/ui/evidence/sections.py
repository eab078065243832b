"""The Evidence page: each claim of the paper, measured on this bundle, with a plain verdict."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st
from markupsafe import Markup
from plotly.graph_objects import Figure

from explorer.bundle import MANIFEST
from explorer.evidence import registry
from explorer.evidence.claim import FAILS, HOLDS, PARTLY, Result, Verdict
from explorer.evidence.drawing import Number, Shown, percent
from explorer.evidence.figures import is_figure, leaves
from explorer.evidence.stored import MALFORMED, recall_of, stored_evidence
from explorer.ui.core import command_line
from explorer.ui.evidence import plots
from explorer.ui.html import charts
from explorer.ui.html.elements import NOTHING, caption, command, figures, joined, table, tag
from explorer.ui.html.links import link
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import save_finding

CLAIM = "claim"
TICK = 3.0  # seconds between two looks at what has been measured
MARKS = {HOLDS: "✓", PARTLY: "◐", FAILS: "✗"}
CLASSES = {HOLDS: "holds", PARTLY: "partly", FAILS: "fails"}


def read_claim(page: Page) -> tuple[str, list[str]]:
    """Return which claim the address asks for ("": all), and what could not be read."""
    asked = page.params.get(CLAIM, "")
    known = list(registry.claims())
    if not asked or asked in known:
        return asked, []
    return "", [f"“{asked}” is not a claim: all are shown. Possible: {', '.join(known)}."]


def body(page: Page, asked: str) -> None:
    """Draw all claims in brief, or one with every plot and figure."""
    evidence = stored_evidence(page.view.bundle)
    frame.title("Evidence")
    if asked:
        _section(page, asked, _find(page, asked, evidence, whole=True), whole=True)
        save_finding.of_view(page, registry.claims()[asked].title)
        return
    lead = (
        "Does the paper’s story hold for this model? Each of its claims, in our words, measured "
        "on pictures that took no part in the build, with a verdict from a rule stated beside it. "
        "Claims that fail are shown as well."
    )
    read = {key: _find(page, key, evidence, whole=False) for key in registry.claims()}
    found = {key: one for key, one in read.items() if one}
    missing = [key for key in read if key not in found]
    frame.draw(
        tag("h1", "Evidence"),
        tag("p", lead, css="lead"),
        _to_measure(page, missing),
    )
    save_finding.of_view(page, "Evidence")
    frame.draw(_recognition(evidence), _summary(page, found))
    for key, one in found.items():
        _section(page, key, one, whole=False)
    if missing:
        st.fragment(_watch, run_every=TICK)(_stamp(page))


def _to_measure(page: Page, missing: Sequence[str]) -> Markup:
    """Name the claims that are not measured, and the one command that measures all it can."""
    if not missing:
        return NOTHING
    claims = registry.claims()
    names = (link("evidence", claims[k].title, bundle=page.view.key, claim=k) for k in missing)
    said = (
        "One command measures everything that this bundle allows, cheapest first, and says before "
        "how long it will take. Each claim appears here as soon as its result is there."
    )
    return joined(
        [
            tag("p", said, role="status"),
            command(_command(page)),
            caption("Not measured yet: ", joined(names, " · "), ".", css="missing"),
        ]
    )


def _command(page: Page, section: str = "") -> str:
    only = ["--only", section] if section else []
    return command_line.explorer("evidence", page.view.bundle.path.resolve(), *only)


def _stamp(page: Page) -> tuple[Path, int]:
    """Return the bundle's manifest and when it was written, which every result changes."""
    manifest = page.view.bundle.path / MANIFEST
    return manifest, manifest.stat().st_mtime_ns


def _watch(seen: tuple[Path, int]) -> None:
    """Draw the page again when a result has arrived since; a fragment that runs now and then."""
    manifest, written = seen
    if manifest.is_file() and manifest.stat().st_mtime_ns != written:
        st.rerun()


def _recognition(evidence: Mapping[str, Any]) -> Markup:
    """Show how well the model recognises the evaluation pictures, where that was measured."""
    recall = recall_of(evidence)
    if not recall:
        return NOTHING
    items = []
    for nearest, figure in recall.figures.items():
        key = f"recall@{nearest}"
        name, value, note = _tile(Number(key.capitalize(), figure, percent(key), key))
        items.append((name, value, f"{note}; {recall.chance(nearest)}"))
    items.append(("Candidates", f"{recall.candidates:,}", "distinct names"))
    items.append(("Pictures", f"{recall.pictures:,}", recall.set))
    about = (
        "Recognition of the evaluation pictures with nothing changed: how often a picture’s own "
        "name is the nearest of all candidates (recall@1), or among the ten nearest."
    )
    return joined([tag("h2", "The model as it is"), caption(about), figures(items)])


def _summary(page: Page, found: Mapping[str, _Found]) -> Markup:
    """List every measured claim with its verdict, each a link."""
    if not found:
        return NOTHING
    rows = []
    for key, one in found.items():
        because = one.verdict.because
        said = tag("span", _tied(because[:1].upper() + because[1:]), css="because muted")
        title = registry.claims()[key].title
        name = link("evidence", title, bundle=page.view.key, claim=key)
        rows.append(tag("tr", tag("td", _badge(one.verdict)), tag("td", name, said)))
    head = tag("thead", tag("tr", tag("th", "Verdict"), tag("th", "Claim")))
    listed = tag("table", head, tag("tbody", rows), css="verdicts")
    return joined([tag("h2", "In brief"), listed])


def _badge(verdict: Verdict | None) -> Markup:
    if verdict is None:
        return tag("span", "not measured", css="verdict")
    outcome = verdict.outcome
    return tag("span", f"{MARKS[outcome]} {outcome}", css=f"verdict {CLASSES[outcome]}")


class _Judged(NamedTuple):
    """What a result says of a claim."""

    result: Result
    verdict: Verdict
    shown: Shown
    reasons: Sequence[str]
    """Why it may not hold and what was checked, where it does not hold."""
    random: str
    """What random weights give; empty where that says nothing of the claim."""


def _read(key: str, evidence: Mapping[str, Result]) -> _Judged | None:
    """Read what is measured of a claim; None without it, or where another version wrote it."""
    claim, result = registry.claims()[key], evidence.get(registry.section_of(key).name)
    if not result:
        return None
    try:
        verdict = registry.judged(key, evidence)
        reasons = claim.explain(result) if claim.explain and verdict.outcome != HOLDS else []
        random, _ = registry.beside_random(key, evidence)
        return _Judged(result, verdict, claim.draw(result), reasons, random)
    except MALFORMED:
        return None


class _Found(NamedTuple):
    """A measured claim, ready to be drawn."""

    verdict: Verdict
    parts: list[Markup | Figure]


def _find(page: Page, key: str, evidence: Mapping[str, Result], whole: bool) -> _Found | None:
    """Return what is shown of a claim; None where it isn't measured, or not in today's form."""
    read = _read(key, evidence)
    parts = _body(page, key, read, whole) if read else []
    return _Found(read.verdict, parts) if read and parts else None


def _section(page: Page, key: str, found: _Found | None, whole: bool) -> None:
    """Draw a claim: its sentence, verdict, rule, figures, plots; or how to measure it."""
    parts = found.parts if found else []
    claim, section = registry.claims()[key], registry.section_of(key).name
    heading = tag("h1" if whole else "h2", claim.title)
    badge = _badge(found.verdict if found else None)
    head = tag("div", heading, badge, css="claim-head" if whole else "claim-head next")
    frame.draw(head, tag("p", claim.sentence), _steps(page, key) if whole else NOTHING)
    if not parts:
        frame.draw(
            tag("p", "Not measured yet. To measure it alone:", role="status"),
            command(_command(page, section)),
        )
    for place, part in enumerate(parts):
        if isinstance(part, Markup):
            frame.draw(part)
        else:
            name = f"evidence_{key}_{place}"
            st.plotly_chart(part, config=charts.CONFIG, key=name, width="stretch")


def _body(page: Page, key: str, read: _Judged, whole: bool) -> list[Markup | Figure]:
    """Return what is shown of a measured claim; nothing where a figure is of another form."""
    claim, section = registry.claims()[key], registry.section_of(key).name
    outcome = tag("b", f"{read.verdict.outcome.capitalize()}:")
    try:
        judged = [
            tag("p", outcome, " ", _tied(read.verdict.because)),
            tag("p", _tied(read.random)) if read.random else NOTHING,
            figures(map(_tile, read.shown.numbers)),
            caption("Rule. ", _tied(claim.rule), css="rule"),
        ]
        found: list[Markup | Figure] = [joined(judged)]
        for plot in read.shown.plots if whole else read.shown.plots[:1]:
            found += [caption(_tied(plot.caption)), plots.draw(plot.drawing)]
        if read.reasons:
            found.append(_reasons(read.reasons, whole))
        measured_on = _measured_on(read.result)
        if whole:
            found.append(caption("Measured on ", measured_on, _ablated(read.result)))
            found.append(_every_figure(section, read.result))
        else:
            more = _more(page, key, len(read.shown.plots) - 1)
            found.append(caption(measured_on, " ", more))
    except MALFORMED:
        return []
    return found


def _reasons(reasons: Sequence[str], whole: bool) -> Markup:
    """Explain why the claim may not hold, and what was checked to rule out our own mistakes."""
    rows = tag("ul", (tag("li", _tied(said)) for said in reasons))
    title = "Why, and what was checked"
    if whole:
        return joined([tag("h2", title), rows])
    return tag("details", tag("summary", title), rows)


def _steps(page: Page, key: str) -> Markup:
    """Link to all claims, and to the ones before and after."""
    claims = registry.claims()
    keys = list(claims)
    ways = [link("evidence", "← All claims", bundle=page.view.key)]
    place = keys.index(key)
    for name, near in (("Previous", place - 1), ("Next", place + 1)):
        if 0 <= near < len(keys):
            title = claims[keys[near]].title
            to = link("evidence", title, bundle=page.view.key, claim=keys[near])
            ways.append(joined([f"{name}: ", to]))
    return caption(joined(ways, " · "))


def _more(page: Page, key: str, further: int) -> Markup:
    count = {0: "", 1: "one more plot and "}.get(further, f"{further} more plots and ")
    return link("evidence", f"See {count}every figure →", bundle=page.view.key, claim=key)


def _tile(number: Number) -> tuple[str, str, str]:
    """Return a headline figure: value above, unit, interval and count below."""
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
    """Keep the numbers of a text together with their unit."""
    return re.sub(r"(?<=\d) (?=%)", "\u00a0", text)


def _measured_on(result: Result) -> str:
    """Say what was measured on, and with which seed."""
    said = []
    if "pictures" in result:
        said.append(f"{result['pictures']:,} pictures ({result.get('set', '')})")
    if "candidates" in result:
        said.append(f"{result['candidates']:,} candidates")
    seed = result.get("seed", result.get("bootstrap", {}).get("seed"))
    if seed is not None:
        said.append(f"seed {seed}")
    return ", ".join(said) + "." if said else ""


def _ablated(result: Result) -> str:
    return f" Ablated: {result['ablation']}." if "ablation" in result else ""


def _every_figure(section: str, result: Result) -> Markup:
    """List every figure with its key in the command's JSON."""
    rows = [_row(f"{section}.{key}", leaf) for key, leaf in leaves(result)]
    about = caption(
        "As ",
        tag("code", "python -m explorer evidence … --json"),
        _tied(
            " prints them, with their 95 % bootstrap intervals over that many pictures, neurons, "
            "scenes or pairs."
        ),
    )
    listed = table(("Key", "Value", "Interval", "Count"), rows, (3,))
    return joined([tag("h2", "Every figure"), about, tag("div", listed, css="keys")])


def _row(key: str, leaf: Any) -> tuple[str, str, str, str]:
    """Return key, value, interval and count of a figure, a plain value or a list of them."""
    if is_figure(leaf):
        low, high = leaf["interval"] or (None, None)
        interval = "–" if low is None else f"{low} to {high}"
        return key, _plain(leaf["value"]), interval, str(leaf["count"])
    if isinstance(leaf, list):
        return key, ", ".join(map(_plain, leaf)), "", ""
    return key, _plain(leaf), "", ""


def _plain(value: Any) -> str:
    return "–" if value is None else str(value)

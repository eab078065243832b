"""One collection's page: findings in their order, which can be changed; or the polysemy report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape

import streamlit as st

from explorer.errors import ExplorerError
from explorer.findings import report
from explorer.findings.model import (
    NOTE_LENGTH,
    TITLE_LENGTH,
    Collection,
    Finding,
    SavedCollection,
    SavedFinding,
    clean_line,
)
from explorer.ui import finding_share, findings_data, findings_parts, frame, gate, parts
from explorer.ui.finding_view import lost
from explorer.ui.findings_query import COLLECTIONS, REPORT
from explorer.ui.frame import Page
from explorer.ui.loaders import View

ROW_PICTURES = 8


def body(page: Page) -> None:
    """The collection that the address names, or why there is none."""
    identifier = page.params.get("id", "")
    try:
        if identifier == REPORT:
            _report(page)
            return
        saved = findings_data.store().get_collection(identifier)
        if saved.deleted is not None:
            _deleted(saved)
        else:
            _collection(page, saved)
    except ExplorerError as error:
        lost(page, "collection", str(error))


def _deleted(saved: SavedCollection) -> None:
    frame.draw(
        f"<h1>{escape(saved.content.title)}</h1>", parts.notice("This collection was deleted.")
    )
    st.button("Bring it back", key="_restore", on_click=_restore, args=(saved.id,))


def _restore(identifier: str) -> None:
    findings_data.store().restore_collection(identifier)


def _collection(page: Page, saved: SavedCollection) -> None:
    content = saved.content
    frame.title(content.title)
    members = findings_data.store().members(saved)
    frame.draw(
        f"<h1>{escape(content.title)}</h1>",
        findings_parts.byline(saved),
        findings_parts.note(content.note),
    )
    frame.show_problems([problem for problem in [st.session_state.pop("_problem", "")] if problem])
    if not members:
        every = parts.link("findings", "All findings", css="button", bundle=page.view.key)
        frame.draw(
            "<h2>Empty</h2><p>Add findings from their own pages.</p>"
            f'<div class="actions">{every}</div>',
            css="empty",
        )
    for place, finding in enumerate(members):
        _member(page, saved, members, place, finding)
    _texts(page, saved)
    finding_share.collection_section(page, saved, members)


def _member(
    page: Page,
    saved: SavedCollection,
    members: Sequence[SavedFinding],
    place: int,
    finding: SavedFinding,
) -> None:
    with st.container(key=f"lens_member_{place}"):
        frame.draw(_line(finding, place + 1, page.view.key))
        with st.container(horizontal=True, key=f"lens_moves_{place}"):
            for name, sign, other in (("up", "↑", place - 1), ("down", "↓", place + 1)):
                st.button(
                    sign,
                    key=f"_{name}_{finding.id}",
                    help=f"Move {name}",
                    disabled=not 0 <= other < len(members),
                    on_click=_move,
                    args=(saved, place, other),
                )
            st.button(
                "Take out",
                key=f"_out_{finding.id}",
                on_click=_change,
                args=(saved, _without(saved.content, finding.id)),
            )


def _line(finding: SavedFinding, number: int, key: str) -> str:
    content = finding.content
    view = findings_data.view_of(content.bundle)
    title = parts.link(
        "finding", escape(content.title), bundle=view.key if view else key, id=finding.id
    )
    shown = findings_parts.strip_of(view, content, ROW_PICTURES)
    return (
        f'<div class="member"><h2><span class="muted num">{number}.</span> {title}</h2>'
        f'<p class="caption">{escape(findings_parts.subject(content))} · '
        f"{escape(content.author or 'without a name')}</p>"
        f"{shown}{findings_parts.note(content.note)}</div>"
    )


def _without(content: Collection, identifier: str) -> Collection:
    return replace(content, findings=tuple(i for i in content.findings if i != identifier))


def _move(saved: SavedCollection, place: int, other: int) -> None:
    order = list(saved.content.findings)
    order[place], order[other] = order[other], order[place]
    _change(saved, replace(saved.content, findings=tuple(order)))


def _change(saved: SavedCollection, wanted: Collection) -> None:
    try:
        findings_data.store().save_collection(saved.id, saved.version, wanted)
    except ExplorerError as error:
        st.session_state["_problem"] = f"{error} What is stored now is shown."


def _texts(page: Page, saved: SavedCollection) -> None:
    """Title and note, and the way to delete the collection."""
    with st.expander("Edit title and note, or delete"):
        with st.form(f"_collection_form_{saved.version}", border=False):
            title = st.text_input(
                "Title", saved.content.title, max_chars=TITLE_LENGTH, key="_collection_title"
            )
            note = st.text_area(
                "Note (Markdown)", saved.content.note, max_chars=NOTE_LENGTH, key="_collection_note"
            )
            sent = st.form_submit_button("Save")
        st.button("Delete this collection", key="_delete", on_click=_delete, args=(page, saved))
    if sent:
        try:
            wanted = replace(saved.content, title=clean_line(title), note=note)
            findings_data.store().save_collection(saved.id, saved.version, wanted)
        except ExplorerError as error:
            frame.show_problems([str(error)])
            return
        st.rerun()


def _delete(page: Page, saved: SavedCollection) -> None:
    try:
        findings_data.store().delete_collection(saved.id, saved.version)
    except ExplorerError as error:
        st.session_state["_problem"] = str(error)
        return
    frame.go("findings", bundle=page.view.key, show=COLLECTIONS, undo=saved.id)


def _report(page: Page) -> None:
    """The polysemy report of the page's bundle, computed once a process."""
    frame.title(report.TITLE)
    frame.draw(
        f"<h1>{report.TITLE}</h1>"
        f'<p class="caption">Of the bundle “{escape(page.view.key)}”. Each neuron’s top pictures '
        "were grouped by the model’s own likeness; a group counts when its labels agree on a word "
        "that the other groups don’t carry. Ranked by polysemy times the share of top pictures so "
        "confirmed.</p>"
    )
    with st.spinner("Reading every neuron’s pictures …"):
        findings = page.view.held("polysemy_report", _findings)
    if not findings:
        frame.draw("<h2>No neuron has meanings that the labels tell apart.</h2>", css="empty")
        return
    st.button(
        "Copy to the collections",
        key="_copy",
        type="primary",
        on_click=_copy,
        args=(page, findings),
    )
    frame.show_problems([problem for problem in [st.session_state.pop("_problem", "")] if problem])
    view = page.view
    rows = [view.bundle.row(f.neurons[0].layer, f.neurons[0].neuron) for f in findings]
    frame.draw(
        parts.cards(
            parts.card(view, row, title=finding.title)
            for row, finding in zip(rows, findings, strict=True)
        )
    )


def _findings(view: View) -> list[Finding]:
    return report.report_findings(view.bundle)


def _copy(page: Page, findings: Sequence[Finding]) -> None:
    """Save the report as a collection of its own."""
    author = gate.user() or str(st.session_state.get("_author", ""))
    title = f"{report.TITLE} of {page.view.bundle.name}"[:TITLE_LENGTH].strip()
    try:
        store = findings_data.store()
        ids = tuple(store.add(replace(finding, author=author)).id for finding in findings)
        made = store.add_collection(Collection(title, ids, author=author))
    except ExplorerError as error:
        st.session_state["_problem"] = str(error)
        return
    frame.go("collection", bundle=page.view.key, id=made.id)

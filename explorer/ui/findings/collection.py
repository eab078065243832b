"""One collection's page: findings in their order, which can be changed; or the polysemy report."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st
from markupsafe import Markup

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
from explorer.findings.store import PER_PAGE
from explorer.ui.address.address import whole
from explorer.ui.address.findings_query import COLLECTIONS, REPORT
from explorer.ui.data import findings_data
from explorer.ui.data.loaders import View
from explorer.ui.findings import cards, share
from explorer.ui.findings.finding import deleted, lost
from explorer.ui.findings.pictures import strip_of
from explorer.ui.html.cards import card
from explorer.ui.html.cards import cards as neuron_cards
from explorer.ui.html.elements import caption, muted, notice, tag
from explorer.ui.html.links import actions, link, pager
from explorer.ui.shell import frame, gate
from explorer.ui.shell.frame import Page

ROW_PICTURES = 8
LONG = 4  # findings from which on they are moved by number, too


def body(page: Page) -> None:
    """Draw the collection that the address names, or why there is none."""
    identifier = page.params.get("id", "")
    if not identifier:
        lost(page, "collection", "No collection was named.")
        return
    try:
        if identifier == REPORT:
            _report(page)
            return
        saved = findings_data.store().get_collection(identifier)
        if saved.deleted is not None:
            deleted(saved)
        else:
            _collection(page, saved)
    except ExplorerError as error:
        lost(page, "collection", str(error))


def _collection(page: Page, saved: SavedCollection) -> None:
    content = saved.content
    frame.title(content.title)
    pages = max(1, -(-len(content.findings) // PER_PAGE))
    shown = min(max(whole(page.params.get("page", "")) or 1, 1), pages)
    start = (shown - 1) * PER_PAGE
    members = findings_data.store().members(saved, start, PER_PAGE)
    frame.draw(
        tag("h1", content.title),
        cards.byline(saved),
        cards.note(content.note),
    )
    frame.show_problems(findings_data.problems())
    if not members:
        every = link("findings", "All findings", css="button", bundle=page.view.key)
        frame.draw(
            tag("h2", "Empty"),
            tag("p", "Add findings from their own pages."),
            actions(every),
            css="empty",
        )
    for place, finding in enumerate(members, start):
        _member(page, saved, place, finding)
    address = {"bundle": page.view.key, "id": saved.id}
    frame.draw(pager("collection", shown, pages, **address))
    _further(saved)
    _texts(page, saved)
    share.collection_section(page, saved)


def _member(
    page: Page,
    saved: SavedCollection,
    place: int,
    finding: SavedFinding,
) -> None:
    last = len(saved.content.findings) - 1
    with st.container(key=f"lens_member_{place}"):
        frame.draw(_line(finding, place + 1, page.view.key))
        with st.container(horizontal=True, key=f"lens_moves_{place}"):
            for name, sign, other in (("up", "↑", place - 1), ("down", "↓", place + 1)):
                st.button(
                    sign,
                    key=f"_{name}_{finding.id}",
                    help=f"Move {name}",
                    disabled=not 0 <= other <= last,
                    on_click=_move,
                    args=(saved, place, other),
                )
            st.button(
                "Take out",
                key=f"_out_{finding.id}",
                on_click=_change,
                args=(saved, _without(saved.content, finding.id)),
            )


def _line(finding: SavedFinding, number: int, key: str) -> Markup:
    content = finding.content
    view = findings_data.view_of(content.bundle)
    title = link("finding", content.title, bundle=view.key if view else key, id=finding.id)
    by = [" · by ", tag("span", content.author)] if content.author else []
    return tag(
        "div",
        tag("h2", muted(f"{number}.", num=True), " ", title),
        caption(cards.subject(content), by),
        strip_of(view, content, ROW_PICTURES),
        cards.note(content.note),
        css="member",
    )


def _without(content: Collection, identifier: str) -> Collection:
    return replace(content, findings=tuple(i for i in content.findings if i != identifier))


def _move(saved: SavedCollection, place: int, other: int) -> None:
    order = list(saved.content.findings)
    order.insert(other, order.pop(place))
    _change(saved, replace(saved.content, findings=tuple(order)))


def _further(saved: SavedCollection) -> None:
    """Offer to move a finding by more than one place."""
    last = len(saved.content.findings)
    if last < LONG:
        return
    with st.form("_further_form", border=False), st.container(key="lens_further"):
        columns = st.columns([1, 1, 1, 2], gap="small", vertical_alignment="bottom")
        place = columns[0].number_input("Move number", 1, last, 1, key="_further_from")
        other = columns[1].number_input("to place", 1, last, 1, key="_further_to")
        if columns[2].form_submit_button("Move"):
            _move(saved, int(place) - 1, int(other) - 1)
            st.rerun()


def _change(saved: SavedCollection, wanted: Collection) -> None:
    try:
        findings_data.store().save_collection(saved.id, saved.version, wanted)
    except ExplorerError as error:
        st.session_state["_problem"] = f"{error} The stored version is shown."


def _texts(page: Page, saved: SavedCollection) -> None:
    """Offer to edit title and note, and to delete the collection."""
    begun, key = _begun(saved)
    with st.expander("Edit title and note, or delete"):
        with st.form("_collection_form", border=False):
            title = st.text_input(
                "Title", begun.title, max_chars=TITLE_LENGTH, key=f"_collection_title_{key}"
            )
            note = st.text_area(
                "Note (Markdown)",
                begun.note,
                max_chars=NOTE_LENGTH,
                key=f"_collection_note_{key}",
            )
            sent = st.form_submit_button("Save")
        st.button("Delete this collection", key="_delete", on_click=_delete, args=(page, saved))
    if not sent:
        return
    try:
        _save_texts(saved, begun, clean_line(title), note)
    except ExplorerError as error:
        frame.show_problems([str(error)])


def _begun(saved: SavedCollection) -> tuple[Collection, str]:
    """Return the collection as it was when this visitor was shown the form, and the form's key.

    A browser keeps what is typed under the key. It stands for the texts, so that a session made
    anew, after the computer slept say, does not take what was typed over others for theirs.
    """
    state, now = st.session_state, saved.content
    key: str = state.get(f"_form_{saved.id}", "")
    if f"_collection_title_{key}" not in state:
        key = f"{saved.id}_{zlib.crc32(json.dumps([now.title, now.note]).encode()):08x}"
        state[f"_form_{saved.id}"], state[f"_begun_{saved.id}"] = key, now
    begun: Collection = state[f"_begun_{saved.id}"]
    return begun, key


def _save_texts(saved: SavedCollection, begun: Collection, title: str, note: str) -> None:
    """Save what was typed, unless someone else changed the same texts: then show theirs first."""
    now = saved.content
    wanted = replace(now, title=title, note=note)
    st.session_state[f"_begun_{saved.id}"] = now
    if (now.title, now.note) != (begun.title, begun.note) and wanted != now:
        frame.draw(
            notice(
                "Title or note were changed meanwhile, so nothing was overwritten. Your text is "
                "above, the stored version below. Copy what you need from it, and press Save again "
                "to replace it with yours."
            ),
            tag("h2", now.title),
            cards.byline(saved),
            cards.note(now.note),
            css="panel",
        )
        return
    findings_data.store().save_collection(saved.id, saved.version, wanted)
    st.session_state[f"_begun_{saved.id}"] = wanted
    st.rerun()


def _delete(page: Page, saved: SavedCollection) -> None:
    findings_data.attempt(
        lambda: findings_data.store().delete_collection(saved.id, saved.version),
        lambda: frame.go("findings", bundle=page.view.key, show=COLLECTIONS, undo=saved.id),
    )


def _report(page: Page) -> None:
    """Draw the polysemy report of the page's bundle, computed once per process."""
    frame.title(report.TITLE)
    frame.draw(
        tag("h1", report.TITLE),
        caption(
            f"Of the bundle “{page.view.key}”. Each neuron’s top pictures were grouped by how "
            "alike the model finds them; a group counts when its labels agree on a word that the "
            "other groups do not carry. Ranked by polysemy times the share of top pictures that "
            "are confirmed in this way."
        ),
    )
    with st.spinner("Reading every neuron’s pictures …"):
        findings = page.view.held("polysemy_report", _findings)
    if not findings:
        frame.draw(tag("h2", "No neuron has meanings that the labels tell apart."), css="empty")
        return
    st.button(
        "Copy to the collections",
        key="_copy",
        type="primary",
        on_click=_copy,
        args=(page, findings),
    )
    frame.show_problems(findings_data.problems())
    view = page.view
    rows = [view.bundle.row(f.neurons[0].layer, f.neurons[0].neuron) for f in findings]
    frame.draw(
        neuron_cards(
            card(view, row, title=finding.title)
            for row, finding in zip(rows, findings, strict=True)
        )
    )


def _findings(view: View) -> list[Finding]:
    return report.report_findings(view.bundle)


def _copy(page: Page, findings: Sequence[Finding]) -> None:
    """Save the report as a collection of its own."""
    author = gate.user() or str(st.session_state.get("_author", ""))
    title = f"{report.TITLE} of {page.view.bundle.name}"[:TITLE_LENGTH].strip()
    named = [replace(finding, author=author) for finding in findings]
    try:
        made = findings_data.store().add_collection(Collection(title, author=author), named)
    except ExplorerError as error:
        st.session_state["_problem"] = str(error)
        return
    frame.go("collection", bundle=page.view.key, id=made.id)

"""Editing a finding: nobody's changes are overwritten without their being seen."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import streamlit as st

from explorer.errors import ConflictError, ExplorerError
from explorer.findings.model import (
    NOTE_LENGTH,
    TITLE_LENGTH,
    Finding,
    NeuronRef,
    SavedFinding,
    clean_line,
    clean_tags,
)
from explorer.ui.address.findings_query import format_neurons, parse_neurons
from explorer.ui.data import findings_data
from explorer.ui.findings import cards
from explorer.ui.html.elements import notice, tag
from explorer.ui.html.links import actions, link
from explorer.ui.shell import frame, gate
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import save_finding


def under_way(identifier: str) -> SavedFinding | None:
    """Return what this visitor's edit of a finding began from; None without one.

    An edit lasts while its form is shown: then the text typed into it is kept in the session.
    """
    state = st.session_state
    if f"_edit_title_{identifier}" not in state:
        state.pop(f"_base_{identifier}", None)
    base: SavedFinding | None = state.get(f"_base_{identifier}")
    return base


def form(page: Page, base: SavedFinding, now: SavedFinding | None) -> None:
    """Draw the form, begun from `base`; `now` is what is stored, None where unreadable."""
    st.session_state[f"_base_{base.id}"] = base
    before, key = base.content, base.id
    back = link("finding", "Cancel", css="button", bundle=page.view.key, id=base.id)
    frame.draw(tag("h1", f"Edit “{before.title}”"))
    if now is not None and now.deleted is not None:
        _deleted(now)
    with st.form("_edit_form", border=False):
        title = st.text_input(
            "Title", before.title, max_chars=TITLE_LENGTH, key=f"_edit_title_{key}"
        )
        neurons = ""
        if before.kind in {"neurons", "view"}:
            written = format_neurons(before.neurons)
            neurons = st.text_input("Neurons", written, key=f"_edit_neurons_{key}")
        note = st.text_area(
            "Note (Markdown)",
            before.note,
            max_chars=NOTE_LENGTH,
            height=260,
            key=f"_edit_note_{key}",
        )
        tags = st.text_input("Tags", ", ".join(before.tags), key=f"_edit_tags_{key}")
        author = before.author
        if not gate.user():  # else it stays with who first saved it
            author = save_finding.author_input(f"_edit_author_{key}", before.author)
        with st.container(horizontal=True, vertical_alignment="center"):
            sent = st.form_submit_button("Save", type="primary")
            frame.draw(actions(back))
    if not sent:
        return
    try:
        wanted = replace(
            before,
            title=clean_line(title),
            neurons=_neurons(before, neurons),
            note=note,
            tags=clean_tags(tags),
            author=author,
        )
        _save(page, base, wanted)
    except ExplorerError as error:
        frame.show_problems([str(error)])


def _deleted(now: SavedFinding) -> None:
    """Say that someone deleted it meanwhile; what is written stays."""
    frame.draw(
        notice(
            "This finding was deleted meanwhile. Your text is still below: restore the finding "
            "to save it."
        )
    )
    frame.show_problems(findings_data.problems())
    again = partial(findings_data.restore, now)
    st.button("Restore it", key="_restore", on_click=findings_data.attempt, args=(again,))


def _neurons(before: Finding, text: str) -> tuple[NeuronRef, ...]:
    """Read the neurons that are written; where the bundle is here, it must have them."""
    view = findings_data.view_of(before.bundle)
    return save_finding.checked_neurons(view, text) if view else parse_neurons(text)


def _save(page: Page, base: SavedFinding, wanted: Finding) -> None:
    try:
        findings_data.store().save(base.id, base.version, wanted)
    except ConflictError as error:
        theirs = findings_data.store().get(base.id)
        _conflict(str(error), theirs)
        if theirs.deleted is None:  # the next attempt is made knowing what is there
            st.session_state[f"_base_{base.id}"] = replace(base, version=theirs.version)
        return
    frame.go("finding", bundle=page.view.key, id=base.id)
    st.rerun()


def meanwhile(now: SavedFinding) -> None:
    """Say that the address is of an edit that began before the stored version was saved.

    Its session has ended, while the computer slept say; the browser still shows what was typed.
    """
    _conflict("This finding was changed since this edit began.", now)


def _conflict(reason: str, theirs: SavedFinding) -> None:
    frame.draw(
        notice(
            f"{reason} Your text is above, the stored version below. Copy what you need from it, "
            "and press Save again to replace it with yours."
        ),
        tag("h2", theirs.content.title),
        cards.byline(theirs),
        tag("p", f"Tags: {', '.join(theirs.content.tags) or 'none'}", css="muted"),
        cards.note(theirs.content.note),
        css="panel",
    )

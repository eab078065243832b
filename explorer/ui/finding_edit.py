"""Editing a finding: nobody's changes are overwritten without their being seen."""

from __future__ import annotations

from dataclasses import replace
from html import escape

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
from explorer.ui import findings_data, findings_parts, frame, gate, parts, save_finding
from explorer.ui.findings_query import read_neurons, write_neurons
from explorer.ui.frame import Page


def leave(identifier: str) -> None:
    """Forget an edit under way, so that the next one begins from what is stored then."""
    st.session_state.pop(f"_base_{identifier}", None)


def form(page: Page, saved: SavedFinding) -> None:
    """The form, begun from the finding as it was when the edit began."""
    base = _base(saved)
    before = base.content
    back = parts.link("finding", "Cancel", css="button", bundle=page.view.key, id=saved.id)
    frame.draw(f"<h1>Edit “{escape(before.title)}”</h1>")
    with st.form("_edit_form", border=False):
        title = st.text_input("Title", before.title, max_chars=TITLE_LENGTH, key="_edit_title")
        neurons = ""
        if before.neurons:
            neurons = st.text_input("Neurons", write_neurons(before.neurons), key="_edit_neurons")
        note = st.text_area(
            "Note (Markdown)", before.note, max_chars=NOTE_LENGTH, height=260, key="_edit_note"
        )
        tags = st.text_input("Tags", ", ".join(before.tags), key="_edit_tags")
        author = before.author
        if not gate.user():  # else it stays with who first saved it
            author = save_finding.author_input("_edit_author", before.author)
        sent = st.form_submit_button("Save", type="primary")
    frame.draw(f'<div class="actions">{back}</div>')
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
        _save(page, saved, wanted)
    except ExplorerError as error:
        frame.show_problems([str(error)])


def _neurons(before: Finding, text: str) -> tuple[NeuronRef, ...]:
    """The neurons that are written; where the bundle is here, it must have them."""
    view = findings_data.view_of(before.bundle)
    return save_finding.checked_neurons(view, text) if view else read_neurons(text)


def _base(saved: SavedFinding) -> SavedFinding:
    """The finding as it was when this visitor began to edit it."""
    base: SavedFinding = st.session_state.setdefault(f"_base_{saved.id}", saved)
    return base


def _save(page: Page, saved: SavedFinding, wanted: Finding) -> None:
    key = f"_base_{saved.id}"
    base: SavedFinding = st.session_state[key]
    try:
        findings_data.store().save(saved.id, base.version, wanted)
    except ConflictError as error:
        theirs = findings_data.store().get(saved.id)
        _conflict(str(error), theirs)
        if theirs.deleted is None:  # the next attempt is made knowing what is there
            st.session_state[key] = replace(base, version=theirs.version)
        return
    leave(saved.id)
    frame.go("finding", bundle=page.view.key, id=saved.id)
    st.rerun()


def _conflict(reason: str, theirs: SavedFinding) -> None:
    frame.draw(
        parts.notice(
            f"{reason} Your text still stands above; what is stored now stands below. Take over "
            "what you need from it and press Save again to put yours in its place."
        ),
        f"<h2>{escape(theirs.content.title)}</h2>",
        findings_parts.byline(theirs),
        f'<p class="muted">Tags: {escape(", ".join(theirs.content.tags)) or "none"}</p>',
        findings_parts.note(theirs.content.note),
        css="panel",
    )

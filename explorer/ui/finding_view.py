"""One finding's page: what was seen, the neurons or the picture it is about, how to pass it on."""

from __future__ import annotations

from html import escape

import streamlit as st

from explorer.errors import ExplorerError, InputError
from explorer.findings.model import ORIGIN, Collection, SavedFinding
from explorer.findings.snapshot import absence
from explorer.ui import (
    finding_edit,
    finding_maps,
    finding_share,
    findings_data,
    findings_parts,
    frame,
    glossary,
    grouping,
    parts,
)
from explorer.ui.frame import NAVIGATION, Page
from explorer.ui.loaders import View
from explorer.ui.save_finding import NEW_COLLECTION

IN_FULL = 4  # neurons that are shown with all their pictures; more become cards
PICTURES = 15
LARGE = 480  # pixels of the long side of a picture of its own


def body(page: Page) -> None:
    """The finding that the address names, or why there is none."""
    identifier = page.params.get("id", "")
    try:
        saved = findings_data.store().get(identifier)
        if saved.deleted is not None:
            _deleted(page, saved)
        elif page.params.get("edit") == "1":
            finding_edit.form(page, saved)
        else:
            finding_edit.leave(saved.id)
            _finding(page, saved)
    except ExplorerError as error:
        lost(page, "finding", str(error))


def lost(page: Page, what: str, reason: str) -> None:
    """The empty state of a finding or collection that cannot be shown."""
    every = parts.link("findings", "All findings", css="button", bundle=page.view.key)
    frame.draw(
        f"<h1>This {what} cannot be shown</h1>",
        parts.notice(reason),
        f'<p><br></p><div class="actions">{every}</div>',
        css="empty",
    )


def _deleted(page: Page, saved: SavedFinding) -> None:
    frame.draw(
        f"<h1>{escape(saved.content.title)}</h1>",
        parts.notice("This finding was deleted."),
    )
    st.button("Bring it back", key="_restore", on_click=_restore, args=(saved.id,))


def _restore(identifier: str) -> None:
    findings_data.store().restore(identifier)


def _finding(page: Page, saved: SavedFinding) -> None:
    content = saved.content
    frame.title(content.title)
    frame.draw(
        f"<h1>{escape(content.title)}</h1>",
        findings_parts.byline(saved),
        findings_parts.tags(content, page.view.key),
        findings_parts.note(content.note),
    )
    _actions(page, saved)
    view = findings_data.view_of(content.bundle)
    if view is None:
        frame.draw(parts.notice(absence(content.bundle)))
    elif content.neurons:
        _neurons(view, saved)
    else:
        _picture(view, saved)
    _groups(page, saved)
    finding_share.section(page, saved)


def _actions(page: Page, saved: SavedFinding) -> None:
    edit = parts.link("finding", "Edit", css="button", bundle=page.view.key, id=saved.id, edit=1)
    origin = findings_data.origin_href(saved.content)
    if origin:
        name = str(saved.content.settings[ORIGIN])
        shown = escape(NAVIGATION.get(name, name.capitalize()))
        edit = (
            f'<a class="button" href="{escape(origin)}" data-page="{escape(name)}">'
            f"Open where it was found: {shown}</a>{edit}"
        )
    with st.container(horizontal=True, vertical_alignment="center", key="lens_actions"):
        frame.draw(f'<div class="actions">{edit}</div>')
        st.button("Delete", key="_delete", on_click=_delete, args=(page, saved))
    problem = st.session_state.pop("_delete_problem", "")
    if problem:
        frame.show_problems([problem])


def _delete(page: Page, saved: SavedFinding) -> None:
    try:
        findings_data.store().delete(saved.id, saved.version)
    except ExplorerError as error:
        st.session_state["_delete_problem"] = str(error)
        return
    frame.go("findings", bundle=page.view.key, undo=saved.id)


def _neurons(view: View, saved: SavedFinding) -> None:
    content = saved.content
    rows = findings_parts.known_rows(view, content)
    if len(rows) < len(content.neurons):
        missing = f"{len(content.neurons) - len(rows)} of its neurons are not in this bundle."
        frame.draw(parts.notice(missing))
    if len(rows) > IN_FULL:
        frame.draw(f"<h2>{len(rows)} neurons</h2>", parts.cards(parts.card(view, r) for r in rows))
        return
    for row in rows:
        _neuron(view, row, saved)


def _neuron(view: View, row: int, saved: SavedFinding) -> None:
    layer, neuron = view.place(row)
    places = [(ref.layer, ref.neuron) for ref in saved.content.neurons]
    address = findings_data.subject_href(saved.content, places.index((layer, neuron)))
    clusters = grouping.concept_clusters(view, row)
    pictures = grouping.top_pictures(view, row, grouping.POSITIVE, clusters, PICTURES)
    name = glossary.neuron_name(layer, neuron)
    frame.draw(
        f'<h2><a href="{escape(address)}" data-page="neuron">{name}</a></h2>'
        f'<p class="caption">{escape(str(view.neurons["concepts"].iloc[row]))}. The pictures with '
        "its strongest effect; the number is the effect minus its mean, in units of the output "
        "before normalisation.</p>",
        parts.legend(clusters),
        parts.tiles(view, pictures),
    )


def _picture(view: View, saved: SavedFinding) -> None:
    content = saved.content
    number = content.image
    if number is None:
        name = "A picture of its own"
        shown = findings_parts.strip(findings_parts.copy(content, LARGE))
    elif number < len(view.labels):
        name = f"Picture {number:,}: {view.labels[number]}"
        shown = parts.strip(view, [number])
    else:
        frame.draw(parts.notice(f"This bundle has no picture {number}."))
        return
    address = findings_data.subject_href(content, identifier=saved.id)
    linked = (
        f'<a href="{escape(address)}" data-page="image">{escape(name)}</a>'
        if address
        else escape(name)
    )
    chips = "".join(f'<span class="chip">{escape(text)}</span>' for text in content.texts)
    frame.draw(
        f"<h2>{linked}</h2>",
        f'<p class="caption">Looked at for:</p><div class="chips">{chips}</div>' if chips else "",
        f'<div class="picture-large">{shown}</div>',
        _maps(view, saved),
    )


def _maps(view: View, saved: SavedFinding) -> str:
    """Where each of its texts comes from in the picture."""
    try:
        found = finding_maps.heatmaps(view, saved.content)
    except InputError as error:
        return parts.notice(str(error))
    shots = "".join(
        f'<figure class="shot"><img src="{parts.picture_source(file)}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, file in found
    )
    return f'<div class="shots">{shots}</div>' if shots else ""


def _groups(page: Page, saved: SavedFinding) -> None:
    """The collections it is in, and a way into further ones."""
    store = findings_data.store()
    inside = {group.id: group.content.title for group in store.collections(holding=saved.id)}
    others = {g.id: g.content.title for g in store.collections() if g.id not in inside}
    links = " · ".join(
        parts.link("collection", escape(title), bundle=page.view.key, id=identifier)
        for identifier, title in inside.items()
    )
    frame.draw(f"<h2>Collections</h2><p>{links or 'In none yet.'}</p>")
    with st.form("_add_form", border=False), st.container(key="lens_tools"):
        columns = st.columns([1, 1, 0.6], gap="small", vertical_alignment="bottom")
        group = columns[0].selectbox(
            "Add to",
            [*others, NEW_COLLECTION],
            format_func=lambda choice: others.get(choice, choice),
            key="_add_group",
        )
        name = columns[1].text_input("Title of a new collection", key="_add_name")
        sent = columns[2].form_submit_button("Add")
    if not sent:
        return
    try:
        if group == NEW_COLLECTION:
            made = Collection(" ".join(name.split()), author=saved.content.author)
            group = store.add_collection(made).id
        store.append(group, saved.id)
    except InputError as error:
        frame.show_problems([str(error)])
        return
    st.rerun()

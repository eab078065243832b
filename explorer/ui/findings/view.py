"""One finding's page: what was seen, the neurons or the picture it is about, how to pass it on."""

from __future__ import annotations

from functools import partial
from html import escape

import streamlit as st

from explorer.errors import ExplorerError, InputError
from explorer.findings.model import ORIGIN, Collection, SavedCollection, SavedFinding, clean_line
from explorer.findings.snapshot import absence
from explorer.ui.core import glossary
from explorer.ui.data import findings_data, grouping
from explorer.ui.data.loaders import View
from explorer.ui.findings import edit as finding_edit
from explorer.ui.findings import maps as finding_maps
from explorer.ui.findings import parts as findings_parts
from explorer.ui.findings import share as finding_share
from explorer.ui.html import parts
from explorer.ui.shell import frame, gate
from explorer.ui.shell.frame import Page
from explorer.ui.widgets.save_finding import NEW_COLLECTION

IN_FULL = 4  # neurons that are shown with all their pictures; more become cards
PICTURES = 15
LARGE = 480  # pixels of the long side of a picture of its own


def body(page: Page) -> None:
    """The finding that the address names, or why there is none."""
    identifier = page.params.get("id", "")
    editing = finding_edit.under_way(identifier) if page.params.get("edit") == "1" else None
    try:
        saved = findings_data.store().get(identifier)
        if page.params.get("edit") == "1" and (editing or saved.deleted is None):
            finding_edit.form(page, editing or saved, saved)
        elif saved.deleted is not None:
            deleted(saved)
        else:
            _finding(page, saved)
    except ExplorerError as error:
        if editing:  # what is being written is not lost with what it was made from
            frame.show_problems([str(error)])
            finding_edit.form(page, editing, None)
        else:
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


def deleted(saved: SavedFinding | SavedCollection) -> None:
    """What stands where something was deleted, and the way to have it back."""
    what = "finding" if isinstance(saved, SavedFinding) else "collection"
    frame.draw(f"<h1>{escape(saved.content.title)}</h1>", parts.notice(f"This {what} was deleted."))
    frame.show_problems(findings_data.problems())
    again = partial(findings_data.restore, saved)
    st.button("Bring it back", key="_restore", on_click=findings_data.attempt, args=(again,))


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
    elif content.kind != "view":
        _picture(view, saved)
    _groups(page, saved)
    finding_share.section(page, saved)


def _actions(page: Page, saved: SavedFinding) -> None:
    edit = parts.link("finding", "Edit", css="button", bundle=page.view.key, id=saved.id, edit=1)
    content = saved.content
    address, name = findings_data.origin_href(content), content.origin
    if ORIGIN not in content.settings and len(content.neurons) < 2:
        address = findings_data.subject_href(content, identifier=saved.id)
        name = "neuron" if content.neurons else "image"
    if address:
        edit = (
            f'<a class="button first" href="{escape(address)}" data-page="{escape(name)}">'
            f"Open as it was found: {escape(findings_parts.page_name(name))}</a>{edit}"
        )
    with st.container(horizontal=True, vertical_alignment="center", key="lens_actions"):
        frame.draw(f'<div class="actions">{edit}</div>')
        st.button("Delete", key="_delete", on_click=_delete, args=(page, saved))
    frame.show_problems(findings_data.problems())


def _delete(page: Page, saved: SavedFinding) -> None:
    findings_data.attempt(
        lambda: findings_data.store().delete(saved.id, saved.version),
        lambda: frame.go("findings", bundle=page.view.key, undo=saved.id),
    )


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
        shown = findings_parts.copy(content, LARGE)
    elif number < len(view.labels):
        name = f"Picture {number:,}: {view.labels[number]}"
        shown = parts.image(view, number)
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
        _maps(view, saved, shown),
    )


def _maps(view: View, saved: SavedFinding, shown: str) -> str:
    """The picture, and beside it where each of its texts comes from."""
    problem, maps = "", []
    try:
        with st.spinner("The model reads the picture …"):
            maps = finding_maps.heatmaps(view, saved.content)
    except InputError as error:
        problem = parts.notice(str(error))
    images = [(shown, "The picture")] + [
        (f'<img src="{parts.picture_source(file)}" alt="{escape(caption)}">', escape(caption))
        for caption, file in maps
    ]
    shots = "".join(
        f'<figure class="shot">{image}<figcaption>{caption}</figcaption></figure>'
        for image, caption in images
    )
    return f'{problem}<div class="shots">{shots}</div>'


def _groups(page: Page, saved: SavedFinding) -> None:
    """The collections it is in, and a way into further ones."""
    store = findings_data.store()
    inside = store.titles(holding=saved.id)
    others = {key: title for key, title in store.titles().items() if key not in inside}
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
            author = gate.user() or str(st.session_state.get("_author", ""))
            store.add_collection(Collection(clean_line(name), (saved.id,), author=author))
        else:
            store.append(group, saved.id)
    except ExplorerError as error:
        frame.show_problems([str(error)])
        return
    st.rerun()

"""One finding's page: what was seen, the neurons or the picture it is about, how to pass it on."""

from __future__ import annotations

from functools import partial

import streamlit as st
from markupsafe import Markup

from explorer.errors import ExplorerError, InputError
from explorer.findings.model import ORIGIN, Collection, SavedCollection, SavedFinding, clean_line
from explorer.findings.snapshot import absence
from explorer.ui.address.address import whole
from explorer.ui.core import glossary
from explorer.ui.data import findings_data, grouping
from explorer.ui.data.loaders import View
from explorer.ui.findings import cards, edit, heatmaps, share
from explorer.ui.findings.pictures import known_rows, own_picture
from explorer.ui.html import maps, pictures, shots
from explorer.ui.html.cards import card, legend, named
from explorer.ui.html.cards import cards as neuron_cards
from explorer.ui.html.elements import NOTHING, Child, caption, joined, notice, tag
from explorer.ui.html.links import actions, chips, link
from explorer.ui.shell import frame, gate
from explorer.ui.shell.frame import Page
from explorer.ui.widgets.save_finding import NEW_COLLECTION, NEW_TITLE, asks_new

IN_FULL = 4  # neurons that are shown with all their pictures; more become cards
PICTURES = 15
LARGE = 480  # pixels of the long side of a picture of its own


def body(page: Page) -> None:
    """Draw the finding that the address names, or why there is none."""
    identifier = page.params.get("id", "")
    if not identifier:
        lost(page, "finding", "No finding was named.")
        return
    version = whole(page.params.get("edit", "")) or 0
    begun = edit.under_way(identifier) if version else None
    try:
        saved = findings_data.store().get(identifier)
        if version and (begun or saved.deleted is None):
            edit.form(page, begun or saved, saved)
            if not begun and version < saved.version:
                edit.meanwhile(saved)
        elif saved.deleted is not None:
            deleted(saved)
        else:
            _finding(page, saved)
    except ExplorerError as error:
        if begun:  # what is being written is not lost with what it was made from
            frame.show_problems([str(error)])
            edit.form(page, begun, None)
        else:
            lost(page, "finding", str(error))


def lost(page: Page, what: str, reason: str) -> None:
    """Say why a finding or collection cannot be shown."""
    every = link("findings", "All findings", css="button", bundle=page.view.key)
    frame.draw(
        tag("h1", f"This {what} cannot be shown"),
        notice(reason),
        tag("p", tag("br")),
        actions(every),
        css="empty",
    )


def deleted(saved: SavedFinding | SavedCollection) -> None:
    """Say that something was deleted, and offer to bring it back."""
    what = "finding" if isinstance(saved, SavedFinding) else "collection"
    frame.draw(tag("h1", saved.content.title), notice(f"This {what} was deleted."))
    frame.show_problems(findings_data.problems())
    again = partial(findings_data.restore, saved)
    st.button("Restore it", key="_restore", on_click=findings_data.attempt, args=(again,))


def _finding(page: Page, saved: SavedFinding) -> None:
    content = saved.content
    frame.title(content.title)
    frame.draw(
        tag("h1", content.title),
        cards.byline(saved),
        cards.tags(content, page.view.key),
        cards.note(content.note),
    )
    _actions(page, saved)
    view = findings_data.view_of(content.bundle)
    if view is None:
        frame.draw(notice(absence(content.bundle)))
    elif content.neurons:
        _neurons(view, saved)
    elif content.kind != "view":
        _picture(view, saved)
    _groups(page, saved)
    share.section(page, saved)


def _actions(page: Page, saved: SavedFinding) -> None:
    ways = [
        link("finding", "Edit", css="button", bundle=page.view.key, id=saved.id, edit=saved.version)
    ]
    content = saved.content
    address, name = findings_data.origin_href(content), content.origin
    if ORIGIN not in content.settings and len(content.neurons) < 2:
        address = findings_data.subject_href(content, identifier=saved.id)
        name = "neuron" if content.neurons else "image"
    if address:
        text = f"Open as it was found: {cards.page_name(name)}"
        ways.insert(0, tag("a", text, css="button first", href=address, data_page=name))
    with st.container(horizontal=True, vertical_alignment="center", key="lens_actions"):
        frame.draw(actions(*ways))
        st.button("Delete", key="_delete", on_click=_delete, args=(page, saved))
    frame.show_problems(findings_data.problems())


def _delete(page: Page, saved: SavedFinding) -> None:
    findings_data.attempt(
        lambda: findings_data.store().delete(saved.id, saved.version),
        lambda: frame.go("findings", bundle=page.view.key, undo=saved.id),
    )


def _neurons(view: View, saved: SavedFinding) -> None:
    content = saved.content
    rows = known_rows(view, content)
    if len(rows) < len(content.neurons):
        missing = f"{len(content.neurons) - len(rows)} of its neurons are not in this bundle."
        frame.draw(notice(missing))
    if len(rows) > IN_FULL:
        shown = neuron_cards(card(view, row) for row in rows)
        frame.draw(tag("h2", f"{len(rows)} neurons"), shown)
        return
    for row in rows:
        _neuron(view, row, saved)


def _neuron(view: View, row: int, saved: SavedFinding) -> None:
    layer, neuron = view.place(row)
    places = [(ref.layer, ref.neuron) for ref in saved.content.neurons]
    address = findings_data.subject_href(saved.content, places.index((layer, neuron)))
    clusters = grouping.told_clusters(view, row)
    strongest = grouping.top_pictures(view, row, grouping.POSITIVE, clusters, PICTURES)
    name = glossary.neuron_name(layer, neuron)
    frame.draw(
        tag("h2", tag("a", name, href=address, data_page="neuron")),
        caption(
            named(view.title(row), "span"),
            ". The pictures with its strongest effect; the number is the effect minus its mean, in "
            "units of the output before normalisation.",
        ),
        legend(clusters),
        pictures.tiles(view, strongest),
    )


def _picture(view: View, saved: SavedFinding) -> None:
    content = saved.content
    number = content.image
    if number is None:
        name = "A picture of its own"
        shown = own_picture(content, LARGE)
    elif number < len(view.labels):
        name = f"Picture {number:,}: {view.labels[number]}"
        shown = pictures.image(view, number)
    else:
        frame.draw(notice(f"This bundle has no picture {number}."))
        return
    address = findings_data.subject_href(content, identifier=saved.id)
    linked: Child = tag("a", name, href=address, data_page="image") if address else name
    texts = chips(tag("span", text, css="chip") for text in content.texts)
    frame.draw(
        tag("h2", linked),
        joined([caption("Looked at for:"), texts]) if content.texts else NOTHING,
        _maps(view, saved, shown),
    )


def _maps(view: View, saved: SavedFinding, shown: Markup) -> Markup:
    """Show the picture, and beside it where each of its texts comes from."""
    problem, found = NOTHING, []
    try:
        with st.spinner("Reading the picture …"):
            found = heatmaps.draw(view, saved.content)
    except InputError as error:
        problem = notice(str(error))
    figures = [shots.figure(shown, "The picture"), *map(_map, found)]
    unsure = maps.doubts([drawn.text for drawn in found if drawn.doubtful])
    return joined([problem, unsure, shots.grid(figures)])


def _map(drawn: heatmaps.DrawnMap) -> Markup:
    image = tag("img", src=pictures.picture_source(drawn.file), alt=drawn.name)
    said = maps.map_caption(drawn.place, drawn.text, drawn.end, drawn.opacity, drawn.confidence)
    return shots.figure(image, said)


def _groups(page: Page, saved: SavedFinding) -> None:
    """Show the collections it is in, and offer further ones."""
    store = findings_data.store()
    inside = store.titles(holding=saved.id)
    others = {key: title for key, title in store.titles().items() if key not in inside}
    links = [
        link("collection", title, bundle=page.view.key, id=identifier)
        for identifier, title in inside.items()
    ]
    frame.draw(tag("h2", "Collections"), tag("p", joined(links, " · ") or "In none yet."))
    with st.form("_add_form", border=False), st.container(key="lens_tools"):
        columns = st.columns([1, 1, 0.6], gap="small", vertical_alignment="bottom")
        group = columns[0].selectbox(
            "Add to",
            [*others, NEW_COLLECTION],
            format_func=lambda choice: others.get(choice, choice),
            key="_add_group",
        )
        name = columns[1].text_input(NEW_TITLE, key="_add_name")
        sent = columns[2].form_submit_button("Add")
    if not sent:
        return
    try:
        if asks_new(group, name):
            author = gate.user() or str(st.session_state.get("_author", ""))
            store.add_collection(Collection(clean_line(name), (saved.id,), author=author))
        else:
            store.append(group, saved.id)
    except ExplorerError as error:
        frame.show_problems([str(error)])
        return
    st.rerun()

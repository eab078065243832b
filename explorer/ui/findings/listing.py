"""The Findings page: what there is, filtered and sorted as the address says; imports; undo."""

from __future__ import annotations

import re
from typing import Any

import streamlit as st
from markupsafe import Markup

from explorer.errors import ExplorerError, InputError
from explorer.findings import archive
from explorer.findings.model import (
    TITLE_LENGTH,
    Collection,
    NeuronRef,
    SavedCollection,
    SavedFinding,
    clean_line,
)
from explorer.findings.queries import Wanted
from explorer.findings.store import PER_PAGE, Facets, Merged, Store
from explorer.ui.address.address import WORD_LENGTH
from explorer.ui.address.findings_query import (
    COLLECTIONS,
    DELETED,
    FINDINGS,
    IMPORT,
    REPORT,
    SHOWS,
    SORT_NAMES,
    FindingsQuery,
)
from explorer.ui.data import findings_data
from explorer.ui.findings import cards
from explorer.ui.findings.pictures import CARD_PICTURES
from explorer.ui.html.cards import cards as grid
from explorer.ui.html.elements import caption, joined, notice, tag
from explorer.ui.html.links import actions, link, pager
from explorer.ui.shell import frame, gate
from explorer.ui.shell.frame import Page

EVERY = "all"
FEW = 6  # collections that need no search


def body(page: Page, query: FindingsQuery) -> None:
    """Draw the chosen part of the page, or one sentence on why the database cannot be used."""
    frame.draw(
        tag("h1", "Findings"),
        caption(
            "What people saw in neurons and pictures, with their notes. Save one from any page; "
            "every finding and collection has an address to share."
        ),
    )
    try:
        store = findings_data.store()
        frame.show_problems(findings_data.problems())
        _undo(page, query, store)
        _parts(page, query)
        {FINDINGS: _findings, COLLECTIONS: _collections, DELETED: _deleted, IMPORT: _import}[
            query.show
        ](page, query, store)
    except ExplorerError as error:
        frame.show_problems([str(error)])


def _parts(page: Page, query: FindingsQuery) -> None:
    st.session_state["_show"] = query.show
    st.segmented_control(
        "Part",
        list(SHOWS),
        format_func=lambda show: SHOWS[show],
        key="_show",
        label_visibility="collapsed",
        on_change=_switch,
        args=(page,),
    )


def _switch(page: Page) -> None:
    frame.address(page, **FindingsQuery(show=st.session_state["_show"] or FINDINGS).params())


def _undo(page: Page, query: FindingsQuery, store: Store) -> None:
    """Say what was deleted a moment ago, and offer to bring it back."""
    if not query.undo:
        return
    get = store.get_collection if query.show == COLLECTIONS else store.get
    try:
        saved: SavedFinding | SavedCollection = get(query.undo)
    except InputError as error:
        frame.show_problems([str(error)])
        return
    if saved.deleted is None:
        return
    with st.container(key="lens_undo", horizontal=True, vertical_alignment="center"):
        frame.draw(notice(f"“{saved.content.title}” was deleted."))
        st.button("Undo", key="_undo", on_click=_restore, args=(page, saved))


def _restore(page: Page, saved: SavedFinding | SavedCollection) -> None:
    name = "finding" if isinstance(saved, SavedFinding) else "collection"
    findings_data.attempt(
        lambda: findings_data.restore(saved),
        lambda: frame.go(name, bundle=page.view.key, id=saved.id),
    )


def _findings(page: Page, query: FindingsQuery, store: Store) -> None:
    facets = store.facets()
    _toolbar(page, query, facets)
    about = re.fullmatch(r"([0-9]{1,4})[.]([0-9]{1,9})", query.word)
    neuron = NeuronRef(int(about[1]), int(about[2])) if about else None
    word = "" if neuron else query.word
    wanted = Wanted(word, query.tag, query.author, query.of, neuron, query.sort)
    total = store.count(wanted)
    if not total:
        frame.draw(*_nothing(page, bool(facets.bundles)), css="empty")
        return
    pages = -(-total // PER_PAGE)
    shown = min(query.page, pages)
    found = store.find(wanted, shown)
    first = (shown - 1) * PER_PAGE + 1
    frame.draw(
        caption(
            tag("b", f"{total:,}"),
            f" finding{'' if total == 1 else 's'}, {first:,} to {first + len(found) - 1:,} shown.",
        ),
        cards.finding_cards(found, page.view.key),
        _pager(page, query.at(shown), pages),
    )


def _toolbar(page: Page, query: FindingsQuery, facets: Facets) -> None:
    """Offer word, tag, author, bundle and order; each change is a new address."""
    state = st.session_state
    state["_word"], state["_sort"] = query.word, query.sort
    bundles = {ref.digest: f"{ref.name} ({ref.digest[:6]})" for ref in facets.bundles}
    choices: dict[str, dict[str, str]] = {
        "tag": {tag: f"{tag} ({count})" for tag, count in facets.tags.items()},
        "author": {name: f"{name} ({count})" for name, count in facets.authors.items()},
        "of": bundles,
    }
    change: dict[str, Any] = {"on_change": _changed, "args": (page, query)}
    with st.container(key="lens_tools"):
        columns = st.columns([1.5, 1, 1, 1, 1], gap="small")
    columns[0].text_input(
        "Search", key="_word", placeholder="title, note, 9.105", max_chars=WORD_LENGTH, **change
    )
    names = {"tag": "Tag", "author": "Author", "of": "Bundle"}
    for column, (key, known) in zip(columns[1:4], choices.items(), strict=True):
        asked = getattr(query, key)
        offered = {EVERY: "all", **({asked: asked} if asked else {}), **known}
        state[f"_{key}"] = asked or EVERY
        column.selectbox(
            names[key], list(offered), format_func=offered.__getitem__, key=f"_{key}", **change
        )
    columns[4].selectbox(
        "Sort by", list(SORT_NAMES), format_func=SORT_NAMES.__getitem__, key="_sort", **change
    )


def _changed(page: Page, before: FindingsQuery) -> None:
    state = st.session_state
    tag, author, of = (
        "" if state[f"_{key}"] == EVERY else str(state[f"_{key}"])
        for key in ("tag", "author", "of")
    )
    word = clean_line(state["_word"])
    query = FindingsQuery(before.show, word, tag, author, of, state["_sort"])
    frame.address(page, **query.params())


def _nothing(page: Page, some: bool) -> list[Markup]:
    key = page.view.key
    if some:
        every = link("findings", "Show all findings", css="button", bundle=key)
        return [tag("h2", "Nothing found"), tag("p", "No finding matches these filters."), every]
    report = link("collection", "Open the polysemy report", css="button", bundle=key, id=REPORT)
    begin = (
        "Press “Save as finding” on any page, or start with the neurons of this bundle that have "
        "several meanings:"
    )
    return [tag("h2", "No findings yet"), tag("p", begin), actions(report)]


def _pager(page: Page, query: FindingsQuery, pages: int) -> Markup:
    params = query.at(1).params()
    return pager("findings", query.page, pages, bundle=page.view.key, **params)


def _collections(page: Page, query: FindingsQuery, store: Store) -> None:
    key, every = page.view.key, store.count_collections()
    if every > FEW:
        st.session_state["_word"] = query.word
        with st.container(key="lens_tools"):
            st.columns([1.5, 4])[0].text_input(
                "Search",
                key="_word",
                placeholder="title, note, author",
                max_chars=WORD_LENGTH,
                on_change=_searched,
                args=(page, query),
            )
    total = store.count_collections(query.word) if query.word else every
    pages = max(1, -(-total // PER_PAGE))
    shown = min(query.page, pages)
    shown_cards = [] if query.word else [_report_card(page)]
    for saved in store.collections(query.word, page=shown):
        members = store.members(saved, most=CARD_PICTURES)
        shown_cards.append(cards.collection_card(saved, members, key))
    if shown_cards:
        frame.draw(grid(shown_cards), _pager(page, query.at(shown), pages))
    else:
        back = link("findings", "Show all", css="button", bundle=key, show=COLLECTIONS)
        frame.draw(
            tag("h2", "Nothing found"), tag("p", "No collection contains these words."), back
        )
    with st.form("_new_collection", border=False), st.container(key="lens_new"):
        columns = st.columns([1.5, 1, 2.5], gap="small", vertical_alignment="bottom")
        title = columns[0].text_input(
            "A new collection", placeholder="its title", key="_new_title", max_chars=TITLE_LENGTH
        )
        sent = columns[1].form_submit_button("Create")
    if sent:
        author = gate.user() or str(st.session_state.get("_author", ""))
        made = store.add_collection(Collection(clean_line(title), author=author))
        frame.go("collection", bundle=key, id=made.id)
        st.rerun()


def _searched(page: Page, before: FindingsQuery) -> None:
    word = clean_line(st.session_state["_word"])
    frame.address(page, **FindingsQuery(before.show, word).params())


def _report_card(page: Page) -> Markup:
    body = (
        tag("div", "computed from this bundle", css="where"),
        tag("div", "Most polysemantic neurons", css="concepts"),
        tag(
            "div",
            "Neurons whose top pictures fall into groups that their labels tell apart. Open it, "
            "copy it, go on from there.",
            css="excerpt",
        ),
    )
    return link("collection", body, css="card", bundle=page.view.key, id=REPORT)


def _deleted(page: Page, query: FindingsQuery, store: Store) -> None:
    wanted = Wanted(deleted=True)
    total = max(store.count(wanted), store.count_collections(deleted=True))
    if not total:
        frame.draw(tag("h2", "Nothing deleted"), css="empty")
        return
    pages = -(-total // PER_PAGE)
    shown = min(query.page, pages)
    frame.draw(caption("Deleted findings and collections stay here until they are erased."))
    for group in store.collections(deleted=True, page=shown):
        _deleted_one(page, group)
    for finding in store.find(wanted, shown):
        _deleted_one(page, finding)
    frame.draw(_pager(page, query.at(shown), pages))


def _deleted_one(page: Page, saved: SavedFinding | SavedCollection) -> None:
    collection = isinstance(saved, SavedCollection)
    kind = "Collection: " if collection else ""
    with st.container(border=True, key=f"lens_deleted_{saved.id}"):
        frame.draw(tag("h3", f"{kind}{saved.content.title}"), cards.byline(saved))
        with st.container(horizontal=True, key=f"lens_row_{saved.id}"):
            st.button("Restore", key=f"_back_{saved.id}", on_click=_restore, args=(page, saved))
            with st.popover("Delete permanently"):
                st.write("This cannot be undone.")
                st.button("Delete it", key=f"_erase_{saved.id}", on_click=_purge, args=(saved,))


def _purge(saved: SavedFinding | SavedCollection) -> None:
    findings_data.attempt(lambda: findings_data.erase(saved))


def _import(page: Page, query: FindingsQuery, store: Store) -> None:
    frame.draw(
        caption(
            "A zip file made with “JSON and pictures” on a finding or collection, here or "
            "elsewhere. It is checked before anything is stored: it must be complete, and about a "
            "bundle that is here."
        )
    )
    given = st.file_uploader("File of findings", type="zip", key="_import")
    if given is None:
        return
    try:
        contents = archive.read(given.getvalue(), findings_data.bundles())
    except InputError as error:
        frame.show_problems([str(error)])
        return
    frame.draw(
        tag(
            "p",
            f"It holds {len(contents.findings):,} findings and {len(contents.collections):,} "
            "collections, all about bundles that are here.",
        )
    )
    if st.button("Import findings", type="primary", key="_import_all"):
        merged = store.merge(contents.findings, contents.collections)
        frame.draw(_imported(page, merged))


def _imported(page: Page, merged: Merged) -> Markup:
    key = page.view.key
    opened = [
        link("collection", "Open the collection", bundle=key, id=identifier)
        for identifier in merged.collections
    ]
    ids = (*merged.added, *merged.copied)
    if len(ids) == 1:
        opened.append(link("finding", "Open the finding", bundle=key, id=ids[0]))
    said = (
        f"✓ {len(merged.added):,} added, {len(merged.present):,} were already here, "
        f"{len(merged.copied):,} added as copies because another finding has their id."
    )
    return joined([tag("p", said), tag("ul", (tag("li", way) for way in opened))])

"""The Findings page: what there is, filtered and sorted as the address says; imports; undo."""

from __future__ import annotations

import re
from html import escape
from typing import Any

import streamlit as st

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
from explorer.findings.store import PER_PAGE, Facets, Merged, Store, Wanted
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
from explorer.ui.findings import parts as findings_parts
from explorer.ui.html import parts
from explorer.ui.shell import frame, gate
from explorer.ui.shell.frame import Page

EVERY = "all"
FEW = 6  # collections that need no search


def body(page: Page, query: FindingsQuery) -> None:
    """The chosen part of the page; a database that cannot be used is said in one sentence."""
    frame.draw(
        "<h1>Findings</h1>"
        '<p class="caption">What people saw in neurons and pictures, with their notes. Save one '
        "from any page; every finding and collection has an address to share.</p>"
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
    """What was deleted a moment ago, and the way to have it back."""
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
        frame.draw(parts.notice(f"“{saved.content.title}” was deleted."))
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
        frame.draw(_nothing(page, bool(facets.bundles)), css="empty")
        return
    pages = -(-total // PER_PAGE)
    shown = min(query.page, pages)
    found = store.find(wanted, shown)
    first = (shown - 1) * PER_PAGE + 1
    frame.draw(
        f'<p class="caption"><b>{total:,}</b> finding{"" if total == 1 else "s"}, {first:,} to '
        f"{first + len(found) - 1:,} shown.</p>",
        findings_parts.cards(found, page.view.key),
        _pager(page, query.at(shown), pages),
    )


def _toolbar(page: Page, query: FindingsQuery, facets: Facets) -> None:
    """Word, tag, author, bundle and order; each change is a new address."""
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


def _nothing(page: Page, some: bool) -> str:
    key = page.view.key
    if some:
        every = parts.link("findings", "Show all findings", css="button", bundle=key)
        return f"<h2>Nothing found</h2><p>No finding passes these filters.</p>{every}"
    report = parts.link(
        "collection", "Open the polysemy report", css="button", bundle=key, id=REPORT
    )
    return (
        "<h2>No findings yet</h2><p>Press “Save as finding” on any page, or begin with the "
        f'neurons of this bundle that mean several things:</p><div class="actions">{report}</div>'
    )


def _pager(page: Page, query: FindingsQuery, pages: int) -> str:
    if pages == 1:
        return ""

    def step(number: int, text: str, rel: str) -> str:
        if not 1 <= number <= pages:
            return f'<span class="button">{text}</span>'
        params = query.at(number).params()
        return parts.link("findings", text, css="button", rel=rel, bundle=page.view.key, **params)

    return (
        '<nav class="pager" aria-label="Pages of findings">'
        f"{step(query.page - 1, '← Previous', 'prev')}"
        f'<span class="muted num">page {query.page:,} of {pages:,}</span>'
        f"{step(query.page + 1, 'Next →', 'next')}</nav>"
    )


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
    cards = [] if query.word else [_report_card(page)]
    for saved in store.collections(query.word, page=shown):
        members = store.members(saved, most=findings_parts.CARD_PICTURES)
        cards.append(findings_parts.collection_card(saved, members, key))
    if cards:
        frame.draw(parts.cards(cards), _pager(page, query.at(shown), pages))
    else:
        back = parts.link("findings", "Show all", css="button", bundle=key, show=COLLECTIONS)
        frame.draw(f"<h2>Nothing found</h2><p>No collection holds these words.</p>{back}")
    with st.form("_new_collection", border=False), st.container(key="lens_new"):
        columns = st.columns([1.5, 1, 2.5], gap="small", vertical_alignment="bottom")
        title = columns[0].text_input(
            "A new collection", placeholder="its title", key="_new_title", max_chars=TITLE_LENGTH
        )
        sent = columns[1].form_submit_button("Make it")
    if sent:
        author = gate.user() or str(st.session_state.get("_author", ""))
        made = store.add_collection(Collection(clean_line(title), author=author))
        frame.go("collection", bundle=key, id=made.id)
        st.rerun()


def _searched(page: Page, before: FindingsQuery) -> None:
    word = clean_line(st.session_state["_word"])
    frame.address(page, **FindingsQuery(before.show, word).params())


def _report_card(page: Page) -> str:
    body = (
        '<div class="where">computed from this bundle</div>'
        '<div class="concepts">Most polysemantic neurons</div>'
        '<div class="excerpt">Neurons whose top pictures fall into groups that their labels tell '
        "apart. Open it, copy it, go on from there.</div>"
    )
    return parts.link("collection", body, css="card", bundle=page.view.key, id=REPORT)


def _deleted(page: Page, query: FindingsQuery, store: Store) -> None:
    wanted = Wanted(deleted=True)
    total = max(store.count(wanted), store.count_collections(deleted=True))
    if not total:
        frame.draw("<h2>Nothing deleted</h2>", css="empty")
        return
    pages = -(-total // PER_PAGE)
    shown = min(query.page, pages)
    frame.draw('<p class="caption">Deleted findings and collections stay here until erased.</p>')
    for group in store.collections(deleted=True, page=shown):
        _deleted_one(page, group)
    for finding in store.find(wanted, shown):
        _deleted_one(page, finding)
    frame.draw(_pager(page, query.at(shown), pages))


def _deleted_one(page: Page, saved: SavedFinding | SavedCollection) -> None:
    collection = isinstance(saved, SavedCollection)
    kind = "Collection: " if collection else ""
    with st.container(border=True, key=f"lens_deleted_{saved.id}"):
        frame.draw(f"<h3>{kind}{escape(saved.content.title)}</h3>", findings_parts.byline(saved))
        with st.container(horizontal=True, key=f"lens_row_{saved.id}"):
            st.button("Bring back", key=f"_back_{saved.id}", on_click=_restore, args=(page, saved))
            with st.popover("Erase for good"):
                st.write("Nothing brings it back then.")
                st.button("Erase it", key=f"_erase_{saved.id}", on_click=_purge, args=(saved,))


def _purge(saved: SavedFinding | SavedCollection) -> None:
    findings_data.attempt(lambda: findings_data.erase(saved))


def _import(page: Page, query: FindingsQuery, store: Store) -> None:
    frame.draw(
        '<p class="caption">A zip that “JSON and pictures” of a finding or collection has made, '
        "here or elsewhere. It is checked before anything is stored: it must be whole, and about "
        "a bundle that is here.</p>"
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
        f"<p>It holds {len(contents.findings):,} findings and {len(contents.collections):,} "
        "collections, all about bundles that are here.</p>"
    )
    if st.button("Import them", type="primary", key="_import_all"):
        merged = store.merge(contents.findings, contents.collections)
        frame.draw(_imported(page, merged))


def _imported(page: Page, merged: Merged) -> str:
    key = page.view.key
    groups = "".join(
        f"<li>{parts.link('collection', 'Open the collection', bundle=key, id=identifier)}</li>"
        for identifier in merged.collections
    )
    ids = (*merged.added, *merged.copied)
    single = (
        f"<li>{parts.link('finding', 'Open the finding', bundle=key, id=ids[0])}</li>"
        if len(ids) == 1
        else ""
    )
    return (
        f"<p>✓ {len(merged.added):,} added, {len(merged.present):,} were here already, "
        f"{len(merged.copied):,} added as copies since another finding has their place.</p>"
        f"<ul>{groups}{single}</ul>"
    )

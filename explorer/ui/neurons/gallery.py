"""The Neurons page: tools that write the address, cards or a table that read it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import streamlit as st
from markupsafe import Markup

from explorer.search.query import Term, format_query
from explorer.ui.address.address import (
    LISTED,
    MATCH,
    SORTS,
    TABLE,
    TITLE_LENGTH,
    WORD_LENGTH,
    NeuronsQuery,
)
from explorer.ui.core import glossary
from explorer.ui.data import export
from explorer.ui.data.selection import Selection, select
from explorer.ui.html.cards import card, cards, match
from explorer.ui.html.elements import NOTHING, block, caption, joined, tag
from explorer.ui.html.links import anchor, choices, link, pager
from explorer.ui.neurons import table as neuron_table
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import ranges, save_finding, sieve

VIEWS = {"": "Cards", TABLE: "Table"}
ORDER_NAMES = {"desc": "largest first", "asc": "smallest first"}
LISTED_ORDER = {"desc": "from the last", "asc": "from the first"}


def toolbar(page: Page, query: NeuronsQuery) -> None:
    """Word, layers, sort, order and ranges; each change is a new address."""
    _heading(page, query)
    state = st.session_state  # the address decides: widgets are set from it on every run
    state["_word"] = query.word
    state["_layers"] = [str(layer) for layer in query.layers]
    state["_sort"] = query.sort_key
    state["_order"] = "desc" if query.falling else "asc"
    absent = {MATCH} if not query.word else set()
    absent |= {LISTED} if not query.places else set()
    sorts = [key for key in SORTS if key not in absent]
    with st.container(key="lens_tools"):
        columns = st.columns([1.5, 1.5, 1.2, 1, 0.8], gap="small", vertical_alignment="bottom")
    columns[0].text_input(
        "Concept",
        key="_word",
        placeholder="a word, e.g. bicycle",
        max_chars=WORD_LENGTH,
        on_change=_changed,
        args=(page, query),
    )
    columns[1].multiselect(
        "Layers",
        [str(layer) for layer in page.view.layers],
        key="_layers",
        placeholder="all",
        on_change=_changed,
        args=(page, query),
    )
    columns[2].selectbox(
        "Sort by", sorts, format_func=sort_name, key="_sort", on_change=_changed, args=(page, query)
    )
    columns[3].selectbox(
        "Order",
        list(ORDER_NAMES),
        format_func=(LISTED_ORDER if query.sort_key == LISTED else ORDER_NAMES).__getitem__,
        key="_order",
        on_change=_changed,
        args=(page, query),
    )
    with columns[4]:
        ranges.popover(page.view, query.ranges, lambda spans: _ranged(page, query, spans))
    ranges.chips(
        page.view,
        "neurons",
        query.ranges,
        lambda spans: replace(query, ranges=spans, page=1).params(),
    )


def _ranged(page: Page, before: NeuronsQuery, spans: ranges.Ranges) -> None:
    frame.address(page, **replace(before, ranges=spans, page=1).params())


def _heading(page: Page, query: NeuronsQuery) -> None:
    """Draw the list's title or the page's name, and the choice between cards and table."""
    params = replace(query, page=1).params() | {"bundle": page.view.key}
    views = choices("neurons", "View", VIEWS, query.view, "view", **params)
    title = (query.title or "A list of neurons") if query.places else "Neurons"
    frame.draw(tag("div", tag("h1", title), views, css="neuron-head"))
    if not query.places:
        return
    frame.title(title)
    st.session_state["_title"] = query.title
    st.text_input(
        "Title of this list",
        key="_title",
        placeholder="its name in the address",
        max_chars=TITLE_LENGTH,
        on_change=_retitled,
        args=(page, query),
    )
    every = link("neurons", "All neurons", bundle=page.view.key)
    frame.draw(
        caption(
            f"A list of {len(query.places):,} neurons, title and all in the address: pass it on as "
            "a link. ",
            every,
            ".",
        )
    )
    rows = [page.view.bundle.row(*place) for place in query.places]
    save_finding.of_neurons(page, rows, title)


def _retitled(page: Page, before: NeuronsQuery) -> None:
    title = " ".join(st.session_state["_title"].split())
    frame.address(page, **replace(before, title=title).params())


def sort_name(key: str) -> str:
    """Return what a way of sorting is called."""
    if key in glossary.MEASURES:
        return glossary.MEASURES[key].name
    names = {"layer": "Layer", "neuron": "Neuron number", LISTED: "As listed"}
    return {**names, MATCH: "Match, where texts agree"}[key]


def _changed(page: Page, before: NeuronsQuery) -> None:
    """Write the widgets' values into the address; sort and order only where they were chosen."""
    state = st.session_state
    sort = before.sort if state["_sort"] == before.sort_key else state["_sort"]
    usual = "desc" if before.falling else "asc"
    query = replace(
        before,
        page=1,
        layers=tuple(sorted(int(layer) for layer in state["_layers"])),
        sort="" if sort in (MATCH, LISTED) else sort,
        order=before.order if state["_order"] == usual else state["_order"],
        word=" ".join(state["_word"].split()),
    )
    frame.address(page, **query.params())


def results(page: Page, query: NeuronsQuery) -> None:
    """Draw one page of results as cards or a table, links to the others, and downloads."""
    selection = select(page.view, query)
    if not query.places:
        left_out = selection.hidden
        frame.draw(sieve.line(page.view, "neurons", query.params(), query.above, left_out))
    if not len(selection.rows):
        frame.draw(_nothing(page, query, selection), css="empty")
        return
    shown = min(query.page, selection.pages)
    if shown != query.page:
        frame.show_problems(
            [f"There are {selection.pages} pages of results, not {query.page}: the last is shown."]
        )
    rows = selection.page(shown)
    frame.draw(_summary(query, selection, shown))
    if query.view == TABLE:
        shown_rows = [int(row) for row in rows]
        frame.draw(neuron_table.table(page.view, query, shown_rows, selection))
    else:
        frame.draw(
            cards(card(page.view, int(row), note=_match(selection, int(row))) for row in rows)
        )
    params = {"bundle": page.view.key, **query.params()}
    frame.draw(pager("neurons", shown, selection.pages, **params))
    if not query.places:  # a list has its button above
        title = f"Neurons with “{query.word}”" if query.word else "Neurons"
        save_finding.of_neurons(page, [int(row) for row in rows], title)
    _downloads(page, query, len(selection.rows))


def _downloads(page: Page, query: NeuronsQuery, count: int) -> None:
    """Offer the whole selection as a file, made when asked for."""
    name = "neurons" if not query.places else "list"
    filters = {
        key: value
        for key, value in query.params().items()
        if key not in ("sort", "order", "view", "list", "page")
    }
    on_map = anchor(
        "atlas", {"bundle": page.view.key, **filters}, "Show on the atlas", css="button"
    )
    with st.container(key="lens_downloads", horizontal=True, vertical_alignment="center"):
        st.html(block(on_map), width="content")
        for text, suffix, mime, make in (
            ("CSV", "csv", "text/csv", export.csv_bytes),
            ("Parquet", "parquet", "application/vnd.apache.parquet", export.parquet_bytes),
        ):
            st.download_button(
                f"All {count:,} as {text}",
                partial(make, page.view, query),
                file_name=f"{page.view.key}-{name}.{suffix}",
                mime=mime,
                key=f"download_{suffix}",
                on_click="ignore",
            )


def _summary(query: NeuronsQuery, selection: Selection, page: int) -> Markup:
    first = (page - 1) * selection.per_page + 1
    last = min(page * selection.per_page, len(selection.rows))
    if query.word:
        names = ", ".join(f"“{name}”" for name in selection.texts[:6])
        more = f" and {len(selection.texts) - 6:,} more" if len(selection.texts) > 6 else ""
        end = ", those opposed to it last." if query.sort_key == MATCH else "."
        said = f"Their concept sets contain {names}{more}{end}"
    elif query.view == TABLE:
        said = (
            "Click a heading to sort by its column; every other measure is a column once it is "
            "sorted by, and all are in the files below."
        )
    else:
        said = (
            "Each card: the pictures with the strongest positive effect, and what of the neuron is "
            "above chance."
        )
    return caption(
        tag("b", f"{len(selection.rows):,}"),
        f" neurons, {first:,} to {last:,} shown, {_order_said(query)}. {said}",
    )


def _order_said(query: NeuronsQuery) -> str:
    if query.sort_key == LISTED:
        return "in reverse order of the list" if query.falling else "in the order of the list"
    return f"by {sort_name(query.sort_key).lower()}"


def _match(selection: Selection, row: int) -> Markup:
    if row not in selection.matched:
        return NOTHING
    text, weight = selection.matched[row]
    return match(f"{text} {glossary.signed(weight)}")


def _nothing(page: Page, query: NeuronsQuery, selection: Selection) -> Markup:
    key = page.view.key
    said = [tag("p", "No neuron matches all of these filters.")]
    if query.word and not selection.texts:
        near = joined((link("neurons", t, bundle=key, word=t) for t in selection.near), " · ")
        asked = format_query([Term(query.word)])
        said = [
            tag(
                "p",
                f"No text of this bundle's dictionary of {len(page.view.bundle.texts):,} contains "
                f"“{query.word}”.",
            ),
            tag("p", "Similar spellings: ", near)
            if near
            else tag("p", "Try a simpler or more common word."),
            tag(
                "p",
                "Or ",
                link("search", "search by what it means", bundle=key, q=asked),
                ": the model reads any text.",
            ),
        ]
    back = link("neurons", "Show all neurons", css="button", bundle=key)
    return joined([tag("h2", "Nothing found"), said, back])

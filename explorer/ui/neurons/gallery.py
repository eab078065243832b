"""The Neurons page: tools that write the address, cards or a table that read it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from html import escape

import streamlit as st

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
from explorer.ui.data.selection import Selection, select
from explorer.ui.html import parts
from explorer.ui.neurons import export
from explorer.ui.neurons import table as neuron_table
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import ranges, save_finding

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
    """The list's title or the page's name, and the choice between cards and table."""
    params = replace(query, page=1).params() | {"bundle": page.view.key}
    views = parts.choices("neurons", "View", VIEWS, query.view, "view", **params)
    title = (query.title or "A list of neurons") if query.places else "Neurons"
    frame.draw(f'<div class="neuron-head"><h1>{escape(title)}</h1>{views}</div>')
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
    every = parts.link("neurons", "All neurons", bundle=page.view.key)
    frame.draw(
        f'<p class="caption">A list of {len(query.places):,} neurons, title and all in the '
        f"address: pass it on as a link. {every}.</p>"
    )
    rows = [page.view.bundle.row(*place) for place in query.places]
    save_finding.of_neurons(page, rows, title)


def _retitled(page: Page, before: NeuronsQuery) -> None:
    title = " ".join(st.session_state["_title"].split())
    frame.address(page, **replace(before, title=title).params())


def sort_name(key: str) -> str:
    """What a way of sorting is called."""
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
    """One page of results as cards or a table, the way to the others, and downloads."""
    selection = select(page.view, query)
    if not len(selection.rows):
        frame.draw(_nothing(page, query, selection), css="empty")
        return
    shown = min(query.page, selection.pages)
    if shown != query.page:
        frame.show_problems(
            [f"There are {selection.pages} pages of results, not {query.page}: the last is shown."]
        )
    rows = selection.page(shown)
    frame.draw(f'<p class="caption">{_summary(query, selection, shown)}</p>')
    if query.view == TABLE:
        shown_rows = [int(row) for row in rows]
        frame.draw(neuron_table.table(page.view, query, shown_rows, selection))
    else:
        frame.draw(
            parts.cards(
                parts.card(page.view, int(row), note=_match(selection, int(row))) for row in rows
            )
        )
    params = {"bundle": page.view.key, **query.params()}
    frame.draw(parts.pager("neurons", shown, selection.pages, **params))
    if not query.places:  # a list has its button above
        title = f"Neurons with “{query.word}”" if query.word else "Neurons"
        save_finding.of_neurons(page, [int(row) for row in rows], title)
    _downloads(page, query, len(selection.rows))


def _downloads(page: Page, query: NeuronsQuery, count: int) -> None:
    """The whole selection as a file, made when asked for."""
    name = "neurons" if not query.places else "list"
    filters = {
        key: value
        for key, value in query.params().items()
        if key not in ("sort", "order", "view", "list", "page")
    }
    on_map = parts.link("atlas", "Show on the atlas", css="button", bundle=page.view.key, **filters)
    with st.container(key="lens_downloads", horizontal=True, vertical_alignment="center"):
        st.html(parts.block(on_map), width="content")
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


def _summary(query: NeuronsQuery, selection: Selection, page: int) -> str:
    first = (page - 1) * selection.per_page + 1
    last = min(page * selection.per_page, len(selection.rows))
    text = (
        f"<b>{len(selection.rows):,}</b> neurons, {first:,} to {last:,} shown, "
        f"{_order_said(query)}."
    )
    if query.word:
        names = ", ".join(f"“{escape(name)}”" for name in selection.texts[:6])
        more = f" and {len(selection.texts) - 6:,} more" if len(selection.texts) > 6 else ""
        text += f" Their concept sets contain {names}{more}"
        text += ", those opposed to it last." if query.sort_key == MATCH else "."
    elif query.view == TABLE:
        text += (
            " A heading sorts by its column. Effects are in units of the model's output before "
            "normalisation."
        )
    else:
        text += " Each card: the pictures with the strongest positive effect, the leading concepts."
    return text


def _order_said(query: NeuronsQuery) -> str:
    if query.sort_key == LISTED:
        return "in reverse order of the list" if query.falling else "in the order of the list"
    return f"by {sort_name(query.sort_key).lower()}"


def _match(selection: Selection, row: int) -> str:
    if row not in selection.matched:
        return ""
    text, weight = selection.matched[row]
    return f'<div class="match">{escape(text)} {glossary.signed(weight)}</div>'


def _nothing(page: Page, query: NeuronsQuery, selection: Selection) -> str:
    if query.word and not selection.texts:
        near = " · ".join(
            parts.link("neurons", escape(text), bundle=page.view.key, word=text)
            for text in selection.near
        )
        hint = (
            f"<p>Spelt alike: {near}</p>" if near else "<p>Try a simpler or more common word.</p>"
        )
        asked = format_query([Term(query.word)])
        meant = parts.link("search", "search by what it means", bundle=page.view.key, q=asked)
        hint += f"<p>Or {meant}: the model reads any text.</p>"
        reason = (
            f"No text of this bundle's dictionary of {len(page.view.bundle.texts):,} contains "
            f"“{escape(query.word)}”."
        )
    else:
        hint, reason = "", "No neuron passes all of these filters."
    back = parts.link("neurons", "Show all neurons", css="button", bundle=page.view.key)
    return f"<h2>Nothing found</h2><p>{reason}</p>{hint}{back}"

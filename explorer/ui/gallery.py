"""The Neurons page: tools that write the address, cards that read it."""

from __future__ import annotations

from html import escape

import streamlit as st

from explorer.ui import frame, glossary, parts
from explorer.ui.address import MATCH, SORTS, WORD_LENGTH, NeuronsQuery
from explorer.ui.frame import Page
from explorer.ui.selection import PER_PAGE, Selection, select

ORDER_NAMES = {"desc": "largest first", "asc": "smallest first"}


def toolbar(page: Page, query: NeuronsQuery) -> None:
    """Word, layers, sort and order; each change is a new address."""
    frame.draw("<h1>Neurons</h1>")
    state = st.session_state  # the address decides: widgets are set from it on every run
    state["_word"] = query.word
    state["_layers"] = [str(layer) for layer in query.layers]
    state["_sort"] = query.sort_key
    state["_order"] = "desc" if query.falling else "asc"
    sorts = [key for key in SORTS if key != MATCH or query.word]
    with st.container(key="lens_tools"):
        columns = st.columns([1.5, 1.5, 1.2, 1], gap="small")
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
        format_func=lambda order: ORDER_NAMES[order],
        key="_order",
        on_change=_changed,
        args=(page, query),
    )


def sort_name(key: str) -> str:
    """What a way of sorting is called."""
    if key in glossary.MEASURES:
        return glossary.MEASURES[key].name
    return {"layer": "Layer", "neuron": "Neuron number", MATCH: "Weight of the concept"}[key]


def _changed(page: Page, before: NeuronsQuery) -> None:
    """Write the widgets' values into the address; sort and order only where they were chosen."""
    state = st.session_state
    sort = before.sort if state["_sort"] == before.sort_key else state["_sort"]
    usual = "desc" if before.falling else "asc"
    query = NeuronsQuery(
        layers=tuple(sorted(int(layer) for layer in state["_layers"])),
        sort="" if sort == MATCH else sort,
        order=before.order if state["_order"] == usual else state["_order"],
        word=" ".join(state["_word"].split()),
    )
    frame.address(page, **query.params())


def results(page: Page, query: NeuronsQuery) -> None:
    """The cards of one page of results, and the way to the others."""
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
    frame.draw(
        parts.cards(
            parts.card(page.view, int(row), note=_match(selection, int(row))) for row in rows
        )
    )
    frame.draw(_pager(page, query.at(shown), selection.pages))


def _summary(query: NeuronsQuery, selection: Selection, page: int) -> str:
    first = (page - 1) * PER_PAGE + 1
    last = min(page * PER_PAGE, len(selection.rows))
    text = (
        f"<b>{len(selection.rows):,}</b> neurons, {first:,} to {last:,} shown, "
        f"by {sort_name(query.sort_key).lower()}."
    )
    if query.word:
        names = ", ".join(f"“{escape(name)}”" for name in selection.texts[:6])
        more = f" and {len(selection.texts) - 6:,} more" if len(selection.texts) > 6 else ""
        text += f" Their concept sets contain {names}{more}."
    else:
        text += " Each card: the pictures with the strongest positive effect, the leading concepts."
    return text


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
        reason = (
            f"No text of this bundle's dictionary of {len(page.view.bundle.texts):,} contains "
            f"“{escape(query.word)}”."
        )
    else:
        hint, reason = "", "No neuron of the chosen layers carries this concept."
    back = parts.link("neurons", "Show all neurons", css="button", bundle=page.view.key)
    return f"<h2>Nothing found</h2><p>{reason}</p>{hint}{back}"


def _pager(page: Page, query: NeuronsQuery, pages: int) -> str:
    if pages == 1:
        return ""

    def step(number: int, text: str, rel: str) -> str:
        if not 1 <= number <= pages:
            return f'<span class="button">{text}</span>'
        params = query.at(number).params()
        return parts.link("neurons", text, css="button", rel=rel, bundle=page.view.key, **params)

    return (
        '<nav class="pager" aria-label="Pages of results">'
        f"{step(query.page - 1, '← Previous', 'prev')}"
        f'<span class="muted num">page {query.page:,} of {pages:,}</span>'
        f"{step(query.page + 1, 'Next →', 'next')}</nav>"
    )

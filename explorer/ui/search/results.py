"""One page of what was found as cards, the way to the others, and to all of it as a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from markupsafe import Markup

from explorer.ui.address.address import LIST_LENGTH, TITLE_LENGTH, write_places
from explorer.ui.address.found import HEADS
from explorer.ui.address.search_query import SearchQuery
from explorer.ui.data.selection import PER_PAGE
from explorer.ui.html.elements import tag
from explorer.ui.html.links import link, pager
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import save_finding

LIMIT = 5 * PER_PAGE  # hits listed at most
NOTHING_FOUND = tag("h2", "Nothing found") + tag("p", "No neuron matches this search.")


class OfNeuron(Protocol):
    """What was found: a neuron, or something of one."""

    @property
    def row(self) -> int:
        """Return the neuron's row."""


Found = TypeVar("Found", bound=OfNeuron)


def paged(
    page: Page,
    query: SearchQuery,
    hits: Sequence[Found],
    cards: Callable[[Sequence[Found]], Markup],
    nothing: Markup = NOTHING_FOUND,
) -> None:
    """Draw the page of hits that the query asks for; `nothing` says that there are none."""
    view = page.view
    if not hits:
        frame.draw(nothing, css="empty")
        return
    pages = -(-len(hits) // PER_PAGE)
    number = min(query.page, pages)
    if number != query.page:
        frame.show_problems([f"There are {pages} pages of results: the last is shown."])
    shown = hits[(number - 1) * PER_PAGE : number * PER_PAGE]
    frame.draw(cards(shown))
    title = query.text or "Neurons of a picture"
    rows = list(dict.fromkeys(hit.row for hit in hits))
    listed = len(rows[:LIST_LENGTH])
    said = f"Their {listed} neurons" if query.of == HEADS else f"These {listed}"
    as_list = link(
        "neurons",
        f"{said} as a list",
        css="button",
        bundle=view.key,
        list=title[:TITLE_LENGTH],
        neurons=write_places([view.place(row) for row in rows[:LIST_LENGTH]]),
    )
    params = {"bundle": view.key, **replace(query, page=1).params()}
    save_finding.of_neurons(page, list(dict.fromkeys(hit.row for hit in shown)), title)
    frame.draw(pager("search", number, pages, **params), tag("div", as_list, css="pager"))

"""Links between pages, which the router follows without a reload.

They are plain anchors. Tried with Streamlit 1.67 and not taken:

- `st.page_link`, though it takes query parameters by now: it is an element of its own, so it can
  neither hold a card with pictures nor stand within a sentence; it knows no `rel`, `aria-current`
  nor "stay where you are"; and on a page with some hundred links each would be a message.
- `st.pagination(bind="query-params")` for `pager`: its pages are buttons, so none opens in a new
  tab; the address changes without an entry in the history, so "back" leaves the results; the next
  page opens at its end, where the pager is; a page number that does not exist is taken for 1
  without a word; and what is bound is changed through the session alone, not with the rest of an
  address, so a new filter kept the old one's page. The last holds for `bind` on any widget.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from explorer.bundle.pairs import Head
from explorer.ui.address.address import PINS, here, href
from explorer.ui.address.pin import Pin, pinned, write_pins
from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.html.elements import NOTHING, Child, Value, joined, muted, tag

MOST_PINS = 4
Marks = Mapping[str, Value]
"""Attributes of an anchor, `_` for `-`."""


def link(
    page: str,
    text: Child,
    /,
    css: str = "",
    rel: str | None = None,
    marks: Marks | None = None,
    **params: object,
) -> Markup:
    """Link to a page; `marks` are further attributes of the anchor, `params` the address's."""
    return anchor(page, params, text, css, rel, marks)


def anchor(
    page: str,
    params: Mapping[str, object],
    text: Child,
    css: str = "",
    rel: str | None = None,
    marks: Marks | None = None,
) -> Markup:
    """Link as `link` does, with the address's parameters as a mapping."""
    named: Marks = {
        "href": href(page, **params),
        "data_page": page,
        "class_": css or None,
        "rel": rel,
        **(marks or {}),
    }
    return tag("a", text, **named)


def choices(
    page: str,
    name: str,
    options: Mapping[str, str],
    current: str,
    key: str,
    marks: Marks | None = None,
    /,
    **params: object,
) -> Markup:
    """Offer views of one page side by side, each a link that sets the parameter `key`.

    `marks` are further attributes of each anchor.
    """
    items = (
        anchor(
            page,
            params | {key: option},
            text,
            marks={**(marks or {}), "aria_current": "true" if option == current else None},
        )
        for option, text in options.items()
    )
    return tag("nav", items, css="choices", aria_label=name)


def pages(name: str, options: Mapping[str, str], current: str, /, **params: object) -> Markup:
    """Offer pages that belong together side by side, each by its text."""
    items = (
        anchor(page, params, text, marks={"aria_current": "page" if page == current else None})
        for page, text in options.items()
    )
    return tag("nav", items, css="choices", aria_label=name)


def pager(page: str, number: int, pages: int, /, **params: object) -> Markup:
    """Link to the pages of results before and after; nothing where there is only one."""
    if pages == 1:
        return NOTHING

    def step(to: int, text: str, rel: str) -> Markup:
        if not 1 <= to <= pages:
            return tag("span", text, css="button")
        return anchor(page, params | {"page": to if to > 1 else None}, text, "button", rel)

    return tag(
        "nav",
        step(number - 1, "← Previous", "prev"),
        muted(f"page {number:,} of {pages:,}", num=True),
        step(number + 1, "Next →", "next"),
        css="pager",
        aria_label="Pages of results",
    )


def pin_link(pin: Pin, others: Sequence[Pin], text: str, say: str, css: str = "") -> Markup:
    """Link to the page as it is with other pins, without a jump to its top.

    `pin` is what it pins or unpins, `others` all pins it leads to; `say` is what a screen reader
    says.
    """
    where = here()
    marks: Marks = {"data_stay": True, "data_pin": pin.written, "aria_label": say, "title": say}
    params = {**where.params, PINS: write_pins(others)}
    return anchor(where.page, params, text, css, marks=marks)


def pin_button(layer: int, neuron: int, head: Head | None = None, wide: bool = False) -> Markup:
    """Pin a neuron, or its pair with a head, to compare it, or unpin it.

    Nothing where all pins are taken.
    """
    pin, others = Pin(layer, neuron, head), pinned()
    name = glossary.neuron_name(layer, neuron, head)
    if pin in others:
        others.remove(pin)
        say, short, long = f"Unpin {name}", "✓", "✓ Pinned"
        css = "pin on"
    elif len(others) < MOST_PINS:
        others.append(pin)
        say, short, long = f"Pin {name} to compare", "+", "+ Pin to compare"
        css = "pin"
    else:
        return NOTHING
    text, css = (long, "button") if wide else (short, css)
    return pin_link(pin, others, text, say, css)


def copy_button(text: str, address: str) -> Markup:
    """Make a button that copies what the server answers at an address; see router.js."""
    return tag("button", text, css="button", type="button", data_copy=address)


def chips(items: Iterable[Markup]) -> Markup:
    """Lay chips out in lines."""
    return tag("div", items, css="chips")


def actions(*items: Child) -> Markup:
    """Lay buttons out in lines."""
    return tag("div", items, css="actions")


def concept_link(view: View, text: str, shown: Child, css: str = "chip") -> Markup:
    """Link to a text's concept page."""
    return link("concept", shown, css=css, bundle=view.key, text=text)


def neuron_link(
    view: View, row: int, text: Child, css: str = "", rel: str | None = None, **params: object
) -> Markup:
    """Link to a neuron's page."""
    layer, neuron = view.place(row)
    place = {"bundle": view.key, "layer": layer, "neuron": neuron}
    return anchor("neuron", place | params, text, css, rel)


def text_chips(view: View, near: Iterable[tuple[int, float]]) -> Markup:
    """Show texts by their row, each with its cosine and a link to its concept page."""
    texts = view.bundle.texts
    return joined(
        concept_link(view, texts[row], [texts[row], " ", muted(glossary.number(cosine), num=True)])
        for row, cosine in near
    )

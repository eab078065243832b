"""The Neurons page as a table: leading measures, every heading a way to sort, all addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from explorer.ui.address.address import NeuronsQuery
from explorer.ui.core import glossary
from explorer.ui.data.grouping import strongest
from explorer.ui.data.loaders import View
from explorer.ui.data.selection import Selection
from explorer.ui.html.cards import SHOWS_WHY, named, words_said
from explorer.ui.html.elements import Child, muted, tag
from explorer.ui.html.links import anchor, neuron_link, pin_button
from explorer.ui.html.pictures import strip

THUMBNAILS = 4
PLACES = {"layer": "Layer", "neuron": "Neuron"}


def table(view: View, query: NeuronsQuery, rows: Sequence[int], selection: Selection) -> Markup:
    """Draw one page of the selection as a table; `rows` in the order shown.

    Its measures are the leading ones and what is sorted by: more are wider than a page.
    """
    keys = [
        key
        for key, measure in glossary.MEASURES.items()
        if key in view.neurons and ("card" in measure.places or key == query.sort_key)
    ]
    heads = [
        *(_head(view, query, key, name) for key, name in PLACES.items()),
        tag("th", "Strongest pictures"),
        tag("th", "Meaning"),
        tag("th", "Shared by its pictures", title=SHOWS_WHY),
        *([tag("th", "Match")] if query.word else []),
        *(_head(view, query, key, glossary.MEASURES[key].name) for key in keys),
        tag("th"),
    ]
    body = (_row(view, query, row, keys, selection) for row in rows)
    return tag(
        "div",
        tag("table", tag("thead", tag("tr", heads)), tag("tbody", body), css="neurons"),
        css="scroll",
        tabindex=0,
        role="region",
        aria_label="Neurons with their leading measures",
    )


def _head(view: View, query: NeuronsQuery, key: str, name: str) -> Markup:
    """Make a heading that sorts by its column, or turns the order where it already does."""
    current = query.sort_key == key
    usual = key not in PLACES
    falling = not query.falling if current else usual
    order = "" if falling == usual else "desc" if falling else "asc"
    asked = replace(query, sort=key, order=order, page=1)
    arrow = (" ↓" if query.falling else " ↑") if current else ""
    sort = ("descending" if query.falling else "ascending") if current else None
    why = _why(view, key) if key in glossary.MEASURES else ""
    sorted_by = anchor(
        "neurons",
        {"bundle": view.key, **asked.params()},
        f"{name}{arrow}",
        marks={"data_stay": True, "title": why},
    )
    css = "right" if key in glossary.MEASURES else ""
    return tag("th", sorted_by, css=css, scope="col", aria_sort=sort)


def _why(view: View, key: str) -> str:
    """Say what a measure is, and where chance lies."""
    measure = glossary.MEASURES[key]
    chance = measure.chance_in(view.bundle)
    return f"{measure.meaning} ({chance.said})" if chance else measure.meaning


def _row(
    view: View, query: NeuronsQuery, row: int, keys: Sequence[str], selection: Selection
) -> Markup:
    layer, neuron = view.place(row)
    opened: Child = neuron_link(view, row, f"{neuron:,}")
    if view.silent[row]:
        opened = [opened, " ", muted("silent")]
    cells = [
        tag("td", str(layer)),
        tag("td", opened),
        tag("td", strip(view, strongest(view, row, THUMBNAILS)), css="thumbs"),
        tag("td", named(view.title(row)), css="concepts"),
        tag("td", words_said(view, row), css="shared"),
    ]
    if query.word:
        text, weight = selection.matched[row]
        cells.append(tag("td", f"{text} {glossary.signed(weight)}"))
    for key in keys:
        value = float(view.column(key)[row])
        cells.append(tag("td", glossary.MEASURES[key].show(value), css="right"))
    return tag("tr", cells, tag("td", pin_button(layer, neuron)))

"""The Neurons page as a table: all measures, every heading a way to sort, all of it addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape

from explorer.ui.address.address import NeuronsQuery
from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.data.selection import Selection
from explorer.ui.html import parts

THUMBNAILS = 4
PLACES = {"layer": "Layer", "neuron": "Neuron"}


def table(view: View, query: NeuronsQuery, rows: Sequence[int], selection: Selection) -> str:
    """One page of the selection; ``rows`` in the order shown."""
    keys = [key for key in glossary.MEASURES if key in view.neurons]
    heads = [_head(view, query, key, name) for key, name in PLACES.items()]
    heads += ["<th>Strongest pictures</th>", "<th>Concepts</th>"]
    heads += [f'<th title="{parts.SHOWS_WHY}">Shared by its pictures</th>']
    heads += ["<th>Match</th>"] if query.word else []
    heads += [_head(view, query, key, glossary.MEASURES[key].name) for key in keys]
    body = "".join(_row(view, query, row, keys, selection) for row in rows)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Neurons with all measures">'
        f'<table class="neurons"><thead><tr>{"".join(heads)}<th></th></tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _head(view: View, query: NeuronsQuery, key: str, name: str) -> str:
    """A heading that sorts by its column, or turns the order where it already does."""
    current = query.sort_key == key
    usual = key not in PLACES
    falling = not query.falling if current else usual
    order = "" if falling == usual else "desc" if falling else "asc"
    asked = replace(query, sort=key, order=order, page=1)
    arrow = (" ↓" if query.falling else " ↑") if current else ""
    sort = f' aria-sort="{"descending" if query.falling else "ascending"}"' if current else ""
    right = ' class="right"' if key in glossary.MEASURES else ""
    why = glossary.MEASURES[key].meaning if key in glossary.MEASURES else ""
    link = parts.link(
        "neurons",
        f"{escape(name)}{arrow}",
        bundle=view.key,
        marks=f' data-stay="" title="{escape(why)}"',
        **asked.params(),
    )
    return f'<th scope="col"{sort}{right}>{link}</th>'


def _row(
    view: View, query: NeuronsQuery, row: int, keys: Sequence[str], selection: Selection
) -> str:
    layer, neuron = view.place(row)
    opened = parts.link("neuron", f"{neuron:,}", bundle=view.key, layer=layer, neuron=neuron)
    silent = ' <span class="muted">silent</span>' if view.silent[row] else ""
    cells = [
        f"<td>{layer}</td><td>{opened}{silent}</td>"
        f'<td class="thumbs">{parts.strip(view, parts.strongest(view, row, THUMBNAILS))}</td>'
        f'<td class="concepts">{escape(str(view.column("concepts")[row]))}</td>'
        f'<td class="shared">{parts.words_said(view, row)}</td>'
    ]
    if query.word:
        text, weight = selection.matched[row]
        cells.append(f"<td>{escape(text)} {glossary.signed(weight)}</td>")
    cells += [
        f'<td class="right">{glossary.MEASURES[key].show(float(view.column(key)[row]))}</td>'
        for key in keys
    ]
    return f"<tr>{''.join(cells)}<td>{parts.pin_button(layer, neuron)}</td></tr>"

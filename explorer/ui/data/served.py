"""Files that pages point to: their addresses, and what hovering on the atlas shows of a neuron.

    pictures/BUNDLE/TICKET/NUMBER    a picture as it was encoded at the build
    hints/BUNDLE/TICKET/ROW          a neuron in brief, as JSON
    pair-hints/BUNDLE/TICKET/NUMBER  a pair of a neuron and a head in brief, as JSON
    facts/BUNDLE/TICKET/ROW          a neuron whole, as JSON

They are sent as they are needed, without a run of the page, and the browser keeps them: the ticket
stands for the bundle's very files. It is made with the server's password, so that only those who
were shown a page can ask for what is on it.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import numpy as np

from explorer.bundle.measures import measures_of
from explorer.bundle.pair_directions import pair_directions
from explorer.bundle.pair_map import pair_map
from explorer.bundle.pairs import pair_at
from explorer.errors import InputError
from explorer.ui.core import access, glossary
from explorer.ui.data import grouping
from explorer.ui.data.loaders import View

PICTURES, HINTS, PAIR_HINTS, FACTS = "pictures", "hints", "pair-hints", "facts"
HINT_PICTURES = 4


def pictures_address(view: View) -> str:
    """Return where pictures of the bundle are served, relative to every page.

    A picture's number goes behind it.
    """
    return _folder(view, PICTURES)


def hints_address(view: View) -> str:
    """Return where neurons are served in brief; a row's number goes behind it."""
    return _folder(view, HINTS)


def pair_hints_address(view: View) -> str:
    """Return where pairs are served in brief; a pair's number goes behind it."""
    return _folder(view, PAIR_HINTS)


def facts_address(view: View) -> str:
    """Return where neurons are served whole, as JSON; a row's number goes behind it."""
    return _folder(view, FACTS)


def ticket(view: View) -> str:
    """Return what an address must carry: it changes with the bundle and the password."""
    return view.held("ticket", _ticket)


def hint(view: View, row: int) -> dict[str, Any]:
    """Describe a neuron in brief: name, title, measures, pictures, true neighbours' places."""
    layer, neuron = view.place(row)
    title = view.title(row)
    near = [int(i) for i in view.bundle.neighbours[row] if i >= 0]
    places = np.asarray(view.bundle.atlas[near], np.float64)
    measures = [
        f"{measure.short} {measure.show(float(view.column(measure.key)[row]))}"
        for measure in measures_of("hint")
        if measure.key in view.neurons
    ]
    pictures = pictures_address(view)
    return {
        "name": glossary.neuron_name(layer, neuron),
        "title": title.text,
        "claims": title.claims,
        "shows": ", ".join(f"{word} {n}" for word, n in grouping.shared_words(view, row)),
        "measures": " · ".join(measures),
        "pictures": [
            {"src": f"{pictures}{image}", "label": view.labels[image]}
            for image in grouping.strongest(view, row, HINT_PICTURES)
        ],
        "near": places[np.isfinite(places).all(axis=1)].round(4).tolist(),
    }


def pair_hint(view: View, number: int) -> dict[str, Any]:
    """Describe a pair in brief, by its number: as `hint`, with a line to its own neuron.

    Raises:
        InputError: when the bundle has no pairs, or no such one.
    """
    found = pair_directions(view.bundle)
    if number >= len(found):
        raise InputError(f"There is no pair {number} in this bundle: it has {len(found)}.")
    row = int(found.rows[number])
    pair, placed = pair_at(view.bundle, row, int(found.places[number])), pair_map(view.bundle)
    beside = int(placed.beside[number])
    where = "its own neuron" if beside == row else glossary.neuron_name(*view.place(beside))
    own = np.asarray(view.bundle.atlas[row], np.float64)
    pictures = pictures_address(view)
    return {
        "name": glossary.neuron_name(*view.place(row), pair.key),
        "title": pair.said,
        "claims": pair.words > 0,
        "shows": "",
        "measures": f"carries {glossary.share(pair.share)} of its neuron · beside {where}, cosine "
        f"{glossary.number(float(placed.cosines[number]))}",
        "pictures": [
            {"src": f"{pictures}{shown.image}", "label": view.labels[shown.image]}
            for shown in pair.images[:HINT_PICTURES]
        ],
        "near": [own.round(4).tolist()] if np.isfinite(own).all() else [],
    }


def _ticket(view: View) -> str:
    files = json.dumps(view.bundle.manifest.files, sort_keys=True)
    return access.ticket(f"{view.key}\n{files}")


def _folder(view: View, kind: str) -> str:
    return view.held(
        f"address of {kind}", lambda view: f"{kind}/{quote(view.key, safe='')}/{ticket(view)}/"
    )

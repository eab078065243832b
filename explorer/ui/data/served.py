"""Files that pages point to: their addresses, and what hovering on the atlas shows of a neuron.

    pictures/BUNDLE/TICKET/NUMBER    a picture as it was encoded at the build
    hints/BUNDLE/TICKET/ROW          a neuron in brief, as JSON
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
from explorer.ui.core import access, glossary
from explorer.ui.data import grouping
from explorer.ui.data.loaders import View

PICTURES, HINTS, FACTS = "pictures", "hints", "facts"
HINT_PICTURES = 4


def picture_address(view: View, number: int) -> str:
    """Return where a picture of the bundle is served, relative to every page."""
    return f"{_folder(view, PICTURES)}{number}"


def hints_address(view: View) -> str:
    """Return where neurons are served in brief; a row's number goes behind it."""
    return _folder(view, HINTS)


def facts_address(view: View) -> str:
    """Return where neurons are served whole, as JSON; a row's number goes behind it."""
    return _folder(view, FACTS)


def ticket(view: View) -> str:
    """Return what an address must carry: it changes with the bundle and the password."""
    files = json.dumps(view.bundle.manifest.files, sort_keys=True)
    return view.held("ticket", lambda view: access.ticket(f"{view.key}\n{files}"))


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
    return {
        "name": glossary.neuron_name(layer, neuron),
        "title": title.text,
        "claims": title.claims,
        "shows": ", ".join(f"{word} {n}" for word, n in grouping.shared_words(view, row)),
        "measures": " · ".join(measures),
        "pictures": [
            {"src": picture_address(view, image), "label": view.labels[image]}
            for image in grouping.strongest(view, row, HINT_PICTURES)
        ],
        "near": places[np.isfinite(places).all(axis=1)].round(4).tolist(),
    }


def _folder(view: View, kind: str) -> str:
    return view.held(
        f"address of {kind}", lambda view: f"{kind}/{quote(view.key, safe='')}/{ticket(view)}/"
    )

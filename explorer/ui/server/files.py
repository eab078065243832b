"""Files that pages point to: pictures, and what hovering on the atlas shows of a neuron.

    pictures/BUNDLE/TICKET/NUMBER    a picture as it was encoded at the build
    hints/BUNDLE/TICKET/ROW          a neuron in brief, as JSON

They are sent as they are needed, without a run of the page, and the browser keeps them: the ticket
stands for the bundle's very files. It is made with the server's password, so that only who was
shown a page can ask for what is on it.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from explorer.errors import ExplorerError, InputError
from explorer.ui.core import access, glossary
from explorer.ui.data import grouping, loaders
from explorer.ui.data.loaders import View

PICTURES, HINTS, FACTS = "pictures", "hints", "facts"
HINT_PICTURES = 4
HINT_MEASURES = ("agreement", "polysemy")
KEPT = {"Cache-Control": "private, max-age=31536000, immutable"}
_KINDS = ((b"RIFF", "webp"), (b"\x89PNG", "png"), (b"\xff\xd8", "jpeg"))


def picture_kind(data: bytes) -> str:
    """The kind of an encoded picture by its first bytes, as MIME types name it."""
    return next((kind for mark, kind in _KINDS if data.startswith(mark)), "webp")


def picture_address(view: View, number: int) -> str:
    """Where a picture of the bundle is served, relative to every page."""
    return f"{_folder(view, PICTURES)}{number}"


def hints_address(view: View) -> str:
    """Where neurons are served in brief; a row's number goes behind it."""
    return _folder(view, HINTS)


def facts_address(view: View) -> str:
    """Where neurons are served whole, as JSON; a row's number goes behind it."""
    return _folder(view, FACTS)


def routes() -> list[Route]:
    """What the server answers beside Streamlit's own addresses."""
    return [
        Route(f"/{PICTURES}/{{bundle}}/{{ticket}}/{{number:int}}", _picture),
        Route(f"/{HINTS}/{{bundle}}/{{ticket}}/{{number:int}}", _hint),
        Route(f"/{FACTS}/{{bundle}}/{{ticket}}/{{number:int}}", _facts),
    ]


def hint(view: View, row: int) -> dict[str, Any]:
    """A neuron in brief: name, concepts, measures, strongest pictures, true neighbours' places."""
    layer, neuron = view.place(row)
    images = [int(i) for i in view.bundle.top_images[row, 0, :HINT_PICTURES] if i >= 0]
    near = [int(i) for i in view.bundle.neighbours[row] if i >= 0]
    places = np.asarray(view.bundle.atlas[near], np.float64)
    facts = [
        f"{measure.short} {measure.show(float(view.column(measure.key)[row]))}"
        for measure in map(glossary.MEASURES.__getitem__, HINT_MEASURES)
    ]
    return {
        "name": glossary.neuron_name(layer, neuron),
        "concepts": str(view.column("concepts")[row]) or "no concepts",
        "shows": ", ".join(f"{word} {n}" for word, n in grouping.shared_words(view, row)),
        "facts": " · ".join(facts),
        "pictures": [
            {"src": picture_address(view, image), "label": view.labels[image]} for image in images
        ],
        "near": places[np.isfinite(places).all(axis=1)].round(4).tolist(),
    }


def _folder(view: View, kind: str) -> str:
    return view.held(
        f"address of {kind}", lambda view: f"{kind}/{quote(view.key, safe='')}/{ticket(view)}/"
    )


def ticket(view: View) -> str:
    """What an address must carry to be answered: it changes with the bundle and the password."""
    files = json.dumps(view.bundle.manifest.files, sort_keys=True)
    return view.held("ticket", lambda view: access.ticket(f"{view.key}\n{files}"))


def _asked(request: Request) -> tuple[View, int]:
    """The bundle and the number that an address names.

    Raises:
        InputError: there is no such bundle, or the ticket is not its own.
    """
    header = access.user_header()
    if header and not request.headers.get(header):
        raise InputError(f"The proxy in front of this server named no user in {header}.")
    key = request.path_params["bundle"]
    path = loaders.find_bundles(loaders.bundles_folder()).get(key)
    if path is None:
        raise InputError(f"There is no bundle “{key}” here.")
    view = loaders.open_view(key, path)
    if not access.same(request.path_params["ticket"], ticket(view)):
        raise InputError("This address is of another bundle or password: load the page again.")
    return view, int(request.path_params["number"])


async def _picture(request: Request) -> Response:
    try:
        view, number = _asked(request)
        data = view.bundle.pictures.encoded(number)
    except ExplorerError as error:
        return PlainTextResponse(str(error), 404)
    return Response(data, media_type=f"image/{picture_kind(data)}", headers=KEPT)


def _neuron_asked(request: Request) -> tuple[View, int]:
    view, row = _asked(request)
    if row >= len(view.neurons):
        raise InputError(f"There is no neuron in row {row} of this bundle.")
    return view, row


async def _hint(request: Request) -> Response:
    try:
        view, row = _neuron_asked(request)
    except ExplorerError as error:
        return PlainTextResponse(str(error), 404)
    return JSONResponse(hint(view, row), headers=KEPT)


async def _facts(request: Request) -> Response:
    from explorer.ui.neurons import export

    try:
        view, row = _neuron_asked(request)
    except ExplorerError as error:
        return PlainTextResponse(str(error), 404)
    return Response(export.neuron_json(view, row), media_type="application/json", headers=KEPT)

"""What the server answers beside Streamlit's own addresses: the files of `data.served`.

Starlette runs a plain function in a thread of its pool, so that the server's one event loop goes on
answering while a file is read or a neuron is described.
"""

from __future__ import annotations

import streamlit as st
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from explorer.bundle.pictures import picture_kind
from explorer.errors import ExplorerError, InputError
from explorer.places import bundles_folder
from explorer.ui.core import access
from explorer.ui.data import export, loaders, served
from explorer.ui.data.loaders import View

KEPT = {"Cache-Control": "private, max-age=31536000, immutable"}


def routes() -> list[Route]:
    """Return one route for each kind of file, below the path that the app is served under.

    Streamlit puts its own routes below `server.baseUrlPath`, but not those it is given.
    """
    base = (st.get_option("server.baseUrlPath") or "").strip("/")
    answers = {
        served.PICTURES: _picture,
        served.HINTS: _hint,
        served.PAIR_HINTS: _pair_hint,
        served.FACTS: _facts,
    }
    return [
        Route(f"{f'/{base}' if base else ''}/{kind}/{{bundle}}/{{ticket}}/{{number:int}}", answer)
        for kind, answer in answers.items()
    ]


def _asked(request: Request) -> tuple[View, int]:
    """Read the bundle and the number that an address names.

    Raises:
        InputError: when there is no such bundle, or the ticket is not its own.
    """
    header = access.user_header()
    if header and not access.named(request.headers.getlist(header)):
        raise InputError(f"The proxy in front of this server named no user in {header}.")
    key = request.path_params["bundle"]
    path = loaders.find_bundles(bundles_folder()).get(key)
    if path is None:
        raise InputError(f"There is no bundle “{key}” here.")
    view = loaders.open_view(key, path)
    if not access.same(request.path_params["ticket"], served.ticket(view)):
        raise InputError("This address belongs to another bundle or password: reload the page.")
    return view, int(request.path_params["number"])


def _neuron_asked(request: Request) -> tuple[View, int]:
    view, row = _asked(request)
    if row >= len(view.neurons):
        raise InputError(f"There is no neuron in row {row} of this bundle.")
    return view, row


def _picture(request: Request) -> Response:
    try:
        view, number = _asked(request)
        data = view.bundle.pictures.encoded(number)
        kind = picture_kind(data)
    except ExplorerError as error:
        return PlainTextResponse(str(error), 404)
    return Response(data, media_type=f"image/{kind}", headers=KEPT)


def _hint(request: Request) -> Response:
    try:
        view, row = _neuron_asked(request)
    except ExplorerError as error:
        return PlainTextResponse(str(error), 404)
    return JSONResponse(served.hint(view, row), headers=KEPT)


def _pair_hint(request: Request) -> Response:
    try:
        view, number = _asked(request)
        hint = served.pair_hint(view, number)
    except ExplorerError as error:
        return PlainTextResponse(str(error), 404)
    return JSONResponse(hint, headers=KEPT)


def _facts(request: Request) -> Response:
    try:
        view, row = _neuron_asked(request)
    except ExplorerError as error:
        return PlainTextResponse(str(error), 404)
    return Response(export.neuron_json(view, row), media_type="application/json", headers=KEPT)

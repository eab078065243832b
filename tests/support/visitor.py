"""A visitor of a running server over the app's own protocol: pages asked for, files put."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any

from benchmarks.app import Session, kind_of

XSRF = "_streamlit_xsrf"
PATIENCE = 120


def xsrf(address: str) -> dict[str, str]:
    """Return the headers with which a browser shows that a request is the page's own."""
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    connection.request("GET", "/_stcore/health")
    answer = connection.getresponse()
    answer.read()
    cookies = SimpleCookie(answer.headers.get("Set-Cookie", ""))
    connection.close()
    value = cookies[XSRF].value if XSRF in cookies else ""
    return {"Cookie": f"{XSRF}={value}", "X-Xsrftoken": value}


def form_of(name: str, data: bytes) -> tuple[bytes, dict[str, str]]:
    """Return a file as browsers send it, and the header that says so."""
    head = f'--edge\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n'
    body = head.encode() + b"Content-Type: image/png\r\n\r\n" + data + b"\r\n--edge--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=edge"}


def put(address: str, where: str, name: str, data: bytes) -> int:
    """Send a whole file; return the answer's status."""
    body, kind = form_of(name, data)
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    connection.request("PUT", where, body, kind | xsrf(address))
    status = connection.getresponse().status
    connection.close()
    return status


def elements(session: Session, page: str, kind: str, **params: str) -> list[Any]:
    """Run a page and return its elements of a kind, in order."""
    found = [a.delta.new_element for a in session.run(page, params) if kind_of(a) == kind]
    return [getattr(element, kind) for element in found]


def chosen(widget: str, where: str, name: str, size: int) -> Any:
    """Return what a browser says of an uploader that holds a file."""
    from streamlit.proto.WidgetStates_pb2 import WidgetState

    state = WidgetState(id=widget)
    file = state.file_uploader_state_value.uploaded_file_info.add(
        file_id=where.rpartition("/")[2], name=name, size=size
    )
    file.file_urls.file_id, file.file_urls.upload_url = file.file_id, where
    return state


def read(answers: list[Any]) -> Mapping[str, list[str]]:
    """Return what messages say: html, places in the line, exceptions."""
    found: dict[str, list[str]] = {"html": [], "alert": [], "exception": []}
    for answer in answers:
        kind = kind_of(answer)
        element = answer.delta.new_element
        if kind in found:
            part = {"html": "body", "alert": "body", "exception": "message"}[kind]
            found[kind].append(getattr(getattr(element, kind), part))
    return found

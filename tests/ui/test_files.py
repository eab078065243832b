"""Picture files and hints beside the app's pages: what is served, to whom, and what is refused."""

from __future__ import annotations

import asyncio
import json
import platform
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartParser
from starlette.requests import Request

from explorer.bundle import Bundle
from explorer.bundle.pair_directions import pair_directions
from explorer.bundle.pairs import pair_at
from explorer.errors import InputError
from explorer.picture import model as lens_models
from explorer.picture.uploads import MAX_BYTES
from explorer.ui.core import access, glossary
from explorer.ui.data import export, loaded_model, loaders, served
from explorer.ui.data.grouping import strongest
from explorer.ui.data.loaders import View
from explorer.ui.html.pictures import image
from explorer.ui.server import startup
from explorer.ui.server.routes import routes

ROOT = Path(__file__).parents[2]


def get(path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask the routes for a path, as a server would; status, headers and body."""
    return asyncio.run(answer_to(path, **headers))


async def answer_to(path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask the same on the loop of the test."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/{path}",
        "query_string": b"",
        "headers": [(k.replace("_", "-").lower().encode(), v.encode()) for k, v in headers.items()],
    }
    await Starlette(routes=routes())(scope, receive, send)
    found = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(part.get("body", b"") for part in sent[1:])


@contextmanager
def closed(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> Iterator[None]:
    """A server whose door is shut by a password or a proxy's header."""
    with monkeypatch.context() as patch:
        patch.setenv(variable, value)
        yield


def test_pictures_are_sent_as_they_are_stored_and_kept(view: View) -> None:
    for number in (0, 35, 39):  # the last one is held out
        status, headers, body = get(f"{served.pictures_address(view)}{number}")
        assert status == 200
        assert body == view.bundle.pictures.encoded(number)
        assert headers["content-type"] == "image/png"
        assert "immutable" in headers["cache-control"]


@pytest.mark.parametrize(
    ("work", "address"),
    [
        ((served, "hint"), served.hints_address),
        ((served, "pair_hint"), served.pair_hints_address),
        ((export, "neuron_json"), served.facts_address),
        ((loaders, "open_view"), served.pictures_address),
    ],
)
def test_the_server_goes_on_while_a_file_is_being_made(
    view: View,
    monkeypatch: pytest.MonkeyPatch,
    work: tuple[Any, str],
    address: Callable[[View], str],
) -> None:
    started, finish = Event(), Event()
    in_time = []

    def slow(*asked: Any) -> None:
        started.set()
        in_time.append(finish.wait(10))
        raise InputError("Slow, and then nothing.")

    async def meanwhile() -> None:
        asked = asyncio.create_task(answer_to(f"{address(view)}0"))
        while not started.is_set():
            await asyncio.sleep(0.001)
        finish.set()
        with suppress(InputError):
            await asked

    monkeypatch.setattr(*work, slow)
    asyncio.run(meanwhile())
    assert in_time == [True]


def test_pages_name_the_files(view: View) -> None:
    shown = image(view, 3)
    assert f'src="{served.pictures_address(view)}3"' in shown
    assert f'alt="{view.labels[3]}"' in shown


def test_a_hint_tells_what_the_neurons_page_tells(view: View) -> None:
    row = view.bundle.row(1, 5)
    status, headers, body = get(f"{served.hints_address(view)}{row}")
    hint = json.loads(body)
    assert status == 200
    assert "immutable" in headers["cache-control"]
    assert hint["name"] == "Layer 1 · Neuron 5"
    assert hint["title"] == view.title(row).text
    assert glossary.number(view.neurons["prediction"][row]) in hint["measures"]
    shown = strongest(view, row, served.HINT_PICTURES)
    assert [picture["label"] for picture in hint["pictures"]] == [
        view.labels[image] for image in shown
    ]
    assert get(hint["pictures"][0]["src"])[2] == view.bundle.pictures.encoded(shown[0])


def test_a_pair_in_brief_is_sent_and_kept(view: View) -> None:
    found = pair_directions(view.bundle)
    number = 77
    row = int(found.rows[number])
    status, headers, body = get(f"{served.pair_hints_address(view)}{number}")
    assert status == 200
    assert "immutable" in headers["cache-control"]
    hint = json.loads(body)
    pair = pair_at(view.bundle, row, int(found.places[number]))
    assert hint["name"] == glossary.neuron_name(*view.place(row), pair.key)
    assert hint["title"] == pair.said and not hint["claims"]
    assert [shown["label"] for shown in hint["pictures"]] == [
        view.labels[shown.image] for shown in pair.images[: served.HINT_PICTURES]
    ]
    assert hint["near"] == [view.bundle.atlas[row].astype(float).round(4).tolist()]
    status, _, body = get(f"{served.pair_hints_address(view)}{len(found)}")
    assert (status, body.decode()) == (
        404, f"There is no pair {len(found)} in this bundle: it has {len(found)}.",
    )  # fmt: skip


def test_neighbours_of_a_hint_are_those_of_the_joint_space(view: View) -> None:
    row = view.bundle.row(2, 7)
    directions = view.bundle.directions.astype(np.float64)
    cosines = directions @ directions[row]
    cosines[row] = -np.inf
    near = np.argsort(-cosines)[: view.bundle.neighbours.shape[1]]
    places = {tuple(np.round(place, 4)) for place in np.asarray(view.bundle.atlas[near], float)}
    found = {tuple(place) for place in served.hint(view, row)["near"]}
    assert len(found & places) >= len(places) - 1  # stored directions are rounded
    assert len(found) == len(places)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("pictures/tiny/TICKET/40", "There is no picture 40"),
        ("pictures/nowhere/TICKET/1", "There is no bundle “nowhere”"),
        ("pictures/tiny/0123/1", "reload the page"),
        ("pictures/tiny/é/1", "reload the page"),
        ("hints/tiny/TICKET/384", "no neuron in row 384"),
        ("hints/tiny/x/1", "reload the page"),
        ("pictures/tiny/TICKET/-1", "Not Found"),
        ("pictures/tiny/TICKET/../../manifest.json", "Not Found"),
    ],
)
def test_what_is_not_there_is_refused_in_one_sentence(view: View, path: str, reason: str) -> None:
    status, _, body = get(path.replace("TICKET", served.ticket(view)))
    assert status == 404
    assert reason in body.decode()
    assert body.count(b"\n") == 0


def test_the_ticket_needs_the_password(
    view: View, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = f"{served.pictures_address(view)}1"
    with closed(monkeypatch, access.PASSWORD_VARIABLE, "open sesame"):
        loaders._open.clear()  # another server
        inside = View("tiny", Bundle.open(tiny_bundle))
        assert get(free)[0] == 404
        assert served.ticket(inside) != served.ticket(view)
        assert get(f"{served.pictures_address(inside)}1")[0] == 200
    loaders._open.clear()
    assert get(free)[0] == 200


def test_who_no_proxy_names_gets_nothing(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"{served.pictures_address(view)}1"
    with closed(monkeypatch, access.HEADER_VARIABLE, "X-Forwarded-User"):
        assert get(address)[0] == 404
        assert get(address, X_Forwarded_User="ada")[0] == 200
        assert get(address, X_Forwarded_User="\x01 ")[0] == 404
        assert (
            get(address, X_Forwarded_User="eve", x_forwarded_user="ada")[0] == 404
        )  # one too many
    assert get(address, X_Forwarded_User="eve", x_forwarded_user="ada")[0] == 200  # not looked at


@pytest.mark.parametrize("kind", [served.PICTURES, served.HINTS, served.FACTS])
def test_no_file_is_sent_without_the_password(
    kind: str, view: View, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = served.ticket(view)
    with closed(monkeypatch, access.PASSWORD_VARIABLE, "open sesame"):
        loaders._open.clear()  # another server
        own = served.ticket(View("tiny", Bundle.open(tiny_bundle)))
        for ticket in (free, "", "0" * 32, own[:-1], own.upper(), f"{own}x", "%00"):
            assert get(f"{kind}/tiny/{ticket}/1")[0] == 404
        for path in (kind, f"{kind}/tiny", f"{kind}/tiny/{own}", f"{kind}/../{kind}/tiny/{free}/1"):
            assert get(path)[0] == 404
        assert get(f"{kind}/tiny/{own}/1")[0] == 200
    loaders._open.clear()


def test_tickets_follow_the_bundles_files(view: View, bundle_copy: Path) -> None:
    other = View("tiny", Bundle.open(bundle_copy))
    assert served.ticket(other) == served.ticket(view)
    other.bundle.manifest.files["pictures.bin"]["sha256"] = "0" * 64
    changed = View("tiny", other.bundle)
    assert served.ticket(changed) != served.ticket(view)


def test_the_table_of_files_is_read_once_for_all_addresses(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = served.pictures_address(view)
    ticket = served.ticket(view)
    monkeypatch.setattr(served.json, "dumps", lambda *args, **settings: pytest.fail("read again"))
    assert served.ticket(view) == ticket
    assert ticket in address


def test_connections_of_a_listening_socket_answer_at_once() -> None:
    with socket.socket() as listening, socket.socket() as other:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        assert startup.answer_at_once() >= 1
        assert other.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_where_descriptors_are_not_listed_nothing_changes(tmp_path: Path) -> None:
    assert startup.answer_at_once(tmp_path / "nowhere") == 0


_ARENAS = """
import ctypes, sys, threading
from explorer.ui.server.startup import share_arenas
if sys.argv[1] == "shared":
    assert share_arenas()
together = threading.Barrier(12)
def work():
    for _ in range(200):
        kept = [bytearray(5000) for _ in range(50)]
    together.wait()  # all are alive at once, and none can use an arena that another has left
threads = [threading.Thread(target=work) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_threads_share_few_arenas(tmp_path: Path) -> None:
    counts = {}
    for way in ("shared", "apart"):
        told = tmp_path / way
        subprocess.run([sys.executable, "-c", _ARENAS, way, str(told)], check=True, cwd=ROOT)
        counts[way] = told.read_text().count("<heap nr=")
    assert counts["shared"] <= startup.ARENAS
    assert counts["apart"] > counts["shared"], "without it there are more"


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup.ctypes, "CDLL", lambda name: object())
    assert startup.share_arenas() is False


def rolled_over(size: int) -> bool:
    """Whether an upload of so many bytes passes through a file on disk."""
    parts = (
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="f.png"\r\n\r\n',
        b"0" * size,
        b"\r\n--x--\r\n",
    )

    async def parse() -> bool:
        coming = iter(parts)

        async def receive() -> dict[str, Any]:
            part = next(coming, b"")
            return {"type": "http.request", "body": part, "more_body": bool(part)}

        kind = (b"content-type", b"multipart/form-data; boundary=x")
        request = Request({"type": "http", "method": "PUT", "headers": [kind]}, receive)
        async with request.form() as form:
            sent = form["f"]
            assert isinstance(sent, UploadFile)
            assert sent.size == size
            return bool(sent.file._rolled)  # type: ignore[attr-defined]

    return asyncio.run(parse())


def test_uploads_never_pass_through_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MultiPartParser, "spool_max_size", MultiPartParser.spool_max_size)
    assert rolled_over(MAX_BYTES), "without it they do"

    async def start() -> None:
        async with startup.lifespan(st.App(__file__)):
            pass

    asyncio.run(start())
    assert not rolled_over(MAX_BYTES)


def test_facts_are_those_of_the_download(view: View) -> None:
    row = view.bundle.row(1, 5)
    status, headers, body = get(f"{served.facts_address(view)}{row}")
    assert status == 200
    assert headers["content-type"].startswith("application/json")
    assert json.loads(body) == json.loads(export.neuron_json(view, row))
    assert get(f"{served.facts_address(view)}{len(view.neurons)}")[0] == 404


def test_the_first_bundle_is_open_before_the_first_visitor(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaders._open.clear()
    startup.warm_up()
    view = loaders.open_view("tiny", tiny_bundle)
    view.held("striking", lambda view: pytest.fail("made after the first visitor came"))
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tiny_bundle / "nowhere"))
    startup.warm_up()  # nothing to open is nothing to say


def test_the_model_is_prepared_once(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_model, "_preparing", set())
    asked: list[Bundle] = []

    def opened(bundle: Bundle) -> None:
        asked.append(bundle)
        raise InputError("its weights are gone")  # said when the model is needed, not here

    monkeypatch.setattr(lens_models, "open_lens_model", opened)
    thread = loaded_model.prepare(view)
    assert thread is not None
    thread.join(timeout=30)
    assert asked == [view.bundle]
    assert loaded_model.prepare(view) is None
    assert len(asked) == 1

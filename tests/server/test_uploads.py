"""Uploads to a running server: ten at once, a connection that is lost on the way, two tabs."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from urllib.parse import urlsplit

import pytest
from PIL import Image

from benchmarks.app import Session
from tests.support.browser import serving
from tests.support.visitor import chosen, elements, form_of, put, read, xsrf

AT_ONCE = 10
PATIENCE = 120


@pytest.fixture(scope="module")
def address(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on the tiny bundle, as `host:port`; at its end its log holds no traceback."""
    pytest.importorskip("websockets")
    with serving(tiny_bundle.parent, tmp_path_factory.mktemp("served") / "data") as found:
        yield urlsplit(found).netloc


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), (20 * number, 90, 200 - 10 * number)).save(buffer, "PNG")
    return buffer.getvalue()


def study(address: str, number: int, together: Barrier) -> Mapping[str, list[str]]:
    """Upload a picture and return what the Image page says of it, at the same time as others."""
    name, data = f"mine-{number}.png", png(number)
    with Session(address) as session:
        (box,) = elements(session, "image", "file_uploader", scene="0")
        where = session.upload_address(name)
        assert put(address, where, name, data) == 204
        together.wait(timeout=PATIENCE)
        return read(list(session.run("image", {}, [chosen(box.id, where, name, len(data))])))


def test_ten_uploads_at_once_stand_in_line_and_all_are_answered(address: str) -> None:
    together = Barrier(AT_ONCE)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        said = list(pool.map(lambda number: study(address, number, together), range(AT_ONCE)))
    for number, one in enumerate(said):
        assert one["exception"] == []
        html = "".join(one["html"])
        assert f"<h2>mine-{number}.png</h2>" in html
        assert "Concepts discovered" in html
    places = [text for one in said for text in one["alert"]]
    assert places, "nobody was told of a place in the line"
    assert all("before yours" in text for text in places)


def test_a_connection_lost_in_mid_upload_harms_nobody(address: str) -> None:
    host, port = address.split(":")
    body, kind = form_of("half.png", bytes(2_000_000))
    for whole in (False, True):
        with Session(address) as session:
            (box,) = elements(session, "image", "file_uploader")
            where = session.upload_address("half.png")
            if whole:  # the file is there, but nobody asks for the page any more
                assert put(address, where, "half.png", png(1)) == 204
                continue
            wire = socket.create_connection((host, int(port)), timeout=PATIENCE)
            head = {"Host": address, "Content-Length": str(len(body)), **kind, **xsrf(address)}
            lines = [f"PUT {where} HTTP/1.1", *(f"{key}: {value}" for key, value in head.items())]
            wire.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body[: len(body) // 2])
        if not whole:
            wire.close()
    # the session is over, and takes no more
    assert put(address, where, "late.png", png(2)) in (204, 400)
    with Session(address) as session:
        state = chosen(box.id, where, "half.png", 2_000_000)  # a file that never came whole
        again = read(list(session.run("image", {"scene": "0"}, [state])))
    assert again["exception"] == []
    assert "Concepts discovered" in "".join(again["html"])


def test_two_tabs_of_one_user_hold_their_own_pictures(address: str) -> None:
    with Session(address) as one, Session(address) as other:
        boxes = [elements(tab, "image", "file_uploader", scene="0")[0] for tab in (one, other)]
        where = one.upload_address("mine.png")
        assert put(address, where, "mine.png", png(3)) == 204
        state = chosen(boxes[0].id, where, "mine.png", len(png(3)))
        mine = "".join(read(list(one.run("image", {}, [state])))["html"])
        theirs = "".join(read(list(other.run("image", {"scene": "0"}, [state])))["html"])
    assert boxes[0].id == boxes[1].id
    assert "<h2>mine.png</h2>" in mine
    assert "mine.png" not in theirs

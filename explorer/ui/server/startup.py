"""What the app's server does as it starts: it says who may use it, and sees to quick answers.

The server's listening socket lacks TCP_NODELAY, and so does every connection it accepts: a small
answer, sent as head and body, then waits up to 40 ms for the browser to acknowledge the head
(Nagle's algorithm and delayed acknowledgement). A page of pictures has many such answers.

An upload stays in memory: what is above 1 MB would otherwise pass through a temporary file.

A page is run in a thread of its own. glibc gives concurrent threads arenas of their own to allocate
from, whose freed memory other threads cannot use: twenty visitors at once took 150 MB for good
(`explorer bench app`), and a third of that with two arenas.
"""

from __future__ import annotations

import ctypes
import socket
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import streamlit as st
from starlette.formparsers import MultiPartParser

from explorer.errors import ExplorerError, InputError
from explorer.places import bundles_folder
from explorer.ui.core import access
from explorer.ui.data import highlights, loaders

ARENAS = 2
M_ARENA_MAX = -8  # of <malloc.h>
DESCRIPTORS = Path("/proc/self/fd")  # Linux; elsewhere nothing changes


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncGenerator[None, None]:
    """Start and stop what belongs to the server; its socket listens already."""
    warn()
    share_arenas()
    answer_at_once()
    keep_uploads_in_memory()
    threading.Thread(target=warm_up, name="warm up", daemon=True).start()
    yield


def warn() -> None:
    """Say on the console who may use this server, where that is everybody."""
    try:
        warning = access.exposure(st.get_option("server.address"))
    except InputError as error:
        warning = f"{error} Every page is closed until then."
    if warning:
        print(f"warning: {warning}", file=sys.stderr, flush=True)


def warm_up() -> None:
    """Open the first bundle and derive what every page needs, while the first browser loads."""
    found = loaders.find_bundles(bundles_folder())
    for key, path in list(found.items())[:1]:
        with suppress(ExplorerError):  # the page that opens it says what is wrong
            view = loaders.open_view(key, path)
            highlights.held(view)
            _ = view.ranks, view.silent


def share_arenas(most: int = ARENAS) -> bool:
    """Let all threads allocate from a few arenas; return whether the C library (glibc) can."""
    try:
        return bool(ctypes.CDLL(None).mallopt(M_ARENA_MAX, most))
    except (AttributeError, OSError, TypeError):  # another C library, or none of this kind
        return False


def keep_uploads_in_memory() -> None:
    """Keep every upload that Streamlit accepts in memory while it arrives."""
    MultiPartParser.spool_max_size = (st.get_option("server.maxUploadSize") + 1) * 2**20


def answer_at_once(descriptors: Path = DESCRIPTORS) -> int:
    """Turn Nagle's algorithm off where this process listens; connections inherit it.

    Returns on how many sockets it was turned off.
    """
    listed = descriptors.iterdir() if descriptors.is_dir() else ()
    return sum(_turned_off(int(path.name)) for path in listed)


def _turned_off(descriptor: int) -> bool:
    try:
        found = socket.socket(fileno=descriptor)
    except OSError:  # a file, or closed meanwhile
        return False
    try:
        internet = found.family in {socket.AF_INET, socket.AF_INET6}
        if not internet or not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return False
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return True
    finally:
        found.detach()  # it belongs to who opened it

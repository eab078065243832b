"""Start the app's server, which says who will be able to use it."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys

from explorer.commands.options import Adder, Result, positive
from explorer.errors import InputError, brief
from explorer.places import APP, BUNDLES_VARIABLE, bundles_folder


def add_serve_command(add: Adder) -> None:
    """Add the command to the command line's parser."""
    serve = add("serve", _serve, "serve the app, by default to this machine only")
    serve.add_argument("--address", default="localhost", help="0.0.0.0 for all that can reach it")
    serve.add_argument("--port", type=positive, default=8501, help="8501 by default")


def command(address: str, port: int) -> list[str]:
    """Return the command that serves the app.

    Raises:
        InputError: when the app's files are missing, or nothing can listen there.
    """
    if not APP.is_file():
        raise InputError(f"{APP} is missing: install the package again, or clone the repository.")
    try:
        _check_free(address, port)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"The app cannot be served at {address}, port {port}: {brief(error)}; choose another "
            "--port from 1 to 65535, or another --address of this machine."
        ) from error
    options = ["--server.address", address, "--server.port", str(port)]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *options]


def _check_free(address: str, port: int) -> None:
    """Bind a socket there for a moment, as the server will."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tried.bind((address, port))


def serve(address: str, port: int) -> int:
    """Serve the app until it is stopped; return the server's exit status.

    A container's engine asks this process to end, so that is passed on; the status is then 0.
    """
    bundles = {BUNDLES_VARIABLE: str(bundles_folder().resolve())}
    server = subprocess.Popen(command(address, port), cwd=APP.parent, env=os.environ | bundles)
    before = signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    try:
        status = server.wait()
        return 0 if status == -signal.SIGTERM else status
    finally:
        signal.signal(signal.SIGTERM, before)
        server.wait()


def _serve(options: argparse.Namespace) -> Result:
    if status := serve(options.address, options.port):
        raise InputError(
            f"The app's server at {options.address}, port {options.port}, ended with status "
            f"{status}: its own message, above, says why."
        )
    return {"address": options.address, "status": status}

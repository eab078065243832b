"""Start the app's server, which says who will be able to use it."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from explorer.commands.options import Adder, Result, positive
from explorer.errors import InputError

APP = Path(__file__).parents[2] / "app.py"


def add_serve_command(add: Adder) -> None:
    """Add the command to the command line's parser."""
    serve = add("serve", _serve, "serve the app, by default to this machine only")
    serve.add_argument("--address", default="localhost", help="0.0.0.0 for all that can reach it")
    serve.add_argument("--port", type=positive, default=8501)


def command(address: str, port: int) -> list[str]:
    """Return the command that serves the app.

    Raises:
        InputError: when the app's files are not beside the package.
    """
    if not APP.is_file():
        raise InputError(f"{APP} is missing: serve the app from a checkout of the repository.")
    options = ["--server.address", address, "--server.port", str(port)]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *options]


def serve(address: str, port: int) -> int:
    """Serve the app until it is stopped; return the server's exit status."""
    return subprocess.call(command(address, port), cwd=APP.parent)


def _serve(options: argparse.Namespace) -> Result:
    return {"address": options.address, "status": serve(options.address, options.port)}

"""Start the app's server, which says who will be able to use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from explorer.errors import InputError

APP = Path(__file__).parents[2] / "app.py"


def command(address: str, port: int) -> list[str]:
    """The command that serves the app.

    Raises:
        InputError: the app's files are not beside the package.
    """
    if not APP.is_file():
        raise InputError(f"{APP} is missing: serve the app from a checkout of the repository.")
    options = ["--server.address", address, "--server.port", str(port)]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *options]


def serve(address: str, port: int) -> int:
    """Serve the app until it is stopped; return the server's exit status."""
    return subprocess.call(command(address, port), cwd=APP.parent)

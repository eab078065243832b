"""What the tests of findings share: samples, and a PostgreSQL cluster of their own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from explorer.findings.copy import copy_of
from explorer.findings.model import BundleRef, Finding, NeuronRef

BUNDLE = BundleRef("tiny", "ab" * 32)


def sample(title: str = "Ships and cars", /, **changes: object) -> Finding:
    """A finding about two neurons, with changes."""
    parts: dict = {
        "bundle": BUNDLE,
        "neurons": (NeuronRef(1, 5), NeuronRef(0, 7)),
        "settings": {"pictures": "grouped"},
        "note": "Both **move**.\n\n- ships\n- cars",
        "tags": ("cars", "ships"),
        "author": "Ada",
    }
    return Finding(title=title, **(parts | changes))


def picture(title: str = "A picture", /, **changes: object) -> Finding:
    """A finding about a picture, with changes."""
    parts: dict = {"bundle": BUNDLE, "image": 3, "texts": ("red circle",), "settings": {"head": 2}}
    return Finding(title=title, **(parts | changes))


def own_picture(title: str = "My own", /, **changes: object) -> Finding:
    """A finding that holds a picture of its own, with changes."""
    drawn = Image.new("RGB", (120, 60), "navy")
    drawn.paste("orange", (20, 10, 60, 50))
    parts: dict = {"bundle": BUNDLE, "copy": copy_of(drawn), "texts": ("circle",)}
    return Finding(title=title, **(parts | changes))


def view(title: str = "It holds", /, **changes: object) -> Finding:
    """A finding about what a page shows, with changes."""
    parts: dict = {"bundle": BUNDLE, "settings": {"from": "evidence", "claim": "ablation"}}
    return Finding(title=title, **(parts | changes))


def _programs() -> Path | None:
    found = shutil.which("initdb")
    every = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return Path(found).parent if found else every[-1].parent if every else None


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL on loopback that can be stopped and started again."""

    address: str
    control: list[Any]
    options: str
    folder: Path
    who: dict[str, Any]

    def start(self) -> None:
        command = [*self.control, "-o", self.options, "-l", self.folder / "log", "start"]
        quiet = subprocess.DEVNULL
        subprocess.run(command, check=True, stdout=quiet, cwd=self.folder, **self.who)

    def stop(self) -> None:
        command = [*self.control, "-m", "immediate", "stop"]
        quiet = subprocess.DEVNULL
        subprocess.run(command, check=False, stdout=quiet, cwd=self.folder, **self.who)


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Start a PostgreSQL cluster on loopback in a folder of its own; yield its address."""
    with cluster() as found:
        yield found.address


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a PostgreSQL cluster, as `postgres` does; yield it."""
    programs = _programs()
    if programs is None:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say("PostgreSQL is not installed: apt-get install postgresql")
        return
    folder = Path(tempfile.mkdtemp(prefix="findings-", dir="/tmp"))  # short: it holds a socket
    who: dict = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = pwd.getpwnam("nobody")
        os.chown(folder, user.pw_uid, user.pw_gid)
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    data = folder / "data"
    command = [programs / "initdb", "-D", data, "-U", "explorer", "-A", "trust", "-E", "UTF8"]
    command += ["--no-sync", "--locale=C.UTF-8"]
    subprocess.run(command, check=True, capture_output=True, cwd=folder, **who)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"-h 127.0.0.1 -p {port} -k {folder} -F"
    control = [programs / "pg_ctl", "-D", data, "-w", "-t", "90"]
    address = f"postgresql://explorer@127.0.0.1:{port}/postgres"
    found = Cluster(address, control, options, folder, who)
    found.start()
    try:
        yield found
    finally:
        found.stop()
        shutil.rmtree(folder, ignore_errors=True)

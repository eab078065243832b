"""Builds that are killed: each runs in a process of its own, which dies by SIGKILL.

    python -m tests.support.killing MODEL STORE FOLDER KILL...

A moment is a share of a whole build's changes to files, and then some milliseconds: `0.4+3`. At
each moment in turn the build of one folder is killed, and started again, until it is finished;
then comes the next folder. Prints one JSON object: how many runs were `killed` and how many builds
`finished`; whether a folder opened `early`, before it was sealed; whether all bundles are `equal`
to one that nobody killed, file by file; and what is `left` that a bundle does not hold.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from explorer.build import BuildSettings
from explorer.build.run import build
from explorer.bundle import MANIFEST, Bundle, verify
from explorer.errors import BundleError
from tests.conftest import settings_for

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir")


def run(settings: BuildSettings, die_at: int | None = None, later: float = 0.0) -> tuple[int, bool]:
    """Build in a process of its own that dies at its change `die_at` to a file of the folder.

    Returns how many changes there were, and whether the process was killed.
    """
    here, there = os.pipe()
    if (child := os.fork()) == 0:
        code = 1
        try:
            os.write(there, str(_build(settings, die_at, later)).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(there)
    _, status = os.waitpid(child, 0)
    with os.fdopen(here) as answer:
        changes = answer.read()
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return int(changes or 0), os.WIFSIGNALED(status)


def _build(settings: BuildSettings, die_at: int | None, later: float) -> int:
    out, changes = str(settings.out), 0

    def watch(event: str, details: tuple[Any, ...]) -> None:
        nonlocal changes
        writes = event == "open" and isinstance(details[2], int) and details[2] & os.O_ACCMODE
        if not (writes or event in CHANGES) or not str(details[0]).startswith(out):
            return
        if changes == die_at:
            _die(later)
        changes += 1

    sys.addaudithook(watch)
    build(settings, lambda line: None)
    return changes


def _die(later: float) -> None:
    if not later:
        os.kill(os.getpid(), signal.SIGKILL)
    threading.Timer(later, os.kill, (os.getpid(), signal.SIGKILL)).start()


def opens(folder: Path) -> bool:
    """Return whether a folder opens as a bundle."""
    try:
        Bundle.open(folder)
    except BundleError:
        return False
    return True


def main(model: str, store: str, folder: str, *moments: str) -> None:
    """Kill builds below `folder` at the moments, with one that nobody kills to compare."""

    def settings(name: str) -> BuildSettings:
        return settings_for(
            Path(folder, name), Path(model), Path(store), layers="2", nulls=50, save_minutes=0.0,
            name="killed",
        )  # fmt: skip

    whole, hurt, rounds = settings("whole"), settings("0"), 0
    changes, _ = run(whole)
    wanted = Bundle.open(whole.out).manifest.files
    found = {"killed": 0, "finished": 0, "early": False, "equal": True, "left": []}

    def finish() -> None:
        run(hurt)
        found["finished"] += 1
        found["equal"] &= Bundle.open(hurt.out).manifest.files == wanted
        found["left"] += verify(hurt.out)

    for moment in moments:
        share, _, later = moment.partition("+")
        _, killed = run(hurt, int(float(share) * changes), float(later or 0) / 1000)
        found["killed"] += killed
        sealed = (hurt.out / MANIFEST).is_file()
        found["early"] |= opens(hurt.out) and not sealed
        if sealed:  # a moment behind the last step, or none that this run reached
            finish()
            rounds += 1
            hurt = settings(str(rounds))
    finish()
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

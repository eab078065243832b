"""Resumable passes: per-picture arrays that fill batch by batch, saved now and then.

A working folder beside the bundle keeps finished sections and unfinished passes, so that the same
command continues after Ctrl-C or a crash. It is removed when everything asked for is measured. Each
set of settings and sections has a folder of its own in each version of the explorer, so that one
command never discards another's, and what two versions measured is never mixed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import explorer
from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.resumable import Arrays, Say, load_arrays, run_batches, save_arrays

MARK = 12  # hexadecimal digits that tell folders apart


class Work:
    """A working folder; without a folder nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        """Keep files in `folder`, which must exist, or keep nothing."""
        self.folder = folder

    @classmethod
    def beside(cls, bundle: Bundle, identity: Mapping[str, Any], say: Say) -> Work:
        """Open the working folder of a bundle and of what this version measures on it.

        What belongs to another build of the bundle is dropped. Where no folder can be made beside
        the bundle, nothing is kept.
        """
        path = bundle.path.resolve()
        top = path.with_name(f".{path.name}.evidence")
        build = bundle.manifest.identity[:MARK]
        measured = {**identity, "version": explorer.__version__}
        settings = json.dumps(measured, sort_keys=True).encode()
        folder = top / f"{build}-{hashlib.sha256(settings).hexdigest()[:MARK]}"
        try:
            for other in [] if not top.is_dir() else top.iterdir():
                if not other.name.startswith(build):
                    shutil.rmtree(other)
            if folder.is_dir():
                say(f"going on with what {folder} holds")
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            say(f"nothing is kept for another run: {folder} cannot be used ({error})")
            return cls(None)
        return cls(folder)

    def result(self, name: str) -> dict[str, Any] | None:
        """Return a finished section's result, or None."""
        file = self._file(f"{name}.json")
        return json.loads(file.read_text("utf-8")) if file and file.is_file() else None

    def keep_result(self, name: str, result: dict[str, Any]) -> None:
        """Keep a finished section's result."""
        file = self._file(f"{name}.json")
        if file:
            unfinished = file.with_suffix(".new")
            unfinished.write_text(json.dumps(result), "utf-8")
            unfinished.replace(file)

    def arrays(self, name: str) -> Arrays | None:
        """Return kept arrays, or None if there are none or they are damaged."""
        file = self._file(f"{name}.npz")
        if not file or not file.is_file():
            return None
        try:
            return load_arrays(file)
        except InputError:
            return None

    def keep_arrays(self, name: str, arrays: Arrays) -> None:
        """Keep arrays under a name."""
        file = self._file(f"{name}.npz")
        if file:
            save_arrays(file, arrays)

    def drop_arrays(self, name: str) -> None:
        """Forget kept arrays."""
        file = self._file(f"{name}.npz")
        if file:
            file.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder, and the one around it if nothing else is in it."""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.folder.parent.rmdir()

    def _file(self, name: str) -> Path | None:
        return self.folder / name if self.folder else None


def stream(
    work: Work,
    name: str,
    images: int,
    batch_size: int,
    take: Callable[[range], Mapping[str, NDArray[Any]]],
    say: Say,
) -> Arrays:
    """Fill per-picture arrays [image, ...] batch by batch and return them; resumable.

    `take` returns for a range of pictures the arrays' rows, the same names each time.

    Raises:
        Interrupted: after Ctrl-C, with the state kept.
    """
    found = work.arrays(name) or {}
    done = int(found.pop("_done", 0))

    def absorb(places: range, rows: Mapping[str, NDArray[Any]]) -> None:
        for key, values in rows.items():
            if key not in found:
                found[key] = np.zeros((images, *values.shape[1:]), values.dtype)
            found[key][places.start : places.stop] = values

    def keep(done: int) -> None:
        work.keep_arrays(name, {**found, "_done": np.array(done)})

    run_batches(name, images, batch_size, take, absorb, keep, say, done=done)
    return found

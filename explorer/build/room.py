"""A full disk: one sentence that says so, whichever library found out."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from explorer.errors import BundleError, InputError, brief

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LEAST = 2**20  # bytes free below which a failed write is one for want of room
UNNUMBERED = ("requested and", os.strerror(errno.ENOSPC))
"""What NumPy, of a write that was cut off, and a copied folder say without an error's number."""


@contextmanager
def needing_room(out: Path) -> Iterator[None]:
    """Turn any library's complaint about a full disk into one sentence.

    Raises:
        InputError: when what is done inside finds no room to write.
    """
    try:
        yield
    except (OSError, BundleError) as error:
        if not _for_want_of_room(error, out):
            raise
        raise InputError(
            f"The disk is full ({_said(error)}): make room for {out} and run the same command, "
            "which goes on from what is saved."
        ) from error


def _said(error: OSError | BundleError) -> str:
    """Return what went wrong; of a folder that was copied, the first file's."""
    if isinstance(error, shutil.Error):
        return str(error.args[0][0][2]).partition(":")[0]
    return brief(error)


def _for_want_of_room(error: OSError | BundleError, out: Path) -> bool:
    said = str(error)
    if isinstance(error, OSError) and (error.errno in FULL or any(s in said for s in UNNUMBERED)):
        return True
    there = next((folder for folder in (out, *out.absolute().parents) if folder.is_dir()), None)
    return there is not None and shutil.disk_usage(there).free < LEAST

"""Commands that pages show for pasting into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path


def explorer(*words: str | Path) -> str:
    """Return the command `python -m explorer` with these words, each quoted where a shell needs it.

    Names of models and of folders come with a bundle from anyone: unquoted, one could hold a
    command of its own.
    """
    return shlex.join(["python", "-m", "explorer", *map(str, words)])

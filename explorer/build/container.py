"""What a container may take of its machine: the limits of its control groups, version 2 or 1.

A limit holds for all groups below it, so that of the group that this process is in and those above
it the tightest one counts. Groups above a container's own cannot be seen from inside.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
MINE = Path("/proc/self/cgroup")
"""Names the groups of this process."""


def memory_left(groups: Path = GROUPS, mine: Path = MINE) -> float:
    """Return the bytes that this process's groups may still take; infinity without a limit.

    What was read from files and not lately counts as free: the system drops it when it must.
    """
    return min(map(_memory_left, _folders("memory", groups, mine)), default=math.inf)


def cores(groups: Path = GROUPS, mine: Path = MINE) -> float:
    """Return how many cores' time this process's groups may take; infinity without a limit."""
    return min(map(_cores, _folders("cpu", groups, mine)), default=math.inf)


def _folders(controller: str, groups: Path, mine: Path) -> Iterator[Path]:
    """Yield the folders of this process's group and of those above it, of both versions."""
    with suppress(OSError, ValueError):
        for line in mine.read_text("utf-8").splitlines():
            _, names, path = line.split(":", 2)
            if names and controller not in names.split(","):
                continue
            top = groups / controller if names else groups  # of version 2 there is one tree
            own = top / path.strip("/")
            yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(top))


def _memory_left(folder: Path) -> float:
    for most, taken, unused in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        with suppress(OSError, ValueError, KeyError):
            limit = float((folder / most).read_text("ascii"))  # "max" without one
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            used = float((folder / taken).read_text("ascii")) - float(stat[unused])
            return max(0.0, limit - used)
    return math.inf


def _cores(folder: Path) -> float:
    with suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text("ascii").split()  # "max" without one
        return float(quota) / float(period)
    with suppress(OSError, ValueError):
        quota, period = (
            (folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
        )
        return float(quota) / float(period) if float(quota) > 0 else math.inf  # -1 without one
    return math.inf

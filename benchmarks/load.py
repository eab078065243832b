"""Many visitors at once: all pages of a running app for some minutes, and what becomes of it.

Each visitor is a session over the app's own protocol, as a browser speaks it, and fetches the
pictures that its pages name. After each page it pauses as long as is drawn around the given mean.
Visitors run in this process: on the same machine they take some of the server's processor time.
"""

from __future__ import annotations

import http.client
import math
import os
import random
import re
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from html import unescape
from typing import Any

from benchmarks.app import (
    PATIENCE,
    Session,
    kind_of,
    memory_mb,
    opened_bundle,
    random_address,
    running_app,
)
from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.ui.address.address import PAGES
from explorer.ui.server.faults import UNFORESEEN

PICTURE = re.compile(r'src="(pictures/[^"]+)"')
FILES_KEPT = 4000  # addresses that a visitor's browser remembers
LEFT_OUT = ("finding", "collection")  # they need an id of something that was saved


@dataclass(frozen=True)
class LoadBench:
    """How many visitors, for how long."""

    bundle: str = field(default="", metadata={"help": "the bundle's folder name"})
    visitors: int = field(default=50, metadata={"help": "sessions at once"})
    seconds: float = field(default=300.0, metadata={"help": "how long they go on"})
    pause: float = field(default=5.0, metadata={"help": "mean seconds from a page to the next"})
    pages: str = field(default="", metadata={"help": "their names with commas; all unless told"})
    cores: int = field(default=0, metadata={"help": "that the server may use; 0 for all"})
    seed: int = field(default=0, metadata={"help": "of addresses and pauses"})

    def __post_init__(self) -> None:
        """Refuse what measures nothing.

        Raises:
            InputError: when there is no visitor, no time, or no such page.
        """
        if self.visitors < 1 or self.seconds <= 0 or self.pause < 0 or self.cores < 0:
            raise InputError("Ask for at least one visitor, some seconds, and no negative pause.")
        odd = [name for name in self.pages.split(",") if name and name not in PAGES]
        if odd:
            raise InputError(f"There is no page '{odd[0]}': pages are {', '.join(PAGES)}.")

    @property
    def chosen(self) -> list[str]:
        """Return the pages to visit."""
        named = [name for name in self.pages.split(",") if name]
        return named or [name for name in PAGES if name not in LEFT_OUT]


@dataclass
class Seen:
    """What all visitors saw; they write to it in turn."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    files: list[float] = field(default_factory=list)
    bytes: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def page(self, name: str, seconds: float) -> None:
        """Note a page that was shown."""
        with self.lock:
            self.times[name].append(seconds)

    def file(self, seconds: float, size: int) -> None:
        """Note a picture that came."""
        with self.lock:
            self.files.append(seconds)
            self.bytes += size

    def error(self, said: str) -> None:
        """Note what went wrong."""
        with self.lock:
            self.errors[said[:200]] += 1


def bench_load(settings: LoadBench) -> dict[str, Any]:
    """Start the app, let visitors loose on it, and return times, memory and errors.

    Returns `pages` (page -> views, median and p95 in milliseconds), `all` (the same over all
    pages), `files` (pictures fetched, their p95), `memory_mb` (before, and the most that the
    server's process ever held) and `errors` (sentence -> how often).

    Raises:
        InputError: when there is no such bundle, or no /proc to read memory from.
    """
    bundle = opened_bundle(settings.bundle)
    seen = Seen()
    with running_app(cores=settings.cores) as (address, process):
        with Session(address) as first:
            first.view("home", {"bundle": bundle.path.name})
        before = memory_mb(process)
        end = time.monotonic() + settings.seconds
        draw = random.Random(settings.seed)
        seeds = [draw.random() for _ in range(settings.visitors)]
        with ThreadPoolExecutor(settings.visitors) as pool:
            list(pool.map(lambda seed: _visitor(address, bundle, settings, seed, end, seen), seeds))
        most = memory_mb(process, "VmHWM")
    every = [seconds for times in seen.times.values() for seconds in times]
    return {
        "bundle": bundle.name,
        "visitors": settings.visitors,
        "seconds": settings.seconds,
        "pause": settings.pause,
        "cores": settings.cores or os.cpu_count(),
        "all": _figures(every),
        "pages": {name: _figures(times) for name, times in sorted(seen.times.items())},
        "files": _figures(seen.files) | {"mb": round(seen.bytes / 1e6, 1)},
        "memory_mb": {"before": before, "most": most},
        "errors": dict(seen.errors.most_common()),
    }


def _visitor(
    address: str, bundle: Bundle, settings: LoadBench, seed: float, end: float, seen: Seen
) -> None:
    """Open one page after the other until the time is over."""
    draw = random.Random(seed)
    known: dict[str, None] = {}
    files = http.client.HTTPConnection(address, timeout=PATIENCE)
    _wait(draw.uniform(0, settings.pause), end)  # they do not all come in the same moment
    while time.monotonic() < end:
        try:
            with Session(address) as session:
                while time.monotonic() < end:
                    page = draw.choice(settings.chosen)
                    params = random_address(page, bundle, draw)
                    _fetch(files, _shown(session, page, params, seen), known, seen)
                    _wait(draw.expovariate(1 / settings.pause) if settings.pause else 0, end)
        except Exception as error:  # whatever it is, it is counted, and the visitor comes again
            seen.error(f"{type(error).__name__}: {error}")
            files.close()
            _wait(1, end)
    with suppress(OSError):
        files.close()


def _shown(session: Session, page: str, params: dict[str, object], seen: Seen) -> list[str]:
    """Run a page, note its time and faults, and return the pictures it names."""
    pictures: list[str] = []
    start = time.perf_counter()
    for answer in session.run(page, params):
        kind = kind_of(answer)
        if kind == "html":
            html = answer.delta.new_element.html.body
            pictures += map(unescape, PICTURE.findall(html))
            if UNFORESEEN in unescape(html):
                seen.error(f"{page}: a part could not be drawn")
        elif kind == "exception":
            said = answer.delta.new_element.exception
            seen.error(f"{page}: {said.type} {said.message}")
    seen.page(page, time.perf_counter() - start)
    return list(dict.fromkeys(pictures))


def _fetch(
    files: http.client.HTTPConnection, names: list[str], known: dict[str, None], seen: Seen
) -> None:
    """Get pictures that the visitor's browser does not have yet."""
    for name in names:
        if name in known:
            continue
        start = time.perf_counter()
        try:
            files.request("GET", f"/{name}")
            answer = files.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):  # closed after a pause: once anew
            files.close()
            files.request("GET", f"/{name}")
            answer = files.getresponse()
        data = answer.read()
        if answer.status != 200:
            seen.error(f"a picture: {answer.status} {data[:100].decode(errors='replace')}")
            continue
        seen.file(time.perf_counter() - start, len(data))
        known[name] = None
        if len(known) > FILES_KEPT:
            known.pop(next(iter(known)))


def _wait(seconds: float, end: float) -> None:
    time.sleep(max(0.0, min(seconds, end - time.monotonic())))


def _figures(times: list[float]) -> dict[str, float]:
    """Return how many, the median and the p95 in milliseconds."""
    ordered = sorted(times)
    if not ordered:
        return {"count": 0}
    return {
        "count": len(ordered),
        "median_ms": round(1000 * ordered[len(ordered) // 2], 1),
        "p95_ms": round(1000 * ordered[math.ceil(0.95 * len(ordered)) - 1], 1),
    }

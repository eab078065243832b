"""The app under load: a real server and a real browser.

Server times are taken over the app's own protocol, as its browser speaks it: from asking for a page
to the message that its run has finished, every element in between received. The browser
loads each page once with an empty cache and counts what comes. Memory is the server process's
resident set after a warm-up, after many views in one session and after many sessions at once.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import urlencode

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.places import bundles_folder
from explorer.ui.address.address import PAGES
from explorer.ui.core.glossary import MEASURES
from explorer.ui.data.loaders import FOLDER_VARIABLE, find_bundles

ROOT = Path(__file__).parents[1]
PATIENCE = 120.0  # seconds for a page, or for the server to start
LIMITS_MS = {"neurons": 150, "neuron": 150, "search": 300, "atlas": 300}
LIMIT_BYTES = 1_500_000  # of a page's own, beside the app's scripts and styles
LIMIT_GROWTH_MB = 150
SESSION_VIEWS = 4  # pages that each of the concurrent sessions opens
CHROMIUM = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)


@dataclass(frozen=True)
class AppBench:
    """What is asked of the app."""

    bundle: str = field(default="", metadata={"help": "the bundle's folder name"})
    views: int = field(default=50, metadata={"help": "timed views per page"})
    memory_views: int = field(default=200, metadata={"help": "views in one session"})
    sessions: int = field(default=20, metadata={"help": "sessions open at once"})
    pages: tuple[str, ...] = field(
        default=(), metadata={"help": "pages loaded in the browser; all of them unless told"}
    )
    seed: int = field(default=0, metadata={"help": "of the addresses"})

    def __post_init__(self) -> None:
        """Refuse what measures nothing.

        Raises:
            InputError: when a number is less than 1, or there is no such page.
        """
        if min(self.views, self.memory_views, self.sessions) < 1:
            raise InputError("Ask for at least one view, memory view and session.")
        for page in self.pages:
            if page not in PAGES:
                raise InputError(f"There is no page “{page}”; there are {', '.join(PAGES)}.")


def bench_app(settings: AppBench) -> dict[str, Any]:
    """Start the app on its bundles and measure times, bytes and memory of the pages of one.

    Returns `server_ms` (page -> median, p95 and limit over random addresses, warm), `first_view`
    (page -> bytes of its own, bytes of scripts and styles, milliseconds until it stands in the
    browser), `memory_mb` (resident set warm, after many views in one session and with many sessions
    open at once; the growth of both) and `within_limits`.

    Raises:
        InputError: when there is no such bundle, no browser, or no /proc to read memory from.
    """
    opened = opened_bundle(settings.bundle)
    chromium = find_chromium()
    draw = random.Random(settings.seed)
    with running_app() as (address, process):
        times = _server_times(address, opened, settings.views, draw)
        first = _first_views(address, opened, chromium, settings.pages or tuple(PAGES), draw)
        memory = _memory(address, process, opened, settings.memory_views, settings.sessions, draw)
    within = {
        "server_ms": all(t["p95"] <= t["limit"] for t in times.values()),
        "first_view": all(page["bytes"] <= LIMIT_BYTES for page in first.values()),
        "memory_mb": memory["growth"] <= LIMIT_GROWTH_MB,
    }
    return {
        "bundle": opened.name,
        "neurons": len(opened.neurons),
        "views": settings.views,
        "server_ms": times,
        "first_view": first,
        "memory_mb": memory,
        "within_limits": within,
    }


@contextmanager
def running_app(folder: Path | None = None, cores: int = 0) -> Iterator[tuple[str, int]]:
    """Run the app on a free port; yields its address (`127.0.0.1:port`) and process id.

    `folder`: of the bundles, the app's own unless told. `cores`: how many it may use; 0 for all.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    if cores:
        command = ["taskset", "--cpu-list", f"0-{cores - 1}", *command]
    environment = os.environ | {FOLDER_VARIABLE: str((folder or bundles_folder()).resolve())}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"127.0.0.1:{port}"
    try:
        _await(address, process)
        yield address, process.pid
    finally:
        stop(process)


def stop(process: subprocess.Popen[Any]) -> None:
    """End a server: asked first, by force if it still computes half a minute later."""
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Session:
    """One visitor, speaking the app's protocol over a web socket."""

    def __init__(self, address: str) -> None:
        """Connect; nothing is run yet."""
        from websockets.sync.client import connect
        from websockets.typing import Subprotocol

        self._manager = connect(
            f"ws://{address}/_stcore/stream", subprotocols=[Subprotocol("streamlit")], max_size=None
        )
        self._socket = self._manager.__enter__()

    def __enter__(self) -> Session:
        """Return the session itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the connection."""
        self._manager.__exit__(None, None, None)

    def view(self, page: str, params: Mapping[str, object]) -> float:
        """Run a page and return the seconds until its run has finished.

        Raises:
            InputError: when the page raises an exception of its own.
        """
        start = time.perf_counter()
        for answer in self.run(page, params):
            if kind_of(answer) == "exception":
                raise InputError(f"The page {page} failed for {params}: see the app's own log.")
        return time.perf_counter() - start

    def run(
        self, page: str, params: Mapping[str, object], widgets: Iterable[Any] = ()
    ) -> Iterator[Any]:
        """Run a page and yield every message of the server until its run has finished.

        `widgets` are the states of its widgets, as `WidgetState` messages.
        """
        request = self._message()
        request.rerun_script.page_name = "" if page == "home" else page
        request.rerun_script.query_string = urlencode(params)
        request.rerun_script.widget_states.widgets.extend(widgets)
        self.send(request)
        while True:
            answer = self.receive()
            yield answer
            if answer.WhichOneof("type") == "script_finished":
                return

    def send(self, request: Any) -> None:
        """Send the server a `BackMsg`."""
        self._socket.send(request.SerializeToString())

    def receive(self) -> Any:
        """Return the server's next `ForwardMsg`."""
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        self._acknowledge_at_once()
        answer = ForwardMsg()
        answer.ParseFromString(self._socket.recv(timeout=PATIENCE))
        return answer

    def upload_address(self, name: str) -> str:
        """Return where a file is to be put, relative to the server's own address."""
        request = self._message()
        request.file_urls_request.request_id = name
        request.file_urls_request.file_names.append(name)
        self.send(request)
        while (answer := self.receive()).WhichOneof("type") != "file_urls_response":
            pass
        return str(answer.file_urls_response.file_urls[0].upload_url)

    @staticmethod
    def _message() -> Any:
        from streamlit.proto.BackMsg_pb2 import BackMsg

        return BackMsg()

    def _acknowledge_at_once(self) -> None:
        """Keep the kernel from delaying acknowledgements by 40 ms: that is no time of the app's."""
        option = getattr(socket, "TCP_QUICKACK", None)  # Linux; it doesn't last
        if option is not None:
            self._socket.socket.setsockopt(socket.IPPROTO_TCP, option, 1)


def kind_of(answer: Any) -> str:
    """Return the kind of element that a message brings, "exception" say; empty for none."""
    if answer.WhichOneof("type") != "delta":
        return ""
    return answer.delta.new_element.WhichOneof("type") or ""


def opened_bundle(name: str = "") -> Bundle:
    """Open a bundle of the app's own, the first unless named.

    Raises:
        InputError: when there is none of that name.
    """
    found = find_bundles(bundles_folder())
    if not found or (name and name not in found):
        raise InputError(
            f"There is no bundle {name or ''} in {bundles_folder()}: set {FOLDER_VARIABLE} to the "
            "folder that holds it."
        )
    return Bundle.open(found[name or next(iter(found))])


def find_chromium() -> str:
    """Return the path of Chromium.

    Raises:
        InputError: when it or playwright is missing.
    """
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    try:
        import playwright.sync_api  # noqa: F401  only the browser's part needs it
    except ImportError as error:
        raise InputError(
            "Install tests/requirements.txt: playwright drives the browser."
        ) from error
    if not found:
        raise InputError(
            "No Chromium is installed; install one: apt-get install chromium-headless-shell."
        )
    return found


def _await(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{address}/_stcore/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise InputError("The app did not start: run 'streamlit run app.py' to see why.")


def random_address(page: str, bundle: Bundle, draw: random.Random) -> dict[str, object]:
    """Return a random address of a page."""
    params: dict[str, object] = {"bundle": bundle.path.name}
    record = bundle.neurons.iloc[draw.randrange(len(bundle.neurons))]
    place = {"layer": int(record["layer"]), "neuron": int(record["neuron"])}
    texts = [f'"{text}"' for text in draw.sample(bundle.texts, min(2, len(bundle.texts)))]
    pages = math.ceil(len(bundle.neurons) / 24)
    own: dict[str, dict[str, object]] = {
        "neuron": {**place},
        "neurons": {"sort": draw.choice(list(MEASURES)), "page": draw.randint(1, pages)},
        "search": {"q": " + ".join(texts[: draw.randint(1, 2)])},
        "atlas": {"colour": draw.choice(["layer", "polysemy", "selectivity"])},
        "concept": {"text": draw.choice(bundle.texts)},
        "compare": {"pins": f"{place['layer']}.{place['neuron']},{place['layer']}.0"},
        "image": {"image": draw.randrange(len(bundle.pictures))},
    }
    return params | own.get(page, {})


def _server_times(
    address: str, bundle: Bundle, views: int, draw: random.Random
) -> dict[str, dict[str, float]]:
    """Page -> median and p95 in milliseconds over random addresses, after a few to warm up."""
    times = {}
    with Session(address) as session:
        for page, limit in LIMITS_MS.items():
            for _ in range(3):
                session.view(page, random_address(page, bundle, draw))
            taken = sorted(
                1000 * session.view(page, random_address(page, bundle, draw)) for _ in range(views)
            )
            times[page] = {
                "median": round(taken[len(taken) // 2], 1),
                "p95": round(taken[math.ceil(0.95 * len(taken)) - 1], 1),
                "limit": limit,
            }
    return times


def _first_views(
    address: str, bundle: Bundle, chromium: str, pages: Iterable[str], draw: random.Random
) -> dict[str, dict[str, int]]:
    """Page -> bytes and milliseconds of one visit with an empty cache."""
    from playwright.sync_api import sync_playwright

    found = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        for page in pages:
            params = urlencode(random_address(page, bundle, draw))
            target = f"http://{address}/{'' if page == 'home' else page}?{params}"
            found[page] = _first_view(browser, target)
        browser.close()
    return found


def _first_view(browser: Any, target: str) -> dict[str, int]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    tab = context.new_page()
    tab.set_default_timeout(1000 * PATIENCE)
    wire = context.new_cdp_session(tab)
    wire.send("Network.enable")
    urls: dict[str, str] = {}
    counted = {"bytes": 0, "scripts_bytes": 0}

    def arrived(event: dict[str, Any]) -> None:
        own = "/static/" not in urls.get(event["requestId"], "")
        counted["bytes" if own else "scripts_bytes"] += int(event["encodedDataLength"])

    def frame(event: dict[str, Any]) -> None:
        payload = event["response"]
        length = len(payload["payloadData"])
        counted["bytes"] += length * 3 // 4 if payload["opcode"] == 2 else length  # 2: base64

    wire.on(
        "Network.requestWillBeSent", lambda e: urls.update({e["requestId"]: e["request"]["url"]})
    )
    wire.on("Network.loadingFinished", arrived)
    wire.on("Network.webSocketFrameReceived", frame)
    start = time.perf_counter()
    tab.goto(target)
    tab.wait_for_selector(".lens h1")
    tab.wait_for_selector('[data-test-script-state="notRunning"]', state="attached")
    taken = round(1000 * (time.perf_counter() - start))
    tab.wait_for_load_state("networkidle")
    context.close()
    return counted | {"ms": taken}


def _memory(
    address: str, process: int, bundle: Bundle, views: int, sessions: int, draw: random.Random
) -> dict[str, float]:
    """Resident set in MB: warm, after many views in a session, with many sessions open."""
    pages = ["home", "about", "concept", "compare", *LIMITS_MS]
    with Session(address) as session:
        for page in 4 * pages:
            session.view(page, random_address(page, bundle, draw))
        warm = memory_mb(process)
        for number in range(views):
            page = pages[number % len(pages)]
            session.view(page, random_address(page, bundle, draw))
        after_views = memory_mb(process)
    together = Barrier(sessions)
    seeds = [draw.random() for _ in range(sessions)]

    def visit(seed: float) -> float:
        own = random.Random(seed)
        with Session(address) as visitor:
            for _ in range(SESSION_VIEWS):
                page = own.choice(pages)
                visitor.view(page, random_address(page, bundle, own))
            together.wait(timeout=PATIENCE)  # all are open now
            return memory_mb(process)

    with ThreadPoolExecutor(sessions) as pool:
        with_sessions = max(pool.map(visit, seeds))
    return {
        "warm": warm,
        "after_views": after_views,
        "with_sessions": with_sessions,
        "growth": round(max(after_views, with_sessions) - warm, 1),
        "limit": LIMIT_GROWTH_MB,
    }


def memory_mb(process: int, name: str = "VmRSS") -> float:
    """Return a process's resident set in MB; `VmHWM`: the most it ever was.

    Raises:
        InputError: where there is no /proc.
    """
    status = Path(f"/proc/{process}/status")
    if not status.is_file():
        raise InputError("Memory is read from /proc: run this benchmark on Linux.")
    line = next(row for row in status.read_text().splitlines() if row.startswith(f"{name}:"))
    return round(int(line.split()[1]) / 1024, 1)

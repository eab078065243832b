"""The app in a real browser: how a server and a page are waited for, and what is checked of one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from benchmarks.app import stop

try:
    from axe_playwright_python.sync_playwright import Axe
    from playwright import sync_api
except ModuleNotFoundError:
    sync_api = None  # the fixture `chromium` skips every test that needs it

ROOT = Path(__file__).parents[2]
EVIL = "<img src=x onerror=\"window.stolen='yes'\">"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--process-per-site",  # scripts are compiled once, not for each page: half the time
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",  # a camera that sees a test card
    "--use-fake-ui-for-media-stream",
]
PATIENCE = 90_000  # ms; a shared machine may be slow
if sync_api:
    sync_api.expect.set_options(timeout=PATIENCE)
WIDTHS = {1440: 900, 390: 844}
EVERYWHERE = [(1440, "light"), (390, "dark")]
"""Each width and each scheme once: a width changes places alone, and a scheme colours alone."""
GRAVE = {"serious", "critical"}
"""What axe-core may not find."""


def await_server(address: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers at an address."""
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end:
        assert process.poll() is None, "the server stopped"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.3)
    pytest.fail("the server did not start")


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def serving(bundles: Path, data: Path, below: str = "", **settings: str) -> Iterator[str]:
    """Serve the app on a folder of bundles, findings in the folder `data`; yield its address.

    `below` is the path that it is served under, such as "tools/clip/".
    """
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    command += ["--server.baseUrlPath", below] if below else []
    places = {"EXPLORER_BUNDLES": str(bundles), "EXPLORER_DATA": str(data)}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("EXPLORER_")}
    log = data.with_suffix(".log").open("w+")
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment | places | settings, stdout=log, stderr=log
    )
    address = f"http://127.0.0.1:{port}/{below}"
    try:
        await_server(address + "_stcore/health", process)
        yield address
        log.seek(0)
        written = log.read()
        assert "Traceback" not in written, written
    finally:
        stop(process)
        log.close()


class Visit:
    """A browser page that collects what goes wrong in it."""

    def __init__(
        self, browser: sync_api.BrowserContext, server: str, width: int, scheme: str
    ) -> None:
        self.server = server
        self.width = width
        self.page = browser.new_page()
        self.page.set_viewport_size({"width": width, "height": WIDTHS[width]})
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_default_timeout(PATIENCE)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._console)

    def _console(self, message: sync_api.ConsoleMessage) -> None:
        # Streamlit looks for its server below a deep link's path first, and is told 404 there
        probing = "/_stcore/" in (message.location or {}).get("url", "")
        if message.type == "error" and not probing:
            self.errors.append(message.text)

    def open(self, path: str, heading: str) -> None:
        self.page.goto(self.server + path)
        self.settled(heading)
        # links and keys belong to the browser until the router's script has arrived
        self.page.wait_for_function("() => window.lensRouter !== undefined")

    def shows(self, selector: str) -> None:
        """Wait until the page has this and has run to its end.

        Before that, what stands below it may still be of the run before.
        """
        self.page.wait_for_selector(selector)
        self.page.wait_for_selector('[data-test-script-state="notRunning"]', state="attached")

    def settled(self, heading: str) -> None:
        """Wait until the page with this heading has run to its end."""
        self.shows(f'h1:text-is("{heading}")')

    def query(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(urlsplit(self.page.url).query).items()}

    def harmless(self) -> None:
        """What the page holds of a stranger's has run nothing, and there is nothing left to run."""
        health = self.server + "_stcore/health"
        self.page.evaluate(_ROUND_TRIPS, health)  # a picture that fails has failed by then
        assert self.page.evaluate("window.stolen") is None
        assert self.page.locator('img[src="x"]').count() == 0
        assert self.page.locator('a[href^="javascript"]').count() == 0

    def clean(self, axe: bool = False) -> None:
        """`check`, and every text can be told from its ground; wide or `axe`: nothing serious."""
        self.check()
        assert self.page.evaluate(CONTRAST) >= 4.5
        if not axe and self.width == min(WIDTHS):
            return
        found = Axe().run(self.page)
        grave = [
            f"{broken['id']}: {broken['help']}: {node['html'][:200]} {node['target']}"
            for broken in found.response["violations"]
            if broken["impact"] in GRAVE
            for node in broken["nodes"]
        ]
        assert not grave, "\n".join(grave)

    def check(self) -> None:
        """Nothing raised, nothing wider than the window, every picture with a text."""
        assert not self.errors, self.errors
        assert self.page.locator('[data-testid="stException"]').count() == 0
        wide = self.page.evaluate(
            "() => [document.documentElement, document.querySelector('[data-testid=stMain]')]"
            ".some(e => e.scrollWidth > e.clientWidth)"
        )
        assert not wide, "the page scrolls sideways"
        silent = self.page.locator('[data-testid="stMain"] .lens img:not([alt])').count()
        assert silent == 0, f"{silent} pictures without alternative text"


_ROUND_TRIPS = """async (address) => {
  for (let n = 0; n < 3; n += 1) await (await fetch(address, { cache: "no-store" })).text();
}"""
# the least contrast of any text with what lies behind it
CONTRAST = """() => {
  const read = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = read(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  let least = 21;
  for (const e of document.querySelectorAll(".lens *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.closest("span.button") || !e.checkVisibility()) continue;
    const [a, b] = [light(read(getComputedStyle(e).color)), light(ground(e))];
    least = Math.min(least, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  }
  return least;
}"""

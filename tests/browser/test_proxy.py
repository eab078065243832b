"""The app under a path of a real reverse proxy: pictures, facts, hints, links, the websocket."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.app import stop
from tests.support.browser import ROOT, Visit, await_server, free_port, serving, sync_api

BELOW = "tools/clip/"
CONFIG = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; {user}
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; {location} }}
}}
"""


@pytest.fixture(scope="module")
def proxied(
    bundles: Path, chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The app's address behind nginx, configured as docs/deploying.md says."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say("no nginx is installed: apt-get install nginx-light")
    folder = tmp_path_factory.mktemp("proxy")
    with serving(bundles, tmp_path_factory.mktemp("proxied"), BELOW) as app:
        documented = (ROOT / "docs" / "deploying.md").read_text("utf-8")
        location = documented.partition("```nginx\n")[2].partition("```")[0]
        assert "http://127.0.0.1:8501;" in location and f"location /{BELOW} " in location
        location = location.replace("http://127.0.0.1:8501;", f"{app.removesuffix('/' + BELOW)};")
        port = free_port()
        user = "user root;" if os.getuid() == 0 else ""
        config = folder / "nginx.conf"
        config.write_text(
            CONFIG.format(folder=folder, port=port, location=location, user=user), "utf-8"
        )
        process = subprocess.Popen([str(nginx), "-c", str(config), "-e", str(folder / "error.log")])
        try:
            address = f"http://127.0.0.1:{port}/{BELOW}"
            await_server(address + "_stcore/health", process)
            yield address
        finally:
            stop(process)


@pytest.fixture
def visit(browser: sync_api.BrowserContext, proxied: str) -> Iterator[Visit]:
    opened = Visit(browser, proxied, 1440, "light")
    yield opened
    opened.page.close()


# every picture of the page, and whether it has arrived
PICTURES = """() => [...document.querySelectorAll(".lens img")].map(async (picture) => {
  picture.loading = "eager";
  try { await picture.decode(); } catch { return picture.src; }
  return picture.naturalWidth > 0 ? "" : picture.src;
})"""


def broken(visit: Visit) -> tuple[int, list[str]]:
    """Return how many pictures the page has, and the addresses of those that don't arrive."""
    found = visit.page.evaluate(f"() => Promise.all(({PICTURES})())")
    return len(found), [address for address in found if address]


def test_pages_under_a_path_have_their_pictures_facts_and_hints(visit: Visit) -> None:
    visit.open("neurons?bundle=tiny", "Neurons")
    count, lost = broken(visit)
    assert count > 20
    assert not lost
    visit.open("neuron?bundle=tiny&layer=1&neuron=5", "Layer 1 · Neuron 5")
    count, lost = broken(visit)
    assert count > 20
    assert not lost
    source = visit.page.locator('.lens img[src*="pictures/"]').first.get_attribute("src")
    assert source is not None
    for kind in ("facts", "hints"):
        address = source.replace("pictures/", f"{kind}/", 1)
        found = visit.page.evaluate("async (a) => (await fetch(a)).json()", address)
        assert found
    answer = visit.page.request.get(visit.server + source)
    assert answer.headers["content-type"].startswith("image/")
    visit.check()


def test_links_stay_under_the_path(visit: Visit) -> None:
    visit.open("neurons?bundle=tiny&layers=1", "Neurons")
    cards = visit.page.locator('[data-testid="stMain"] a[href*="neuron?bundle=tiny"]')
    cards.first.click()
    visit.shows('h1:text-matches("Layer 1 · Neuron")')
    assert visit.page.url.startswith(f"{visit.server}neuron?")
    visit.page.go_back()
    visit.settled("Neurons")
    assert visit.page.url.startswith(f"{visit.server}neurons?")
    visit.page.reload()
    visit.settled("Neurons")
    visit.check()

"""Pictures of every page, light and dark, at desktop and phone width.

    python docs/screenshots.py OUT [PAGE …]     all of them, as PNG, to look at
    python docs/screenshots.py --readme         the few that the README and the documentation show

Needs what the browser tests need: playwright and a Chromium of the system.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.app import find_chromium, running_app  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = (1440, 390)
SCHEMES = ("light", "dark")
LONGEST = 6000  # pixels
PATIENCE = 120_000  # milliseconds

PAGES = {
    "home": "",
    "search": "search?q=cup+%2B+magnet",
    "search-slip": "search?q=bycicle+%2B+dog",
    "search-live": "search?q=a+photo+of+a+red+bicycle+leaning+on+a+wall",
    "search-picture": "search?mode=picture&image=2000",
    "concept": "concept?text=bicycle",
    "concept-labels": "concept?text=bicycle&by=labels",
    "neurons": "neurons",
    "table": "neurons?view=table",
    "neuron": "neuron?layer=9&neuron=1429&where=1",
    "neuron-grouped": "neuron?layer=9&neuron=249&pictures=grouped",
    "neuron-tried": "neuron?layer=9&neuron=1429&image=2000",
    "atlas": "atlas?colour=agreement&at=9.1429",
    "atlas-list": "atlas?area=0,0,0.5,0,0.5,0.4,0,0.3",
    "image": "image?scene=0",
    "compare": "compare?pins=9.384,9.74,8.497",
    "bundles": "bundles",
    "adversarial": "adversarial",
    "evidence": "evidence",
    "claim": "evidence?claim=ablation",
    "findings": "findings",
    "about": "about",
}
README = (("home", 1440, "light"), ("neuron", 1440, "light"), ("image", 1440, "light"))


@dataclass(frozen=True)
class View:
    """One screenshot to take."""

    page: str
    width: int
    scheme: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the pictures that the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("pages", nargs="*", help=f"among: {', '.join(PAGES)}")
    parser.add_argument("--readme", action="store_true")
    options = parser.parse_args(arguments)
    unknown = set(options.pages) - set(PAGES)
    if unknown or not (options.readme or options.out):
        parser.error(f"no such page: {', '.join(unknown)}" if unknown else "say where to write")
    if options.readme:
        for view, shot in taken([View(*kept) for kept in README], full=False):
            shot.save(ROOT / "docs" / f"{view.page}.webp", quality=82, method=6)
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    views = [
        View(page, width, scheme)
        for scheme in SCHEMES
        for width in WIDTHS
        for page in options.pages or PAGES
    ]
    for view, shot in taken(views):
        path = options.out / f"{view.page}-{view.width}-{view.scheme}.png"
        shot.save(path)
        print(path)
    return 0


def taken(views: Sequence[View], *, full: bool = True) -> Iterator[tuple[View, Image.Image]]:
    """Open each view in the app and yield its picture; whole pages, or the first screen only."""
    with running_app() as (address, _), chromium() as browser:
        for view in views:
            page = browser.new_page(
                viewport={"width": view.width, "height": 900},
                color_scheme="dark" if view.scheme == "dark" else "light",
            )
            page.goto(f"http://{address}/{PAGES[view.page]}", timeout=PATIENCE)
            _settle(page)
            if full:
                _grow(page, view.width)
            yield view, Image.open(io.BytesIO(page.screenshot()))
            page.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Open the system's Chromium, headless."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def _settle(page: Page) -> None:
    page.wait_for_selector("h1", timeout=PATIENCE)
    page.wait_for_selector(
        '[data-test-script-state="notRunning"]', state="attached", timeout=PATIENCE
    )
    page.wait_for_function("!document.querySelector('[data-testid=stSpinner]')", timeout=PATIENCE)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1500)  # charts draw themselves in


def _grow(page: Page, width: int) -> None:
    """Make the window as tall as the page, which scrolls inside it."""
    inside = "document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight"
    height = min(int(page.evaluate(inside)) + 90, LONGEST)
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(1200)


if __name__ == "__main__":
    sys.exit(main())

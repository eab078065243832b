"""The map of very many neurons under the hand: a real browser pans, zooms and draws a lasso on it.

The neurons of a bundle are drawn again until there are as many as asked for, each a little beside
its first place. What is timed is the browser's frames while the pointer moves: the time from one to
the next. Without a graphics card Chromium draws WebGL on the processor, and says so.
"""

from __future__ import annotations

import math
import shutil
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.app import PATIENCE, find_chromium, opened_bundle, running_app
from explorer.bundle import ARRAYS, MANIFEST, OTHER_FILES, TABLES, Bundle, Manifest, hash_file
from explorer.bundle.writer import ArrayWriter
from explorer.errors import InputError

if TYPE_CHECKING:
    from playwright.sync_api import Page

BESIDE = 0.01  # standard deviation of a copy's place; the map spans 2
_MAP = ".js-plotly-plot"
_COUNT = """() => {
  window.frames_ms = [];
  let last = performance.now();
  const next = (now) => {
    window.frames_ms.push(now - last);
    last = now;
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
}"""
_RENDERER = """() => {
  const gl = document.createElement("canvas").getContext("webgl");
  const facts = gl.getExtension("WEBGL_debug_renderer_info");
  return gl.getParameter(facts ? facts.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
}"""


@dataclass(frozen=True)
class AtlasBench:
    """What the map holds."""

    bundle: str = field(default="", metadata={"help": "the bundle's folder name"})
    neurons: int = field(default=50_000, metadata={"help": "neurons on the map"})
    moves: int = field(default=40, metadata={"help": "of the pointer in one gesture"})
    seed: int = field(default=0, metadata={"help": "of their places"})


def bench_atlas(settings: AtlasBench) -> dict[str, Any]:
    """Open a map of many points and move on it as a hand does.

    Returns `renderer`, `drawn_ms` (until the map can be used), `chosen` (neurons of the lasso) and
    `frames_ms`: gesture -> median and p95 of the time between frames.

    Raises:
        InputError: when there is no such bundle or browser, or fewer neurons than layers are asked
            for.
    """
    chromium = find_chromium()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        draw = np.random.default_rng(settings.seed)
        widen(opened_bundle(settings.bundle), settings.neurons, folder / "wide", draw)
        with running_app(folder) as (address, _):
            target = f"http://{address}/atlas"
            return {"neurons": settings.neurons, **_measure(target, chromium, settings.moves)}


def widen(bundle: Bundle, neurons: int, folder: Path, draw: np.random.Generator) -> Bundle:
    """Make a bundle of as many neurons in each layer as it takes, copies of those of another one.

    Pictures, texts and tables that no neuron is in are copied. Neighbours are drawn by chance.

    Raises:
        InputError: when there would be less than one neuron per layer.
    """
    layers = bundle.neurons["layer"].to_numpy()
    kept = np.unique(layers)
    each = neurons // len(kept)
    if each < 1:
        raise InputError(f"Ask for at least {len(kept)} neurons: one per layer.")
    rows = np.concatenate([draw.choice(np.flatnonzero(layers == layer), each) for layer in kept])
    folder.mkdir(parents=True)
    writer = ArrayWriter(folder)
    for name, entry in sorted(ARRAYS.items(), key=lambda item: item[1].axes[0] == "neuron"):
        if entry.optional and not bundle.paired:
            continue
        array = np.asarray(getattr(bundle, name))
        if entry.axes[0] == "neuron":
            array = array[rows]
        if name == "atlas":
            array = (array + draw.normal(0, BESIDE, array.shape)).astype(np.float32)
        elif name == "neighbours":
            array = draw.integers(0, len(rows), array.shape).astype(array.dtype)
        writer.write(name, array)
    table = bundle.neurons.iloc[rows].reset_index(drop=True)
    table["neuron"] = np.tile(np.arange(each), len(kept)).astype(table["neuron"].dtype)
    table.to_parquet(folder / "neurons.parquet")
    for name in {*TABLES, *OTHER_FILES} - {"neurons.parquet"}:
        shutil.copy(bundle.path / name, folder / name)
    content = bundle.manifest.content() | {"name": folder.name, "evidence": {}}
    content["counts"] = content["counts"] | {"neurons": len(rows)}
    names = sorted(path.name for path in folder.iterdir() if path.name != MANIFEST)
    content["files"] = {name: hash_file(folder / name) for name in names}
    Manifest(**content).write(folder)
    return Bundle.open(folder)


def _measure(target: str, chromium: str, moves: int) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(target)
        page.wait_for_selector(f"{_MAP} .nsewdrag")
        drawn = page.evaluate("performance.now()")
        page.wait_for_timeout(2000)  # its first frames are behind
        page.locator(_MAP).scroll_into_view_if_needed()
        page.evaluate(_COUNT)
        box = page.locator(_MAP).bounding_box()
        if box is None:
            raise InputError("The map did not draw itself: open the Atlas page to see why.")
        x, y = box["x"] + box["width"] / 2, box["y"] + min(box["height"], 900 - box["y"]) / 2
        frames = {
            name: _frames(page, gesture)
            for name, gesture in (
                ("hover", lambda: _hover(page, x, y, moves)),
                ("pan", lambda: _pan(page, x, y, moves)),
                ("zoom", lambda: _zoom(page, x, y)),
                ("lasso", lambda: _lasso(page, x, y, moves)),
            )
        }
        heading = page.wait_for_selector("text=neurons chosen")
        found = {
            "renderer": page.evaluate(_RENDERER),
            "drawn_ms": round(drawn),
            "chosen": int((heading.inner_text() if heading else "0").split()[0].replace(",", "")),
            "frames_ms": frames,
        }
        browser.close()
        return found


def _frames(page: Page, gesture: Callable[[], None]) -> dict[str, float]:
    page.evaluate("window.frames_ms = []")
    gesture()
    taken = sorted(page.evaluate("window.frames_ms"))
    return {
        "median": round(statistics.median(taken), 1),
        "p95": round(taken[math.ceil(0.95 * len(taken)) - 1], 1),
        "frames": len(taken),
    }


def _hover(page: Page, x: float, y: float, moves: int) -> None:
    for step in range(moves):
        page.mouse.move(x - 200 + 8 * step, y - 60 + 3 * step)


def _pan(page: Page, x: float, y: float, moves: int) -> None:
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(moves):
        page.mouse.move(x + 3 * step, y + step)
    page.mouse.up()


def _zoom(page: Page, x: float, y: float) -> None:
    page.mouse.move(x, y)
    for _ in range(10):
        page.mouse.wheel(0, -100)
        page.wait_for_timeout(50)


def _lasso(page: Page, x: float, y: float, moves: int) -> None:
    page.locator(f'{_MAP} [data-val="lasso"]').click()
    turns = [2 * math.pi * step / moves for step in range(moves)]
    page.mouse.move(x + 120, y)
    page.mouse.down()
    for turn in turns:
        page.mouse.move(x + 120 * math.cos(turn), y + 120 * math.sin(turn))
    page.mouse.up()

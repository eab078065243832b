"""The atlas in a real browser: hovering, clicking, and lasso → list → CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from explorer.bundle import Bundle
from explorer.bundle.meaning import title_of
from explorer.bundle.pair_directions import pair_directions
from tests.support.browser import CONTRAST, EVERYWHERE, Visit, sync_api

HEADING = "Atlas"
MAP = ".st-key-_atlas .js-plotly-plot"
CARD = ".lens-hint:not([hidden])"
# where neurons stand on the screen, by their rows
_POINTS = f"""() => {{
  const plot = document.querySelector("{MAP}");
  const box = plot.getBoundingClientRect();
  const {{ xaxis, yaxis }} = plot._fullLayout;
  const trace = plot._fullData[1];
  return Array.from(trace.customdata).map((row, i) => [row,
    box.left + xaxis._offset + xaxis.l2p(trace.x[i]),
    box.top + yaxis._offset + yaxis.l2p(trace.y[i])]);
}}"""

_LISTENED_TO = f"""() => document.querySelector("{MAP}")._ev.listeners("plotly_hover").length"""
# the chart draws itself in, and is drawn anew when the page has found its width
_AT_REST = f"""() => {{
  const [before, now] = [window.placesBefore, JSON.stringify(({_POINTS})())];
  window.placesBefore = now;
  return now === before;
}}"""


def opened(visit: Visit, path: str = "atlas?bundle=tiny") -> dict[int, tuple[float, float]]:
    """Open the map; rows with their places on the screen."""
    visit.open(path, HEADING)
    visit.shows(f"{MAP} .nsewdrag")
    visit.page.locator(MAP).scroll_into_view_if_needed()
    visit.page.wait_for_function(_LISTENED_TO)
    visit.page.wait_for_function(_AT_REST, polling=300)
    return {int(row): (x, y) for row, x, y in visit.page.evaluate(_POINTS)}


def lonely(points: dict[int, tuple[float, float]], width: int, height: int) -> int:
    """The row of the point farthest from all others, well inside the window."""

    def room(row: int) -> float:
        x, y = points[row]
        if not (60 < x < width - 60 and 60 < y < height - 60):
            return 0.0
        others = (place for other, place in points.items() if other != row)
        return min((x - a) ** 2 + (y - b) ** 2 for a, b in others)

    return max(points, key=room)


@pytest.mark.parametrize("visit", EVERYWHERE, indirect=True, ids=str)
def test_page_opens_cleanly(visit: Visit) -> None:
    for address in (
        "atlas?bundle=tiny&colour=polysemy&layers=1&neurons=1.5,1.6,1.7",
        "atlas?bundle=tiny&of=heads&at=1.5@2.0",
    ):
        opened(visit, address)
        visit.clean()


def test_hovering_shows_concepts_and_pictures_without_a_run(visit: Visit, bundles: Path) -> None:
    sent: list[object] = []

    def listen(socket: sync_api.WebSocket) -> None:
        socket.on("framesent", lambda frame: sent.append(frame))  # noqa: PLW0108  no builtin

    visit.page.on("websocket", listen)
    points = opened(visit)
    row = lonely(points, 1440, 900)
    before = len(sent)
    visit.page.mouse.move(*points[row])
    card = visit.page.locator(CARD)
    card.wait_for()
    bundle = Bundle.open(bundles / "tiny")
    record = bundle.neurons.iloc[row]
    shown = card.inner_text()
    assert f"Layer {record['layer']} · Neuron {record['neuron']}" in shown
    assert title_of(bundle, row).text in shown
    pictures = card.locator("img")
    labels = bundle.pictures.table["label"]
    wanted = [labels[image] for image in bundle.top_images[row, 0, :4]]
    assert [pictures.nth(i).get_attribute("alt") for i in range(pictures.count())] == wanted
    visit.page.wait_for_function(
        f"() => [...document.querySelectorAll('{CARD} img')].every(i => i.naturalWidth > 0)"
    )
    assert visit.page.evaluate(CONTRAST) >= 4.5
    assert visit.page.locator(f"{MAP} .lens-near line").count() > 0
    box = card.bounding_box()
    assert box is not None
    assert 0 <= box["x"] <= 1440 - box["width"]
    visit.page.mouse.move(5, 5)
    card.wait_for(state="detached")
    assert len(sent) == before  # the server was asked for files alone
    assert visit.page.locator(".lens-near").count() == 0
    visit.check()


def test_script_in_a_concept_never_runs(visit: Visit) -> None:
    points = opened(visit, "atlas?bundle=untrusted")
    visit.page.mouse.move(*points[lonely(points, 1440, 900)])
    visit.page.locator(CARD).wait_for()
    visit.page.wait_for_timeout(300)
    assert "<img src=x" in visit.page.locator(CARD).inner_text()
    assert visit.page.evaluate("window.stolen") is None
    assert not visit.errors, visit.errors


def test_a_click_opens_the_neuron_and_the_card_goes(visit: Visit) -> None:
    points = opened(visit)
    row = lonely(points, 1440, 900)
    visit.page.mouse.move(*points[row])
    name = visit.page.locator(f"{CARD} .where").inner_text()
    visit.page.mouse.click(*points[row])
    visit.settled(name)
    assert visit.page.locator(".lens-hint").count() == 0
    visit.page.go_back()
    visit.settled(HEADING)
    visit.check()


def test_a_pair_is_hovered_and_opens_its_head(visit: Visit, bundles: Path) -> None:
    points = opened(visit, "atlas?bundle=tiny&of=heads&layers=1")
    found = pair_directions(Bundle.open(bundles / "tiny"))
    assert len(points) < len(found)
    number = lonely(points, 1440, 900)
    visit.page.mouse.move(*points[number])
    card = visit.page.locator(CARD)
    card.wait_for()
    name = card.locator(".where").inner_text()
    assert " · Head " in name
    assert "no word above chance" in card.inner_text()
    assert card.locator("img").count() == 4
    assert visit.page.locator(f"{MAP} .lens-near line").count() == 1  # to its own neuron
    visit.page.mouse.click(*points[number])
    visit.shows(".heads-switch")
    assert visit.page.locator("h1").inner_text() == name.rsplit(" · ", 1)[0]
    assert visit.query()["head"] == name.rsplit(" ", 1)[1]
    visit.page.go_back()
    visit.settled(HEADING)
    visit.check()


def test_a_lasso_makes_a_list_and_its_csv(visit: Visit, bundles: Path) -> None:
    bundle = Bundle.open(bundles / "tiny")
    points = opened(visit)
    visit.page.locator(f'{MAP} [data-val="lasso"]').click()
    box = visit.page.locator(MAP).bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + min(box["height"], 860 - box["y"]) / 2
    corners = [(x - 90, y - 90), (x + 90, y - 90), (x + 90, y + 90), (x - 90, y + 90)]
    visit.page.mouse.move(*corners[0])
    visit.page.mouse.down()
    for corner in [*corners[1:], corners[0]]:
        visit.page.mouse.move(*corner, steps=8)
    visit.page.mouse.up()
    visit.shows("text=neurons chosen")
    inside = [row for row, (a, b) in points.items() if abs(a - x) < 86 and abs(b - y) < 86]
    listed = visit.query()["neurons"].split(",")
    places = (tuple(map(int, part.split("."))) for part in listed)
    rows = {bundle.row(layer, neuron) for layer, neuron in places}
    around = {row for row, (a, b) in points.items() if abs(a - x) < 94 and abs(b - y) < 94}
    assert len(inside) > 1
    assert set(inside) <= rows <= around  # near the line either is right
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name="Download as CSV").click()
    table = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8-sig"))))
    assert [f"{line['Layer']}.{line['Neuron']}" for line in table] == listed
    visit.page.reload()
    visit.shows(f"text={len(listed)} neurons chosen")
    visit.page.get_by_role("link", name="Open as a list").click()
    visit.settled("From the atlas")
    visit.check()

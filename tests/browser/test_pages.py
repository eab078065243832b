"""The app in a real browser: a Streamlit server on the tiny bundle, the system's Chromium."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.browser import EVERYWHERE, Visit, sync_api

PAGES = {
    "home": ("", "What does a neuron of CLIP mean?"),
    "neurons": ("neurons?bundle=tiny&layers=1&sort=selectivity", "Neurons"),
    "neuron": ("neuron?bundle=tiny&layer=1&neuron=5", "Layer 1 · Neuron 5"),
    "told": ("?bundle=told", "What does a neuron of CLIP mean?"),
    "above": ("neurons?bundle=told", "Neurons"),
    "answered": ("neuron?bundle=told&layer=1&neuron=4", "Layer 1 · Neuron 4"),
    "heads": ("neuron?bundle=told&layer=1&neuron=4&more=heads", "Layer 1 · Neuron 4"),
    "files": ("neuron?bundle=tiny&layer=1&neuron=5&more=files", "Layer 1 · Neuron 5"),
    "about": ("about?bundle=tiny", "About & credits"),
}
NARROW = ("told", "above", "answered")
"""Where axe-core looks on a phone and in the dark too."""
TEXTS = ("neuron?bundle=told&layer=1&neuron=4&more=texts", "Layer 1 · Neuron 4")


@pytest.mark.parametrize("visit", EVERYWHERE, indirect=True, ids=str)
@pytest.mark.parametrize("name", PAGES)
def test_page_opens_cleanly(visit: Visit, name: str) -> None:
    visit.open(*PAGES[name])
    visit.clean(axe=name in NARROW)


@pytest.mark.parametrize("visit", EVERYWHERE, indirect=True, ids=str)
def test_figures_on_axes_can_be_read(visit: Visit) -> None:
    """A bug: axes were pale grey on white, with a contrast of 3.6."""
    visit.open(*TEXTS)
    visit.shows(".js-plotly-plot .xtick text")
    visit.clean()
    pale = visit.page.evaluate(_AXES)
    assert len(pale) > 20
    assert min(pale) >= 4.5


# the contrast of every text on an axis with the page
_AXES = """() => {
  const light = (text) => {
    const [x, y, z] = text.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = light(getComputedStyle(document.querySelector(".stApp")).backgroundColor);
  const axes = ".js-plotly-plot :is(.xtick text, .ytick text, .xtitle, .ytitle)";
  return [...document.querySelectorAll(axes)].map((text) => {
    const ink = light(getComputedStyle(text).fill);
    return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
  });
}"""


def test_first_visit_to_a_neighbour_and_back(visit: Visit) -> None:
    """The striking neuron of the first page, a neuron like it, and the way back."""
    visit.open(*PAGES["told"])
    name = visit.page.locator(".panel .muted").first.inner_text()
    name = " · ".join(name.split(" · ")[:2])
    visit.page.get_by_role("link", name="Open this neuron").click()
    visit.settled(name)
    assert urlsplit(visit.page.url).path == "/neuron"
    assert set(visit.query()) == {"bundle", "layer", "neuron"}
    visit.page.get_by_role("link", name="Similar neurons").click()
    neighbour = visit.page.locator(".cards.small a.card").first
    other = neighbour.locator(".where").inner_text()
    neighbour.click()
    visit.settled(other)
    visit.page.go_back()
    visit.settled(name)
    visit.page.go_back()
    visit.page.wait_for_url(lambda address: "more=" not in address)
    visit.page.go_back()
    visit.settled(PAGES["told"][1])
    visit.check()


def test_first_page_searches(visit: Visit) -> None:
    visit.open(*PAGES["home"])
    box = visit.page.get_by_label("Find neurons by words")
    box.fill("red + circle")
    box.press("Enter")
    visit.settled("Search")
    visit.shows("a.card .where")
    assert visit.query() == {"bundle": "tiny", "q": "red + circle"}
    visit.check()


def test_the_facts_are_copied_as_json(visit: Visit) -> None:
    visit.open(*PAGES["files"])
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = visit.page.get_by_role("button", name="Copy as JSON")
    button.click()
    visit.shows('button:has-text("Copied")')
    copied = json.loads(visit.page.evaluate("navigator.clipboard.readText()"))
    assert (copied["layer"], copied["neuron"]) == (1, 5)
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name="Facts as JSON").click()
    assert copied == json.loads(Path(download.value.path()).read_text("utf-8"))
    visit.shows('button:has-text("Copy as JSON")')
    visit.check()


def test_every_control_is_reached_by_the_keyboard(visit: Visit) -> None:
    """Tabbing through a neuron's page comes to each of its controls, and each one shows it."""
    visit.open(*PAGES["neuron"])
    wanted = {
        "Next →",
        "Save as finding",
        "Strongest first",
        "Show where",
        "Sparse decomposition",
        "Try a picture",
        "Download",
    }
    reached = set()
    for _ in range(320):
        visit.page.keyboard.press("Tab")
        name, seen = visit.page.evaluate(_FOCUSED)
        reached |= {wish for wish in wanted if wish in name}
        assert seen, f"nothing shows that “{name}” has the focus"
        if reached == wanted:
            break
    assert reached == wanted
    visit.check()


# what has the focus, by its text or label, and whether it shows: an outline, a shadow, a border
_FOCUSED = """() => {
  const e = document.activeElement;
  if (!e?.matches("a, button, input, textarea, summary, [role]")) return ["", true];
  const typed = e.matches("input:not([type]), input[type=text], textarea"); // its caret shows
  const label = e.getAttribute("aria-label") || e.closest("label")?.textContent || e.textContent;
  const shows = (x) => {
    const s = getComputedStyle(x);
    return (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== "none";
  };
  // a wrapper may show it for a field inside
  let shown = false;
  for (let x = e, n = 0; x && n < 5; x = x.parentElement, n += 1) shown ||= shows(x);
  const near = [...(e.parentElement?.querySelectorAll("*") ?? [])].slice(0, 30);
  return [label.trim(), typed || shown || near.some(shows)];
}"""


def test_gallery_keeps_its_address_through_a_neuron(visit: Visit) -> None:
    visit.open(*PAGES["neurons"])
    before = visit.query()
    visit.page.get_by_text("Next →").click()
    visit.shows("text=page 2 of")
    assert visit.query() == before | {"page": "2"}
    first = visit.page.locator("a.card .where").first.inner_text()
    visit.page.locator("a.card").first.click()
    visit.settled(first)
    visit.page.go_back()
    visit.shows("text=page 2 of")
    assert visit.query() == before | {"page": "2"}
    assert visit.page.locator("a.card .where").first.inner_text() == first
    visit.check()


def test_filter_by_a_word_is_an_address(visit: Visit) -> None:
    visit.open("neurons", "Neurons")
    box = visit.page.get_by_label("Concept")
    box.fill("red")
    box.press("Enter")
    visit.shows("text=Their concept sets contain")
    assert visit.query()["word"] == "red"
    shown = visit.page.locator("a.card .where").all_inner_texts()
    visit.page.reload()
    visit.settled("Neurons")
    visit.shows("text=Their concept sets contain")
    assert visit.page.locator("a.card .where").all_inner_texts() == shown
    box = visit.page.get_by_label("Concept")  # filled a moment after the cards are there
    sync_api.expect(box).to_have_value("red")
    visit.check()


def test_arrow_keys_and_jump(visit: Visit) -> None:
    visit.open(*PAGES["neuron"])
    visit.page.keyboard.press("ArrowRight")
    visit.settled("Layer 1 · Neuron 6")
    visit.page.keyboard.press("ArrowLeft")
    visit.settled("Layer 1 · Neuron 5")
    box = visit.page.get_by_label("Jump to a neuron")
    box.fill("2 77")
    box.press("ArrowLeft")  # moves within the text, not through the neurons
    box.press("Enter")
    visit.settled("Layer 2 · Neuron 77")
    assert visit.query() == {"bundle": "tiny", "layer": "2", "neuron": "77"}
    visit.page.go_back()
    visit.settled("Layer 1 · Neuron 5")
    visit.check()


def test_arrow_keys_with_a_modifier_are_left_to_the_browser(visit: Visit) -> None:
    visit.open(*PAGES["neuron"])
    # dispatched, since a pressed Alt+Left would make the browser itself go back
    stepped = visit.page.evaluate(
        "() => { let clicks = 0;"
        "document.querySelector('a[rel=next]').addEventListener('click', e => {"
        " clicks += 1; e.preventDefault(); });"
        "for (const altKey of [true, false]) document.body.dispatchEvent("
        "new KeyboardEvent('keydown', { key: 'ArrowRight', altKey, bubbles: true }));"
        "return clicks; }"
    )
    assert stepped == 1


def test_grouping_the_pictures_is_an_address(visit: Visit) -> None:
    visit.open(*PAGES["neuron"])
    tiles = visit.page.locator("figure.tile")
    count = tiles.count()
    visit.page.get_by_text("Grouped by similarity").click()
    visit.shows("section.group")
    assert visit.query()["pictures"] == "grouped"
    visit.page.reload()
    visit.settled("Layer 1 · Neuron 5")
    visit.shows("section.group")
    assert tiles.count() == count
    visit.check()


def test_in_a_frame_of_another_site_pages_work_and_stay_in_it(visit: Visit) -> None:
    """As in a wiki or a course: links lead on inside, and the page around stays as it is."""
    visit.page.set_content(
        f'<h1>Around</h1><iframe src="{visit.server}neuron?bundle=tiny&layer=1&neuron=5" '
        'style="width: 1300px; height: 800px"></iframe>'
    )
    inside = visit.page.frame_locator("iframe")
    inside.locator('h1:text-is("Layer 1 · Neuron 5")').wait_for()
    next_one = inside.get_by_text("Next →")
    next_one.click()
    inside.locator('h1:text-is("Layer 1 · Neuron 6")').wait_for()
    inside.get_by_role("button", name="Save as finding").click()
    inside.get_by_label("Title", exact=True).wait_for()
    assert visit.page.locator('h1:text-is("Around")').count() == 1
    assert visit.page.url == "about:blank"
    assert not visit.errors, visit.errors


def test_other_bundle_is_chosen_in_the_sidebar(visit: Visit) -> None:
    visit.open(*PAGES["about"])
    visit.page.get_by_label("Bundle").click()
    visit.page.get_by_role("option", name="untrusted").click()
    visit.shows('h2:has-text("The bundle “untrusted”")')
    assert visit.query() == {"bundle": "untrusted"}
    visit.check()


@pytest.mark.parametrize(
    "path",
    [
        "?bundle=untrusted",
        "neurons?bundle=untrusted",
        "neuron?bundle=untrusted&layer=1&neuron=5",
        "about?bundle=untrusted",
        "neurons?bundle=untrusted&word=%3Cimg%20src%3Dx%20onerror%3D%22window.stolen%3D1%22%3E",
        "neurons?bundle=%3Cimg%20src%3Dx%20onerror%3D%22window.stolen%3D1%22%3E",
        "neuron?layer=%3Cimg%20src%3Dx%20onerror%3D%22window.stolen%3D1%22%3E",
    ],
)
def test_script_in_a_text_never_runs(visit: Visit, path: str) -> None:
    visit.page.goto(visit.server + path)
    visit.shows(".lens h1")
    visit.harmless()
    assert "<img src=x" in visit.page.locator('[data-testid="stMain"]').inner_text()
    assert not visit.errors, visit.errors


@pytest.mark.parametrize("visit", [(390, "light")], indirect=True, ids=str)
def test_nothing_lies_on_the_links_to_pages_of_a_telephone(visit: Visit) -> None:
    visit.open("search?bundle=tiny", "Search")
    covered = visit.page.eval_on_selector_all(
        ".lens-topnav a",
        """links => links.filter(link => {
            const box = link.getBoundingClientRect();
            const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
            return !link.contains(top);
        }).map(link => link.textContent)""",
    )
    assert covered == []

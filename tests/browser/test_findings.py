"""Findings in a real browser: made, shared and opened by another; scripts in them never run."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from explorer.bundle import Bundle
from explorer.findings import archive, html_file
from explorer.findings.database import FILE
from explorer.findings.model import Collection, SavedCollection, SavedFinding
from explorer.findings.queries import Wanted
from explorer.findings.snapshot import reference, take
from explorer.findings.store import Store
from tests.conftest import draw
from tests.support.browser import EVIL, Visit, serving
from tests.support.findings import sample

sync_api = pytest.importorskip("playwright.sync_api")

SCRIPTS = f"{EVIL}<script>window.stolen='yes'</script>[go](javascript:window.stolen='yes')"
PASSWORD = "open sesame"


@pytest.fixture(scope="module")
def store(server: str, data: Path) -> Iterator[Store]:
    """The server's store; what these tests put into it is deleted at their end."""
    opened = Store(f"sqlite:///{data}/{FILE}")
    yield opened
    for saved in opened.find(Wanted()):
        opened.delete(saved.id, saved.version)
    for group in opened.collections():
        opened.delete_collection(group.id, group.version)
    opened.close()


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.open(tiny_bundle)


def test_a_finding_is_made_and_its_address_opens_elsewhere(
    visit: Visit, engine: sync_api.Browser, server: str
) -> None:
    visit.open("neuron?bundle=tiny&layer=1&neuron=5&pictures=grouped", "Layer 1 · Neuron 5")
    page = visit.page
    page.get_by_role("button", name="Save as finding").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Title", exact=True).fill("Round and red")
    dialog.get_by_label("Note").fill("It is the **outline**, see *circles*.")
    dialog.get_by_label("Tags").fill("Shapes, red")
    dialog.get_by_label("Your name").fill("Ada")
    dialog.get_by_role("button", name="Save", exact=True).click()
    visit.settled("Round and red")
    address = page.locator('[data-testid="stCode"]').inner_text().strip()
    assert address == page.url
    assert urlsplit(address).path == "/finding"
    visit.check()

    other = Visit(engine.new_context(), server, 390, "dark")  # knows nothing of the first
    other.open(address.removeprefix(server), "Round and red")
    shown = other.page.locator('[data-testid="stMain"]')
    assert shown.locator(".note strong").inner_text() == "outline"
    assert "by Ada" in shown.inner_text()
    other.check()
    other.page.locator('h2 a[data-page="neuron"]').first.click()
    other.settled("Layer 1 · Neuron 5")
    assert other.query()["pictures"] == "grouped"  # as it was when saved
    other.page.get_by_text("Round and red").click()
    other.settled("Round and red")
    other.page.context.close()


def test_any_page_is_saved_and_its_file_leads_back(
    visit: Visit, engine: sync_api.Browser, store: Store, server: str, tmp_path: Path
) -> None:
    before = store.count(Wanted())
    visit.open("about?bundle=tiny", "About & credits")
    page = visit.page
    page.get_by_role("button", name="Save as finding").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Title", exact=True).fill("How it was made")
    dialog.get_by_label("Note").fill("# עברית\n\n[x](javascript:window.stolen=1) 🚢")
    page.mouse.click(5, 5)  # beside the form: nothing typed is lost
    page.keyboard.press("Escape")
    assert dialog.get_by_label("Title", exact=True).input_value() == "How it was made"
    dialog.get_by_role("button", name="Save", exact=True).dblclick()
    visit.settled("How it was made")
    assert store.count(Wanted()) == before + 1
    with page.expect_download() as started:
        page.get_by_role("button", name="Web page (HTML)").click()
    file = tmp_path / "saved.html"
    started.value.save_as(file)
    visit.check()
    offline = engine.new_context(offline=True).new_page()
    offline.goto(file.as_uri())
    links = offline.locator("a").evaluate_all("all => all.map(a => a.href)")
    identifier = dict(parse_qsl(urlsplit(page.url).query))["id"]
    assert links == [f"{server}finding?id={identifier}&bundle=tiny", f"{server}about?bundle=tiny"]
    offline.context.close()


def test_an_upload_is_saved_with_its_picture_and_opens_elsewhere(
    visit: Visit, engine: sync_api.Browser, server: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.png"
    draw("blue", "circle", 20).resize((120, 60)).save(file)
    visit.open("image?bundle=tiny", "An image under the lens")
    page = visit.page
    page.locator('input[type="file"]').set_input_files(file)
    visit.shows('h2:text-is("mine.png")')
    page.get_by_role("button", name="Save as finding").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("keeps a copy of this picture").wait_for()
    dialog.get_by_label("Title", exact=True).fill("A blue circle")
    dialog.get_by_role("button", name="Save", exact=True).click()
    visit.settled("A blue circle")
    address = page.url
    visit.check()

    other = Visit(engine.new_context(), server, 390, "light")
    other.open(address.removeprefix(server), "A blue circle")
    other.shows(".shots img")
    other.check()
    other.page.locator('h2 a[data-page="image"]').click()
    other.shows("text=120 × 60 pixels")
    other.page.context.close()


def test_an_edit_of_another_is_not_overwritten_unseen(
    visit: Visit, store: Store, bundle: Bundle
) -> None:
    saved = store.add(sample("Contested", bundle=reference(bundle)))
    visit.open(f"finding?bundle=tiny&id={saved.id}", "Contested")
    visit.page.get_by_text("Edit", exact=True).click()
    visit.settled("Edit “Contested”")
    store.save(saved.id, 1, sample("Contested", bundle=reference(bundle), note="theirs"))
    visit.page.get_by_label("Note (Markdown)").fill("mine")
    visit.page.get_by_role("button", name="Save").click()
    visit.shows("text=was changed meanwhile")
    assert store.get(saved.id).content.note == "theirs"
    assert visit.page.get_by_label("Note (Markdown)").input_value() == "mine"
    visit.page.get_by_role("button", name="Save").click()
    visit.settled("Contested")
    assert store.get(saved.id).content.note == "mine"
    visit.check()


def test_deleting_undoing_and_reordering(visit: Visit, store: Store, bundle: Bundle) -> None:
    ids = [store.add(sample(f"Item {n}", bundle=reference(bundle))).id for n in range(2)]
    group = store.add_collection(Collection("Pair", tuple(ids)))
    visit.open(f"collection?bundle=tiny&id={group.id}", "Pair")
    # the first member's own: ".first" may be the second's, of buttons that arrive one by one
    first = visit.page.locator(".st-key-lens_moves_0")
    first.get_by_role("button", name="↓").click()
    visit.page.wait_for_function(
        "() => [...document.querySelectorAll('.member h2')].map(e => e.innerText).join()"
        " === '1. Item 1,2. Item 0'"
    )
    assert list(store.get_collection(group.id).content.findings) == ids[::-1]
    visit.page.get_by_text("Item 0").click()
    visit.settled("Item 0")
    visit.page.get_by_role("button", name="Delete").click()
    visit.settled("Findings")
    visit.shows("text=“Item 0” was deleted")
    visit.page.get_by_role("button", name="Undo").click()
    visit.settled("Item 0")
    assert list(store.get_collection(group.id).content.findings) == ids[::-1]
    visit.check()


def hostile(bundle: Bundle) -> tuple[SavedFinding, SavedCollection]:
    """A finding and a collection full of script, as a stranger's file may hold them."""
    time = "2026-01-02T03:04:05.678+00:00"
    content = sample(
        EVIL,
        bundle=reference(bundle),
        note=SCRIPTS,
        author=EVIL,
        tags=(EVIL[:40],),
        settings={"pictures": EVIL, "x": "javascript:window.stolen=1"},
    )
    finding = SavedFinding("e" * 16, 1, time, time, None, content)
    group = Collection(EVIL, (finding.id,), SCRIPTS, EVIL)
    return finding, SavedCollection("d" * 16, 1, time, time, None, group)


def test_an_imported_file_runs_nothing_on_any_page(
    visit: Visit, store: Store, bundle: Bundle, tmp_path: Path
) -> None:
    finding, group = hostile(bundle)
    file = tmp_path / "findings.zip"
    file.write_bytes(archive.write([take(finding, bundle)], [group]))
    visit.open("findings?bundle=tiny&show=import", "Findings")
    visit.page.locator('input[type="file"]').set_input_files(file)
    visit.page.get_by_role("button", name="Import findings").click()
    visit.shows("text=✓ 1 added")
    assert store.get(finding.id) == finding
    for path in (
        "findings?bundle=tiny",
        "findings?bundle=tiny&show=collections",
        f"finding?bundle=tiny&id={finding.id}",
        f"finding?bundle=tiny&id={finding.id}&edit=1",
        f"collection?bundle=tiny&id={group.id}",
        "neuron?bundle=tiny&layer=1&neuron=5",
        "finding?id=%3Cimg%20src%3Dx%20onerror%3D%22window.stolen%3D1%22%3E",
        "findings?tag=%3Cimg%20src%3Dx%20onerror%3D%22window.stolen%3D1%22%3E",
        "findings?undo=x&show=%3Cimg%20src%3Dx%20onerror%3D%22window.stolen%3D1%22%3E",
    ):
        visit.page.goto(visit.server + path)
        visit.shows(".lens h1")
        visit.harmless()
    assert not visit.errors, visit.errors
    store.delete(finding.id, 1)


def test_a_refused_file_says_why_and_stores_nothing(
    visit: Visit, store: Store, bundle: Bundle, tmp_path: Path
) -> None:
    finding, _ = hostile(bundle)
    other = json.loads(unpacked(archive.write([take(finding, None)])))
    other["findings"][0]["id"] = "c" * 16
    other["findings"][0]["content"]["bundle"] = {"name": EVIL, "digest": "0" * 64}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr(archive.JSON_FILE, json.dumps(other))
    file = tmp_path / "findings.zip"
    file.write_bytes(buffer.getvalue())
    before = store.count(Wanted())
    visit.open("findings?bundle=tiny&show=import", "Findings")
    visit.page.locator('input[type="file"]').set_input_files(file)
    visit.shows("text=This file is refused. The bundle “<img src=x")
    visit.harmless()
    assert store.count(Wanted()) == before


def unpacked(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        return opened.read(archive.JSON_FILE)


def test_the_exported_page_opens_without_a_server_and_runs_nothing(
    engine: sync_api.Browser, bundle: Bundle, tmp_path: Path
) -> None:
    finding, group = hostile(bundle)
    file = tmp_path / "findings.html"
    html = html_file.collection_file(group, [take(finding, bundle)], lambda page, params: EVIL)
    file.write_text(html, "utf-8")
    context = engine.new_context(offline=True)
    page = context.new_page()
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: errors.append(message.text))
    page.goto(file.as_uri())
    page.wait_for_timeout(400)
    assert page.evaluate("window.stolen") is None
    assert {urlsplit(url).scheme for url in asked} <= {"file", "data"}
    loaded = "[...document.images].every(e => e.complete && e.naturalWidth > 0)"
    assert page.locator("img").count() > 10 and page.evaluate(loaded)
    assert page.locator("svg.chart rect").count() > 4
    assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "1040px"
    assert not errors, errors  # the style's hash is the policy's
    # should a script slip through the escaping, the policy stops it
    (tmp_path / "worse.html").write_text(html.replace("</main>", f"{SCRIPTS}</main>"), "utf-8")
    page.goto((tmp_path / "worse.html").as_uri())
    page.wait_for_timeout(400)
    assert page.locator('img[src="x"]').count() == 1
    assert page.evaluate("window.stolen") is None
    context.close()


@pytest.mark.parametrize(("origin", "open_to_it"), [("", True), ("http://evil.example", False)])
def test_another_sites_page_cannot_speak_to_the_server(
    origin: str, open_to_it: bool, server: str
) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    place = urlsplit(server).netloc
    given = origin or f"http://{place}"
    try:
        with connect(f"ws://{place}/_stcore/stream", subprotocols=["streamlit"], origin=given):
            assert open_to_it
    except InvalidStatus as error:
        assert error.response.status_code == 403
        assert not open_to_it


def test_a_password_is_asked_once_a_browser(
    engine: sync_api.Browser, bundles: Path, tmp_path: Path
) -> None:
    with serving(bundles, tmp_path / "data", EXPLORER_PASSWORD=PASSWORD) as address:
        context = engine.new_context()
        visit = Visit(context, address, 1440, "light")
        visit.page.goto(address + "about?bundle=tiny")
        visit.shows("text=This server asks for a password")
        assert visit.page.locator("nav").count() == 0
        visit.page.get_by_label("Password", exact=True).fill("wrong")
        visit.page.get_by_role("button", name="Enter").click()
        visit.shows("text=That is not the password")
        visit.page.get_by_label("Password", exact=True).fill(PASSWORD)
        visit.page.get_by_role("button", name="Enter").click()
        visit.settled("About & credits")
        visit.page.wait_for_function("() => document.cookie.includes('explorer_visitor')")
        visit.open("neurons?bundle=tiny", "Neurons")  # a new session of the same browser
        stranger = Visit(engine.new_context(), address, 390, "dark")
        stranger.page.goto(address)
        stranger.shows("text=This server asks for a password")
        stranger.check()
        stranger.page.context.close()
        context.close()


@pytest.mark.parametrize("visit", [(390, "dark"), (1440, "light")], indirect=True, ids=str)
def test_the_findings_pages_fit_the_window(visit: Visit, store: Store, bundle: Bundle) -> None:
    saved = store.add(sample("W" * 180, bundle=reference(bundle), note="`" + "w" * 300 + "`"))
    group = store.add_collection(Collection("V" * 180, (saved.id,)))
    for path in (
        "findings?bundle=tiny",
        "findings?bundle=tiny&show=collections",
        f"finding?bundle=tiny&id={saved.id}",
        f"finding?bundle=tiny&id={saved.id}&edit=1",
        f"collection?bundle=tiny&id={group.id}",
        "collection?bundle=tiny&id=report",
    ):
        visit.page.goto(visit.server + path)
        visit.shows(".lens h1")
        visit.clean()
    store.delete(saved.id, 1)

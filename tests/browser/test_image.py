"""The Image page in a real browser: a real upload, a paste, hostile files, the way back."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import draw
from tests.support.browser import EVERYWHERE, Visit

HEADING = "An image under the lens"
IMAGE = "image?bundle=tiny"


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    file = tmp_path / "mine.png"
    draw("blue", "circle", 20).resize((120, 60)).save(file)
    return file


@pytest.mark.parametrize("visit", EVERYWHERE, indirect=True, ids=str)
def test_image_page_opens_cleanly(visit: Visit) -> None:
    visit.open(IMAGE, HEADING)
    visit.clean(axe=True)
    assert visit.page.locator(".shot img").count() > 2


def test_upload_is_studied_kept_and_cleared(visit: Visit, upload: Path) -> None:
    visit.open(f"{IMAGE}&scene=2", HEADING)
    visit.page.locator('input[type="file"]').set_input_files(upload)
    visit.shows('h2:text-is("mine.png")')
    visit.shows("text=120 × 60 pixels")
    assert "scene" not in visit.query()
    box = visit.page.get_by_label("Texts, separated by commas")
    box.fill("circle, square")
    box.press("Enter")
    visit.shows('img[alt="Where “square” comes from"]')
    assert visit.query()["texts"] == "circle,square"
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name="Mask (PNG)").click()
    with Image.open(download.value.path()) as labels:
        assert labels.size == (120, 60)
        assert labels.mode == "P"
    visit.page.get_by_role("button", name="Clear my picture").click()
    visit.shows('h2:text-is("Example 1")')
    assert "texts" not in visit.query()
    visit.check()


def test_an_upload_is_there_again_on_the_way_back(visit: Visit, upload: Path) -> None:
    visit.open(IMAGE, HEADING)
    visit.page.locator('input[type="file"]').set_input_files(upload)
    visit.shows('h2:text-is("mine.png")')
    box = visit.page.get_by_label("Texts, separated by commas")
    box.fill("circle, square")
    box.press("Enter")
    visit.shows('img[alt="Where “square” comes from"]')
    visit.page.locator("a.card").first.click()
    visit.page.wait_for_url("**/neuron?**")
    visit.shows("h1")
    visit.page.go_back()
    visit.settled(HEADING)
    visit.shows('h2:text-is("mine.png")')
    visit.shows('img[alt="Where “square” comes from"]')
    visit.check()


def test_a_picture_is_taken_with_the_camera(visit: Visit) -> None:
    visit.page.context.grant_permissions(["camera"])
    visit.open(IMAGE, HEADING)
    visit.page.get_by_text("Camera", exact=True).click()
    visit.page.wait_for_function("document.querySelector('video')?.readyState >= 2")
    visit.page.get_by_role("button", name="Take Photo").click()
    visit.shows('h2:has-text("camera-input")')
    visit.page.get_by_role("button", name="Clear my picture").click()
    visit.shows('h2:text-is("Example 1")')
    visit.check()


def test_example_and_back(visit: Visit) -> None:
    visit.open(IMAGE, HEADING)
    visit.page.locator(".examples a").nth(4).click()
    visit.shows('h2:text-is("Example 5")')
    assert visit.query() == {"bundle": "tiny", "scene": "4"}
    visit.page.get_by_text("Mask", exact=True).first.click()
    visit.shows('img[alt="The picture, segmented"]')
    assert visit.query()["view"] == "mask"
    visit.page.go_back()
    visit.shows('img[alt^="Where “"]')
    assert visit.query() == {"bundle": "tiny", "scene": "4"}
    visit.page.go_back()
    visit.shows('h2:text-is("Example 1")')
    visit.check()


def test_pasted_picture_is_studied(visit: Visit, upload: Path) -> None:
    visit.open(IMAGE, HEADING)
    visit.page.wait_for_function("() => document.documentElement.dataset.lensImage === 'ready'")
    visit.page.evaluate(
        """(encoded) => {
          const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
          const held = new DataTransfer();
          held.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
          document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: held }));
        }""",
        base64.b64encode(upload.read_bytes()).decode(),
    )
    visit.shows('h2:text-is("pasted.png")')
    visit.check()


def test_hostile_file_gets_one_sentence(visit: Visit, tmp_path: Path) -> None:
    file = tmp_path / "evil.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"<script>alert(1)</script>" * 20)
    visit.open(IMAGE, HEADING)
    visit.page.locator('input[type="file"]').set_input_files(file)
    visit.shows("text=The file is not a readable picture")
    assert visit.page.locator(".notice").count() == 1
    visit.check()


@pytest.mark.parametrize("visit", [(390, "light")], indirect=True, ids=str)
def test_neurons_at_a_patch_are_named_whole_on_a_telephone(visit: Visit) -> None:
    visit.open(IMAGE, HEADING)
    cut = visit.page.locator(".readout .who a").evaluate_all(
        "links => links.filter(link => link.scrollWidth > link.clientWidth).length"
    )
    assert cut == 0
    visit.check()


def test_patches_are_read_by_pointer_tap_and_keys(visit: Visit) -> None:
    visit.open(IMAGE, HEADING)
    visit.page.wait_for_function("() => document.documentElement.dataset.lensImage === 'ready'")
    cells, readout = visit.page.locator(".patches .cells span"), visit.page.locator(".readout")
    assert "Neurons here" in readout.inner_text()  # of the strongest patch, not a blank
    assert visit.page.locator(".patches .cells span.on").count() == 1
    cells.nth(5).hover()
    visit.shows('.patch-reader[data-at="5"]')
    first = readout.inner_text()
    cells.nth(10).click()  # held: the pointer may leave for the links
    held = readout.inner_text()
    assert held != first
    cells.nth(5).hover()
    assert readout.inner_text() == held
    visit.page.locator(".patches .cells").focus()
    visit.page.keyboard.press("ArrowLeft")
    assert cells.nth(9).get_attribute("class") == "on"
    readout.locator("a").first.click()
    visit.page.wait_for_url("**/neuron?**")
    visit.shows("h1")
    assert visit.query()["bundle"] == "tiny"
    visit.page.wait_for_function("() => !('lensImage' in document.documentElement.dataset)")
    visit.check()

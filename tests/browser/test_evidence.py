"""The Evidence page in a real browser: plots, verdicts, one claim and back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import CONTRAST, EVERYWHERE, Visit, serving
from tests.ui.test_evidence import CLAIMS, SHOWN


@pytest.fixture(scope="module")
def server(measured: Path, chromium: str) -> Iterator[str]:
    """A server of its own, on a bundle that holds all evidence."""
    with serving(measured.parent, Path(os.environ["EXPLORER_DATA"])) as address:
        yield address


@pytest.mark.parametrize("visit", EVERYWHERE, indirect=True, ids=str)
def test_evidence_page_opens_cleanly(visit: Visit) -> None:
    visit.open("evidence?bundle=tiny", "Evidence")
    visit.page.wait_for_function(
        f"() => document.querySelectorAll('.js-plotly-plot').length === {len(CLAIMS)}"
    )
    visit.check()
    assert visit.page.locator(".verdict").count() == 2 * len(CLAIMS)
    assert visit.page.locator(".missing a").count() == len(SHOWN) - len(CLAIMS)
    assert visit.page.evaluate(CONTRAST) >= 4.5


def test_one_claim_and_back(visit: Visit) -> None:
    visit.open("evidence?bundle=tiny", "Evidence")
    visit.page.locator("table.verdicts a", has_text="One direction carries it").click()
    visit.page.wait_for_selector('h1:text-is("One direction carries it")')
    assert visit.query() == {"bundle": "tiny", "claim": "rank"}
    visit.page.wait_for_selector("text=rank.all_layers.rank_1.kept")
    visit.page.locator("a", has_text="← All claims").click()
    visit.page.wait_for_selector('h1:text-is("Evidence")')
    assert visit.query() == {"bundle": "tiny"}
    visit.check()

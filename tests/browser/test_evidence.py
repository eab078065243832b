"""The Evidence page in a real browser: plots, verdicts, one claim and back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.browser import EVERYWHERE, Visit
from tests.ui.test_evidence import CLAIMS, SHOWN

BUNDLE = "with-evidence"


@pytest.fixture(scope="module", autouse=True)
def _with_evidence(measured: Path, bundles: Path) -> None:
    shutil.copytree(measured, bundles / BUNDLE)


@pytest.mark.parametrize("visit", EVERYWHERE, indirect=True, ids=str)
def test_evidence_page_opens_cleanly(visit: Visit) -> None:
    visit.open(f"evidence?bundle={BUNDLE}", "Evidence")
    visit.page.wait_for_function(
        f"() => document.querySelectorAll('.js-plotly-plot').length === {len(CLAIMS)}"
    )
    visit.clean(axe=True)
    assert visit.page.locator(".verdict").count() == 2 * len(CLAIMS)
    assert visit.page.locator(".missing a").count() == len(SHOWN) - len(CLAIMS)


def test_one_claim_and_back(visit: Visit) -> None:
    visit.open(f"evidence?bundle={BUNDLE}", "Evidence")
    visit.page.locator("table.verdicts a", has_text="One direction carries it").click()
    visit.shows('h1:text-is("One direction carries it")')
    assert visit.query() == {"bundle": BUNDLE, "claim": "rank"}
    visit.shows("text=rank.all_layers.rank_1.kept")
    visit.page.locator("a", has_text="← All claims").click()
    visit.shows('h1:text-is("Evidence")')
    assert visit.query() == {"bundle": BUNDLE}
    visit.check()

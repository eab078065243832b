"""The Adversarial page in a real browser."""

from __future__ import annotations

import pytest

from tests.support.browser import EVERYWHERE, Visit

sync_api = pytest.importorskip("playwright.sync_api")

HEADING = "Adversarial pictures from polysemy"
PAGE = "adversarial?bundle=tiny&source=blue+square&target=red+circle&seed=3"


@pytest.mark.parametrize("visit", EVERYWHERE, indirect=True, ids=str)
def test_adversarial_page_opens_cleanly(visit: Visit) -> None:
    visit.open(PAGE, HEADING)
    visit.clean()


def test_the_address_keeps_pair_and_seed(visit: Visit) -> None:
    visit.open(PAGE, HEADING)
    seed = visit.page.locator('[data-testid="stNumberInput"] input').last
    sync_api.expect(seed).to_have_value("3")
    sync_api.expect(visit.page.get_by_role("combobox", name="It shows")).to_have_value(
        "blue square"
    )
    sync_api.expect(visit.page.get_by_role("combobox", name="Taken for")).to_have_value(
        "red circle"
    )

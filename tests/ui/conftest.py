"""What the pages are tested on: the tiny bundle, in the folder that the app looks into."""

from __future__ import annotations

from pathlib import Path

import pytest

from explorer.bundle import Bundle
from explorer.ui.data import loaders
from explorer.ui.data.loaders import View


@pytest.fixture(autouse=True)
def _bundles(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tiny_bundle.parent))


@pytest.fixture
def view(tiny_bundle: Path) -> View:
    return View("tiny", Bundle.open(tiny_bundle))

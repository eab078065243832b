"""What the pages are tested on: the tiny bundle, in the folder that the app looks into."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.components.v2 import manifest_scanner

from explorer.bundle import Bundle
from explorer.ui.data import loaders
from explorer.ui.data.loaders import View


@pytest.fixture(autouse=True, scope="session")
def _packages_read_once() -> Iterator[None]:
    """The first run of an AppTest reads the metadata of all installed packages: half a second."""
    scan = functools.cache(manifest_scanner.scan_component_manifests)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", scan)
        yield


@pytest.fixture(autouse=True)
def _bundles(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tiny_bundle.parent))


@pytest.fixture
def view(tiny_bundle: Path) -> View:
    return View("tiny", Bundle.open(tiny_bundle))

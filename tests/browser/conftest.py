"""A Streamlit server on the tiny bundle and the system's Chromium, one of each for all files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.app import find_chromium
from explorer.bundle import Manifest, seal
from explorer.errors import InputError
from tests.support.browser import EVIL, FLAGS, Visit, serving, sync_api
from tests.support.told import told_pairs


@pytest.fixture(scope="package")
def chromium() -> str:
    pytest.importorskip("playwright.sync_api")
    pytest.importorskip("axe_playwright_python")
    try:
        return find_chromium()
    except InputError as error:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        return say(str(error))


@pytest.fixture(scope="package")
def bundles(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle, as it is, as if some neurons passed, and with markup for its texts."""
    folder = tmp_path_factory.mktemp("bundles")
    shutil.copytree(tiny_bundle, folder / "tiny")
    told_pairs(tiny_bundle, folder / "told")
    untrusted = Path(shutil.copytree(tiny_bundle, folder / "untrusted"))
    images = pd.read_parquet(untrusted / "images.parquet").assign(label=EVIL, author=EVIL)
    images.to_parquet(untrusted / "images.parquet", index=False)
    texts = pd.read_parquet(untrusted / "texts.parquet")
    texts["text"] = [f"{EVIL}{number}" for number in range(len(texts))]
    texts.to_parquet(untrusted / "texts.parquet", index=False)
    pd.read_parquet(untrusted / "neurons.parquet").assign(
        concepts=EVIL, driven_by=EVIL, driven_pass=True
    ).to_parquet(untrusted / "neurons.parquet", index=False)
    facts = Manifest.read(untrusted).content()
    seal(
        untrusted, **{key: value for key, value in facts.items() if key not in {"files", "schema"}}
    )
    return folder


@pytest.fixture(scope="package")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the server keeps findings."""
    return tmp_path_factory.mktemp("findings") / "data"


@pytest.fixture(scope="package")
def server(bundles: Path, data: Path, chromium: str) -> Iterator[str]:
    with serving(bundles, data) as address:
        yield address


@pytest.fixture(scope="package")
def engine(chromium: str) -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def browser(engine: sync_api.Browser, server: str) -> Iterator[sync_api.BrowserContext]:
    """One for all tests of a file: they share its cache and, by a tab that stays, its process.

    Of each page that was closed 20 MB stay in the process, so that it ends with the file.
    """
    context = engine.new_context()
    context.new_page().goto(server + "_stcore/health")
    yield context
    context.close()


@pytest.fixture
def visit(
    browser: sync_api.BrowserContext, server: str, request: pytest.FixtureRequest
) -> Iterator[Visit]:
    width, scheme = getattr(request, "param", (1440, "light"))
    opened = Visit(browser, server, width, scheme)
    yield opened
    opened.page.close()

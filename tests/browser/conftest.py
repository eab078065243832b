"""A Streamlit server on the tiny bundle and the system's Chromium, one of each per test file."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.app import stop
from explorer.bundle import Manifest, seal
from tests.support.browser import EVIL, FLAGS, NAMES, ROOT, Visit, await_server, sync_api


@pytest.fixture(scope="module")
def chromium() -> str:
    pytest.importorskip("playwright.sync_api")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say("no Chromium is installed: apt-get install chromium")
    return str(found)


@pytest.fixture(scope="module")
def bundles(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny bundle, and with one whose labels and texts are markup."""
    folder = tmp_path_factory.mktemp("bundles")
    shutil.copytree(tiny_bundle, folder / "tiny")
    untrusted = Path(shutil.copytree(tiny_bundle, folder / "untrusted"))
    images = pd.read_parquet(untrusted / "images.parquet").assign(label=EVIL, author=EVIL)
    images.to_parquet(untrusted / "images.parquet", index=False)
    texts = pd.read_parquet(untrusted / "texts.parquet")
    texts["text"] = [f"{EVIL}{number}" for number in range(len(texts))]
    texts.to_parquet(untrusted / "texts.parquet", index=False)
    pd.read_parquet(untrusted / "neurons.parquet").assign(concepts=EVIL).to_parquet(
        untrusted / "neurons.parquet", index=False
    )
    facts = asdict(Manifest.read(untrusted))
    seal(
        untrusted, **{key: value for key, value in facts.items() if key not in {"files", "schema"}}
    )
    return folder


@pytest.fixture(scope="module")
def server(bundles: Path, chromium: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    environment = os.environ | {"EXPLORER_BUNDLES": str(bundles)}
    log = (bundles.parent / "server.log").open("w+")
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}/"
    try:
        await_server(address + "_stcore/health", process)
        yield address
        log.seek(0)
        written = log.read()
        assert "Traceback" not in written, written
    finally:
        stop(process)
        log.close()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[sync_api.BrowserContext]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened.new_context()  # one for all tests: they share its cache
        opened.close()


@pytest.fixture
def visit(
    browser: sync_api.BrowserContext, server: str, request: pytest.FixtureRequest
) -> Iterator[Visit]:
    width, scheme = getattr(request, "param", (1440, "light"))
    opened = Visit(browser, server, width, scheme)
    yield opened
    opened.page.close()

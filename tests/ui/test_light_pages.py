"""Pages that only browse a bundle import neither torch nor the code of models.

The pages' scripts are run through AppTest in one fresh process, one after the other, and after each
it is looked at what came to be imported: no page before it had imported that. Torch takes 700 MB
and seconds of every server's start.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from explorer.ui.address import address

ROOT = Path(__file__).parents[2]
MODEL_CODE = ("torch", "open_clip", "explorer.lens", "explorer.picture.model", "sklearn")
INDEX = "faiss"
PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "home": ("home", {}),
    "neurons": ("neurons", {}),
    "neuron": ("neuron", {"layer": "1", "neuron": "3"}),
    "a head": ("neuron", {"layer": "1", "neuron": "5", "head": "2.0"}),
    "atlas": ("atlas", {}),
    "pairs on the map": ("atlas", {"of": "heads"}),
    "compare": ("compare", {}),
    "pairs compared": ("compare", {"pins": "1.5,1.5@2.0,2.7"}),
    "bundles": ("bundles", {}),
    "evidence": ("evidence", {}),
    "shipped evidence": ("evidence", {"bundle": "picto"}),
    "findings": ("findings", {}),
    "finding": ("finding", {}),
    "collection": ("collection", {}),
    "about": ("about", {}),
}
"""Pages by what they show, each with its address's parameters."""
SEARCHING: dict[str, tuple[str, dict[str, str]]] = {
    "concept": ("concept", {"q": "red circle"}),
    "search": ("search", {"q": "red circle"}),
    "pairs": ("search", {"q": "red circle", "of": "heads", "above": "0"}),
}
"""Those that ask the index of texts."""
OUTSIDE = {"a text outside the dictionary": ("search", {"q": "a yellow star"})}
SCRIPT = """
import functools, json, os, sys
from streamlit.components.v2 import manifest_scanner as packages
from streamlit.testing.v1 import AppTest
packages.scan_component_manifests = functools.cache(packages.scan_component_manifests)
pages, names = json.loads(sys.argv[1])
found = {}
for name, (folder, page, params) in pages.items():
    os.environ["EXPLORER_BUNDLES"] = folder
    app = AppTest.from_file(page, default_timeout=120)
    for key, value in params.items():
        app.query_params[key] = value
    before = set(sys.modules)
    app.run()
    assert not app.exception, (name, app.exception)
    found[name] = [heavy for heavy in names if heavy in set(sys.modules) - before]
print(json.dumps(found), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def imported(tiny_bundle: Path) -> dict[str, set[str]]:
    """Which of the heavy modules each page imported that none before it had."""
    shipped, tiny = ROOT / "precomputed", tiny_bundle.parent
    pages = {
        name: (
            str(shipped if params.get("bundle") == "picto" else tiny),
            str(ROOT / address.PAGES[page]),
            params,
        )
        for name, (page, params) in (PAGES | SEARCHING | OUTSIDE).items()
    }
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([pages, [*MODEL_CODE, INDEX]])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return {name: set(new) for name, new in json.loads(ran.stderr.splitlines()[-1]).items()}


def test_only_pages_that_read_pictures_are_left_out() -> None:
    shown = {page for page, _ in (PAGES | SEARCHING).values()}
    assert set(address.PAGES) - shown == {"image", "adversarial"}


@pytest.mark.parametrize("page", PAGES)
def test_browsing_loads_no_model(page: str, imported: dict[str, set[str]]) -> None:
    assert not imported[page]


@pytest.mark.parametrize("page", SEARCHING)
def test_searching_loads_no_model_but_the_index(page: str, imported: dict[str, set[str]]) -> None:
    assert imported[page] <= {INDEX}


def test_a_text_outside_the_dictionary_is_read_by_the_model(
    imported: dict[str, set[str]],
) -> None:
    assert "torch" in imported["a text outside the dictionary"]

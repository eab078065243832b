"""Pages that only browse a bundle import neither torch nor the code of models.

Each page's script is run through AppTest in a process of its own, and what it left imported is
looked at. Torch takes 700 MB and seconds of every server's start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from explorer.ui.address import address
from explorer.ui.data import loaders

ROOT = Path(__file__).parents[2]
MODEL_CODE = ("torch", "open_clip", "explorer.lens", "explorer.picture.model", "sklearn")
INDEX = "faiss"
PAGES = {
    "home": {},
    "neurons": {},
    "neuron": {"layer": "1", "neuron": "3"},
    "concept": {"q": "red circle"},
    "search": {"q": "red circle"},
    "atlas": {},
    "compare": {},
    "bundles": {},
    "evidence": {},
    "findings": {},
    "finding": {},
    "collection": {},
    "about": {},
}
PAIRS: dict[str, dict[str, str]] = {
    "neuron": {"layer": "1", "neuron": "5", "head": "2.0"},
    "search": {"q": "red circle", "of": "heads", "above": "0"},
    "atlas": {"of": "heads"},
    "compare": {"pins": "1.5,1.5@2.0,2.7"},
}
SEARCHING = ("concept", "search")  # these ask the index of texts
SCRIPT = """
import json, sys
from streamlit.testing.v1 import AppTest
page, params, names = json.loads(sys.argv[1])
app = AppTest.from_file(page, default_timeout=120)
for key, value in params.items():
    app.query_params[key] = value
app.run()
assert not app.exception, app.exception
print(json.dumps([name for name in names if name in sys.modules]), file=sys.stderr)
"""


def imported(page: str, folder: Path, params: dict[str, str]) -> list[str]:
    """Which of the heavy modules a page imports, run in a fresh process."""
    asked = json.dumps([str(ROOT / address.PAGES[page]), params, [*MODEL_CODE, INDEX]])
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, asked],
        cwd=ROOT,
        env={**os.environ, loaders.FOLDER_VARIABLE: str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return list(json.loads(ran.stderr.strip().splitlines()[-1]))


@pytest.mark.parametrize("page", PAGES)
def test_browsing_loads_no_model(page: str, tiny_bundle: Path) -> None:
    found = set(imported(page, tiny_bundle.parent, PAGES[page]))
    assert found <= ({INDEX} if page in SEARCHING else set())


@pytest.mark.parametrize("page", PAIRS)
def test_browsing_pairs_loads_no_model(page: str, tiny_bundle: Path) -> None:
    assert set(imported(page, tiny_bundle.parent, PAIRS[page])) <= {INDEX}


def test_the_shipped_evidence_is_drawn_without_the_model() -> None:
    assert imported("evidence", ROOT / "precomputed", {"bundle": "picto"}) == []


def test_a_text_outside_the_dictionary_is_read_by_the_model(tiny_bundle: Path) -> None:
    assert "torch" in imported("search", tiny_bundle.parent, {"q": "a yellow star"})

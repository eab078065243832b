"""Texts are shown as they are written: markup in any of them is escaped, on every page."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from markupsafe import Markup

from explorer.bundle import Manifest, seal
from explorer.ui.data import loaders
from explorer.ui.html.elements import joined, tag
from tests.support.app import html_of, run_page

EVIL = "<script>steal('x')</script>\"'"
KEY = "<script>1<"  # a folder's name holds no slash


@pytest.fixture(scope="module")
def hostile(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose every text is markup, its own name included."""
    folder = tmp_path_factory.mktemp("hostile") / KEY
    shutil.copytree(tiny_bundle, folder)
    images = pd.read_parquet(folder / "images.parquet")
    texts = [name for name in images if images[name].dtype.kind == "O" and name != "split"]
    images.assign(**dict.fromkeys(texts, EVIL)).to_parquet(folder / "images.parquet", index=False)
    table = pd.read_parquet(folder / "texts.parquet")
    table["text"] = [f"{EVIL}{number}" for number in range(len(table))]
    table.to_parquet(folder / "texts.parquet", index=False)
    neurons = pd.read_parquet(folder / "neurons.parquet").assign(
        concepts=EVIL, driven_by=EVIL, driven_pass=True
    )
    neurons["words_pass"] = neurons["neuron"] % 2 == 0
    neurons["words"] = neurons["words_pass"].astype("int8")
    neurons.to_parquet(folder / "neurons.parquet", index=False)
    (folder / "model" / "README.md").unlink(missing_ok=True)
    facts = Manifest.read(folder).content()
    facts["model"]["source"] = EVIL
    seal(folder, **{key: value for key, value in facts.items() if key not in {"files", "schema"}})
    return folder


@pytest.mark.parametrize(
    ("page", "params"),
    [
        ("home", {}),
        ("neurons", {"list": EVIL, "neurons": "1.5,2.7", "agreement": "0.."}),
        ("neurons", {"view": "table", "word": EVIL}),
        ("neuron", {"layer": "1", "neuron": "5", "pictures": "grouped", "pins": "1.5,2.7"}),
        ("neuron", {"layer": EVIL, "texts": EVIL, "where": EVIL, "image": EVIL}),
        ("concept", {"text": EVIL}),
        ("concept", {"text": f"{EVIL}1", "by": "labels"}),
        ("search", {"q": f"“{EVIL}1”"}),
        ("search", {"q": f"“{EVIL}1” + “{EVIL}2”", "show": "labels"}),
        ("search", {"mode": "picture", "find": EVIL}),
        ("atlas", {"colour": EVIL, "neurons": "1.5", "at": "2.7", "area": EVIL}),
        ("compare", {"pins": "1.5,2.7"}),
        ("compare", {"pins": EVIL}),
        ("findings", {"word": EVIL}),
        ("about", {}),
        ("about", {"bundle": EVIL}),
    ],
)
def test_no_text_is_taken_for_markup(
    page: str, params: dict[str, str], hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(hostile.parent))
    html = html_of(run_page(page, **{"bundle": KEY, **params}))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert not any("'" in part.split('"')[0] for part in html.split('alt="')[1:])


def test_elements_escape_all_but_markup() -> None:
    made = tag("p", "<b>", Markup("<i>"), ["&", tag("b", "<")], title='"<', data_x=True, id=None)
    assert made == '<p title="&#34;&lt;" data-x="">&lt;b&gt;<i>&amp;<b>&lt;</b></p>'
    assert joined(["<", Markup("<br>")], "&") == "&lt;&amp;<br>"
    assert tag("img", src="a&b") == '<img src="a&amp;b">'

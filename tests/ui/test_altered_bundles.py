"""Pages of bundles that aren't what they say: a sentence or the page, never a red box.

Bundles are altered at random, with hashes made right again, as another program would write them.
"""

from __future__ import annotations

import math
import os
import tempfile
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

from explorer.bundle import ARRAYS, Bundle, reseal_evidence, verify
from explorer.ui.data import loaders
from tests.support.altered import (
    alter_array,
    alter_file,
    alter_table,
    linked_copy,
    manifest_of,
    write_manifest,
)
from tests.support.app import html_of, run_page
from tests.support.fuzz import by_time, fuzz, holds

VIEWS: list[tuple[str, dict[str, str]]] = [
    ("home", {}),
    ("neurons", {}),
    ("neurons", {"view": "table", "word": "red"}),
    ("neuron", {"layer": "1", "neuron": "5"}),
    ("neuron", {"layer": "0", "neuron": "0", "pictures": "grouped"}),
    ("concept", {"text": "red"}),
    ("search", {"q": "red circle"}),
    ("atlas", {"neurons": "1.5", "colour": "polysemy"}),
    ("compare", {"pins": "1.5,2.7"}),
    ("search", {"q": "red circle", "of": "heads", "above": "0"}),
    ("atlas", {"of": "heads"}),
    ("compare", {"pins": "1.5,1.5@2.0"}),
    ("evidence", {}),
    ("evidence", {"claim": "rank"}),
    ("findings", {}),
    ("about", {}),
]
TABLES = {"neurons": "scale", "texts": "text", "images": "label"}
ODD: list[Any] = [
    None, True, 0, -1, 3, 0.5, math.nan, math.inf, 10**30, "", "x", "\u202e<b>", [], [None],
    {}, {"value": "x", "interval": 3, "count": None}, {"layers": 3}, [[1, 2], {"a": [1]}],
]  # fmt: skip
json_values = st.recursive(
    st.sampled_from(ODD) | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
CHANGES_OF_ARRAYS: dict[str, Any] = {
    "scalar": lambda a: a.flat[0],
    "half": lambda a: a[: len(a) // 2],
    "empty": lambda a: a[:0],
    "text": lambda a: a.astype("U8"),
    "object": lambda a: a.astype(object),
    "float": lambda a: a.astype(np.float64),
    "nan": lambda a: a * np.array(np.nan, a.dtype) if a.dtype.kind == "f" else a - 5,
    "one nan": lambda a: _with(a, np.nan if a.dtype.kind == "f" else 2**7 - 1),
    "large": lambda a: a + np.array(30_000 if a.dtype.itemsize > 1 else 100, a.dtype),
    "zero": lambda a: a * 0,
    "turned": lambda a: a.T.copy(),
}
CHANGES_OF_TABLES: dict[str, Any] = {
    "without": lambda t, c: t.drop(columns=c),
    "null": lambda t, c: t.assign(**{c: None}),
    "one null": lambda t, c: t.assign(**{c: t[c].where(t.index > 0)}),
    "number": lambda t, c: t.assign(**{c: 1.5}),
    "text": lambda t, c: t.assign(**{c: "<script>"}),
    "empty text": lambda t, c: t.assign(**{c: ""}),
    "list": lambda t, c: t.assign(**{c: [[1]] * len(t)}),
    "flag": lambda t, c: t.assign(**{c: True}),
    "date": lambda t, c: t.assign(**{c: pd.Timestamp("2026-01-01")}),
    "no rows": lambda t, c: t.head(0),
    "fewer": lambda t, c: t.head(7),
    "turned": lambda t, c: t.iloc[::-1],
}


def _with(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array.flat[0] = value
    return array


def places(content: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value of JSON."""
    found = [way] if way else []
    parts = content.items() if isinstance(content, dict) else ()
    parts = enumerate(content) if isinstance(content, list) else parts
    for key, inner in parts:
        found += places(inner, (*way, key))
    return found


@st.composite
def alterations(draw: st.DrawFn) -> tuple[str, Any, Any]:
    """Draw what is altered: kind, place, and what stands there then."""
    kind = draw(st.sampled_from(["manifest", "evidence", "array", "table", "file"]))
    if kind in ("manifest", "evidence"):
        return kind, draw(st.integers(0, 10_000)), draw(json_values)
    if kind == "array":
        names = [*ARRAYS, "mean_coefficients/layer_01"]
        return kind, draw(st.sampled_from(names)), draw(st.sampled_from([*CHANGES_OF_ARRAYS]))
    if kind == "table":
        place = draw(st.sampled_from([*TABLES])), draw(st.integers(0, 60))
        return kind, place, draw(st.sampled_from([*CHANGES_OF_TABLES]))
    names = ["pictures.bin", "texts.faiss", "neurons.parquet", "atlas.npy"]
    return kind, draw(st.sampled_from(names)), draw(st.binary(max_size=40))


def alter(folder: Path, kind: str, place: Any, value: Any) -> None:
    """Alter a bundle as drawn."""
    if kind == "array":
        alter_array(folder, place, CHANGES_OF_ARRAYS[value])
    elif kind == "table":
        name, column = place

        def change(table: pd.DataFrame) -> pd.DataFrame:
            return CHANGES_OF_TABLES[value](table, table.columns[column % len(table.columns)])

        alter_table(folder, name, change)
    elif kind == "file":
        alter_file(folder, place, value)
    else:
        content = manifest_of(folder)
        inner: Any = content["evidence"] if kind == "evidence" else content
        ways = [way for way in places(inner) if kind == "evidence" or way[0] != "evidence"]
        *way, last = ways[place % len(ways)]
        for key in way:
            inner = inner[key]
        inner[last] = value
        write_manifest(folder, content)


def check(source: Path, drawn: tuple[tuple[str, Any, Any], int]) -> None:
    """A page of the altered bundle raises nothing, and says what keeps it from being drawn."""
    alteration, view = drawn
    page, params = VIEWS[view]
    with tempfile.TemporaryDirectory() as temporary:
        folder = linked_copy(source, Path(temporary) / "altered")
        try:
            alter(folder, *alteration)
        except (ValueError, TypeError, OverflowError, UnicodeEncodeError):
            return  # what neither NumPy, Arrow nor JSON can hold
        os.environ[loaders.FOLDER_VARIABLE] = temporary
        html = html_of(run_page(page, **params))
        if "cannot be opened" in html:
            said = unescape(html)
            problems = verify(folder)
            assert any(problem in said for problem in problems), (problems, said)


@pytest.fixture
def source(measured: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, "")  # set by the checks, put back by the fixture
    return measured


DRAWN = st.tuples(alterations(), st.integers(0, len(VIEWS) - 1))


@by_time
def test_no_page_of_an_altered_bundle_breaks(source: Path) -> None:
    holds(lambda drawn: check(source, drawn), DRAWN, examples=40)


@by_time
def test_no_page_of_an_altered_bundle_breaks_for_long(source: Path) -> None:
    fuzz(lambda drawn: check(source, drawn), DRAWN, size=20)


def test_a_page_says_what_is_wrong_with_an_array_it_reads(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tmp_path))
    folder = linked_copy(tiny_bundle, tmp_path / "tiny")
    alter_array(folder, "top_images", lambda a: a + 1000)
    (problem,) = verify(folder)
    html = unescape(html_of(run_page("neuron", layer="1", neuron="5")))
    assert problem in html
    assert "python -m explorer verify" in html


def test_evidence_of_another_form_counts_as_not_measured(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tmp_path))
    folder = linked_copy(tiny_bundle, tmp_path / "tiny")
    odd = {"methods": [3], "verdict": {"paired_difference": 5}, "by_pair": {"a": 1}}
    odd |= {"recall@1": "much", "candidates": None, "thresholds": {"second-order": "high"}}
    sections = ("recall", "segmentation", "discovery", "attack", "rank", "ablation", "texts")
    reseal_evidence(Bundle.open(folder), dict.fromkeys(sections, odd))
    assert verify(folder) == []
    html = html_of(run_page("evidence"))
    assert "Not measured yet" in html
    run_page("home")

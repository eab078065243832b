"""The query language and every page's address: whatever is written there, nothing is raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import strategies as st

from explorer.errors import InputError
from explorer.search.query import MOST_TEXTS, format_query, parse_query
from explorer.ui.address import area
from explorer.ui.address.address import parse_jump, read_neurons, read_picture
from explorer.ui.address.atlas_query import read_atlas
from explorer.ui.address.attack_query import read_attack, read_scene
from explorer.ui.address.bundles_query import read_bundles
from explorer.ui.address.findings_query import read_findings
from explorer.ui.address.search_query import read_search
from explorer.ui.data.image_query import read_query
from explorer.ui.data.loaders import View
from explorer.ui.data.neuron import read_neuron
from tests.support.fuzz import by_time, fuzz, holds

KEYS = (
    "bundle", "layer", "layers", "neuron", "neurons", "list", "pins", "page", "sort", "order",
    "word", "view", "q", "mode", "show", "by", "rank", "find", "image", "scene", "texts", "text",
    "method", "threshold", "colour", "at", "area", "claim", "source", "target", "seed", "why",
    "pictures", "where", "tag", "author", "agreement", "polysemy", "selectivity", "finding",
    "attack", "fit", "scale", "exact", "fine", "own", "other",
    "of", "head", "above",
)  # fmt: skip
PARTS = (
    "1", "0", "-1", "1.5", "1.5,2.7", "..", "0.5..", "..0.5", "nan", "inf", "1e999", "9" * 40, "²",
    "١", "𝟛", "1_0", "+1", " 1", "red", "red + blue", "a - b", '"', "“x”", "−", ",", ";", ">",
    "\x00", "\u202e", "e\u0301", "<b>", "tiny", "true", "asc", "table", "0,0,1,0,1,1", "%",
    "&", "=", "heads", "1.5@2.0", "@", "2.0",
)  # fmt: skip
values = st.text(max_size=12) | st.lists(st.sampled_from(PARTS), max_size=4).map("".join)
addresses = st.dictionaries(st.sampled_from(KEYS), values.filter(bool), max_size=6)
queries = st.text(max_size=30) | st.lists(
    st.sampled_from([*PARTS, " ", " + ", " - ", " − ", "„", "“", "c++", "t-shirt"]), max_size=14
).map("".join)


def check_query(text: str) -> None:
    """A query is read, and comes back as it was read; or one sentence says what to write."""
    try:
        terms = parse_query(text)
    except InputError as error:
        assert str(error).strip()
        return
    assert 1 <= len(terms) <= MOST_TEXTS
    assert all(term.text.strip() == term.text != "" for term in terms)
    both = any('"' in term.text and "”" in term.text for term in terms)
    if not both and len(format_query(terms)) <= 200:  # a text with all kinds of marks has none left
        again = parse_query(format_query(terms))
        assert [(term.text, term.sign) for term in again] == [
            (term.text, term.sign) for term in terms
        ]


def check_address(view: View, params: dict[str, str]) -> None:
    """Every page reads the address, says what it cannot read, and writes what it read."""
    layers = view.layers
    readers: list[Callable[[], Any]] = [
        lambda: read_neurons(params, layers, view.has),
        lambda: read_picture(params, 40),
        lambda: read_atlas(params, layers, view.has),
        lambda: read_attack(params),
        lambda: read_findings(params),
        lambda: read_search(params, 40),
        lambda: read_query(params, view),
        lambda: read_neuron(params, view),
        lambda: read_bundles(params, "tiny", ["tiny", "other"]),
    ]
    for read in readers:
        found = read()
        problems = found.problems if hasattr(found, "problems") else found[1]
        assert all(isinstance(problem, str) and problem for problem in problems)
        query = found.query if hasattr(found, "query") else found[0]
        if hasattr(query, "params"):
            written = urlencode({k: str(v) for k, v in query.params().items()})
            again = {k: v[0] for k, v in parse_qs(written).items()}
            assert all(key for key in again)
    for text in params.values():
        read_scene(text)
        for reader in (area.read, parse_jump):
            try:
                reader(text)
            except InputError:
                continue


def test_queries_are_read_or_refused() -> None:
    holds(check_query, queries, examples=300)


def test_addresses_are_read(view: View) -> None:
    holds(lambda params: check_address(view, params), addresses, examples=200)


@by_time
def test_queries_are_read_or_refused_for_long() -> None:
    fuzz(check_query, queries, size=1000)


@by_time
def test_addresses_are_read_for_long(view: View) -> None:
    fuzz(lambda params: check_address(view, params), addresses, size=300)


@pytest.mark.parametrize("number", ["²", "١", "𝟛", "1_0", "+1", "9" * 5000])
def test_digits_that_are_none_are_no_number(view: View, number: str) -> None:
    check_address(view, dict.fromkeys(("page", "layer", "neuron", "image", "seed"), number))

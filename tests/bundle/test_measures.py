"""One entry in the table of measures is enough: every list, page and file follows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from explorer.bundle import Bundle
from explorer.bundle.measures import TABLE, Place, keys_of, measures_of
from explorer.formats import number

ADDED = """
import sys
from explorer.bundle import Bundle, measures
from explorer.formats import number

measures.TABLE += (
    measures.Measure("oddness", "Oddness", "odd", "How odd it is.", number, {places}),
)

from explorer.bundle.facts import neuron_facts
from explorer.findings.snapshot import neuron_shot
from explorer.ui.address.address import SORTS, NeuronsQuery
from explorer.ui.address.atlas_query import COLOURS
from explorer.ui.data import export
from explorer.ui.data.loaders import View
from explorer.ui.data.served import hint
from explorer.ui.html import cards

bundle = Bundle.open(sys.argv[1])
bundle.__dict__["neurons"] = bundle.neurons.assign(oddness=0.25)
view = View("tiny", bundle)
assert "oddness" in SORTS
assert all("oddness" in colours for colours in COLOURS.values())
assert "How odd it is." in cards.measures(view, 5)
assert "odd</span>" in cards.measures_line(view, 5)
assert "odd 0.25" in hint(view, 5)["measures"]
assert (export.selected(view, NeuronsQuery())["Oddness"] == 0.25).all()
assert neuron_facts(bundle, 1, 5)["measures"]["oddness"] == 0.25
assert neuron_shot(bundle, 1, 5).measures["oddness"] == 0.25
"""


def test_a_measure_is_one_entry(tiny_bundle: Path) -> None:
    code = ADDED.format(places=get_args(Place))
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_bundle)],
        capture_output=True,
        cwd=Path(__file__).parents[2],
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_bundle_holds_every_measure(tiny_bundle: Path) -> None:
    table = Bundle.open(tiny_bundle).neurons
    for measure in TABLE:
        assert np.isfinite(table[measure.key]).all(), measure.key
        assert measure.show(float(table[measure.key].iloc[0]))


def test_keys_are_unique_and_sentences_end() -> None:
    assert len({measure.key for measure in TABLE}) == len(TABLE)
    assert all(measure.meaning.endswith(".") for measure in TABLE)


@pytest.mark.parametrize("place", get_args(Place))
def test_a_place_lists_its_measures_in_the_tables_order(place: Place) -> None:
    keys = keys_of(place)
    assert keys and keys[0] in ("prediction", "agreement")
    assert [measure.key for measure in measures_of(place)] == list(keys)
    assert set(keys) <= {measure.key for measure in TABLE}


def test_nothing_is_written_as_less_than_nothing() -> None:
    assert number(-0.001) == "0.00"
    assert number(-1234.5, 1) == "−1,234.5"

"""The notebook runs from top to bottom on the shipped bundle, and shows what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "notebooks" / "first-look.ipynb"


@pytest.fixture(scope="module")
def outputs() -> list[Any]:
    """What every code cell shows."""
    notebook = nbformat.read(FILE, as_version=4)
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(ROOT)}})
    client.execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell.outputs[-1]["data"] for cell in cells]


def test_a_bundle_and_a_neuron_show_themselves(outputs: list[Any]) -> None:
    bundle, neuron, *_, other = outputs
    for shown in (bundle, neuron, other):
        assert shown["text/html"].count("<img ") == 8
    assert "<b>picto</b>" in bundle["text/html"]
    assert "It adds: <b>" in neuron["text/html"]


def test_a_picture_is_painted(outputs: list[Any]) -> None:
    assert sum("image/png" in shown for shown in outputs) == 1


def test_a_direction_is_written_by_the_texts_it_was_made_of(outputs: list[Any]) -> None:
    ((_, said),) = [
        (n, o["text/plain"]) for n, o in enumerate(outputs) if "('dog'" in o["text/plain"]
    ]
    assert "('cat', -" in said


def test_no_output_is_kept_in_the_file() -> None:
    cells = nbformat.read(FILE, as_version=4).cells
    assert not any(cell.get("outputs") for cell in cells)

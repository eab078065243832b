"""What a notebook shows of a bundle and of a neuron."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from explorer.bundle import Bundle
from explorer.bundle.display import UNTESTED
from explorer.bundle.facts import images_of
from explorer.errors import InputError
from tests.support.hostile import HOSTILE


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.open(tiny_bundle)


def test_a_neuron_shows_its_own_pictures(bundle: Bundle) -> None:
    shown = bundle.neuron(1, 5)._repr_html_()
    pictures = re.findall(r'src="data:image/(\w+);base64,([^"]+)"', shown)
    expected = images_of(bundle, bundle.row(1, 5), "positive", 8)
    assert [base64.b64decode(data) for _, data in pictures] == [
        bundle.pictures.encoded(image["image"]) for image in expected
    ]
    assert {kind for kind, _ in pictures} == {"png"}


def test_chance_stands_beside_what_is_said(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "than chance" in bundle.neuron(1, 5)._repr_html_()
    monkeypatch.setitem(vars(bundle), "tested", False)
    older = bundle.neuron(1, 5)._repr_html_()
    assert UNTESTED in older and "than chance" not in older.replace(UNTESTED, "")


def test_a_console_shows_one_line(bundle: Bundle) -> None:
    """A bug: it showed the whole manifest, with every file's hash and all evidence."""
    assert repr(bundle) == (
        f"Bundle('tiny' at {bundle.path}: layers [0, 1, 2], 384 neurons, 36 images, 27 texts)"
    )
    assert repr(bundle.neuron(1, 5)) == f"Neuron(bundle={bundle!r}, layer=1, neuron=5)"
    with pytest.raises(InputError, match="has no layer '1'; choose one of 0, 1, 2"):
        bundle.neuron("1", 5)  # type: ignore[arg-type]


def test_a_bundle_shows_its_numbers(bundle: Bundle) -> None:
    shown = bundle._repr_html_()
    assert "384 neurons of layers 0 to 2, 36 pictures" in shown
    assert shown.count("<img ") == 8


def test_labels_are_escaped(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    table = bundle.pictures.table.copy()
    table["label"] = HOSTILE
    monkeypatch.setitem(vars(bundle.pictures), "table", table)
    assert HOSTILE not in bundle.neuron(1, 5)._repr_html_()


def test_a_neuron_that_is_not_there_is_refused(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="no neuron"):
        bundle.neuron(1, 128)

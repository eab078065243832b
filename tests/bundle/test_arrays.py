"""The table of arrays: what it lets be written, what it refuses to read, and its documentation."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from explorer.bundle import ARRAYS, Bundle, format, list_files
from explorer.bundle.writer import ArrayWriter
from explorer.errors import BundleError
from tests.conftest import TINY_LAYERS


def test_what_is_written_is_read(tmp_path: Path) -> None:
    writer = ArrayWriter(tmp_path)
    values = np.eye(3, 5, dtype=np.float16)
    writer.write("directions", values)
    writer.write_layer(2, np.ones((4, 7), np.float32))
    assert np.array_equal(ARRAYS["directions"].read(tmp_path, {"neuron": 3}), values)
    assert {path.name for path in tmp_path.rglob("*.npy")} == {"directions.npy", "layer_02.npy"}


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("directons", np.zeros((3, 5), np.float16), "no array 'directons'"),
        (
            "directions",
            np.zeros((3, 5), np.float32),
            r"directions\.npy is not written: expected \[neuron 3, embed\] float16, "
            r"found \[3, 5\] float32",
        ),
        ("directions", np.zeros(3, np.float16), r"expected \[neuron 3, embed\] .*found \[3\]"),
        ("atlas", np.zeros((4, 2), np.float32), r"expected \[neuron 3, coordinate 2\]"),
        ("atlas", np.zeros((3, 3), np.float32), r"expected \[neuron 3, coordinate 2\]"),
        ("directions", np.full((3, 5), 2, np.float16), r"expected values -1.01 to 1.01, found 2"),
        ("mean_representation", np.full(5, np.nan, np.float32), "expected finite numbers, found 5"),
        ("sample_images", np.array([0, 9], np.int32), "values -1 to 8, found 0 to 9"),
        ("concept_clusters", np.full((3, 2), -2, np.int8), "values from -1, found -2"),
        ("norm_edges", np.zeros(4, np.float32), r"expected \[bin\+1 5\] float32, found \[4\]"),
    ],
)
def test_what_does_not_fit_is_not_written(
    tmp_path: Path, name: str, values: np.ndarray, words: str
) -> None:
    writer = ArrayWriter(tmp_path)
    writer.write("norm_histogram", np.zeros((3, 4), np.int32))
    writer.write("image_embeddings", np.zeros((9, 5), np.float16))
    writer.sizes.pop("embed")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BundleError, match=words):
        writer.write(name, values)
    assert sorted(tmp_path.iterdir()) == before


def test_a_dead_neuron_has_no_place(tmp_path: Path) -> None:
    writer = ArrayWriter(tmp_path)
    writer.write("atlas", np.array([[0, 1], [np.nan, np.nan], [2, 3]], np.float32))
    read = ARRAYS["atlas"].read(tmp_path, {"neuron": 3})
    assert np.isnan(read).tolist() == [[False] * 2, [True] * 2, [False] * 2]


def test_mean_coefficients_are_checked(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"layer_03\.npy is not written: expected \[path, neuron"):
        ArrayWriter(tmp_path).write_layer(3, np.ones((4, 7)))
    assert not list(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("directions", lambda a: a[:-1]),
        ("directions", lambda a: a.astype(np.float32)),
        ("image_embeddings", lambda a: a[1:]),
        ("text_mean", lambda a: a[None]),
        ("mean_coefficients/layer_01", lambda a: a.astype(np.float64)),
    ],
)
def test_arrays_of_another_form_are_refused(bundle_copy: Path, name: str, change) -> None:
    bundle = Bundle.open(bundle_copy)
    file = bundle_copy / f"{name}.npy"
    np.save(file, change(np.load(file)))
    with pytest.raises(BundleError, match=r"expected \[.*found \[.*restore it") as caught:
        if "/" in name:
            bundle.mean_coefficients(TINY_LAYERS[1])
        else:
            getattr(bundle, name)
    assert str(file) in str(caught.value)


def test_the_documentation_is_that_of_the_tables() -> None:
    """Else run `python -m explorer.bundle.format`."""
    assert format.PAGE.read_text("utf-8") == format.document()


def test_every_file_of_a_bundle_is_documented(tiny_bundle: Path) -> None:
    page = format.document()
    for name in list_files(tiny_bundle):
        known = re.sub(r"layer_\d\d", "layer_NN", name)
        assert f"`{known}`" in page or name.startswith("model/"), name
    for column in Bundle.open(tiny_bundle).neurons:
        assert f"| `{column}` |" in page, column

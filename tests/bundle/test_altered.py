"""Bundles that aren't what they say: hashes are right, contents are not.

Whatever is altered, `verify` names file, field, what is expected and what was found, and opening or
reading the bundle says the same; nothing outside the bundle's folder is opened.
"""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from explorer.bundle import ARRAYS, MANIFEST, Bundle, hash_file, verify
from explorer.errors import BundleError
from tests.support.altered import (
    alter_array,
    alter_file,
    alter_table,
    linked_copy,
    manifest_of,
    write_manifest,
)
from tests.support.fuzz import by_time, fuzz, holds

REMEDY = "restore it from where the bundle came from, or build the bundle again."
FIELDS = (
    "name", "created", "model", "layers", "settings", "images", "texts", "counts", "centre",
    "evidence", "files",
)  # fmt: skip
WRONG: dict[str, Any] = {
    "null": None,
    "list": [[]],
    "number": 3,
    "float": 0.5,
    "NaN": math.nan,
    "endless": 1e400,
    "10^30": 10**30,
    "text": "\x1b[2J" * 30,
    "true": True,
    "object": {"a": {"b": None}},
}

OF_THE_TYPE = {
    ("name", "text"), ("centre", "true"), ("evidence", "object"), ("settings", "object"),
}  # fmt: skip


@pytest.fixture
def altered(tiny_bundle: Path, tmp_path: Path) -> Path:
    return linked_copy(tiny_bundle, tmp_path / "tiny")


def fault(folder: Path) -> str:
    """Return the one problem that `verify` finds; check that it names the remedy."""
    problems = verify(folder)
    assert len(problems) == 1, problems
    assert problems[0].isprintable()
    assert problems[0].endswith(REMEDY)
    return problems[0]


def reading(folder: Path) -> str:
    """Return what opening the bundle, or reading any of its parts, says."""
    with pytest.raises(BundleError) as caught:
        bundle = Bundle.open(folder)
        for name in ("neurons", "texts", "pictures", "index", *ARRAYS):
            getattr(bundle, name)
        for layer in bundle.manifest.layers:
            bundle.mean_coefficients(layer)
    return str(caught.value)


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_another_type_is_named(altered: Path, field: str, kind: str) -> None:
    value = WRONG[kind]
    if (field, kind) in {
        ("settings", "object"),
        ("name", "text"),
        ("centre", "true"),
        ("evidence", "object"),
    }:
        pytest.skip("this is of the field's type")
    write_manifest(altered, {**manifest_of(altered), field: value})
    said = fault(altered)
    assert str(altered / MANIFEST) in said
    missing = f"'{field}." in said and "is missing" in said
    assert missing or (f"'{field}" in said and " should " in said)
    assert reading(altered) == said


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("model", "embed"), 25, "expected [neuron 384, embed 25] float16, found [384, 24]"),
        (("model", "embed"), 0, "'model.embed' should be greater than or equal to 1, found 0"),
        (("model", "blocks"), 3, "layers before the last of model.blocks"),
        (("layers",), [2, 1], "'layers' should be rising numbers of layers, found [2, 1]"),
        (("layers",), [0, 1], "expected neurons 0 to 191 of each of the layers 0, 1 in order"),
        (("layers",), [], "'layers' should"),
        (("settings", "significant"), "much", "'settings.significant' should be a valid number"),
        (("settings", "significant"), math.nan, "'settings.significant' should"),
        (("images", "count"), 35, "one number of images in counts and images.count"),
        (("images", "held_out"), 5, "expected 5 pictures of the split 'heldout', found 4"),
        (("images", "skipped"), [1], "'images.skipped.0' should be a valid string, found 1"),
        (("counts", "neurons"), 385, "as many neurons in counts for each of its layers"),
        (("evidence",), {"recall": [1]}, "'evidence.recall' should be a valid dictionary"),
        (("files",), {}, "does not list atlas.npy"),
        (("files", "atlas.npy"), {"sha256": 1, "bytes": 2}, "'files.atlas.npy.sha256' should be"),
        (("files", "atlas.npy", "bytes"), True, "'files.atlas.npy.bytes' should be a valid int"),
        (("created",), "yesterday", "'created' should be a date such as 2026-11-23"),
    ],
)
def test_a_value_out_of_its_bounds_is_named(
    altered: Path, place: tuple[str, ...], value: object, words: str
) -> None:
    content = manifest_of(altered)
    *way, last = place
    inner = content
    for key in way:
        inner = inner[key]
    inner[last] = value
    write_manifest(altered, content)
    problems = verify(altered)
    assert words in problems[0]
    assert reading(altered) in problems


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 100_000, id="unclosed"),
        pytest.param('{"digest": "", "evidence": ' + "[" * 5000 + "]" * 5000 + "}", id="deep"),
        pytest.param('{"digest": "0", "schema": 1, "name": "\\ud800"}', id="surrogate"),
        pytest.param('{"digest": {}, "schema": 1}', id="digest"),
        pytest.param('{"digest": "0", "schema": ' + "9" * 5000 + "}", id="digits"),
    ],
)
def test_json_that_breaks_readers_is_refused(altered: Path, text: str) -> None:
    alter = altered / MANIFEST
    alter.unlink()
    alter.write_text(text, "utf-8")
    said = fault(altered)
    assert str(alter) in said
    assert reading(altered) == said


@pytest.mark.parametrize(
    "name", ["/etc/hostname", "../x", "model/../../x", "a//b", "./a", "a\\b", "a\nb", "", MANIFEST]
)
def test_names_that_lead_outside_are_refused(altered: Path, name: str) -> None:
    content = manifest_of(altered)
    outside = altered.parent / "x"
    outside.write_text("secret", "utf-8")
    content["files"][name] = dict(hash_file(outside))
    write_manifest(altered, content)
    said = fault(altered)
    assert "should be a path below the bundle's folder" in said
    assert "secret" not in said


@pytest.mark.parametrize("name", ["atlas.npy", "model", "model/README.md", MANIFEST, "more"])
def test_links_that_lead_outside_are_refused(altered: Path, name: str) -> None:
    inside = altered / name
    outside = altered.parent / "elsewhere"
    if inside.exists():
        inside.rename(outside)
    inside.symlink_to(outside)
    said = fault(altered)
    assert str(inside) in said and "leads out of" in said
    assert reading(altered) == said


def test_links_within_the_folder_are_followed(altered: Path) -> None:
    (altered / "atlas.npy").rename(altered / "atlas.copy")
    (altered / "atlas.npy").symlink_to("atlas.copy")
    assert "atlas.copy does not belong" in verify(altered)[0]
    assert Bundle.open(altered).atlas.shape == (384, 2)


def test_a_pipe_is_no_file(altered: Path) -> None:
    (altered / "atlas.npy").unlink()
    os.mkfifo(altered / "atlas.npy")
    assert "atlas.npy is missing" in verify(altered)[0]


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (
            "directions",
            lambda a: np.float16(3),
            "expected [neuron 384, embed 24] float16, found []",
        ),
        ("directions", lambda a: a.astype("U4"), "found [384, 24] str"),
        ("directions", lambda a: a.astype(object), "cannot be read"),
        ("directions", lambda a: a[: len(a) // 2], "found [192, 24]"),
        ("concept_weights", lambda a: a[:, :4], "expected [neuron 384, concept 8]"),
        ("text_embeddings", lambda a: a * np.float16(np.nan), "expected finite numbers, found"),
        ("top_effects", lambda a: a + np.float32(np.inf), "expected finite numbers, found"),
        ("top_images", lambda a: a + 1000, "expected values -1 to 35, found"),
        ("concept_ids", lambda a: a - 9, "expected values -1 to"),
        ("neighbours", lambda a: a + 384, "expected values -1 to 383, found"),
        ("sample_images", lambda a: a + 1, "expected values -1 to 35, found 1 to 36"),
        ("norm_edges", lambda a: a[:-1], "expected [bin+1 49]"),
        ("norm_edges", lambda a: a[::-1], "expected rising values"),
        ("mean_coefficients/layer_01", lambda a: a * np.float32(np.nan), "expected finite"),
    ],
)
def test_arrays_that_hold_something_else_are_named(
    altered: Path, name: str, change: Any, words: str
) -> None:
    alter_array(altered, name, change)
    problems = verify(altered)
    assert any(words in said and f"{name}.npy" in said for said in problems), problems
    assert all(said.endswith(REMEDY) for said in problems)
    assert reading(altered) in problems


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("neurons", lambda t: t.drop(columns="agreement"), "column 'agreement' is missing"),
        ("neurons", lambda t: t.drop(columns="driven_p"), "column 'driven_p' is missing"),
        ("neurons", lambda t: t.head(0), "expected 384 rows, found 0"),
        ("neurons", lambda t: t.iloc[::-1], "column 'layer': expected neurons 0 to 127 of each"),
        ("neurons", lambda t: t.assign(scale="a"), "column 'scale': expected numbers, found str"),
        ("neurons", lambda t: t.assign(scale=np.inf), "expected finite numbers, found 384"),
        ("neurons", lambda t: t.assign(concepts=None), "'concepts': expected texts in every row"),
        ("neurons", lambda t: t.assign(layer=t["layer"] + 0.5), "expected whole numbers, found"),
        ("texts", lambda t: t.assign(text=1), "column 'text': expected texts, found integer"),
        ("texts", lambda t: t.assign(text=[[""]] * len(t)), "column 'text': expected texts"),
        ("texts", lambda t: t.iloc[1:], "rows, found"),
        ("images", lambda t: t.drop(columns="label"), "column 'label' is missing"),
        ("images", lambda t: t.assign(label=None), "expected texts in every row, found 40"),
        ("images", lambda t: t.assign(offset=10**18), "within the"),
        ("images", lambda t: t.assign(offset=-1), "expected whole numbers from 0, found -1"),
        ("images", lambda t: t.assign(split="both"), "expected one of corpus, heldout, found"),
        ("images", lambda t: t.iloc[::-1], "expected the corpus before held-out pictures"),
        ("images", lambda t: t.iloc[1:], "expected 36 pictures of the split 'corpus', found 35"),
    ],
)
def test_tables_that_hold_something_else_are_named(
    altered: Path, name: str, change: Any, words: str
) -> None:
    alter_table(altered, name, change)
    said = fault(altered)
    assert words in said and f"{name}.parquet" in said
    assert reading(altered) == said


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("neurons.parquet", b"PAR1" + bytes(40) + b"PAR1", "cannot be read"),
        ("atlas.npy", b"\x93NUMPY\x01\x00v\x00{'descr': __import__('os')", "cannot be read"),
        ("pictures.bin", bytes(10**6), "picture 0 of"),
    ],
)
def test_files_of_another_kind_are_named(altered: Path, name: str, data: bytes, words: str) -> None:
    alter_file(altered, name, data)
    assert words in fault(altered)


def test_an_index_of_other_texts_is_named(altered: Path) -> None:
    alter_file(altered, "texts.faiss", b"no index")
    assert "The search index" in verify(altered)[0]
    assert reading(altered) == verify(altered)[0]


# what another program may write in a manifest: any JSON in any place
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
_MANIFESTS = st.tuples(st.sampled_from([*FIELDS, "schema", "colour"]), st.integers(0), _ANYTHING)


def check_manifest(source: Path, drawn: tuple[str, int, Any]) -> None:
    """`verify` returns sentences and `open` agrees with it, whatever stands in the manifest."""
    field, place, value = drawn
    with tempfile.TemporaryDirectory() as temporary:
        folder = linked_copy(source, Path(temporary) / "tiny")
        content = manifest_of(folder)
        inner = content.get(field)
        if isinstance(inner, dict) and inner and place % 3:
            inner[sorted(inner)[place % len(inner)]] = value
        else:
            content[field] = value
        try:
            write_manifest(folder, content)
        except UnicodeEncodeError:
            return
        problems = verify(folder)
        assert all(said.isprintable() for said in problems)
        try:
            bundle = Bundle.open(folder)
            _ = bundle.neurons, bundle.texts, bundle.pictures
        except BundleError as error:
            assert str(error) in problems
        else:
            assert all("does not belong" in said for said in problems)
            assert bundle.manifest.identity


def test_whatever_a_manifest_holds_is_a_sentence(tiny_bundle: Path) -> None:
    holds(lambda drawn: check_manifest(tiny_bundle, drawn), _MANIFESTS, examples=60)


@by_time
def test_whatever_a_manifest_holds_is_a_sentence_for_long(tiny_bundle: Path) -> None:
    fuzz(lambda drawn: check_manifest(tiny_bundle, drawn), _MANIFESTS)

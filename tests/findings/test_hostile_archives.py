"""Zip files that no export made: refused in one sentence, or findings that are written again equal.

Files are put together at random from the parts of a real export and from what breaks readers.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from PIL import Image

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.findings import archive
from explorer.findings.model import Collection, SavedCollection, SavedFinding
from explorer.findings.snapshot import Snapshot, reference, take
from tests.support.findings import own_picture, picture, sample, view
from tests.support.fuzz import by_time, fuzz, holds

TIME = "2026-01-02T03:04:05.678+00:00"
PNG = "images/0000000000000001-77.png"


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.open(tiny_bundle)


@pytest.fixture(scope="module")
def whole(bundle: Bundle) -> dict[str, bytes]:
    """The files of an export: one finding of each kind, and a collection."""
    about = reference(bundle)
    contents = [make(bundle=about) for make in (sample, picture, own_picture, view)]
    findings = [
        SavedFinding(f"{number:016x}", 1, TIME, TIME, None, content)
        for number, content in enumerate(contents, 1)
    ]
    group = Collection("Group", tuple(item.id for item in findings))
    made = archive.write(
        [take(item, bundle) for item in findings],
        [SavedCollection("f" * 16, 1, TIME, TIME, None, group)],
    )
    with zipfile.ZipFile(io.BytesIO(made)) as found:
        return {name: found.read(name) for name in found.namelist()}


def zipped(files: list[tuple[str, bytes]], kind: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip of files, names as they are given and as often."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", kind) as made:
        warnings.simplefilter("ignore")  # of names that are there already
        for name, data in files:
            made.writestr(zipfile.ZipInfo(name), data, kind)
    return buffer.getvalue()


def refused(data: bytes, bundle: Bundle, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        archive.read(data, {bundle.manifest.identity: bundle})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["/findings.json", "/etc/passwd", "C:\\a", "../../a", "a/../b"])
def test_absolute_and_climbing_paths_are_refused(
    name: str, whole: dict[str, bytes], bundle: Bundle, tmp_path: Path
) -> None:
    refused(zipped([*whole.items(), (name, b"x")]), bundle, "is none that an export has")


def test_duplicate_names_are_refused(whole: dict[str, bytes], bundle: Bundle) -> None:
    for name in (archive.JSON_FILE, next(name for name in whole if name != archive.JSON_FILE)):
        refused(zipped([*whole.items(), (name, whole[name])]), bundle, "no name twice")


def test_ten_thousand_entries_are_counted_first(whole: dict[str, bytes], bundle: Bundle) -> None:
    names = [f"images/{number:016x}-0.png" for number in range(archive.MOST_FILES)]
    many = zipped([*whole.items(), *((name, b"") for name in names)])
    refused(many, bundle, "at most 10,000 are allowed")
    fewer = zipped([(archive.JSON_FILE, whole[archive.JSON_FILE]), *((n, b"") for n in names[:-1])])
    refused(fewer, bundle, "not those that it lists")


def test_a_zip_in_a_zip_is_no_finding(whole: dict[str, bytes], bundle: Bundle) -> None:
    inner = zipped(list(whole.items()))
    refused(zipped([(archive.JSON_FILE, inner)]), bundle, "is not JSON")
    refused(zipped([*whole.items(), ("inner.zip", inner)]), bundle, "is none that an export has")
    refused(zipped([*whole.items(), (PNG, inner)]), bundle, "not those that it lists")
    for _ in range(3):
        inner = zipped([("findings.zip", inner)], zipfile.ZIP_DEFLATED)
    refused(inner, bundle, "must hold findings.json once")


def test_a_note_of_a_megabyte_is_refused(whole: dict[str, bytes], bundle: Bundle) -> None:
    content = json.loads(whole[archive.JSON_FILE])
    content["findings"][0]["content"]["note"] = "n" * 1_000_000
    files = whole | {archive.JSON_FILE: json.dumps(content).encode()}
    refused(zipped(list(files.items())), bundle, "at most 20,000 characters")


# what any program may have written: parts of an export and of none, any JSON in any place
ODD: list[Any] = [
    None, True, -1, 0, 2**70, 1.5, 1e308, "", "x" * 30_000, "\x00", "\ud800", "<svg/onload=a>",
    [], [[]], {}, {"a": 1}, "0" * 16, "g" * 16, TIME, "9999-12-31T23:59:59.999+00:00", "neurons",
    "findings.json", PNG, "../x", "a" * 64,
]  # fmt: skip
anything = st.recursive(
    st.sampled_from(ODD) | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
names = st.sampled_from(
    [archive.JSON_FILE, PNG, "/" + archive.JSON_FILE, "images/", "", "a\x00b", "images/é.png"]
) | st.text(max_size=12)
changes = st.lists(st.tuples(st.integers(0, 10_000), anything), max_size=3)
extra = st.lists(st.tuples(names, st.binary(max_size=40)), max_size=2)
damage = st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=6)), max_size=2)
archives = st.tuples(
    changes, extra, damage, st.sampled_from([0, 8, 12, 14]), st.booleans(), st.booleans()
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every place in JSON, as what holds it and the key."""
    pairs: Any = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[tuple[Any, Any]] = []
    for key, part in pairs:
        found.append((value, key))
        if isinstance(part, dict | list):
            found += places(part)
    return found


def built(whole: dict[str, bytes], drawn: Any) -> bytes:
    """Return the zip that is drawn."""
    changed, more, harm, kind, listed, without = drawn
    content = json.loads(whole[archive.JSON_FILE])
    for number, value in changed:
        spots = places(content)
        holder, key = spots[number % len(spots)]
        holder[key] = json.loads(json.dumps(value)) if isinstance(value, dict | list) else value
    files = list(whole.items())[: 1 if without else None]
    if without and isinstance(content.get("images"), list):
        content["images"] = []
    for name, data in more:
        files.append((name, data))
        if listed and isinstance(content.get("images"), list):
            facts = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            entry = {"file": name, "finding": "0" * 15 + "1", "caption": "x", **facts}
            content["images"].append(entry)
    files[0] = (archive.JSON_FILE, json.dumps(content).encode())
    made = bytearray(zipped(files, kind))
    for drawn_place, piece in harm:
        place = drawn_place % len(made)
        made[place : place + len(piece)] = piece
    return bytes(made)


def check(whole: dict[str, bytes], bundle: Bundle, drawn: Any) -> None:
    """What is read is written again equal; what is not is refused in one sentence."""
    try:
        data = built(whole, drawn)
    except (ValueError, UnicodeError, OverflowError):
        return  # what no zip can hold
    known = {bundle.manifest.identity: bundle}
    try:
        found = archive.read(data, known)
    except InputError as error:
        assert str(error).strip()
        assert "\n" not in str(error)
        return
    again = archive.write([Snapshot(item) for item in found.findings], found.collections)
    assert archive.read(again, known) == found


def test_any_zip_is_refused_or_read(whole: dict[str, bytes], bundle: Bundle) -> None:
    holds(lambda drawn: check(whole, bundle, drawn), archives, examples=100)


@by_time
def test_any_zip_is_refused_or_read_for_long(whole: dict[str, bytes], bundle: Bundle) -> None:
    fuzz(lambda drawn: check(whole, bundle, drawn), archives)


def test_a_picture_that_hides_a_program_is_only_a_picture(
    whole: dict[str, bytes], bundle: Bundle
) -> None:
    """A PNG with markup behind its end is a PNG: it is checked, and never kept."""
    buffer = io.BytesIO()
    Image.new("RGB", (3, 3)).save(buffer, "PNG")
    data = buffer.getvalue() + b"<svg onload=alert(1)>"
    drawn = ([], [(PNG, data)], [], 0, True, False)
    check(whole, bundle, drawn)
    found = archive.read(built(whole, drawn), {bundle.manifest.identity: bundle})
    again = archive.write([Snapshot(item) for item in found.findings], found.collections)
    assert b"<svg" not in again

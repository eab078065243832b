"""Findings as a zip of JSON and pictures, written here and read back elsewhere.

`findings.json` holds everything that is imported; `images/` what the findings show, for people
and scripts without the bundle. Reading trusts nothing: sizes are bounded before and while bytes are
unpacked, nothing is written to disk, each name is one that writing could have made, each picture
has the bytes that the JSON says, and each finding is about a bundle that is here, digest and all.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from PIL import Image

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.findings.copy import opened
from explorer.findings.model import (
    LARGEST,
    Collection,
    Finding,
    SavedCollection,
    SavedFinding,
    check_id,
)
from explorer.findings.snapshot import Snapshot, absence, check_against

FORMAT, SCHEMA = "second-order-explorer findings", 3
READABLE = (1, 2, SCHEMA)  # 2 has findings that hold a picture of their own, 3 those of views
JSON_FILE, IMAGES = "findings.json", "images/"
MOST_BYTES = 10_000_000  # of the zip; what the app lets people upload
MOST_UNPACKED = 60_000_000  # of all its files together
MOST_JSON = 20_000_000
MOST_IMAGE = 4_000_000
MOST_FILES = 10_000
MOST_ITEMS = 5_000  # findings, and collections
MOST_PIXELS = 16_000_000
_IMAGE_NAME = re.compile(r"images/[0-9a-f]{16}-[0-9]{1,5}\.(webp|png|jpeg)")
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    OverflowError,
)


@dataclass(frozen=True)
class Contents:
    """What an archive holds, checked."""

    findings: tuple[SavedFinding, ...]
    collections: tuple[SavedCollection, ...]


def write(snapshots: Sequence[Snapshot], collections: Iterable[SavedCollection] = ()) -> bytes:
    """Return the zip of findings and collections; the same input gives the same bytes.

    Where it would be larger than `read` accepts, it is written without pictures.

    Raises:
        InputError: when it is too large even so.
    """
    data, files = _written(snapshots, list(collections))
    if (len(data) > MOST_BYTES or files > MOST_FILES) and any(s.shots for s in snapshots):
        data, files = _written([Snapshot(s.saved) for s in snapshots], list(collections))
    if len(data) > MOST_BYTES:
        raise InputError("These are too many findings for one file: export fewer at a time.")
    return data


def _written(
    snapshots: Sequence[Snapshot], collections: Sequence[SavedCollection]
) -> tuple[bytes, int]:
    """Return the zip and how many files it holds."""
    pictures: dict[str, bytes] = {}
    listed = []
    for snapshot in snapshots:
        for number, shot in enumerate(snapshot.shots):
            name = f"{IMAGES}{snapshot.saved.id}-{number}.{shot.kind}"
            pictures[name] = shot.data
            listed.append(
                {
                    "file": name,
                    "finding": snapshot.saved.id,
                    "caption": shot.caption,
                    "bytes": len(shot.data),
                    "sha256": hashlib.sha256(shot.data).hexdigest(),
                }
            )
    content = {
        "format": FORMAT,
        "schema": SCHEMA,
        "findings": [_stamped(s.saved) for s in snapshots],
        "collections": [_stamped(c) for c in collections],
        "images": listed,
    }
    text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True).encode()
    return _zipped({JSON_FILE: text, **pictures}), 1 + len(pictures)


def _stamped(saved: SavedFinding | SavedCollection) -> dict[str, Any]:
    stamps = {name: getattr(saved, name) for name in ("id", "version", "created", "changed")}
    return {**stamps, "content": saved.content.to_json()}


def _zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED if name == JSON_FILE else zipfile.ZIP_STORED
            archive.writestr(entry, data)
    return buffer.getvalue()


def read(data: bytes, bundles: Mapping[str, Bundle]) -> Contents:
    """Read and check an archive.

    Args:
        data: the zip's bytes.
        bundles: the bundles that are here, by their manifest's identity.

    Raises:
        InputError: when the file is refused, with the reason; then nothing of it is used.
    """
    if len(data) > MOST_BYTES:
        _refuse(f"it has {len(data):,} bytes and at most {MOST_BYTES:,} are allowed")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = _unpacked(archive)
    except _UNREADABLE as error:
        raise InputError(
            f"This file is refused: it is not a complete zip file ({error})."
        ) from error
    content = _parsed(files.pop(JSON_FILE))
    findings = tuple(_finding(item) for item in _items(content, "findings"))
    collections = tuple(_collection(item) for item in _items(content, "collections"))
    ids = [saved.id for saved in (*findings, *collections)]
    if len(set(ids)) < len(ids):
        _refuse("an id stands in it twice")
    _check_members(findings, collections)
    _check_images(content["images"], files, {saved.id for saved in findings})
    for saved in findings:
        _check_bundle(saved.content, bundles)
    return Contents(findings, collections)


def _unpacked(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """Return every file's bytes, none larger than it says or than is possible."""
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(names) > MOST_FILES:
        _refuse(f"it holds {len(names):,} files and at most {MOST_FILES:,} are allowed")
    if names.count(JSON_FILE) != 1 or len(set(names)) < len(names):
        _refuse(f"it must hold {JSON_FILE} once, and no name twice")
    for entry in entries:
        _check_entry(entry)
    if sum(entry.file_size for entry in entries) > MOST_UNPACKED:
        _refuse(f"unpacked it is larger than {MOST_UNPACKED:,} bytes")
    return {entry.filename: _bytes(archive, entry) for entry in entries}


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    if name != JSON_FILE and not _IMAGE_NAME.fullmatch(name):
        _refuse(f"the name {name[:60]!r} in it is none that an export has")
    if entry.flag_bits & 0x1:
        _refuse("it is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        _refuse("it is compressed in a way that exports are not")
    most = MOST_JSON if name == JSON_FILE else MOST_IMAGE
    if entry.file_size > most:
        _refuse(f"{name} in it is larger than {most:,} bytes")


def _bytes(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as stream:
        found = stream.read(entry.file_size + 1)
        if len(found) != entry.file_size or stream.read(1):
            _refuse(f"{entry.filename} in it has another size than it says")
    return found


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InputError(f"This file is refused: {JSON_FILE} is not JSON ({error}).") from error
    keys = {"format", "schema", "findings", "collections", "images"}
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        _refuse("it is not an export of findings")
    if found.get("schema") not in READABLE:
        _refuse(
            f"it has schema {str(found.get('schema'))[:20]} and this version reads up to {SCHEMA}; "
            "update the explorer"
        )
    if set(found) != keys:
        odd = ", ".join(sorted(str(key)[:20] for key in set(found) ^ keys)[:5])
        _refuse(f"{JSON_FILE} has unknown or missing keys ({odd})")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _items(content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    items = content[key]
    if not isinstance(items, list) or len(items) > MOST_ITEMS:
        _refuse(f"its {key} are no list of at most {MOST_ITEMS:,}")
    wanted = {"id", "version", "created", "changed", "content"}
    if any(not isinstance(item, dict) or set(item) != wanted for item in items):
        _refuse(f"one of its {key} has unknown or missing keys")
    return list(items)


def _stamps(item: Mapping[str, Any]) -> dict[str, Any]:
    version = item["version"]
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= LARGEST:
        _refuse("a version in it is not a whole number from 1 up")
    return {
        "id": check_id(item["id"]),
        "version": version,
        "created": _time(item["created"]),
        "changed": _time(item["changed"]),
        "deleted": None,
    }


def _time(text: object) -> str:
    """Return a time as the store writes it: to the millisecond, in UTC."""
    try:
        if not isinstance(text, str):
            raise ValueError("no text")
        whole = datetime.fromisoformat(text).isoformat(timespec="milliseconds")
    except ValueError:
        whole = ""
    if whole != text or not whole.endswith("+00:00"):
        _refuse(f"“{str(text)[:40]}” in it is not a time in UTC")
    return whole


def _finding(item: Mapping[str, Any]) -> SavedFinding:
    content = Finding.from_json(item["content"])
    if content.copy:
        opened(content.copy)
    return SavedFinding(**_stamps(item), content=content)


def _collection(item: Mapping[str, Any]) -> SavedCollection:
    return SavedCollection(**_stamps(item), content=Collection.from_json(item["content"]))


def _check_members(
    findings: Sequence[SavedFinding], collections: Sequence[SavedCollection]
) -> None:
    there = {saved.id for saved in findings}
    for group in collections:
        absent = [i for i in group.content.findings if i not in there]
        if absent:
            _refuse(f"the collection “{group.content.title}” names a finding that is not in it")


def _check_images(listed: object, files: Mapping[str, bytes], findings: set[str]) -> None:
    keys = {"file", "finding", "caption", "bytes", "sha256"}
    if not isinstance(listed, list) or any(
        not isinstance(item, dict) or set(item) != keys for item in listed
    ):
        _refuse("its pictures are listed in an unknown way")
    named = [item["file"] for item in listed]
    if any(not isinstance(name, str) for name in named) or sorted(named) != sorted(files):
        _refuse("its pictures are not those that it lists")
    for item in listed:
        data = files[item["file"]]
        owner, caption = item["finding"], item["caption"]
        if not isinstance(owner, str) or owner not in findings or not isinstance(caption, str):
            _refuse(f"{item['file']} in it belongs to no finding")
        if hashlib.sha256(data).hexdigest() != item["sha256"] or len(data) != item["bytes"]:
            _refuse(f"{item['file']} in it was changed")
        _check_picture(item["file"], data)


def _check_picture(name: str, data: bytes) -> None:
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP", "PNG", "JPEG")) as picture:
            kind, pixels = str(picture.format).lower(), picture.width * picture.height
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"This file is refused: {name} in it is not a picture.") from error
    if not name.endswith(kind) or pixels > MOST_PIXELS:
        _refuse(f"{name} in it is not a picture of that kind, or has too many pixels")


def _check_bundle(finding: Finding, bundles: Mapping[str, Bundle]) -> None:
    bundle = bundles.get(finding.bundle.digest)
    if bundle is not None:
        check_against(finding, bundle)
        return
    for other in bundles.values():
        if other.name == finding.bundle.name:
            check_against(finding, other)
    raise InputError(f"This file is refused. {absence(finding.bundle)}")


def _refuse(reason: str) -> NoReturn:
    raise InputError(f"This file is refused: {reason}.")

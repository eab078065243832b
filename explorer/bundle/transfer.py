"""Move bundles: to and from any place that fsspec knows, file by file, each one verified.

Places are folders, `s3://`, `hf://`, `https://` and whatever else fsspec has a package for. The
manifest comes last, so that half a bundle is none; files that are there already stay, so that a
stopped transfer goes on. What arrives is hashed on its way and takes its name only if it is right.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from explorer.bundle import MANIFEST, Bundle, Manifest, hash_file
from explorer.bundle.manifest import LARGEST, FileFacts
from explorer.errors import BundleError, ExplorerError, InputError, brief

BLOCK = 2**20
PART = ".part"
Say = Callable[[str], object]


def push(path: Path, address: str, say: Say) -> dict[str, Any]:
    """Copy the bundle at `path` to an address, and return what was sent.

    Every file is read back in full and hashed before the manifest is written.

    Raises:
        BundleError: when the bundle is none, or a file arrived altered.
        InputError: when the address cannot be written to, or is a folder with other files.
    """
    bundle = Bundle.open(path)
    there, root = _place(address)
    if isinstance(there, LocalFileSystem):
        _check_folder(Path(root), bundle)
    sent = 0
    try:
        for name, facts in bundle.manifest.files.items():
            target = f"{root}/{name}"
            if _hash_there(there, target, facts) == facts["sha256"]:
                continue
            say(f"sending {name}")
            there.makedirs(target.rpartition("/")[0], exist_ok=True)
            there.put_file(str(path / name), target)
            if _hash_there(there, target, facts) != facts["sha256"]:
                raise BundleError(f"{name} did not arrive at {address} as it is; send it again.")
            sent += facts["bytes"]
        there.put_file(str(path / MANIFEST), f"{root}/{MANIFEST}")
    except ExplorerError:
        raise
    except Exception as error:  # each file system's library has errors of its own
        raise InputError(f"{address} cannot be written to ({brief(error)}).") from error
    return {"bundle": bundle.name, "address": address, "sent_bytes": sent}


def pull(address: str, path: Path, say: Say) -> dict[str, Any]:
    """Copy the bundle at an address into the folder `path`, and return what was fetched.

    Raises:
        BundleError: when there is no bundle, a file is not as its manifest says, or `path` holds
            another one.
        InputError: when the address cannot be read.
    """
    there, root = _place(address)
    work = path.with_name(f"{path.name}{PART}")
    if (path / MANIFEST).is_file():
        raise BundleError(f"{path} holds a bundle already: name another folder.")
    if path.exists() and any(path.iterdir()):
        raise InputError(f"{path} is not empty; remove it or name another folder.")
    try:
        data = b"".join(_blocks(there, f"{root}/{MANIFEST}", LARGEST))
        if len(data) > LARGEST:
            raise BundleError(
                f"{root}/{MANIFEST} has more than {LARGEST:,} bytes; push that bundle again."
            )
        work.mkdir(parents=True, exist_ok=True)
        (work / MANIFEST).write_bytes(data)
        manifest = Manifest.read(work)
        (work / MANIFEST).unlink()  # until everything else is there
        fetched = 0
        for name, facts in manifest.files.items():
            file = work / name
            if file.is_file() and hash_file(file) == facts:
                continue
            say(f"fetching {name}")
            file.parent.mkdir(parents=True, exist_ok=True)
            _fetch(there, f"{root}/{name}", file, facts, address)
            fetched += facts["bytes"]
    except FileNotFoundError as error:
        raise BundleError(
            f"There is no whole bundle at {address} ({brief(error)}): check the address, or push "
            "the bundle there again."
        ) from error
    except ExplorerError:
        raise
    except Exception as error:  # each file system's library has errors of its own
        raise InputError(f"{address} cannot be read ({brief(error)}).") from error
    (work / MANIFEST).write_bytes(data)
    if path.is_dir():
        path.rmdir()
    shutil.move(work, path)
    bundle = Bundle.open(path)
    return {"bundle": bundle.name, "path": str(path), "fetched_bytes": fetched}


def _check_folder(folder: Path, bundle: Bundle) -> None:
    """Refuse a folder of this machine that a bundle would be strewn over.

    Raises:
        InputError: when it is a file, or holds what is none of the bundle's.
    """
    if folder.is_file():
        raise InputError(f"{folder} is a file: name a folder.")
    own = {name.split("/")[0] for name in (*bundle.manifest.files, MANIFEST)}
    other = sorted({file.name for file in folder.glob("*")} - own)
    if other:
        raise InputError(f"{folder} holds other files, such as {other[0]}: name a new folder.")


def _fetch(there: Any, source: str, file: Path, facts: FileFacts, address: str) -> None:
    unfinished = file.with_name(file.name + PART)
    digest = hashlib.sha256()
    with unfinished.open("wb") as out:
        for block in _blocks(there, source, facts["bytes"]):
            digest.update(block)
            out.write(block)
    if digest.hexdigest() != facts["sha256"]:
        unfinished.unlink()
        raise BundleError(
            f"{source} is not as the manifest at {address} says; push that bundle again."
        )
    unfinished.replace(file)


def _hash_there(there: Any, target: str, facts: FileFacts) -> str:
    """Return the hash of a file at the other end; nothing if it is not there in its size."""
    if not there.exists(target) or there.size(target) != facts["bytes"]:
        return ""
    digest = hashlib.sha256()
    for block in _blocks(there, target, facts["bytes"]):
        digest.update(block)
    return digest.hexdigest()


def _blocks(there: Any, source: str, most: int) -> Iterator[bytes]:
    """Yield what a file at the other end holds; of more than `most` bytes, one block beyond."""
    read = 0
    with there.open(source, "rb") as stream:
        while read <= most and (block := stream.read(BLOCK)):
            read += len(block)
            yield block


def _place(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it."""
    if not address:
        raise InputError(
            "The address is empty: name a folder, or a place such as s3://bucket/name."
        )
    try:
        there, root = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise InputError(f"{address} cannot be reached: {brief(error)}.") from error
    return there, str(root).rstrip("/")

"""Bundles that another program wrote: altered, with hashes and digest made right again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from explorer.bundle import MANIFEST, hash_file, list_files
from explorer.bundle.manifest import digest_of, encoded


def linked_copy(bundle: Path, folder: Path) -> Path:
    """Copy a bundle quickly: change its files only through the functions of this module."""
    return Path(shutil.copytree(bundle, folder, copy_function=os.link))


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return a manifest's content without the digest."""
    content: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
    del content["digest"]
    return content


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Write a manifest with a digest that fits."""
    _put(folder / MANIFEST, encoded({**content, "digest": digest_of(content)}))


def reseal(folder: Path) -> None:
    """Write the hash and size of every file into the manifest."""
    content = manifest_of(folder)
    content["files"] = {name: dict(hash_file(folder / name)) for name in list_files(folder)}
    write_manifest(folder, content)


def alter_array(folder: Path, name: str, change: Callable[[np.ndarray], Any]) -> None:
    """Change an array's file, and let the manifest list what it then is."""
    file = folder / f"{name}.npy"
    array = change(np.load(file))
    file.unlink()
    np.save(file, array, allow_pickle=True)
    reseal(folder)


def alter_table(folder: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Change a table's file, and let the manifest list what it then is."""
    file = folder / f"{name}.parquet"
    table = change(pd.read_parquet(file))
    file.unlink()
    table.to_parquet(file, index=False)
    reseal(folder)


def alter_file(folder: Path, name: str, data: bytes) -> None:
    """Replace a file, and let the manifest list what it then is."""
    _put(folder / name, data)
    reseal(folder)


def _put(file: Path, data: bytes) -> None:
    file.unlink(missing_ok=True)  # it may be another bundle's file too
    file.write_bytes(data)

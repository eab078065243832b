"""A bundle's manifest: what the bundle holds, and the hash of every one of its files.

`manifest.json` carries a `digest` of its own content, so that no byte of a bundle can change
unnoticed. An unknown key is an error, as is another schema.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from explorer.bundle.arrays import RESTORE
from explorer.errors import BundleError

SCHEMA = 1
MANIFEST = "manifest.json"
WORK = ".build"  # an unfinished build's state; never part of a bundle


def _about(text: str) -> dict[str, str]:
    return {"help": text}


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds; see the module's text."""

    name: str = field(metadata=_about("the bundle's name, which addresses carry"))
    created: str = field(metadata=_about("date of the build, ISO 8601"))
    model: dict[str, Any] = field(
        metadata=_about(
            "`source` and `pretrained` to load it by; `embed`, `width`, `image_size`, `blocks`, "
            "`heads`"
        )
    )
    layers: list[int] = field(metadata=_about("layers whose neurons are described, rising"))
    centre: bool = field(
        metadata=_about("whether write vectors and attention outputs are centred per neuron")
    )
    settings: dict[str, Any] = field(
        metadata=_about("the build's settings that its arrays follow from")
    )
    images: dict[str, Any] = field(
        metadata=_about("`source`, `count`, `held_out` and `skipped` of the pictures")
    )
    texts: dict[str, Any] = field(
        metadata=_about(
            "`source` and `count` of the dictionary, and how many texts were `left_out` because "
            "the text tower can't tell them"
        )
    )
    counts: dict[str, int] = field(metadata=_about("numbers of `neurons`, `images`, `texts`"))
    files: dict[str, dict[str, Any]] = field(
        metadata=_about("path -> `sha256` and `bytes` of every other file")
    )
    evidence: dict[str, Any] = field(
        default_factory=dict, metadata=_about("section -> what was measured; may be added later")
    )
    schema: int = field(default=SCHEMA, metadata=_about("version of this format"))

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read and check the manifest of `folder`.

        Raises:
            BundleError: when it is missing, altered, or of another schema.
        """
        file = folder / MANIFEST
        if not folder.is_dir():
            raise BundleError(
                f"There is no bundle at {folder}; build one with 'python -m explorer build'."
            )
        if not file.is_file():
            raise BundleError(f"{file} is missing: {folder} is not a finished bundle; {RESTORE}.")
        try:
            found = json.loads(file.read_text("utf-8"))
            digest = found.pop("digest")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise BundleError(f"{file} is damaged ({error}); {RESTORE}.") from error
        schema = found.get("schema")
        if schema != SCHEMA:
            raise BundleError(
                f"{file} has schema {schema!r} and this version reads {SCHEMA}; "
                "update the explorer or build the bundle again."
            )
        known = {f.name for f in fields(cls)}
        if set(found) - known or known - set(found):
            odd = sorted(set(found) ^ known)
            raise BundleError(f"{file} has unknown or missing keys {odd}; {RESTORE}.")
        if digest != digest_of(found):
            raise BundleError(f"{file} was changed after it was written; {RESTORE}.")
        return cls(**found)

    @property
    def identity(self) -> str:
        """SHA-256 of the manifest without its evidence, which may be measured again.

        Two bundles with one identity hold the same neurons, texts and pictures, byte by byte.
        """
        content = asdict(self)
        del content["evidence"]
        return digest_of(content)

    def write(self, folder: Path) -> None:
        """Write the manifest with its digest, atomically."""
        unfinished = folder / f"{MANIFEST}.new"
        unfinished.write_bytes(self.encoded())
        unfinished.replace(folder / MANIFEST)

    def encoded(self) -> bytes:
        """Return the bytes of the manifest's file: JSON in UTF-8 with the digest."""
        content = asdict(self)
        whole = {**content, "digest": digest_of(content)}
        return (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode()


def digest_of(content: dict[str, Any]) -> str:
    """Return the SHA-256 of a manifest's content, whatever the order of its keys."""
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def hash_file(path: Path) -> dict[str, Any]:
    """Return {"sha256": hex digest, "bytes": size} of a file."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"sha256": digest, "bytes": path.stat().st_size}


def list_files(folder: Path) -> list[str]:
    """Return every file below a bundle's folder but the manifest, as sorted relative paths."""
    found = {
        (Path(root) / name).relative_to(folder).as_posix()
        for root, _, names in os.walk(folder)
        for name in names
    }
    return sorted(found - {MANIFEST})


def seal(folder: Path, **content: Any) -> Manifest:
    """Hash every file below `folder` and write the manifest, the last step of a build.

    `content` are `Manifest`'s fields but files and schema.
    """
    names = [name for name in list_files(folder) if not name.startswith(f"{WORK}/")]
    files = {name: hash_file(folder / name) for name in names}
    manifest = Manifest(files=files, **content)
    manifest.write(folder)
    return manifest

"""A bundle's manifest: what the bundle holds, and the hash of every one of its files.

`Manifest` is its one schema: every field with its type and bounds. Keys that a newer version adds
are kept and not looked at. `manifest.json` carries a `digest` of its own content, so that no byte
of a bundle can change unnoticed; whatever wrote it, a field of another form is refused by name.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NotRequired, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
    with_config,
)
from typing_extensions import TypedDict

from explorer.bundle.arrays import RESTORE
from explorer.errors import BundleError, brief

SCHEMA = 1
MANIFEST = "manifest.json"
UNFINISHED = f"{MANIFEST}.new"  # may be left where a build was killed
WORK = ".build"  # an unfinished build's state; never part of a bundle
LARGEST = 2**26  # bytes of a manifest; the shipped one has 240,000
SHOWN = 60  # characters of a value that is none

STRICT = ConfigDict(extra="allow", strict=True)

Section = TypeVar("Section")


def _inside(name: str) -> str:
    """Refuse a file's name that may lead out of the bundle's folder."""
    path = PurePosixPath(name)
    plain = name.isprintable() and path.as_posix() == name and "\\" not in name
    if not plain or path.is_absolute() or not path.parts or ".." in path.parts or name == MANIFEST:
        raise ValueError("Input should be a path below the bundle's folder")
    return name


def _rising(layers: list[int]) -> list[int]:
    if sorted(set(layers)) != layers:
        raise ValueError("Input should be rising numbers of layers")
    return layers


def _date(text: str) -> str:
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError("Input should be a date such as 2026-11-23") from error
    return text


Text = Annotated[str, Field(max_length=4096)]
Number = Annotated[int, Field(ge=0, lt=2**31)]
Size = Annotated[int, Field(ge=1, lt=2**31)]


@with_config(STRICT)
class ModelFacts(TypedDict):
    """Key `model`: how the model is loaded, and its sizes."""

    source: Text
    pretrained: Text | None
    pretrained_text: NotRequired[Text | None]
    warnings: NotRequired[list[Text]]
    embed: Size
    width: Size
    image_size: Size
    blocks: Size
    heads: Size


@with_config(STRICT)
class Settings(TypedDict):
    """Key `settings`: those of the build that its arrays follow from."""

    significant: NotRequired[Annotated[float, Field(gt=0, le=1)]]
    significant_cap: NotRequired[Size]
    nonzero: NotRequired[Size]
    seed: NotRequired[int]
    texts: NotRequired[Text]
    pair_pictures: NotRequired[Size]
    dtype: NotRequired[Text]


@with_config(STRICT)
class Pictures(TypedDict):
    """Key `images`: the pictures' source, their numbers, and files that could not be read."""

    source: Text
    count: Size
    held_out: Number
    skipped: list[Text]
    folder: NotRequired[Text]
    held_out_folder: NotRequired[Text]


@with_config(STRICT)
class Texts(TypedDict):
    """Key `texts`: the dictionary's source and length, how many texts were left out, how many told.

    Where fewer are told than `count`, all stay: so few were too few to leave the others out.
    """

    source: Text
    count: Size
    left_out: NotRequired[Number]
    told: NotRequired[Number]


@with_config(STRICT)
class Counts(TypedDict):
    """Key `counts`: lengths of the axes."""

    neurons: Size
    images: Size
    texts: Size


@with_config(STRICT)
class FileFacts(TypedDict):
    """A value of `files`."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0, lt=2**63)]


class Manifest(BaseModel):
    """What a bundle holds; see the module's text."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, **STRICT)

    name: Annotated[str, Field(min_length=1, max_length=255)] = Field(
        description="the bundle's name, which addresses carry"
    )
    created: Annotated[str, AfterValidator(_date)] = Field(
        description="date of the build, ISO 8601"
    )
    model: ModelFacts = Field(
        description="`source`, `pretrained` and `pretrained_text` to load it by; `warnings`, what "
        "nobody could check of its weights; `embed`, `width`, `image_size`, `blocks`, `heads`"
    )
    layers: Annotated[list[Number], Field(min_length=1), AfterValidator(_rising)] = Field(
        description="layers whose neurons are described, rising"
    )
    centre: bool = Field(
        description="whether write vectors and attention outputs are centred per neuron"
    )
    settings: Settings = Field(description="the build's settings that its arrays follow from")
    images: Pictures = Field(
        description="`source`, `count`, `held_out` and `skipped` of the pictures; `folder` and "
        "`held_out_folder`, where their files were"
    )
    texts: Texts = Field(
        description="`source` and `count` of the dictionary, how many texts were `left_out` "
        "because the text tower can't tell them, and how many it can tell, `told`: where these are "
        "fewer than `count`, all stay"
    )
    counts: Counts = Field(description="numbers of `neurons`, `images`, `texts`")
    files: dict[Annotated[str, AfterValidator(_inside)], FileFacts] = Field(
        description="path -> `sha256` and `bytes` of every other file"
    )
    evidence: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="section -> what was measured; may be added later"
    )
    version: int = Field(
        default=SCHEMA, alias="schema", ge=SCHEMA, le=SCHEMA, description="version of this format"
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for of in ("images", "texts"):
            if self.counts[of] != getattr(self, of)["count"]:
                raise ValueError(f"Input should have one number of {of} in counts and {of}.count")
        if self.counts["neurons"] % len(self.layers):
            raise ValueError("Input should have as many neurons in counts for each of its layers")
        if self.layers[-1] >= self.model["blocks"] - 1:
            raise ValueError("Input should have layers before the last of model.blocks")
        return self

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read and check the manifest of `folder`.

        Raises:
            BundleError: when it is missing, altered, of another schema or of another form.
        """
        file = folder / MANIFEST
        if not folder.is_dir():
            what = "that is a file, and a bundle a folder" if folder.is_file() else "no such folder"
            raise BundleError(
                f"There is no bundle at {folder} ({what}): check the path, or build one with "
                "'python -m explorer build'."
            )
        if not file.is_file() and (inside := sorted(folder.glob(f"*/{MANIFEST}"))):
            raise BundleError(
                f"{folder} is no bundle, but holds {len(inside)}: name one, such as "
                f"{inside[0].parent}."
            )
        if not file.is_file():
            raise BundleError(f"{file} is missing: {folder} is not a finished bundle; {RESTORE}.")
        if leads_out(folder, MANIFEST):
            raise BundleError(f"{file} leads out of its folder; {RESTORE}.")
        if file.stat().st_size > LARGEST:
            raise BundleError(f"{file} has more than {LARGEST:,} bytes; {RESTORE}.")
        try:
            found = json.loads(file.read_text("utf-8"))
            digest = found.pop("digest")
            right = digest == digest_of(found)
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise BundleError(f"{file} is damaged ({brief(error)}); {RESTORE}.") from error
        schema = found.get("schema")
        if type(schema) is not int or schema != SCHEMA:
            raise BundleError(
                f"{file} has schema {_short(schema)} and this version reads {SCHEMA}; "
                "update the explorer or build the bundle again."
            )
        if not right:
            raise BundleError(f"{file} was changed after it was written; {RESTORE}.")
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            raise BundleError(f"{file}: {_sentence(error)}; {RESTORE}.") from error

    @property
    def identity(self) -> str:
        """SHA-256 of the manifest without its evidence, which may be measured again.

        Two bundles with one identity hold the same neurons, texts and pictures, byte by byte.
        """
        content = self.content()
        del content["evidence"]
        return digest_of(content)

    def content(self) -> dict[str, Any]:
        """Return all keys but the digest, those of newer versions included."""
        return self.model_dump(by_alias=True)

    def section(self, name: str, form: type[Section]) -> Section | None:
        """Return a section of the evidence as a `form`.

        None where it was not measured, or is of another form, as another version may write it.
        """
        try:
            return TypeAdapter(form).validate_python(self.evidence.get(name))
        except ValidationError:
            return None

    def write(self, folder: Path) -> None:
        """Write the manifest with its digest, atomically."""
        content = self.content()
        unfinished = folder / UNFINISHED
        unfinished.write_bytes(encoded({**content, "digest": digest_of(content)}))
        unfinished.replace(folder / MANIFEST)


def all_stay(told: int, texts: int) -> str:
    """Say why no text was left out of a dictionary of which the text tower can tell few."""
    return (
        f"only {told:,} of {texts:,} texts could be told, too few to leave the others out: all stay"
    )


def encoded(content: Mapping[str, Any]) -> bytes:
    """Return the bytes of a manifest's file: JSON in UTF-8."""
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def leads_out(folder: Path, name: str) -> bool:
    """Return whether a path below a bundle's folder leads out of it by a symbolic link."""
    try:
        return not (folder / name).resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a link to nowhere or in a circle
        return (folder / name).is_symlink()


def _sentence(error: ValidationError) -> str:
    """Say what is wrong: field, what is expected, what was found."""
    first, *others = error.errors(include_url=False)
    field = ".".join(_short(part).strip("'") for part in first["loc"]) or "its fields"
    expected = first["msg"].partition(" should ")[2] or first["msg"]
    if first["type"] == "missing":
        said = f"'{field}' is missing"
    elif first["type"] == "value_error" and not first["loc"]:
        said = f"{field} should {expected}"
    else:
        said = f"'{field}' should {expected}, found {_short(first['input'])}"
    return said + (f" (and {len(others)} more)" if others else "")


def _short(value: object) -> str:
    """Return a value in one short line that can be printed anywhere."""
    try:
        shown = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    except RecursionError:
        shown = type(value).__name__
    return shown if len(shown) <= SHOWN else f"{shown[: SHOWN - 1]}…"


def digest_of(content: dict[str, Any]) -> str:
    """Return the SHA-256 of a manifest's content, whatever the order of its keys."""
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def hash_file(path: Path) -> FileFacts:
    """Return hash and size of a file."""
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
    (folder / UNFINISHED).unlink(missing_ok=True)
    names = [name for name in list_files(folder) if not name.startswith(f"{WORK}/")]
    files = {name: hash_file(folder / name) for name in names}
    manifest = Manifest(files=files, **content)
    manifest.write(folder)
    return manifest

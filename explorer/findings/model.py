"""What a finding is: about which bundle, which neurons or picture, and what someone says of it.

Everything is checked where it is made, so that what comes out of a form, an address, an imported
file or the database is a finding or an `InputError` of one sentence. Texts are data: they are kept
as written and escaped where they are drawn.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from explorer.errors import InputError

TITLE_LENGTH = 200
NOTE_LENGTH = 20_000
TAG_LENGTH, MOST_TAGS = 40, 20
AUTHOR_LENGTH = 80
NAME_LENGTH = 200
MOST_NEURONS = 200
TEXT_LENGTH, MOST_TEXTS = 200, 20
SETTINGS_LENGTH, SETTINGS_DEPTH = 8_000, 4
COPY_BYTES = 200_000  # of a picture that the finding holds itself
MOST_FINDINGS = 1_000  # in a collection
LARGEST = 2**31 - 1
ORIGIN = "from"  # the setting that names the page; without it, that of the neuron or picture

_DIGEST = re.compile(r"[0-9a-f]{64}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
ID = re.compile(r"[0-9a-f]{16}")

Settings = Mapping[str, Any]


@dataclass(frozen=True, order=True)
class BundleRef:
    """A bundle by its name and by its manifest's `identity`, which alone tells two apart."""

    name: str
    digest: str  # 64 hexadecimal digits

    def __post_init__(self) -> None:
        """Check both."""
        _line("The bundle's name", self.name, NAME_LENGTH)
        if not self.name:
            raise InputError("A finding's bundle needs a name.")
        if not isinstance(self.digest, str) or not _DIGEST.fullmatch(self.digest):
            raise InputError("A bundle's digest is 64 hexadecimal digits (SHA-256).")


@dataclass(frozen=True, order=True)
class NeuronRef:
    """One neuron of a bundle."""

    layer: int
    neuron: int

    def __post_init__(self) -> None:
        """Check that both are numbers from 0 on; whether the bundle has them is its own matter."""
        _whole("layer", self.layer)
        _whole("neuron", self.neuron)


@dataclass(frozen=True)
class Finding:
    """What someone found: neurons, or a picture, or what a page showed; and what there is to say.

    A picture is one of the bundle's, by its number `image`, or a small copy that the finding
    holds itself (`copy`, see `explorer.findings.copy`). `texts` belong to a picture (what its
    heatmaps were drawn for); `settings` are those of the page it was saved from, as JSON values:
    with them the page's address can be made again. They are the neuron's or picture's own page's,
    unless `ORIGIN` among them names another. With neither neurons nor picture the finding is about
    the view of that other page.
    """

    bundle: BundleRef
    title: str
    neurons: tuple[NeuronRef, ...] = ()
    image: int | None = None
    copy: bytes = field(default=b"", repr=False)  # WebP
    texts: tuple[str, ...] = ()
    settings: Settings = field(default_factory=dict)
    note: str = ""  # Markdown
    tags: tuple[str, ...] = ()
    author: str = ""

    def __post_init__(self) -> None:
        """Check every part.

        Raises:
            InputError: when one is not possible, with what is.
        """
        _named("finding", self.title, self.note, self.author)
        _check_settings(self.settings)
        self._check_subject()
        if len(self.tags) > MOST_TAGS:
            raise InputError(
                f"{len(self.tags)} tags are too many: a finding has at most {MOST_TAGS}."
            )
        composed = {unicodedata.normalize("NFC", tag) for tag in self.tags}  # older ones may not be
        if self.tags != tuple(sorted(set(self.tags))) or composed != set(clean_tags(self.tags)):
            raise InputError("Tags are lower-case words without commas, each once, in order.")

    def _check_subject(self) -> None:
        subjects = sum((bool(self.neurons), self.image is not None, bool(self.copy)))
        if subjects != 1 and (subjects or not self.origin):
            raise InputError("A finding is about neurons or about a picture: give one of the two.")
        if len(self.neurons) > MOST_NEURONS:
            raise InputError(
                f"{len(self.neurons)} neurons are too many: a finding has {MOST_NEURONS} at most."
            )
        if len(set(self.neurons)) < len(self.neurons):
            raise InputError("A finding lists a neuron only once.")
        if self.image is not None:
            _whole("image", self.image)
        elif self.copy:
            _check_copy(self.copy)
        elif self.texts:
            raise InputError("Texts belong to a finding about a picture alone.")
        if len(self.texts) > MOST_TEXTS:
            raise InputError(f"{len(self.texts)} texts are too many: write {MOST_TEXTS} at most.")
        for text in self.texts:
            _line("A text", text, TEXT_LENGTH)

    @property
    def kind(self) -> str:
        """`neurons`, `image` (the bundle's), `copy` (a picture of its own) or `view`."""
        if self.neurons:
            return "neurons"
        if self.copy:
            return "copy"
        return "view" if self.image is None else "image"

    @property
    def origin(self) -> str:
        """The page that it was saved from, if that is not its subject's own; else empty."""
        found = self.settings.get(ORIGIN)
        return found if isinstance(found, str) else ""

    @property
    def own_settings(self) -> Settings:
        """The settings of the neuron's or picture's own page; none if saved from another."""
        return {} if ORIGIN in self.settings else self.settings

    @property
    def subject(self) -> dict[str, Any]:
        """What it is about as JSON values, in the shape that `kind` says."""
        if self.neurons:
            places = [[ref.layer, ref.neuron] for ref in self.neurons]
            return {"neurons": places, "settings": dict(self.settings)}
        if self.copy:
            encoded = base64.b64encode(self.copy).decode("ascii")
            return {"copy": encoded, "texts": list(self.texts), "settings": dict(self.settings)}
        if self.image is None:
            return {"settings": dict(self.settings)}
        return {"image": self.image, "texts": list(self.texts), "settings": dict(self.settings)}

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON values; `from_json` reads them back equal."""
        return {
            "bundle": {"name": self.bundle.name, "digest": self.bundle.digest},
            "title": self.title,
            "note": self.note,
            "tags": list(self.tags),
            "author": self.author,
            "kind": self.kind,
            "subject": self.subject,
        }

    @classmethod
    def from_json(cls, found: Any) -> Finding:
        """Read what `to_json` wrote.

        Raises:
            InputError: when keys are missing or unknown, or a value is none of a finding's.
        """
        keys = ("bundle", "title", "note", "tags", "author", "kind", "subject")
        parts = _object("A finding", found, keys)
        bundle = _object("A bundle", parts["bundle"], ("name", "digest"))
        return cls(
            bundle=BundleRef(bundle["name"], bundle["digest"]),
            title=parts["title"],
            note=parts["note"],
            tags=tuple(_strings("tags", parts["tags"])),
            author=parts["author"],
            **read_subject(parts["kind"], parts["subject"]),
        )


def read_subject(kind: Any, subject: Any) -> dict[str, Any]:
    """Return `Finding`'s neurons, image or copy, texts and settings from their JSON values.

    Raises:
        InputError: when the kind is unknown, or the subject is not of its shape.
    """
    if kind == "neurons":
        parts = _object("A finding's subject", subject, ("neurons", "settings"))
        pairs = parts["neurons"]
        if not isinstance(pairs, list) or not pairs:
            raise InputError("A finding about neurons lists at least one.")
        if any(not isinstance(pair, list) or len(pair) != 2 for pair in pairs):
            raise InputError("Neurons are listed as pairs of layer and neuron.")
        return {
            "neurons": tuple(NeuronRef(layer, neuron) for layer, neuron in pairs),
            "settings": parts["settings"],
        }
    if kind == "image":
        parts = _object("A finding's subject", subject, ("image", "texts", "settings"))
        _whole("image", parts["image"])
        texts = tuple(_strings("texts", parts["texts"]))
        return {"image": parts["image"], "texts": texts, "settings": parts["settings"]}
    if kind == "copy":
        parts = _object("A finding's subject", subject, ("copy", "texts", "settings"))
        texts = tuple(_strings("texts", parts["texts"]))
        return {"copy": _decoded(parts["copy"]), "texts": texts, "settings": parts["settings"]}
    if kind == "view":
        parts = _object("A finding's subject", subject, ("settings",))
        return {"settings": parts["settings"]}
    raise InputError(
        f"A finding's kind is 'neurons', 'image', 'copy' or 'view', not {str(kind)[:40]!r}."
    )


@dataclass(frozen=True)
class Collection:
    """Findings in an order, under a title."""

    title: str
    findings: tuple[str, ...] = ()  # ids
    note: str = ""
    author: str = ""

    def __post_init__(self) -> None:
        """Check every part.

        Raises:
            InputError: when one is none of a collection's.
        """
        _named("collection", self.title, self.note, self.author)
        if len(self.findings) > MOST_FINDINGS:
            raise InputError(
                f"{len(self.findings)} findings are too many: a collection has at most "
                f"{MOST_FINDINGS}."
            )
        if len(set(self.findings)) < len(self.findings):
            raise InputError("A collection holds a finding only once.")
        for identifier in self.findings:
            check_id(identifier)

    def to_json(self) -> dict[str, Any]:
        """Return the collection as JSON values; `from_json` reads them back equal."""
        return {
            "title": self.title,
            "note": self.note,
            "author": self.author,
            "findings": list(self.findings),
        }

    @classmethod
    def from_json(cls, found: Any) -> Collection:
        """Read what `to_json` wrote.

        Raises:
            InputError: when it is of another shape.
        """
        parts = _object("A collection", found, ("title", "note", "author", "findings"))
        findings = tuple(_strings("findings", parts["findings"]))
        return cls(parts["title"], findings, parts["note"], parts["author"])


@dataclass(frozen=True)
class Saved:
    """What the store adds: the address's id, the version that an edit must name, the times."""

    id: str
    version: int
    created: str  # ISO 8601, UTC
    changed: str
    deleted: str | None


@dataclass(frozen=True)
class SavedFinding(Saved):
    """A finding as stored."""

    content: Finding


@dataclass(frozen=True)
class SavedCollection(Saved):
    """A collection as stored; it names only findings that are not deleted."""

    content: Collection


def check_id(text: object) -> str:
    """Return an id as addresses carry it.

    Raises:
        InputError: when it is none.
    """
    if not isinstance(text, str) or not ID.fullmatch(text):
        raise InputError(f"“{str(text)[:40]}” is not an id: ids are 16 hexadecimal digits.")
    return text


def clean_line(text: str) -> str:
    """Return one line of what people type: white space run together, none at the ends.

    Letters with accents become one sign each (NFC), as most keyboards write them.
    """
    return unicodedata.normalize("NFC", " ".join(text.split()))


def clean_tags(tags: Iterable[str] | str) -> tuple[str, ...]:
    """Return tags from a list or a line with commas: lower case, each once, in order.

    Raises:
        InputError: when a tag is too long or no text.
    """
    parts = tags.split(",") if isinstance(tags, str) else list(tags)
    cleaned = [_tag(part) for part in parts]
    return tuple(sorted({tag for tag in cleaned if tag}))


def _tag(text: object) -> str:
    if not isinstance(text, str):
        raise InputError("Tags are texts.")
    tag = clean_line(text.replace(",", " ")).lstrip("# ").lower()
    _line("A tag", tag, TAG_LENGTH)
    return tag


def _named(what: str, title: object, note: object, author: object) -> None:
    _line("The title", title, TITLE_LENGTH)
    if not title:
        raise InputError(f"A {what} needs a title.")
    _line("The author's name", author, AUTHOR_LENGTH)
    if not isinstance(note, str) or len(note) > NOTE_LENGTH:
        raise InputError(f"A note is a text of at most {NOTE_LENGTH:,} characters.")
    _printable("The note", note, allowed="\n\t")


def _line(what: str, text: object, most: int) -> None:
    if not isinstance(text, str):
        raise InputError(f"{what} is a text, not {type(text).__name__}.")
    if len(text) > most:
        raise InputError(f"{what} has {len(text):,} characters; at most {most} are allowed.")
    _printable(what, text)
    if text != " ".join(text.split()):
        raise InputError(f"{what} stands on one line, without white space at its ends.")


def _decoded(text: object) -> bytes:
    try:
        if not isinstance(text, str) or not text:
            raise ValueError
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise InputError("A finding's own picture is written in base64.") from error


def _check_copy(data: object) -> None:
    if not isinstance(data, bytes) or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise InputError("A finding's own picture is a WebP file.")
    if len(data) > COPY_BYTES:
        raise InputError(
            f"A finding's own picture has {len(data):,} bytes; at most {COPY_BYTES:,} are allowed."
        )


def _printable(what: str, text: str, allowed: str = "") -> None:
    """Refuse control characters and halves of surrogate pairs, which databases refuse too."""
    for found in _UNPRINTABLE.finditer(text):
        if found[0] not in allowed:
            raise InputError(f"{what} holds the control character U+{ord(found[0]):04X}.")


def _whole(what: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise InputError(
            f"“{str(value)[:40]}” is not a valid {what}: write a whole number, 0 or larger."
        )


def _object(what: str, found: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(found, dict) or set(found) != set(keys):
        raise InputError(f"{what} is an object with exactly the keys {', '.join(keys)}.")
    return found


def _strings(what: str, found: Any) -> list[str]:
    if not isinstance(found, list) or any(not isinstance(text, str) for text in found):
        raise InputError(f"The {what} are a list of texts.")
    return found


def _check_settings(settings: object) -> None:
    if not isinstance(settings, Mapping):
        raise InputError("Settings are an object of JSON values.")
    _check_value(dict(settings), SETTINGS_DEPTH)
    if len(json.dumps(dict(settings), ensure_ascii=False)) > SETTINGS_LENGTH:
        raise InputError(
            f"Settings are too long: at most {SETTINGS_LENGTH:,} characters are allowed."
        )


def _check_value(value: object, depth: int) -> None:
    if depth < 0:
        raise InputError(f"Settings are nested more than {SETTINGS_DEPTH} deep.")
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise InputError("Settings have texts as keys.")
            _printable("A setting's name", key)
            _check_value(part, depth - 1)
    elif isinstance(value, list):
        for part in value:
            _check_value(part, depth - 1)
    elif isinstance(value, str):
        _printable("A setting", value, allowed="\n\t")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InputError("Numbers in settings are finite.")
    elif isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > 2**53:
            raise InputError("Whole numbers in settings are at most 2 to the 53rd.")
    elif value is not None and not isinstance(value, bool):
        raise InputError(f"Settings are JSON values, not {type(value).__name__}.")

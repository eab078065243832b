"""Addresses of the findings pages: pure, like `address`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from explorer.errors import InputError
from explorer.findings.model import ID, MOST_NEURONS, NeuronRef
from explorer.ui.address.address import WORD_LENGTH, whole

FINDINGS, COLLECTIONS, DELETED, IMPORT = "findings", "collections", "deleted", "import"
SHOWS = {
    FINDINGS: "Findings",
    COLLECTIONS: "Collections",
    DELETED: "Deleted",
    IMPORT: "Import",
}
SORT_NAMES = {
    "changed": "Last changed",
    "created": "Newest",
    "title": "Title",
    "author": "Author",
}
REPORT = "report"  # the id of the collection that every bundle has


@dataclass(frozen=True)
class FindingsQuery:
    """What the Findings page lists."""

    show: str = FINDINGS
    word: str = ""
    tag: str = ""
    author: str = ""
    of: str = ""  # a bundle's digest
    sort: str = "changed"
    page: int = 1
    undo: str = ""  # the id of what was deleted a moment ago

    def params(self) -> dict[str, str]:
        """Return the query as address parameters, defaults left out."""
        usual = FindingsQuery()
        return {
            key: str(value) for key, value in vars(self).items() if value != getattr(usual, key)
        }

    def at(self, page: int) -> FindingsQuery:
        """Return the same query on another page of results."""
        return replace(self, page=page, undo="")


def read_findings(params: Mapping[str, str]) -> tuple[FindingsQuery, list[str]]:
    """Read the Findings page's address; what cannot be read is left out and named."""
    problems: list[str] = []

    def choice(key: str, choices: Mapping[str, str]) -> str:
        value = params.get(key, "")
        if value and value not in choices:
            possible = ", ".join(choices)
            problems.append(f"“{value}” is not a value for “{key}”. Possible: {possible}.")
        return value if value in choices else next(iter(choices))

    page = whole(params.get("page", ""))
    if params.get("page") and not page:
        problems.append(f"“{params['page']}” is not a page number: the first page is shown.")
    undo = params.get("undo", "")
    query = FindingsQuery(
        show=choice("show", SHOWS),
        sort=choice("sort", SORT_NAMES),
        of=params.get("of", "").strip()[:64],
        page=page or 1,
        undo=undo if ID.fullmatch(undo) else "",
        **{key: _line(params.get(key, "")) for key in ("word", "tag", "author")},
    )
    return query, problems


def _line(text: str) -> str:
    """Return one line without what a database cannot hold."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", " ", text).split())[: 2 * WORD_LENGTH]


def format_neurons(neurons: tuple[NeuronRef, ...]) -> str:
    """Return neurons as people write and read them: `9.105, 8.12`."""
    return ", ".join(f"{ref.layer}.{ref.neuron}" for ref in neurons)


def parse_neurons(text: str) -> tuple[NeuronRef, ...]:
    """Read what `format_neurons` returns, each neuron once.

    Raises:
        InputError: when a part names no neuron, or there are too many.
    """
    found = []
    for part in filter(None, re.split(r"[\s,;]+", text)):
        match = re.fullmatch(r"([0-9]{1,4})[.:/]([0-9]{1,9})", part)
        if not match:
            raise InputError(f"“{part[:40]}” is not a neuron: write layer.neuron, as in 9.105.")
        found.append(NeuronRef(int(match[1]), int(match[2])))
    if len(found) > MOST_NEURONS:
        raise InputError(f"A finding has {MOST_NEURONS} neurons at most, not {len(found)}.")
    return tuple(dict.fromkeys(found))


def linkable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that an address carries: plain values under plain names."""
    return {
        key: value
        for key, value in settings.items()
        if re.fullmatch(r"[a-z][a-z0-9_]{0,30}", key)
        and isinstance(value, str | int | float)
        and not isinstance(value, bool)
    }

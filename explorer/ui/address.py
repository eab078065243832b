"""Addresses: the URL says what is shown; wrong values become one sentence and a fallback.

Everything here is pure, so a page can be asked for and linked to without running one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from explorer.errors import InputError
from explorer.ui.glossary import MEASURES

PAGES: dict[str, str] = {
    "home": "pages/home.py",
    "neurons": "pages/neurons.py",
    "neuron": "pages/neuron.py",
    "atlas": "pages/atlas.py",
    "findings": "pages/findings.py",
    "finding": "pages/finding.py",
    "collection": "pages/collection.py",
    "about": "pages/about.py",
}
MATCH = "match"
PLACES = ("layer", "neuron")
SORTS = (*MEASURES, *PLACES, MATCH)
WORD_LENGTH = 60


def href(page: str, /, **params: object) -> str:
    """Relative address of a page; parameters that are None or empty are left out."""
    if page not in PAGES:
        raise InputError(f"There is no page {page!r}; pages are {', '.join(PAGES)}.")
    query = urlencode({key: str(value) for key, value in params.items() if value not in (None, "")})
    return ("./" if page == "home" else page) + (f"?{query}" if query else "")


@dataclass(frozen=True)
class NeuronsQuery:
    """What the Neurons page shows."""

    layers: tuple[int, ...] = ()
    sort: str = ""
    order: str = ""  # "asc", "desc", or the usual one
    word: str = ""
    page: int = 1

    @property
    def sort_key(self) -> str:
        """The measure in force: the best match first when a word is looked for."""
        return self.sort or (MATCH if self.word else "polysemy")

    @property
    def falling(self) -> bool:
        """Whether large values come first: usual for measures, not for layer and neuron."""
        return self.order == "desc" or (not self.order and self.sort_key not in PLACES)

    def params(self) -> dict[str, str]:
        """The query as address parameters, defaults left out."""
        values = {
            "layers": ",".join(map(str, self.layers)),
            "sort": self.sort,
            "order": self.order,
            "word": self.word,
            "page": str(self.page) if self.page > 1 else "",
        }
        return {key: value for key, value in values.items() if value}

    def at(self, page: int) -> NeuronsQuery:
        """The same query on another page of results."""
        return replace(self, page=page)


@dataclass
class Reading:
    """A parsed query and the sentences about what could not be read."""

    query: NeuronsQuery
    problems: list[str] = field(default_factory=list)


def whole(text: str | None) -> int | None:
    """A whole number from 0 on, or None."""
    cleaned = (text or "").strip()
    return int(cleaned) if re.fullmatch(r"[0-9]{1,9}", cleaned) else None


def read_neurons(params: Mapping[str, str], layers: Sequence[int]) -> Reading:
    """Read the Neurons page's address; what can't be read is left out and named."""
    problems: list[str] = []
    query = NeuronsQuery(
        layers=_read_layers(params.get("layers", ""), layers, problems),
        sort=_read_choice(params, "sort", SORTS, problems),
        order=_read_choice(params, "order", ("asc", "desc"), problems),
        word=" ".join(params.get("word", "").split())[:WORD_LENGTH],
        page=_read_page(params.get("page", ""), problems),
    )
    if query.sort == MATCH and not query.word:
        query = replace(query, sort="")
    return Reading(query, problems)


def _read_layers(text: str, layers: Sequence[int], problems: list[str]) -> tuple[int, ...]:
    if not text.strip():
        return ()
    asked = [whole(part) for part in text.split(",")]
    known = sorted({layer for layer in asked if layer is not None and layer in layers})
    if len(known) < len(set(asked)):
        names = ", ".join(map(str, layers))
        shown = "only those" if known else "all"
        problems.append(
            f"The address asks for layers “{text}”, but this bundle holds {names}: "
            f"{shown} are shown."
        )
    return tuple(known)


def _read_choice(
    params: Mapping[str, str], key: str, choices: Sequence[str], problems: list[str]
) -> str:
    value = params.get(key, "")
    if not value or value in choices:
        return value
    problems.append(
        f"“{value}” is no value for “{key}”: the usual order is shown. "
        f"Possible: {', '.join(choices)}."
    )
    return ""


def _read_page(text: str, problems: list[str]) -> int:
    page = whole(text)
    if text and not page:
        problems.append(f"“{text}” is no page number: the first page is shown.")
    return page or 1


def parse_jump(text: str) -> tuple[int | None, int]:
    """Layer and neuron from what a visitor types: `9 1234`, `L9 N1234`, `9/1234`, or `1234` alone.

    Raises InputError with an example when there are not one or two numbers.
    """
    numbers = re.findall(r"[0-9]+", text.replace(",", ""))
    if len(numbers) not in {1, 2} or any(len(number) > 9 for number in numbers):
        raise InputError(f"“{text}” names no neuron. Write layer and neuron, for example 9 1234.")
    if len(numbers) == 1:
        return None, int(numbers[0])
    return int(numbers[0]), int(numbers[1])

"""Addresses: the URL says what is shown; wrong values become one sentence and a fallback.

Everything here is pure, so a page can be asked for and linked to without running one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from explorer.errors import InputError
from explorer.ui.core.glossary import MEASURES

PAGES: dict[str, str] = {
    "home": "pages/home.py",
    "neurons": "pages/neurons.py",
    "neuron": "pages/neuron.py",
    "atlas": "pages/atlas.py",
    "search": "pages/search.py",
    "concept": "pages/concept.py",
    "compare": "pages/compare.py",
    "bundles": "pages/bundles.py",
    "adversarial": "pages/adversarial.py",
    "image": "pages/image.py",
    "evidence": "pages/evidence.py",
    "findings": "pages/findings.py",
    "finding": "pages/finding.py",
    "collection": "pages/collection.py",
    "about": "pages/about.py",
}
MATCH = "match"
LISTED = "listed"
ABOVE = "above"
PLACES = ("layer", "neuron")
SORTS = (*MEASURES, *PLACES, MATCH, LISTED)
WORD_LENGTH = 60
TITLE_LENGTH = 80
LIST_LENGTH = 400  # neurons of a list: an address of this length works everywhere
TABLE = "table"
PINS = "pins"  # travels along on every link
IMAGE = "image"  # a picture of the bundle, by its number

Place = tuple[int, int]
"""Layer and neuron."""


@dataclass(frozen=True)
class Here:
    """The page that is being drawn, and what its address says."""

    page: str = "home"
    params: Mapping[str, str] = field(default_factory=dict)


_here: ContextVar[Here] = ContextVar("here")


def arrive(page: str, params: Mapping[str, str]) -> None:
    """Set what `here` returns from now on in this thread: one run of one page."""
    _here.set(Here(page, dict(params)))


def here() -> Here:
    """Return the page that is being drawn in this thread."""
    return _here.get(Here())


def href(page: str, /, **params: object) -> str:
    """Return the relative address of a page; parameters that are None or empty are left out.

    The pins of the page that is being drawn come along, unless `pins` says otherwise.
    """
    if page not in PAGES:
        raise InputError(f"There is no page {page!r}; pages are {', '.join(PAGES)}.")
    params = {**params, PINS: params.get(PINS, here().params.get(PINS))}
    query = urlencode({key: str(value) for key, value in params.items() if value not in (None, "")})
    return ("./" if page == "home" else page) + (f"?{query}" if query else "")


def write_places(places: Sequence[Place]) -> str:
    """Write neurons as an address names them: `9.12,8.77`."""
    return ",".join(f"{layer}.{neuron}" for layer, neuron in places)


def read_places(text: str) -> tuple[list[Place], list[str]]:
    """Return the neurons that an address names, each once, and the parts that name none."""
    places, bad = [], []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = re.fullmatch(r"([0-9]{1,4})\.([0-9]{1,9})", part)
        if found:
            places.append((int(found[1]), int(found[2])))
        else:
            bad.append(part)
    return list(dict.fromkeys(places)), bad


@dataclass(frozen=True)
class Range:
    """A measure's values from `low` to `high`, both included; None: open."""

    key: str
    low: float | None = None
    high: float | None = None

    def written(self) -> str:
        """Write the range as an address holds it: `0.5..0.9`."""
        return "..".join("" if end is None else f"{end:.6g}" for end in (self.low, self.high))


@dataclass(frozen=True)
class Usual:
    """What a bundle makes of an address that says nothing of it."""

    sort: str = "agreement"
    above: bool = False
    """Whether only neurons that are more than chance are shown."""


UNTESTED = Usual()
"""What is usual in a bundle that was not compared with chance."""


@dataclass(frozen=True)
class NeuronsQuery:
    """What the Neurons page shows."""

    layers: tuple[int, ...] = ()
    sort: str = ""
    order: str = ""  # "asc", "desc", or the usual one
    word: str = ""
    page: int = 1
    view: str = ""  # TABLE, or the gallery
    ranges: tuple[Range, ...] = ()
    title: str = ""  # of a list
    places: tuple[Place, ...] = ()  # a list's neurons; none: all neurons
    above: bool = False  # only neurons that are more than chance
    usual: Usual = UNTESTED

    @property
    def sort_key(self) -> str:
        """Return what is sorted by: match for a word, a list's own order, else the usual."""
        return self.sort or (MATCH if self.word else LISTED if self.places else self.usual.sort)

    @property
    def falling(self) -> bool:
        """Return whether large values come first: usual for measures, not for layer and neuron."""
        rising = (*PLACES, LISTED)
        return self.order == "desc" or (not self.order and self.sort_key not in rising)

    def params(self) -> dict[str, str]:
        """Return the query as address parameters, defaults left out."""
        values = {
            "layers": ",".join(map(str, self.layers)),
            "sort": self.sort,
            "order": self.order,
            "word": self.word,
            **{span.key: span.written() for span in self.ranges},
            "view": self.view,
            ABOVE: write_above(self.above, self.usual.above and not self.places),
            "list": self.title,
            "neurons": write_places(self.places),
            "page": str(self.page) if self.page > 1 else "",
        }
        return {key: value for key, value in values.items() if value}

    def at(self, page: int) -> NeuronsQuery:
        """Return the same query on another page of results."""
        return replace(self, page=page)


@dataclass
class Reading:
    """A parsed query and the sentences about what could not be read."""

    query: NeuronsQuery
    problems: list[str] = field(default_factory=list)


def whole(text: str | None) -> int | None:
    """Return a whole number from 0 on, or None."""
    cleaned = (text or "").strip()
    return int(cleaned) if re.fullmatch(r"[0-9]{1,9}", cleaned) else None


def read_neurons(
    params: Mapping[str, str],
    layers: Sequence[int],
    exists: Callable[[int, int], bool] = lambda layer, neuron: True,
    usual: Usual = UNTESTED,
) -> Reading:
    """Read the Neurons page's address; what can't be read is left out and named.

    `exists` says whether the bundle has a neuron that the address lists. Neurons that are no more
    than chance are left out where that is usual, but not of a list.
    """
    problems: list[str] = []
    places = _read_list(params.get("neurons", ""), exists, problems)
    query = NeuronsQuery(
        layers=_read_layers(params.get("layers", ""), layers, problems),
        sort=_read_choice(params, "sort", SORTS, problems),
        order=_read_choice(params, "order", ("asc", "desc"), problems),
        word=" ".join(params.get("word", "").split())[:WORD_LENGTH],
        page=read_page(params.get("page", ""), problems),
        view=_read_view(params.get("view", ""), problems),
        ranges=_read_ranges(params, problems),
        title=" ".join(params.get("list", "").split())[:TITLE_LENGTH],
        places=places,
        above=read_above(params, usual.above, problems, usually=usual.above and not places),
        usual=usual,
    )
    if (query.sort == MATCH and not query.word) or (query.sort == LISTED and not query.places):
        query = replace(query, sort="")
    return Reading(query, problems)


def write_above(above: bool, usually: bool) -> str:
    """Write whether only neurons above chance are shown, as an address holds it."""
    return "" if above == usually else "1" if above else "0"


def read_above(
    params: Mapping[str, str], possible: bool, problems: list[str], usually: bool
) -> bool:
    """Read whether only neurons above chance are shown; `possible`: whether there are any."""
    text = params.get(ABOVE, "")
    if text not in ("", "0", "1"):
        problems.append(f"“{text}” is not a value for “{ABOVE}”: write 1, 0 or leave it out.")
        return usually
    if text == "1" and not possible:
        problems.append("No neuron of this bundle is known to be above chance: all are shown.")
        return False
    return usually if not text else text == "1"


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
        f"“{value}” is not a value for “{key}”: the usual order is shown. Possible: "
        f"{', '.join(choices)}."
    )
    return ""


def _read_view(text: str, problems: list[str]) -> str:
    if text not in ("", TABLE, "gallery"):
        problems.append(f"“{text}” is not a view: write table or gallery. The gallery is shown.")
    return TABLE if text == TABLE else ""


def _read_ranges(params: Mapping[str, str], problems: list[str]) -> tuple[Range, ...]:
    return tuple(
        found
        for key in MEASURES
        if params.get(key, "").strip() and (found := _read_range(key, params[key], problems))
    )


def _read_range(key: str, text: str, problems: list[str]) -> Range | None:
    ends = text.strip().split("..")
    try:
        low, high = (float(end) if end.strip() else None for end in ends)
    except ValueError:
        low, high = math.nan, math.nan
    numbers = [end for end in (low, high) if end is not None]
    if not numbers or not all(map(math.isfinite, numbers)) or numbers != sorted(numbers):
        problems.append(
            f"“{text}” is not a range of “{MEASURES[key].name}” and is ignored: write the smallest "
            "and the largest value with two dots between, for example 0.2..0.8."
        )
        return None
    return Range(key, low, high)


def _read_list(
    text: str, exists: Callable[[int, int], bool], problems: list[str]
) -> tuple[Place, ...]:
    places, bad = read_places(text)
    missing = [place for place in places if not exists(*place)]
    bad += [write_places([place]) for place in missing]
    if bad:
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        problems.append(
            f"The list names {', '.join(bad[:5])}{more}, which this bundle doesn't have: write "
            "layer.neuron, separated by commas, for example 9.12,8.77."
        )
    known = [place for place in places if place not in missing]
    if len(known) > LIST_LENGTH:
        problems.append(f"The list has {len(known):,} neurons: its first {LIST_LENGTH} are shown.")
    return tuple(known[:LIST_LENGTH])


def read_page(text: str, problems: list[str]) -> int:
    """Return a page of results, from 1 on; the first, and a sentence, for what is no number."""
    page = whole(text)
    if text and not page:
        problems.append(f"“{text}” is not a page number: the first page is shown.")
    return page or 1


def read_picture(params: Mapping[str, str], pictures: int) -> tuple[int | None, list[str]]:
    """Read which of the bundle's `pictures` an address names; a sentence if there is none such."""
    text = params.get(IMAGE, "")
    if not text:
        return None, []
    image = whole(text)
    if image is None or image >= pictures:
        return None, [f"There is no picture “{text}”: this bundle has 0 to {pictures - 1}."]
    return image, []


def parse_jump(text: str) -> tuple[int | None, int]:
    """Read layer and neuron as a visitor types them: `9 1234`, `L9 N1234`, `9/1234` or `1234`.

    Raises:
        InputError: when there are not one or two numbers, with an example.
    """
    numbers = re.findall(r"[0-9]+", text.replace(",", ""))
    if len(numbers) not in {1, 2} or any(len(number) > 9 for number in numbers):
        raise InputError(f"“{text}” is not a neuron. Write layer and neuron, for example 9 1234.")
    if len(numbers) == 1:
        return None, int(numbers[0])
    return int(numbers[0]), int(numbers[1])

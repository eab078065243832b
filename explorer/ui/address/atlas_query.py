"""Addresses of the Atlas page: pure, like `address`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from explorer.bundle.measures import keys_of
from explorer.errors import InputError
from explorer.ui.address import area
from explorer.ui.address.address import (
    ABOVE,
    LIST_LENGTH,
    UNTESTED,
    WORD_LENGTH,
    NeuronsQuery,
    Place,
    Usual,
    read_neurons,
    read_places,
    write_places,
)
from explorer.ui.address.area import Outline
from explorer.ui.address.found import HEADS, NEURONS, OF, read_found, write_found
from explorer.ui.address.pin import Pin, read_pins, write_pins
from explorer.ui.core.glossary import MEASURES

LAYER, TEXT, BLOCK = "layer", "text", "block"
COLOURS = {
    NEURONS: (LAYER, *keys_of("map"), TEXT),
    HEADS: (BLOCK, LAYER, *keys_of("map"), TEXT),
}
"""What may colour neurons and their pairs with heads; the first is usual."""


@dataclass(frozen=True)
class AtlasQuery:
    """What the map shows."""

    colour: str = ""  # of COLOURS, or the usual one
    text: str = ""
    filters: NeuronsQuery = field(default_factory=NeuronsQuery)  # layers, word and ranges
    chosen: tuple[Place, ...] = ()  # the neurons of a lasso, or
    area: tuple[Outline, ...] = ()  # its outline, where they are too many to name
    at: Pin | None = None  # a neuron or a pair to find
    of: str = NEURONS  # or HEADS

    @property
    def usual_colour(self) -> str:
        """Return what colours the points unless told."""
        return COLOURS[self.of][0]

    @property
    def coloured_by(self) -> str:
        """Return what colours the points."""
        return self.colour or self.usual_colour

    def params(self) -> dict[str, str]:
        """Return the query as address parameters, defaults left out."""
        values = {
            OF: write_found(self.of),
            "colour": "" if self.colour == self.usual_colour else self.colour,
            "text": self.text,
            **self.filters.params(),
            "neurons": write_places(self.chosen),
            "area": area.write(self.area),
            "at": write_pins([self.at] if self.at else []),
        }
        return {key: value for key, value in values.items() if value}


def read_atlas(
    params: Mapping[str, str],
    layers: Sequence[int],
    exists: Callable[[int, int], bool],
    usual: Usual = UNTESTED,
    unpaired: str = "",
) -> tuple[AtlasQuery, list[str]]:
    """Read the address; what can't be read is left out and named.

    `exists` says whether the bundle has a neuron that the address names, `unpaired` why it has no
    pairs, if so.
    """
    filters = ("layers", "word", ABOVE, *MEASURES)
    reading = read_neurons({key: params.get(key, "") for key in filters}, layers, usual=usual)
    problems = reading.problems
    of = read_found(params, unpaired, problems)
    colour = params.get("colour", "")
    if colour and colour not in COLOURS[of]:
        problems.append(f"“{colour}” colours nothing here. Possible: {', '.join(COLOURS[of])}.")
        colour = ""
    text = " ".join(params.get("text", "").split())[:WORD_LENGTH]
    chosen = _read_chosen(params.get("neurons", ""), exists, problems)
    query = AtlasQuery(
        "" if colour == COLOURS[of][0] else colour,
        text,
        reading.query,
        chosen[:LIST_LENGTH],
        () if chosen else _read_area(params.get("area", ""), problems),
        _read_at(params.get("at", ""), exists, problems),
        of,
    )
    return query, problems


def _read_at(text: str, exists: Callable[[int, int], bool], problems: list[str]) -> Pin | None:
    pins, bad = read_pins(text)
    bad += [pin.written for pin in pins if not exists(*pin.place)]
    if bad:
        problems.append(
            f"The map cannot point to {', '.join(bad[:3])}, which this bundle does not have: write "
            "layer.neuron, or layer.neuron@block.head."
        )
    return next((pin for pin in pins if exists(*pin.place)), None)


def _read_chosen(
    text: str, exists: Callable[[int, int], bool], problems: list[str]
) -> tuple[Place, ...]:
    places, bad = read_places(text)
    unknown = [write_places([place]) for place in places if not exists(*place)] + bad
    if unknown:
        problems.append(
            f"The address names neurons this bundle does not have ({', '.join(unknown[:3])}): "
            "they are left out. Write layer.neuron, for example 8.120."
        )
    return tuple(place for place in places if exists(*place))


def _read_area(text: str, problems: list[str]) -> tuple[Outline, ...]:
    try:
        return area.read(text)
    except InputError as error:
        problems.append(str(error))
        return ()

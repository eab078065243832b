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
from explorer.ui.core.glossary import MEASURES

LAYER, TEXT = "layer", "text"
COLOURS = (LAYER, *keys_of("map"), TEXT)


@dataclass(frozen=True)
class AtlasQuery:
    """What the map shows."""

    colour: str = LAYER
    text: str = ""
    filters: NeuronsQuery = field(default_factory=NeuronsQuery)  # layers, word and ranges
    chosen: tuple[Place, ...] = ()  # the neurons of a lasso, or
    area: tuple[Outline, ...] = ()  # its outline, where they are too many to name
    at: Place | None = None  # a neuron to find

    def params(self) -> dict[str, str]:
        """Return the query as address parameters, defaults left out."""
        values = {
            "colour": "" if self.colour == LAYER else self.colour,
            "text": self.text,
            **self.filters.params(),
            "neurons": write_places(self.chosen),
            "area": area.write(self.area),
            "at": write_places([self.at] if self.at else []),
        }
        return {key: value for key, value in values.items() if value}


def read_atlas(
    params: Mapping[str, str],
    layers: Sequence[int],
    exists: Callable[[int, int], bool],
    usual: Usual = UNTESTED,
) -> tuple[AtlasQuery, list[str]]:
    """Read the address; what can't be read is left out and named.

    `exists` says whether the bundle has a neuron that the address names.
    """
    filters = ("layers", "word", ABOVE, *MEASURES)
    reading = read_neurons({key: params.get(key, "") for key in filters}, layers, usual=usual)
    problems = reading.problems
    colour = params.get("colour", LAYER)
    if colour not in COLOURS:
        problems.append(f"“{colour}” colours nothing here. Possible: {', '.join(COLOURS)}.")
        colour = LAYER
    text = " ".join(params.get("text", "").split())[:WORD_LENGTH]
    chosen = _read_chosen(params.get("neurons", ""), exists, problems)
    at = _read_chosen(params.get("at", ""), exists, problems)
    query = AtlasQuery(
        colour,
        text,
        reading.query,
        chosen[:LIST_LENGTH],
        () if chosen else _read_area(params.get("area", ""), problems),
        at[0] if at else None,
    )
    return query, problems


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

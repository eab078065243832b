"""Pins: up to four neurons to compare, kept in the address and on every link."""

from __future__ import annotations

from collections.abc import Mapping

from explorer.ui.address.address import PINS, Place, here, read_places, write_places
from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.html import parts


def settle(view: View, params: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The address's parameters with its pins in order, and sentences on those left out."""
    asked = params.get(PINS, "")
    places, bad = read_places(asked)
    known = [place for place in places if view.has(*place)]
    bad += [write_places([place]) for place in places if place not in known]
    problems = []
    if bad:
        problems.append(
            f"Pinned neurons {', '.join(bad[:4])} aren't in this bundle and are left out: write "
            "layer.neuron with commas between, for example 9.12,8.77."
        )
    if len(known) > parts.MOST_PINS:
        problems.append(
            f"{len(known)} neurons are pinned: the first {parts.MOST_PINS} are compared."
        )
    settled = {key: value for key, value in params.items() if key != PINS}
    kept = write_places(known[: parts.MOST_PINS])
    return (settled | {PINS: kept} if kept else settled), problems


def pinned() -> list[Place]:
    """The pinned neurons of the page that is being drawn."""
    return read_places(here().params.get(PINS, ""))[0]


def bar(view: View) -> str:
    """What is pinned, and the way to compare it."""
    places = pinned()
    names = "".join(_chip(view, place) for place in places)
    full = (
        '<span class="muted extra">Four are pinned: unpin one to pin another.</span>'
        if len(places) == parts.MOST_PINS
        else ""
    )
    compare = parts.link("compare", "Compare", css="button first", bundle=view.key)
    as_list = parts.link(
        "neurons",
        "As a list",
        css="button extra",
        bundle=view.key,
        list="Pinned neurons",
        neurons=write_places(places),
    )
    return (
        f'<div class="pins" role="group" aria-label="Pinned neurons">{names}{compare}{as_list}'
        f"{full}</div>"
    )


def _chip(view: View, place: Place) -> str:
    layer, neuron = place
    name = f"{layer} · {neuron}"
    whole = glossary.neuron_name(layer, neuron)
    opened = parts.link("neuron", name, bundle=view.key, layer=layer, neuron=neuron)
    left = [other for other in pinned() if other != place]
    off = parts.pin_link(place, left, "×", f"Unpin {whole}")
    return f'<span class="chip">{opened} {off}</span>'

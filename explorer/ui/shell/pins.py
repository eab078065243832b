"""Pins: up to four neurons to compare, kept in the address and on every link."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from explorer.ui.address.address import PINS, Place, here, read_places, write_places
from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.html.elements import NOTHING, tag
from explorer.ui.html.links import MOST_PINS, link, neuron_link, pin_link


def settle(view: View, params: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Put the pins of an address in order; return its parameters, sentences on those left out."""
    asked = params.get(PINS, "")
    places, bad = read_places(asked)
    known = [place for place in places if view.has(*place)]
    bad += [write_places([place]) for place in places if place not in known]
    problems = []
    if bad:
        problems.append(
            f"Pinned neurons {', '.join(bad[:4])} aren't in this bundle and are left out: write "
            "layer.neuron, separated by commas, for example 9.12,8.77."
        )
    if len(known) > MOST_PINS:
        problems.append(f"{len(known)} neurons are pinned: the first {MOST_PINS} are compared.")
    settled = {key: value for key, value in params.items() if key != PINS}
    kept = write_places(known[:MOST_PINS])
    return (settled | {PINS: kept} if kept else settled), problems


def pinned() -> list[Place]:
    """Return the pinned neurons of the page that is being drawn."""
    return read_places(here().params.get(PINS, ""))[0]


def bar(view: View) -> Markup:
    """Show what is pinned, and the way to compare it."""
    places = pinned()
    full = "Four are pinned: unpin one to pin another."
    return tag(
        "div",
        (_chip(view, place) for place in places),
        link("compare", "Compare", css="button first", bundle=view.key),
        link(
            "neurons",
            "As a list",
            css="button extra",
            bundle=view.key,
            list="Pinned neurons",
            neurons=write_places(places),
        ),
        tag("span", full, css="muted extra") if len(places) == MOST_PINS else NOTHING,
        css="pins",
        role="group",
        aria_label="Pinned neurons",
    )


def _chip(view: View, place: Place) -> Markup:
    layer, neuron = place
    opened = neuron_link(view, view.bundle.row(*place), f"{layer} · {neuron}")
    left = [other for other in pinned() if other != place]
    off = pin_link(place, left, "×", f"Unpin {glossary.neuron_name(layer, neuron)}")
    return tag("span", opened, " ", off, css="chip")

"""Pins: up to four neurons or neuron-head pairs to compare, in the address and on every link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from explorer.bundle.pairs import Head, place_of
from explorer.errors import BundleError
from explorer.ui.address.address import PINS, Place, write_places
from explorer.ui.address.pin import Pin, pinned, read_pins, write_pins
from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.data.neuron import heads_address
from explorer.ui.html.elements import NOTHING, tag
from explorer.ui.html.links import MOST_PINS, link, neuron_link, pin_link

NAMED = 4  # of those that are left out


def settle(view: View, params: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Put the pins of an address in order; return its parameters, sentences on those left out."""
    asked, bad = read_pins(params.get(PINS, ""))
    there = [pin for pin in asked if view.has(*pin.place)]
    bad += [pin.written for pin in asked if pin not in there]
    problems = []
    if bad:
        problems.append(
            f"Pinned neurons {', '.join(bad[:NAMED])} aren't in this bundle and are left out: "
            "write layer.neuron, separated by commas, for example 9.12,8.77."
        )
    known, problem = _with_their_heads(view, there)
    if problem:
        problems.append(problem)
    if len(known) > MOST_PINS:
        problems.append(f"{len(known)} neurons are pinned: the first {MOST_PINS} are compared.")
    settled = {key: value for key, value in params.items() if key != PINS}
    kept = write_pins(known[:MOST_PINS])
    return (settled | {PINS: kept} if kept else settled), problems


def _with_their_heads(view: View, pins: Sequence[Pin]) -> tuple[list[Pin], str]:
    """Return the pins but for pairs that the bundle does not hold, and a sentence on these."""
    whole = [pin for pin in pins if pin.head is None]
    if len(whole) == len(pins):
        return whole, ""
    if view.unpaired:
        return whole, view.unpaired
    try:
        known = [pin for pin in pins if pin.head is None or _carries(view, pin.place, pin.head)]
    except BundleError as error:
        return whole, str(error)
    bad = ", ".join([pin.written for pin in pins if pin not in known][:NAMED])
    return known, bad and (
        f"Pinned pairs {bad} are left out, as the head carries little of the neuron: a neuron’s "
        "page names its heads under “Head by head”; write layer.neuron@block.head."
    )


def _carries(view: View, place: Place, head: Head) -> bool:
    """Return whether a head carries so much of a neuron that the bundle holds the pair."""
    return place_of(view.bundle, view.bundle.row(*place), head) is not None


def bar(view: View) -> Markup:
    """Show what is pinned, and the way to compare it."""
    pins = pinned()
    full = "Four are pinned: unpin one to pin another."
    return tag(
        "div",
        (_chip(view, pin) for pin in pins),
        link("compare", "Compare", css="button first", bundle=view.key),
        link(
            "neurons",
            "As a list",
            css="button extra",
            bundle=view.key,
            list="Pinned neurons",
            neurons=write_places(list(dict.fromkeys(pin.place for pin in pins))),
        ),
        tag("span", full, css="muted extra") if len(pins) == MOST_PINS else NOTHING,
        css="pins",
        role="group",
        aria_label="Pinned neurons",
    )


def _chip(view: View, pin: Pin) -> Markup:
    row = view.bundle.row(*pin.place)
    opened = neuron_link(view, row, glossary.short_name(*pin), **heads_address(pin.head))
    left = [other for other in pinned() if other != pin]
    off = pin_link(pin, left, "×", f"Unpin {glossary.neuron_name(*pin)}")
    return tag("span", opened, " ", off, css="chip")

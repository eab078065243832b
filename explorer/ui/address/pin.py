"""Pins in an address: neurons as `9.12`, and neuron-head pairs as `9.12@10.3`, with commas between.

Pure, like `address`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from explorer.bundle.pairs import Head
from explorer.ui.address.address import PINS, Place, here

_PIN = re.compile(r"([0-9]{1,4})\.([0-9]{1,9})(?:@([0-9]{1,3})\.([0-9]{1,3}))?")


class Pin(NamedTuple):
    """A neuron, or its pair with a later head."""

    layer: int
    neuron: int
    head: Head | None = None

    @property
    def place(self) -> Place:
        """Return the neuron's layer and number."""
        return self.layer, self.neuron

    @property
    def written(self) -> str:
        """Return the pin as an address holds it."""
        head = "" if self.head is None else "@{}.{}".format(*self.head)
        return f"{self.layer}.{self.neuron}{head}"


def write_pins(pins: Sequence[Pin]) -> str:
    """Write pins as an address holds them: `9.12,9.12@10.3`."""
    return ",".join(pin.written for pin in pins)


def read_pins(text: str) -> tuple[list[Pin], list[str]]:
    """Return the pins that an address names, each once, and the parts that are none."""
    pins, bad = [], []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _PIN.fullmatch(part)
        if found is None:
            bad.append(part)
            continue
        layer, neuron, block, head = (int(number or 0) for number in found.groups())
        pins.append(Pin(layer, neuron, (block, head) if found[3] else None))
    return list(dict.fromkeys(pins)), bad


def pinned() -> list[Pin]:
    """Return what is pinned on the page that is being drawn."""
    return read_pins(here().params.get(PINS, ""))[0]

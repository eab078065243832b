"""How a neuron answers to ordinary pictures: examples from every interval of effect."""

from __future__ import annotations

from markupsafe import Markup

from explorer.ui.core import glossary
from explorer.ui.data.intervals import Interval, intervals
from explorer.ui.data.loaders import View
from explorer.ui.data.neuron import Neuron
from explorer.ui.html.cards import rank_bar
from explorer.ui.html.elements import caption, muted, tag
from explorer.ui.html.pictures import strip
from explorer.ui.shell import frame


def section(neuron: Neuron) -> None:
    """Draw one line per interval, with its share and pictures from it."""
    view = neuron.view
    found = [interval for interval in intervals(view, neuron.row) if interval.share]
    if not found:
        return
    frame.draw(
        tag("h2", "From strongest to most opposed"),
        caption(
            f"{len(view.bundle.sample_images):,} pictures drawn at random, by the neuron’s effect "
            "on each along its direction. 1 is its typical effect "
            f"({glossary.size(neuron.scale)}). A selective neuron leaves almost all of them near 0."
        ),
        tag("div", (_line(view, interval) for interval in found), css="spread"),
    )


def _line(view: View, interval: Interval) -> Markup:
    share = "under 1 %" if interval.share < 0.01 else glossary.share(interval.share)
    name = tag(
        "div",
        tag("b", interval.name),
        muted(f"{share} of pictures"),
        rank_bar(interval.share, aria_hidden="true"),
        css="name",
    )
    return tag("div", name, strip(view, interval.images), css="interval")

"""A neuron-head pair in brief: a card with its words, its share and its pictures."""

from __future__ import annotations

from markupsafe import Markup

from explorer.bundle.pairs import Pair
from explorer.ui.core import glossary
from explorer.ui.data.grouping import STRONGEST
from explorer.ui.data.loaders import View
from explorer.ui.data.neuron import heads_address
from explorer.ui.html.elements import NOTHING, Child, tag
from explorer.ui.html.links import neuron_link, pin_button
from explorer.ui.html.pictures import strip


def pair_card(view: View, row: int, pair: Pair, note: Child = NOTHING) -> Markup:
    """Show a pair in brief, all of it a link to its neuron's page; `note`: how it was found."""
    place = view.place(row)
    share = ("carries ", tag("b", glossary.share(pair.share)), " of its neuron")
    body = (
        tag("div", glossary.neuron_name(*place, pair.key), css="where"),
        strip(view, [shown.image for shown in pair.images[:STRONGEST]]),
        tag(
            "div",
            pair.said,
            css="concepts" if pair.words else "concepts unclaimed",
            title=pair.said,
        ),
        note,
        tag("div", share, css="share-line"),
    )
    whole = neuron_link(view, row, body, css="card", **heads_address(pair.key))
    return tag("div", whole, pin_button(*place, pair.key), css="cardbox")

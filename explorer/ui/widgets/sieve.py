"""What lists leave out, in one line with a link to all: neurons that are no more than chance."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from explorer.ui.address.address import ABOVE
from explorer.ui.data.loaders import View
from explorer.ui.html.elements import NOTHING, caption
from explorer.ui.html.links import anchor


def line(view: View, page: str, params: Mapping[str, object], above: bool, hidden: int) -> Markup:
    """Say how many neurons are left out, with a link to all; or offer to leave them out.

    `params` are the page's own in the address; nothing is said where no neuron passes.
    """
    if not view.sieved:
        return NOTHING
    here = {key: value for key, value in params.items() if key != "page"} | {"bundle": view.key}
    stay = {"data_stay": True}
    if above:
        everything = anchor(page, here | {ABOVE: "0"}, "Show all", marks=stay)
        many = "1 neuron that is" if hidden == 1 else f"{hidden:,} neurons that are"
        return caption(
            f"Only what is above chance: {many} no more than chance left out. ", everything
        )
    fewer = anchor(page, here | {ABOVE: "1"}, "Show only those above chance", marks=stay)
    return caption("Neurons that are no more than chance are among them. ", fewer)

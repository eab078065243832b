"""The pictures a neuron responds to: both ends, plain, in groups, or under their maps."""

from __future__ import annotations

import streamlit as st

from explorer.errors import InputError
from explorer.ui.data import grouping
from explorer.ui.data.neuron import GROUPED, ORDERS, PICTURES, STRONGEST, WHERE, Neuron
from explorer.ui.html.elements import NOTHING, caption, notice, tag
from explorer.ui.html.pictures import groups, tiles
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import neuron_maps

ENDS = (grouping.POSITIVE, grouping.NEGATIVE)
MAPS_SAID = (
    " Colour: the patches from which the effect comes, relative to the strongest of each picture."
)
END_SAID = {
    grouping.POSITIVE: "The {} pictures whose effect points most strongly along the neuron's "
    "direction. The number is the effect minus its mean over all pictures, in units of the output "
    "before normalisation. A coloured edge: the concept cluster that the picture is near to.",
    grouping.NEGATIVE: "The {} pictures whose effect points most strongly against the direction.",
}


def section(page: Page, neuron: Neuron) -> None:
    """Draw the ways to show them, and both ends, each for itself."""
    view = neuron.view
    frame.draw(tag("h2", "Pictures with its strongest effect"))
    with st.container(key="lens_how", horizontal=True, vertical_alignment="center", gap="medium"):
        _order(page, neuron)
        _maps(page, neuron)
    sources = _sources(neuron) if neuron.mapped else {}
    for end, pictures in zip(ENDS, neuron.pictures, strict=True):
        if not pictures:
            continue
        opposed = end == grouping.NEGATIVE
        said = END_SAID[end].format(len(pictures)) + (MAPS_SAID if sources else "")
        frame.draw(
            tag("h2", "Pictures with its strongest opposite effect") if opposed else NOTHING,
            caption(said),
            groups(view, grouping.picture_groups(view, neuron.row, end, pictures), sources)
            if neuron.grouped
            else tiles(view, pictures, sources),
        )


def _order(page: Page, neuron: Neuron) -> None:
    """Draw the choice of their order; it changes the address."""
    st.session_state["_pictures"] = GROUPED if neuron.grouped else STRONGEST
    st.segmented_control(
        "Order of the pictures",
        list(ORDERS),
        format_func=ORDERS.__getitem__,
        key="_pictures",
        label_visibility="collapsed",
        on_change=_ordered,
        args=(page, neuron),
    )


def _ordered(page: Page, neuron: Neuron) -> None:
    order = GROUPED if st.session_state["_pictures"] == GROUPED else ""
    frame.change(page, **neuron.params(**{PICTURES: order}))


def _maps(page: Page, neuron: Neuron) -> None:
    """Draw the switch that lays each picture's map over it; it changes the address."""
    st.session_state["_where"] = neuron.mapped
    st.toggle("Show where", key="_where", on_change=_switched, args=(page, neuron))


def _switched(page: Page, neuron: Neuron) -> None:
    where = "1" if st.session_state["_where"] else ""
    frame.change(page, **neuron.params(**{WHERE: where}))


def _sources(neuron: Neuron) -> dict[int, str]:
    """Paint the pictures under their maps, where the model can be loaded."""
    positive, negative = neuron.pictures
    try:
        return neuron_maps.overlays(neuron.view, neuron.row, [*positive, *negative])
    except InputError as error:
        frame.draw(notice(str(error)))
        return {}

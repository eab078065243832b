"""Ranges of measures as filters: a form that sets one, and chips that lift them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from explorer.ui.address.address import Range
from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.html.elements import tag
from explorer.ui.html.links import anchor
from explorer.ui.html.links import chips as chip_line
from explorer.ui.shell import frame

Ranges = tuple[Range, ...]


def popover(view: View, ranges: Ranges, write: Callable[[Ranges], None]) -> None:
    """Draw the form behind a button; `write` puts the new ranges into the address."""
    present = [key for key in glossary.MEASURES if key in view.neurons]
    with (
        st.popover("Ranges", width="stretch"),
        st.form("_ranges", border=False, clear_on_submit=True),
    ):
        st.selectbox(
            "Measure",
            present,
            format_func=lambda key: glossary.MEASURES[key].name,
            key="_range_key",
        )
        st.number_input("From", value=None, key="_range_low", step=None, format="%g")
        st.number_input("To", value=None, key="_range_high", step=None, format="%g")
        st.caption("Shares run from 0 to 1. Leave one empty to keep that side open.")
        st.form_submit_button("Filter", on_click=lambda: write(_changed(ranges)))


def _changed(before: Ranges) -> Ranges:
    """Return the ranges with the form's own in place of an earlier one of its measure."""
    state = st.session_state
    low, high = state["_range_low"], state["_range_high"]
    if low is not None and high is not None and low > high:
        low, high = high, low
    span = Range(state["_range_key"], low, high)
    others = tuple(other for other in before if other.key != span.key)
    return others if low is None and high is None else (*others, span)


def chips(
    view: View, page: str, ranges: Sequence[Range], params: Callable[[Ranges], Mapping[str, str]]
) -> None:
    """Draw the ranges in force, each with a way to lift it; `params`: the page's, with others."""
    if not ranges:
        return
    lifts = []
    for span in ranges:
        name = f"{glossary.MEASURES[span.key].name} {_bounds(span)}"
        lifts.append(
            anchor(
                page,
                {"bundle": view.key, **params(tuple(o for o in ranges if o != span))},
                [f"{name} ", tag("span", "×", aria_hidden="true")],
                css="chip",
                marks={"aria_label": f"Lift the filter {name}"},
            )
        )
    frame.draw(chip_line(lifts))


def _bounds(span: Range) -> str:
    low, high = (None if end is None else f"{end:.6g}" for end in (span.low, span.high))
    if low is None or high is None:
        return f"up to {high}" if low is None else f"from {low}"
    return f"{low} to {high}"

"""Ranges of measures as filters: a form that sets one, and chips that lift them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

import streamlit as st

from explorer.ui.address.address import Range
from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.html import parts
from explorer.ui.shell import frame

Ranges = tuple[Range, ...]


def popover(view: View, ranges: Ranges, write: Callable[[Ranges], None]) -> None:
    """The form behind a button; `write` puts the new ranges into the address."""
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
    """The ranges with the form's own in the place of an earlier one of its measure."""
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
    """The ranges in force, each with a way to lift it; `params` of the page with other ranges."""
    if not ranges:
        return
    links = []
    for span in ranges:
        name = f"{glossary.MEASURES[span.key].name} {_bounds(span)}"
        links.append(
            parts.link(
                page,
                f'{escape(name)} <span aria-hidden="true">×</span>',
                css="chip",
                marks=f' aria-label="Lift the filter {escape(name)}"',
                bundle=view.key,
                **params(tuple(other for other in ranges if other != span)),
            )
        )
    frame.draw(f'<div class="chips">{"".join(links)}</div>')


def _bounds(span: Range) -> str:
    low, high = (None if end is None else f"{end:.6g}" for end in (span.low, span.high))
    if low is None or high is None:
        return f"up to {high}" if low is None else f"from {low}"
    return f"{low} to {high}"

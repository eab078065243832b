"""The first screen of a neuron: what drives it, what it adds, how sure, through which heads.

Everything here is read from the bundle's tables and drawn as HTML in one go, but for the heads.
"""

from __future__ import annotations

import streamlit as st
from markupsafe import Markup

from explorer.bundle.meaning import drivers_of
from explorer.ui.core import glossary
from explorer.ui.data import grouping
from explorer.ui.data.grouping import Concept
from explorer.ui.data.neuron import Neuron
from explorer.ui.html.cards import UNTESTED, measure_line, shown_words
from explorer.ui.html.elements import NOTHING, caption, joined, muted, tag
from explorer.ui.html.links import concept_link
from explorer.ui.html.pictures import group_heading, strip
from explorer.ui.neuron import heads
from explorer.ui.shell import frame

WIDTHS = (1.35, 1)
GROUPS = 4
ROW = 7  # pictures of a group
WORDS = 8
OLD = ("agreement", True)  # where prediction is known it says more
SURE = ("prediction", "text_p", "driven_p", "agreement", "selectivity", "explained_variance")
"""Measures that say how far to trust the rest."""


def section(neuron: Neuron) -> None:
    """Draw what drives it on the left, and the rest on the right."""
    left, right = st.columns(WIDTHS, gap="large")
    with left:
        frame.draw(tag("h2", "What drives it"), _shared(neuron), _groups(neuron))
    with right:
        frame.draw(tag("h2", "What it adds"), *_words(neuron))
        frame.draw(tag("h2", "How sure"), caption(SURE_SAID), _measures(neuron))
        heads.section(neuron)


SURE_SAID = (
    "Bars: the share of neurons with at most this value. Ticks ┃: chance, or what an untrained "
    "network, one with random weights, gives. Of a p-value: up to which value neurons pass, so "
    "that one in twenty of them is expected to do so by chance."
)


def _p(neuron: Neuron, key: str) -> str:
    return f"p {glossary.probability(neuron.measure(key))}"


def _shared(neuron: Neuron) -> Markup:
    """Say what its strongest pictures share, and whether that is more than chance."""
    if not neuron.view.bundle.tested:
        return shown_words(neuron.view, neuron.row)
    words = drivers_of(neuron.view.bundle, neuron.row)
    p = _p(neuron, "driven_p")
    if not words:
        return caption(f"Its strongest pictures share no word more surely than chance ({p}).")
    named = joined((tag("b", word) for word in words), ", ")
    return caption("More surely than chance its pictures share ", named, f" ({p}).")


def _groups(neuron: Neuron) -> Markup:
    """Show its strongest pictures by likeness, each group with what it shares."""
    view, (pictures, _) = neuron.view, neuron.pictures
    found = grouping.picture_groups(view, neuron.row, grouping.POSITIVE, pictures)
    blocks = (
        tag(
            "section",
            group_heading(group),
            strip(view, [picture.image for picture in group.pictures[:ROW]]),
        )
        for group in found[:GROUPS]
    )
    shown = sum(min(len(group.pictures), ROW) for group in found[:GROUPS])
    return joined(
        [
            tag("div", blocks, css="drives"),
            caption(
                f"{shown} of the {len(pictures)} pictures with its strongest effect, grouped by "
                "likeness to the model. A group's name is in bold where it is more than chance.",
                css="below",
            ),
        ]
    )


def _words(neuron: Neuron) -> list[Markup]:
    """Show the words that beat chance as bars, or say that there are none."""
    if not neuron.view.bundle.tested:
        return [caption(f"{UNTESTED}."), _bars(neuron)]
    if neuron.told:
        return [
            caption(f"Words that fit its direction better than chance ({_p(neuron, 'text_p')})."),
            _bars(neuron),
        ]
    return [caption(f"No word fits its direction better than chance ({_p(neuron, 'text_p')}).")]


def _bars(neuron: Neuron) -> Markup:
    words = grouping.by_weight(neuron.told)[:WORDS]
    most = max((abs(word.weight) for word in words), default=1.0)
    return tag("ol", (_bar(neuron, word, most) for word in words), css="told")


def _bar(neuron: Neuron, word: Concept, most: float) -> Markup:
    width = f"width:{100 * abs(word.weight) / most:.0f}%"
    return tag(
        "li",
        concept_link(neuron.view, word.text, word.text, css="name"),
        tag("span", tag("i", style=width), css="bar"),
        muted(glossary.signed(word.weight), num=True),
        css=f"c{word.colour}",
    )


def _measures(neuron: Neuron) -> Markup:
    table, tested = neuron.view.neurons, neuron.view.bundle.tested
    keys = [key for key in SURE if key in table and (key, tested) != OLD]
    lines = (measure_line(neuron.view, neuron.row, glossary.MEASURES[key]) for key in keys)
    return tag("div", lines, css="sure") if keys else NOTHING

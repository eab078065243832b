"""A neuron's page: its name and answer, the first screen, and one part of the rest below it."""

from __future__ import annotations

import numpy as np
import streamlit as st
from markupsafe import Markup

from explorer.ui.address.address import IMAGE, write_places
from explorer.ui.core import glossary
from explorer.ui.data.loaders import QUIET
from explorer.ui.data.neuron import HEAD, HEADS, MORE, PICTURES, TABS, TEXTS, WHERE, Neuron
from explorer.ui.html import charts
from explorer.ui.html.cards import card, cards, match, measures, named
from explorer.ui.html.elements import caption, notice, tag
from explorer.ui.html.links import (
    MOST_PINS,
    actions,
    choices,
    link,
    neuron_link,
    pin_button,
)
from explorer.ui.neuron import brief, downloads, intervals, pairs, pictures, texts, try_picture
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import save_finding

WIDTHS = (1.5, 1)
CARRIED = (PICTURES, WHERE, IMAGE, MORE)  # along to the next number
MEASURES_SAID = (
    "The bar shows the share of this bundle's neurons with at most this value. The tick ┃ stands "
    "where chance lies, or, where that isn't known for one neuron, at what an untrained network "
    "(random weights) gives. A p-value has no bar: smaller is surer, and neurons pass up to the "
    "value that is said, so that one in twenty of them is expected to do so by chance."
)


def draw(page: Page, neuron: Neuron) -> None:
    """Draw the page."""
    _heading(page, neuron)
    if not neuron.clusters:
        _measures(neuron)
        return
    brief.section(neuron)
    here = neuron.params() | {key: page.params[key] for key in CARRIED if key in page.params}
    if neuron.head is not None:
        here[HEAD] = neuron.head.name
    tabs = choices(
        "neuron",
        "More of this neuron",
        TABS,
        neuron.more,
        MORE,
        {"data_stay": True},
        bundle=neuron.view.key,
        **here,
    )
    frame.draw(tag("div", tabs, css="tabs"))
    _more(page, neuron)


def _more(page: Page, neuron: Neuron) -> None:
    """Draw the part of the rest that the address names."""
    if neuron.more == PICTURES:
        pictures.section(page, neuron)
    elif neuron.more == HEADS:
        pairs.section(page, neuron)
    elif neuron.more == TEXTS:
        texts.section(page, neuron)
    elif neuron.more == "effects":
        left, right = st.columns(WIDTHS, gap="large")
        with left:
            intervals.section(neuron)
        with right:
            _norms(neuron)
    elif neuron.more == "measures":
        _measures(neuron)
    elif neuron.more == "similar":
        _similar(neuron)
    elif neuron.more == "try":
        try_picture.section(page, neuron)
    else:
        downloads.section(neuron)


def _heading(page: Page, neuron: Neuron) -> None:
    """Draw name and answer, previous and next, and what to know of a silent neuron."""
    view, row = neuron.view, neuron.row
    frame.title(neuron.name)
    frame.draw(
        tag(
            "div",
            tag(
                "div",
                tag("h1", neuron.name),
                tag("p", named(view.title(row), "span"), css="answer"),
            ),
            tag(
                "nav",
                _step(page, neuron, -1, "← Previous", "prev"),
                _step(page, neuron, 1, "Next →", "next"),
                pin_button(*neuron.place, wide=True),
                css="actions",
                aria_label="Neighbouring numbers",
            ),
            css="neuron-head",
        )
    )
    save_finding.of_neuron(page, row)
    if neuron.silent:
        frame.draw(notice(_silence(neuron)))
    elif neuron.doubtful and not view.bundle.tested:
        frame.draw(
            caption(
                "Don't take this neuron's words for what its pictures show: the agreement is "
                f"{glossary.share(neuron.agreement)}, where guessing gives 50 %. Its direction is "
                "what it adds to them, which other neurons may outweigh."
            )
        )


def _step(page: Page, neuron: Neuron, by: int, text: str, rel: str) -> Markup:
    """Link to another number, looked at in the same way."""
    row = neuron.row + by
    if not 0 <= row < len(neuron.view.neurons):
        return tag("span", text, css="button")
    kept = {key: page.params[key] for key in CARRIED if key in page.params}
    return neuron_link(neuron.view, row, text, css="button", rel=rel, **kept)


def _silence(neuron: Neuron) -> str:
    if neuron.dead:
        return (
            "This neuron is dead: on none of the pictures does it have an effect that varies, so "
            "it has no direction, no concepts and no top pictures."
        )
    return (
        "This neuron is all but silent: its typical effect is under "
        f"{glossary.share(QUIET)} of what is usual in its layer. Read what "
        "follows as noise."
    )


def _norms(neuron: Neuron) -> None:
    view, row = neuron.view, neuron.row
    counts = np.asarray(view.bundle.norm_histogram[row])
    frame.draw(
        tag("h2", "Distribution of effect sizes"),
        caption(
            f"All {int(counts.sum()):,} pictures by the size of their effect; 1 is the neuron's "
            f"typical effect ({glossary.size(neuron.scale)}). Right of the dotted line lie the "
            f"significant ones, the strongest {view.significant:,}, from which its direction was "
            f"computed: {glossary.size(neuron.measure('threshold'))} and more."
        ),
    )
    scale = max(neuron.scale, float(np.finfo(np.float32).tiny))
    unit = np.float32(neuron.measure("histogram_unit") / scale)
    edges = np.asarray(view.bundle.norm_edges) * unit
    figure = charts.norm_histogram(counts, edges, view.significant)
    st.plotly_chart(figure, config=charts.CONFIG, key="norms", width="stretch")


def _measures(neuron: Neuron) -> None:
    frame.draw(
        tag("h2", "All measures"),
        caption(MEASURES_SAID),
        measures(neuron.view, neuron.row),
    )


def _similar(neuron: Neuron) -> None:
    """Draw the neurons nearest by direction."""
    if not neuron.neighbours:
        return
    view = neuron.view
    nearest = [view.place(other) for other, _ in neuron.neighbours[: MOST_PINS - 1]]
    compare = link(
        "compare",
        f"Compare with the nearest {len(nearest)}",
        css="button",
        bundle=view.key,
        pins=write_places([neuron.place, *nearest]),
    )
    at = write_places([neuron.place])
    on_map = link("atlas", "Show on the atlas", css="button", bundle=view.key, at=at)
    frame.draw(
        tag("h2", "Similar neurons"),
        caption(
            "Neurons of any layer whose directions are nearest in the joint space of pictures and "
            "texts; the cosine says how near."
        ),
        actions(compare, on_map),
        cards(
            (
                card(view, other, match(f"cosine {glossary.number(cosine)}"), small=True)
                for other, cosine in neuron.neighbours
            ),
            small=True,
        ),
    )

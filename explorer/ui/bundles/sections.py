"""The page of two bundles: what they share, how alike their neurons are, neuron beside neuron."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import streamlit as st
from markupsafe import Markup

from explorer.bundle.match import Matches
from explorer.errors import BundleError, InputError
from explorer.places import bundles_folder
from explorer.ui.address.bundles_query import (
    CHANGED,
    SHOWS,
    BundlesQuery,
    layer_of,
    read_bundles,
)
from explorer.ui.bundles.plot import BEST, overlap_figure
from explorer.ui.core import command_line, glossary
from explorer.ui.data import loaders, matches
from explorer.ui.data.loaders import View
from explorer.ui.data.matches import Beside
from explorer.ui.html import charts
from explorer.ui.html.cards import card
from explorer.ui.html.elements import caption, command, joined, muted, notice, table, tag
from explorer.ui.html.links import choices, neuron_link, pager, pages
from explorer.ui.html.pictures import dot
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page

PAGE = "bundles"
REST = 6  # the grey of a legend's dot


def body(page: Page) -> None:
    """Draw the whole page, or say what is missing."""
    frame.title("Two bundles")
    kinds = pages("What to compare", frame.COMPARISONS, PAGE, bundle=page.view.key)
    frame.draw(tag("div", tag("h1", "Two bundles"), kinds, css="neuron-head"))
    folder = bundles_folder()
    found = loaders.find_bundles(folder)
    query, problems = read_bundles(page.params, page.view.key, list(found))
    frame.show_problems(page.problems + problems)
    if not query.other:
        frame.draw(_one_only(page.view, folder), css="empty")
        return
    _choice(page, query, list(found))
    try:
        second = loaders.open_view(query.other, found[query.other])
        matched = matches.matches(page.view, second)
    except (BundleError, InputError) as error:
        frame.draw(notice(str(error)))
        return
    query, problems = layer_of(query, matched.layers)
    frame.show_problems(problems)
    frame.draw(_compared(page.view, second, matched))
    _overlaps(second, matched)
    _neurons(page, second, matched, query)


def _one_only(view: View, folder: Path) -> Markup:
    said = (
        f"“{view.key}” is the only bundle in {folder}: build a second one there from the same "
        "pictures, with another model or after a fine-tune, and reload this page."
    )
    images = f"bundle:{view.bundle.path.resolve()}"
    build = command_line.explorer("build", "--model", "MODEL", "--images", images, "--out", "OUT")
    return joined([tag("h2", "Nothing to compare with yet"), tag("p", said), command(build)])


def _choice(page: Page, query: BundlesQuery, found: list[str]) -> None:
    """Offer the two bundles; each change is a new address."""
    state = st.session_state  # the address decides: widgets are set from it on every run
    state["_first_bundle"], state["_second_bundle"] = page.view.key, query.other
    others = [name for name in found if name != page.view.key]
    with st.container(key="lens_tools"):
        columns = st.columns(2, gap="small", vertical_alignment="bottom")
    columns[0].selectbox(
        "First bundle", found, key="_first_bundle", on_change=_chosen, args=(page, query)
    )
    columns[1].selectbox(
        "Compared with", others, key="_second_bundle", on_change=_chosen, args=(page, query)
    )


def _chosen(page: Page, query: BundlesQuery) -> None:
    first, second = st.session_state["_first_bundle"], st.session_state["_second_bundle"]
    if first == second:  # the two change places
        second = page.view.key
    frame.address(page, bundle=first, **replace(query, other=second, page=1).params())


def _compared(first: View, second: View, found: Matches) -> Markup:
    """Say in one line what is compared."""
    layers = ", ".join(map(str, found.layers))
    space = (
        "Their joint space is one, so directions are compared too."
        if found.cosine is not None
        else "Their joint spaces differ, so directions are not compared."
    )
    return caption(
        f"The {len(found.rows):,} neurons of the layers {layers} of “{first.key}” beside those of "
        f"“{second.key}”, over the {found.pictures:,} pictures that both hold. The overlap of two "
        "neurons: the pictures among the strongest of both, as a share of those among the "
        f"strongest of either. {space}"
    )


def _overlaps(second: View, found: Matches) -> None:
    """Draw how alike the neurons are, layer by layer, beside chance."""
    best, dealt = (matches.spread(found, values) for values in (found.overlap, found.dealt))
    if not best:
        frame.draw(notice("No neuron has a shared picture among its strongest."))
        return
    text, chart = st.columns([1, 1.2], gap="large")
    with text:
        frame.draw(
            tag("h2", "How alike the neurons are"),
            caption(
                f"For every neuron the largest overlap with a neuron of “{second.key}” in its "
                "layer: the middle half as a box, its line the median, whiskers from 5 to 95 %. "
                "By chance: the same after the second bundle's strongest pictures are dealt to "
                "its neurons at random."
            ),
            tag(
                "div",
                tag("span", dot(), "best match", css=f"c{BEST}"),
                tag("span", dot(), "by chance", css=f"c{REST}"),
                css="legend",
            ),
            _layers(found),
        )
    with chart:
        figure = overlap_figure(best, dealt)
        st.plotly_chart(figure, config=charts.CONFIG, key="overlaps", width="stretch")


def _layers(found: Matches) -> Markup:
    """Show each layer's figures."""
    head = ["Layer", "Median", "By chance"]
    head += ["Same number"] if found.numbered else []
    head += ["Cosine"] if found.cosine is not None else []
    lines = []
    for layer in found.layers:
        rows = found.of_layer(layer)
        kept = found.best[rows] == found.home[rows]
        line = [
            str(layer),
            glossary.number(float(np.median(found.overlap[rows]))),
            glossary.number(float(np.median(found.dealt[rows]))),
        ]
        line += [glossary.share(float(kept.mean()))] if found.numbered else []
        if found.cosine is not None:
            line.append(glossary.number(float(np.mean(found.cosine[rows]))))
        lines.append(line)
    meaning = []
    if found.numbered:
        meaning.append("Same number: neurons whose best match is the neuron of their own number.")
    if found.cosine is not None:
        meaning.append("Cosine: of the directions of one number, the mean.")
    return joined([table(head, lines, right=range(1, len(head))), caption(" ".join(meaning))])


def _neurons(page: Page, second: View, found: Matches, query: BundlesQuery) -> None:
    """Show the most alike or most changed neurons, both sides' pictures and words."""
    ranked = matches.ranking(page.view, found, query)
    if query.page > ranked.pages:
        said = f"There are {ranked.pages:,} pages of neurons, not {query.page:,}."
        frame.show_problems([f"{said} The last one is shown."])
    params = replace(query, page=1).params() | {"bundle": page.view.key}
    layers = {"": "All layers"} | {str(layer): str(layer) for layer in found.layers}
    chosen = "" if query.layer is None else str(query.layer)
    frame.draw(
        tag("h2", "Neuron beside neuron"),
        tag(
            "div",
            choices(PAGE, "Order", SHOWS, query.show, "show", **params),
            choices(PAGE, "Layer", layers, chosen, "layer", **params),
            css="choices-line",
        ),
        caption(_order(second, found, query, ranked.neurons)),
        tag("div", (_beside(page.view, second, one) for one in ranked.beside), css="beside"),
        pager(PAGE, ranked.page, ranked.pages, **params),
    )


def _order(second: View, found: Matches, query: BundlesQuery, count: int) -> str:
    """Say what is beside what, in which order."""
    if query.show != CHANGED:
        beside, first = f"its best match in “{second.key}”", "largest"
    elif found.numbered:
        beside, first = f"the neuron of its number in “{second.key}”", "smallest"
    else:
        beside, first = f"its best match in “{second.key}”", "smallest"
    return f"{count:,} neurons, each beside {beside}, the {first} overlap first."


def _beside(first: View, second: View, one: Beside) -> Markup:
    sides = [_side(first, card(first, one.row, small=True))]
    if one.other >= 0:
        sides.append(_side(second, card(second, one.other, small=True, own=False)))
    else:
        sides.append(_side(second, caption("No neuron of its layer has one of its pictures.")))
    said = [tag("b", glossary.number(one.overlap)), muted(" overlap")]
    if one.match not in (-1, one.other):
        layer, neuron = second.place(one.match)
        name = glossary.neuron_name(layer, neuron)
        now = neuron_link(second, one.match, name, pins="")
        said.append(muted(f" · most like it, {glossary.number(one.match_overlap)}: ", now))
    return tag("section", tag("p", said, css="caption"), tag("div", sides, css="cards small"))


def _side(view: View, shown: Markup) -> Markup:
    return tag("div", caption(tag("b", view.key)), shown)

"""The Concept page: one text, what is near it, and the neurons that write it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from markupsafe import Markup
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.search import Hit, TextSearch
from explorer.search.query import LONGEST, QUOTES, Term, format_query
from explorer.search.spelling import slips
from explorer.ui.address import search_query
from explorer.ui.core import glossary
from explorer.ui.core.theme import ACCENT
from explorer.ui.data import loaded_model, texts
from explorer.ui.data.grouping import NEGATIVE, POSITIVE
from explorer.ui.data.labelled import labelled
from explorer.ui.data.loaders import View
from explorer.ui.html import charts
from explorer.ui.html.elements import caption, joined, notice, tag
from explorer.ui.html.hits import TRUST_SAID, best_by_chance_said, found_by, hit_cards, labels_note
from explorer.ui.html.links import actions, chips, choices, concept_link, link, text_chips
from explorer.ui.html.pictures import image, tile
from explorer.ui.html.unknown import did_you_mean, embedded_live
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import save_finding

NEIGHBOURS = 18
NEURONS = 12  # of either sign
PICTURES = 18
BY = "by"  # the address parameter
DIRECTION, SETS, LABELS = "direction", "sets", "labels"
EVIDENCE = {DIRECTION: "By direction", SETS: "By sets", LABELS: "By pictures’ labels"}
IN_SEARCH = {
    DIRECTION: search_query.TOWARDS,
    SETS: search_query.SETS,
    LABELS: search_query.LABELS,
}
NEAREST = 0.02  # share of the neurons that are counted by layer where no set holds the text


def body(page: Page) -> None:
    """Draw the whole page: the text of the address, or what to start with."""
    view = page.view
    text = _text(page)
    if not text:
        frame.title("Concept")
        frame.draw(tag("h1", "Concept"))
        _box(page, text)
        frame.draw(_start(view))
        return
    term = as_term(text)
    frame.title(term.text)
    frame.draw(tag("h1", f"“{term.text}”"))
    _box(page, text)
    try:
        meant = slips(view.bundle, [term])
        if meant:
            frame.draw(did_you_mean([term], meant, lambda *way: _way(view, *way)))
            return
        found = loaded_model.search(view, format_query([term]))
        found = found.by_pictures()
    except InputError as error:
        frame.draw(notice(str(error)))
        return
    frame.draw(_actions(view, found))
    left, right = st.columns([1, 1.3], gap="large")
    with left:
        _layers(view, found)
    with right:
        _pictures(view, found)
    _neurons(page, found)


def _text(page: Page) -> str:
    return " ".join(page.params.get("text", "").split())[: LONGEST - 2]


def as_term(text: str) -> Term:
    """Read one text, whatever signs it holds; in quotation marks it is meant as it is written."""
    if len(text) > 2 and QUOTES.get(text[0]) == text[-1]:
        return Term(text[1:-1], exact=True)
    return Term(text)


def _way(view: View, shown: str, terms: Sequence[Term], css: str) -> Markup:
    (term,) = terms
    text = format_query(terms) if term.exact else term.text
    return concept_link(view, text, shown, css)


def _box(page: Page, text: str) -> None:
    st.session_state["_concept"] = text
    st.text_input(
        "Text",
        key="_concept",
        placeholder="a word or phrase",
        max_chars=LONGEST - 2,
        on_change=_asked,
        args=(page,),
    )


def _asked(page: Page) -> None:
    frame.address(page, text=" ".join(st.session_state["_concept"].split()))


def _start(view: View) -> Markup:
    heavy = texts.heavy_texts(view)[: 2 * NEURONS]
    said = caption(
        "A text, the texts near it, the neurons that write it and the layers they are in. These "
        "carry most weight in this bundle:"
    )
    return joined([said, chips(concept_link(view, text, text) for text in heavy)])


def _actions(view: View, found: TextSearch) -> Markup:
    query = format_query(found.terms)
    near = text_chips(view, found.near_texts(NEIGHBOURS, shown=True))
    return joined(
        [
            embedded_live(found) if found.places[0] < 0 else caption(_known(view, found)),
            actions(link("search", "Search with it", css="button", bundle=view.key, q=query)),
            tag("h2", "Neighbouring texts"),
            caption(
                "The nearest texts of the dictionary that pictures show, by the cosine of their "
                "embeddings."
            ),
            chips([near]),
        ]
    )


def _known(view: View, found: TextSearch) -> str:
    (term,), (written,) = found.terms, found.written
    other = term.text.casefold() != written.casefold()
    shown = f"Shown is “{term.text}”, which the dictionary has. " if other else ""
    held = int(np.count_nonzero(found.weights))
    usual = np.count_nonzero(np.asarray(view.bundle.concept_ids) >= 0) / len(view.bundle.texts)
    sets = f"in {held:,} sparse sets, where a text at random is in {usual:,.0f}."
    if not view.bundle.tested:
        return f"{shown}It is {sets}"
    named = int(np.count_nonzero(claimed_weights(view, found) > 0))
    if not named:
        return f"{shown}No neuron’s words above chance name it. It is {sets}"
    one = named == 1
    whose = "1 neuron names" if one else f"{named:,} neurons name"
    return f"{shown}{whose} it among {'its' if one else 'their'} words above chance. It is {sets}"


def claimed_weights(view: View, found: TextSearch) -> NDArray[np.float32]:
    """Return the text's weight among each neuron's words above chance, else 0: [neuron]."""
    counts = view.passing.counts
    most = int(counts.max(initial=0))
    named = np.asarray(view.bundle.concept_ids[:, :most]) == found.places[0]
    named &= np.arange(most) < counts[:, None]
    weights: NDArray[np.float32] = np.where(named.any(axis=1), found.weights, 0)
    return weights


def layer_counts(view: View, found: TextSearch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the neurons of each layer that write the text towards and away from it: two [layer].

    By their sparse sets; for a text that is in none, of the 2 % of neurons whose direction lies
    nearest to the text or its opposite.
    """
    strength = found.weights
    if not np.any(strength):
        count = max(1, round(NEAREST * len(found.cosines)))
        least = np.sort(np.abs(found.cosines))[-count]
        strength = np.where(np.abs(found.cosines) >= least, found.cosines, 0)
    return _by_layer(view, strength)


def _by_layer(
    view: View, strength: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the neurons of each layer with a positive and with a negative strength: two [layer]."""
    layers = view.neurons["layer"].to_numpy()
    towards, away = (
        np.bincount(layers[side], minlength=view.layers[-1] + 1)[view.layers]
        for side in (strength > 0, strength < 0)
    )
    return towards, away


def _layers(view: View, found: TextSearch) -> None:
    counts = layer_counts(view, found)
    frame.draw(tag("h2", "In which layers"), caption(_layers_said(view, found)))
    if np.any(found.weights) and view.bundle.tested:
        drawn = layers_figure(view.layers, *_by_layer(view, claimed_weights(view, found)), counts)
    else:
        drawn = layers_figure(view.layers, *counts)
    st.plotly_chart(drawn, config=charts.CONFIG, key="layers", width="stretch")


def _layers_said(view: View, found: TextSearch) -> str:
    if not np.any(found.weights):
        share = f"{NEAREST:.0%}".replace("%", " %")
        return (
            f"Neurons of each layer among the {share} whose direction lies nearest to the text "
            f"(up) or to its opposite (down); of a layer that nothing sets apart, {share} are."
        )
    held = np.count_nonzero(np.asarray(view.bundle.concept_ids) >= 0)
    usual = held / len(view.bundle.texts) / len(view.layers)
    sets = (
        "whose sparse set holds the text with positive (up) or negative weight (down); a text at "
        f"random is in {usual:,.0f} sets a layer."
    )
    if not view.bundle.tested:
        return f"Neurons of each layer {sets}"
    return (
        f"Neurons of each layer that name it among their words above chance. In grey, those {sets}"
    )


Counts = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Neurons of each layer towards a text and away from it: two [layer]."""


def layers_figure(
    layers: list[int],
    towards: NDArray[np.int64],
    away: NDArray[np.int64],
    behind: Counts | None = None,
) -> go.Figure:
    """Draw bars up for neurons that write the text, down for those that write against it.

    `behind`: what is drawn in pale grey behind them.
    """

    def bars(
        counts: NDArray[np.int64], sign: int, colour: str, name: str, **more: object
    ) -> dict[str, object]:
        return {
            "type": "bar",
            "x": [str(layer) for layer in layers],
            "y": (sign * counts).tolist(),
            "marker": {"color": colour},
            "customdata": counts.tolist(),
            "hovertemplate": f"layer %{{x}}<br><b>%{{customdata:,}} neurons</b> {name}"
            "<extra></extra>",
        } | more

    width = {"width": 0.4} if behind else {}
    quiet = [
        bars(counts, sign, charts.NEUTRAL, f"{where} by their sets", opacity=0.3)
        for counts, sign, where in zip(
            behind or (), (1, -1), ("towards it", "away from it"), strict=False
        )
    ]
    reach = max(int(counts.max(initial=1)) for counts in (towards, away, *(behind or ())))
    step = max(1, round(reach / 3))
    ticks = [step * place for place in range(-3, 4)]
    return charts.figure(
        bars(away, -1, charts.NEUTRAL, "away from it", **width),
        240,
        {"title": charts.axis_title("layer"), "type": "category", "showgrid": False},
        {
            "title": charts.axis_title("neurons"),
            "tickvals": ticks,
            "ticktext": [f"{abs(tick):,}" for tick in ticks],
            "zeroline": True,
        },
        under=[*quiet, bars(towards, 1, ACCENT, "towards it", **width)],
        barmode="overlay",
    )


def _pictures(view: View, found: TextSearch) -> None:
    near = found.pictures(PICTURES)
    frame.draw(
        tag("h2", "Nearest pictures"),
        caption(
            f"The {len(near)} of {view.bundle.image_embeddings.shape[0]:,} pictures whose "
            "embedding is nearest to the text's, with the cosine: what the model itself takes for "
            "it."
        ),
        tag(
            "div",
            (
                tile(image(view, number), view.labels[number], glossary.number(cosine))
                for number, cosine in near
            ),
            css="pics",
        ),
    )


def read_evidence(page: Page) -> tuple[str, list[str]]:
    """Read by what to find neurons: by direction, and a sentence, where it can't be read."""
    asked = page.params.get(BY, DIRECTION)
    if asked in EVIDENCE:
        return asked, []
    return DIRECTION, [f"“{asked}” finds no neurons. Possible: {', '.join(EVIDENCE)}."]


def _neurons(page: Page, found: TextSearch) -> None:
    """Draw the neurons that write the text and against it, by one kind of evidence."""
    view = page.view
    by, problems = read_evidence(page)
    frame.show_problems(problems)
    nav = choices("concept", "Evidence", EVIDENCE, by, BY, bundle=view.key, text=_text(page))
    towards, away = _hits(view, found, by)
    heading = tag("h2", "Which neurons write it")
    frame.draw(tag("div", heading, nav, css="claim-head next"), caption(_said(view, by)))
    note = labels_note if by == LABELS else found_by
    for title, none, hits in (
        ("Towards it", "No neuron writes it.", towards),
        ("Away from it", "No neuron writes against it.", away),
    ):
        shown = (
            hit_cards(view, hits, lambda hit: note(found, hit), small=True)
            if hits
            else tag("p", none, css="muted")
        )
        frame.draw(tag("h3", title), shown)
    more = link(
        "search",
        "All of them in Search",
        css="button",
        bundle=view.key,
        q=format_query(found.terms),
        show=IN_SEARCH[by],
    )
    frame.draw(actions(more))
    save_finding.of_neurons(page, [hit.row for hit in towards or away], found.terms[0].text)


def _hits(view: View, found: TextSearch, by: str) -> tuple[list[Hit], list[Hit]]:
    """Return the neurons towards the text and away from it, best first."""
    if by == LABELS:
        ends = (POSITIVE, NEGATIVE)
        towards, away = (labelled(view, found.terms, NEURONS, end) for end in ends)
    elif by == SETS:
        hits = found.sets(len(found.weights))
        towards = [hit for hit in hits if hit.score > 0][:NEURONS]
        away = [hit for hit in hits if hit.score < 0][:NEURONS]
    else:
        towards, away = found.towards(NEURONS), found.away(NEURONS)
    return towards, away


def _said(view: View, by: str) -> str:
    return {
        DIRECTION: "Those whose direction is nearest to the text, and most opposed to it. "
        f"{TRUST_SAID} {best_by_chance_said(view)}",
        SETS: "Those whose sparse set holds the text, with positive or negative weight. "
        f"{TRUST_SAID}",
        LABELS: "Those with the most top pictures that carry the text as label or keyword, at the "
        "positive end of the direction or at the negative one.",
    }[by]

"""The Search page: one box, texts or a picture, neurons marked by how they were found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import streamlit as st
from markupsafe import Markup
from numpy.typing import NDArray

from explorer.bundle.facts import relative_effects
from explorer.errors import InputError
from explorer.search import Hit, TextSearch
from explorer.search.query import LONGEST, Term, format_query, parse_query
from explorer.search.spelling import slips
from explorer.ui.address.found import FOUND, HEADS, OF, write_found
from explorer.ui.address.search_query import (
    AWAY,
    BOTH,
    BY,
    EFFECT,
    LABELS,
    MODES,
    PICTURE,
    RANKS,
    SETS,
    SHOWN,
    TOWARDS,
    TRUSTED,
    SearchQuery,
)
from explorer.ui.core import glossary
from explorer.ui.data import loaded_model, texts
from explorer.ui.data.labelled import labelled
from explorer.ui.data.loaders import View
from explorer.ui.html.cards import match
from explorer.ui.html.elements import Child, caption, joined, muted, notice, tag
from explorer.ui.html.hits import TRUST_SAID, best_by_chance_said, found_by, hit_cards, labels_note
from explorer.ui.html.links import (
    actions,
    anchor,
    chips,
    choices,
    concept_link,
    text_chips,
)
from explorer.ui.html.unknown import any_far, did_you_mean, embedded_live
from explorer.ui.search import pairs
from explorer.ui.search.results import LIMIT, paged
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import picture_choice, sieve
from explorer.ui.widgets.picture_choice import ChosenPicture

NEAR = {True: 12, False: 6}  # texts that pictures show, and others


def toolbar(page: Page, query: SearchQuery) -> None:
    """Draw the heading, what to search with, and what is found: neurons, or pairs with heads."""
    frame.title("Search")
    of = {OF: write_found(query.of)}
    modes = choices(
        "search", "What to search with", MODES, query.mode, "mode", bundle=page.view.key, **of
    )
    asked = SearchQuery(query.mode, query.text, query.image).params()
    found = choices("search", "What is found", FOUND, query.of, OF, bundle=page.view.key, **asked)
    frame.draw(tag("div", tag("h1", "Search"), actions(found, modes), css="neuron-head"))


def results(page: Page, query: SearchQuery) -> None:
    """Draw the box and what was found."""
    if query.mode == PICTURE:
        _picture(page, query)
    else:
        _text(page, query)


# --- texts ----------------------------------------------------------------------------------------


def _text(page: Page, query: SearchQuery) -> None:
    view = page.view
    st.session_state["_q"] = query.text
    st.text_input(
        "A text, or several with + and −",
        key="_q",
        placeholder="ship + car, dog - cat, “a phrase”",
        max_chars=LONGEST,
        on_change=_asked,
        args=(page, query),
    )
    if not query.text:
        frame.draw(_start(view, query))
        loaded_model.prepare(view)
        return
    try:
        terms = parse_query(query.text)
        meant = slips(view.bundle, terms)
        if meant:
            frame.draw(_asked_back(view, query, terms, meant))
            return
        found = loaded_model.search(view, query.text)
    except InputError as error:
        frame.draw(notice(str(error)), _start(view, query))
        return
    frame.draw(_near_texts(view, found))
    if query.of == HEADS:
        pairs.of_texts(page, query, found)
        return
    among = view.passing.either if query.above else None
    found = replace(found, among=among)
    if query.rank == TRUSTED:
        found = found.by_pictures()
    kinds = _kinds(found)
    show = query.show if query.show in kinds else next(iter(kinds))
    here = {"bundle": view.key} | replace(query, page=1).params()
    nav = [choices("search", "Which neurons", kinds, show, "show", **here)]
    if show != LABELS:
        nav.append(choices("search", "Ranking", RANKS, query.rank, "rank", **here))
    hits = labelled(view, found.terms, LIMIT, among=among) if show == LABELS else _hits(found, show)
    order = f" {TRUST_SAID}" if query.rank == TRUSTED and show != LABELS else ""
    if show in (TOWARDS, AWAY):
        order += f" {best_by_chance_said(view)}"
    frame.draw(actions(nav), caption(f"{_explained(show, found)}{order}"), _left_out(view, query))
    note = labels_note if show == LABELS else found_by
    paged(page, query, hits, lambda shown: hit_cards(view, shown, lambda hit: note(found, hit)))


def _asked(page: Page, before: SearchQuery) -> None:
    asked = SearchQuery(text=" ".join(st.session_state["_q"].split()), of=before.of)
    frame.address(page, **asked.params())


def _kinds(found: TextSearch) -> dict[str, str]:
    """Return the kinds of results; the polysemy search, where it applies, comes first."""
    if int((found.signs > 0).sum()) < 2:
        return {key: name for key, name in SHOWN.items() if key != BOTH}
    return {BOTH: SHOWN[BOTH]} | SHOWN


def _hits(found: TextSearch, show: str) -> list[Hit]:
    if show == BOTH:
        return found.carriers(LIMIT)
    if show == SETS:
        own = found.sets(LIMIT)
        return own + found.near_sets(LIMIT - len(own))
    return found.towards(LIMIT) if show == TOWARDS else found.away(LIMIT)


def _left_out(view: View, query: SearchQuery) -> Markup:
    hidden = int((~view.passing.either).sum())
    return sieve.line(view, "search", query.params(), query.above, hidden)


def _explained(show: str, found: TextSearch) -> str:
    several = len(found.terms) > 1
    what = "the combined text" if several else "the text"
    return {
        TOWARDS: f"Neurons whose direction in the joint space is nearest to {what}, by cosine.",
        AWAY: f"Neurons whose direction points most strongly away from {what}, by cosine.",
        SETS: "Neurons whose sparse set of concepts holds "
        + ("texts of the query, by the signed sum of their weights" if several else "the text")
        + "; behind them those that hold a near text, by its weight times its cosine.",
        LABELS: "Neurons with the most top pictures whose label or keywords are "
        + ("every added text: by the smallest of the counts" if several else "the text")
        + ". Embeddings play no part in it. The pictures are those of that end.",
        BOTH: "Neurons that stand for every added text at the same end of their direction: by the "
        "smallest of the texts' cosines"
        + (", minus what they carry of the removed texts" if found.signs.min() < 0 else "")
        + ". The pictures are those of that end.",
    }[show]


def _asked_back(
    view: View, query: SearchQuery, terms: Sequence[Term], meant: Mapping[Term, Sequence[str]]
) -> Markup:
    def way(shown: str, changed: Sequence[Term], css: str) -> Markup:
        asked = replace(query, text=format_query(changed), page=1)
        return anchor("search", {"bundle": view.key} | asked.params(), shown, css)

    return did_you_mean(terms, meant, way)


def _near_texts(view: View, found: TextSearch) -> Markup:
    own = [chips(_own(view, found)), embedded_live(found)]
    if any_far(found):
        return joined(own)
    shown, others = (found.near_texts(most, seen) for seen, most in NEAR.items())
    near = [
        caption(
            "Near texts of the dictionary that pictures show, with their cosine. Each opens its "
            "concept page."
        ),
        chips([text_chips(view, shown)]),
    ]
    if others:
        near += [caption("Near texts that no picture shows:"), chips([text_chips(view, others)])]
    return joined(own + near)


def _own(view: View, found: TextSearch) -> Iterator[Markup]:
    """Show the query's texts; one known by another number or spelling names what was written."""
    for term, written, place in zip(found.terms, found.written, found.places, strict=True):
        other = term.text.casefold() != written.casefold()
        said = "embedded live" if place < 0 else f"for “{written}”" if other else ""
        sign = "−" if term.sign < 0 else ""
        shown: list[Child] = [sign, tag("b", term.text), [" ", muted(said)] if said else ""]
        yield concept_link(view, term.text, shown)


def _start(view: View, query: SearchQuery) -> Markup:
    """Say what to try, from the bundle's own texts."""
    asked = (SearchQuery(text=text, of=query.of) for text in texts.example_queries(view))
    tries = (
        anchor("search", {"bundle": view.key} | query.params(), query.text, "chip")
        for query in asked
    )
    said = caption(
        "A word or a phrase finds the neurons that stand for it. “+” between texts finds neurons "
        "that carry all of them, “−” removes one; a text in quotation marks is taken as it is "
        "written. One that is not in the dictionary is embedded with the model."
    )
    return joined([said, tag("h2", "For example"), chips(tries)])


# --- a picture ------------------------------------------------------------------------------------


def _picture(page: Page, query: SearchQuery) -> None:
    view = page.view
    kept = {**replace(query, image=None, page=1).params(), "mode": PICTURE}
    chosen = picture_choice.picker(page, query.image, kept)
    if chosen is None:
        frame.draw(
            caption(
                "Choose a picture: every neuron, or pair of one with a head, is then ranked by its "
                "second-order effect on it."
            )
        )
        return
    try:
        effects = chosen.effects(view)
    except InputError as error:
        frame.draw(notice(str(error)))
        return
    show = AWAY if query.show == AWAY else TOWARDS
    frame.draw(_chosen(page, query, chosen, show))
    if query.of == HEADS:
        pairs.of_picture(page, query, chosen, show)
        return
    relative = relative_effects(view.bundle, effects)
    frame.draw(_left_out(view, query))
    scores = effects if query.by == EFFECT else np.where(view.silent, 0, relative)
    if query.above:
        scores = np.where(view.passing.either, scores, 0)
    hits = ranked(scores, 1 if show == TOWARDS else -1)
    paged(
        page,
        query,
        hits,
        lambda shown: hit_cards(view, shown, lambda h: _effect_note(effects, relative, h.row)),
    )


def ranked(scores: NDArray[np.float32], sign: int, most: int = LIMIT) -> list[Hit]:
    """Return the neurons with the strongest scores of one sign, strongest first."""
    best = np.argsort(-sign * scores, kind="stable")[:most]
    return [Hit(int(row), float(scores[row])) for row in best if sign * scores[row] > 0]


def _chosen(page: Page, query: SearchQuery, chosen: ChosenPicture, show: str) -> Markup:
    view = page.view
    here = {"bundle": view.key, **replace(query, page=1).params()}
    kinds = {TOWARDS: "Pushed along", AWAY: "Pushed against"}
    kept = (
        "The address holds this picture."
        if chosen.image >= 0
        else "Your picture stays in this session: the address cannot hold it."
    )
    what = "Pairs" if query.of == HEADS else "Neurons"
    said = caption(
        f"{what} by the second-order effect of this picture along their own direction, minus its "
        f"mean over all pictures, in units of the output before normalisation. {kept}"
    )
    ways = actions(
        choices("search", "Which neurons", kinds, show, "show", **here),
        choices("search", "Order", BY, query.by, "by", **here),
    )
    return tag(
        "div",
        tag("div", chosen.shown(view), css="frame"),
        tag("div", tag("h2", chosen.name), said, ways),
        css="chosen",
    )


def _effect_note(effects: NDArray[np.float32], relative: NDArray[np.float32], row: int) -> Markup:
    size = glossary.effect(float(effects[row]))
    times = glossary.signed(float(relative[row]))
    return match(tag("b", "effect"), f" {size} · {times} × its typical effect")

"""The Search page's neurons and heads: pairs by texts or by a picture, the claims among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from explorer.bundle.pair_directions import pair_directions
from explorer.bundle.pairs import Pair, pair_at
from explorer.search import TextSearch
from explorer.search.pairs import PairHit, PairSearch, above_chance
from explorer.ui.address.address import ABOVE
from explorer.ui.address.search_query import (
    AWAY,
    EFFECT,
    OF_HEADS,
    RANKS,
    SETS,
    SHOWN,
    TOWARDS,
    TRUSTED,
    SearchQuery,
)
from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.html.cards import cards, match
from explorer.ui.html.elements import Child, caption, joined, notice, tag
from explorer.ui.html.links import actions, anchor, choices
from explorer.ui.html.pair_cards import pair_card
from explorer.ui.search.results import LIMIT, NOTHING_FOUND, paged
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets.picture_choice import ChosenPicture

BY_WEIGHTS = (
    "A pair is a neuron and a later head that carries much of it; what it adds is one direction, "
    "known from the model’s weights. "
)
BY_TEXTS = (
    "A pair is a neuron and a later head that carries much of it. This bundle has no weights of "
    "its own to know the pair’s direction from, so the weighted sum of its texts stands for it. "
)
SAID = {
    TOWARDS: "First those nearest to the query, by cosine.",
    AWAY: "First those that point most strongly away from the query, by cosine.",
    SETS: "Those whose sparse set holds the query’s texts, by the signed sum of their weights.",
}
TRUST_SAID = (
    " The order weighs this by how well the pair’s pictures show the text: the chance that one of "
    "them lies nearer to it than a random one. 50 % is guessing and counts for nothing."
)


def of_texts(page: Page, query: SearchQuery, search: TextSearch) -> None:
    """Draw the pairs that texts lead to."""
    view, trusted = page.view, query.rank == TRUSTED
    sieved = query.above and bool(above_chance(view.bundle).any())
    found = PairSearch(search, trusted=trusted, above=sieved)
    show = query.show or TOWARDS
    hits = {TOWARDS: found.towards, AWAY: found.away, SETS: found.sets}[show](LIMIT)
    here = {"bundle": view.key} | replace(query, page=1).params()
    kinds = {key: SHOWN[key] for key in OF_HEADS}
    said = BY_WEIGHTS if found.directions.exact else BY_TEXTS
    frame.draw(
        actions(
            choices("search", "Which pairs", kinds, show, "show", **here),
            choices("search", "Ranking", RANKS, query.rank, "rank", **here),
        ),
        caption(f"{said}{SAID[show]}{TRUST_SAID if trusted else ''}"),
    )
    _drawn(page, query, hits, lambda hit, pair: _found_by(found, hit, pair))


def _found_by(found: PairSearch, hit: PairHit, pair: Pair) -> Markup:
    """Say how a pair was found, with every score it has."""
    marks: list[Child] = [
        [tag("b", "direction"), f" {glossary.signed(float(found.cosines[hit.number]))}"],
        [tag("b", "pictures"), f" {glossary.share(float(found.shown[hit.number]))}"],
    ]
    wanted = {term.text for term in found.search.terms}
    held = [f"{text} {glossary.signed(weight)}" for text, weight in pair.texts if text in wanted]
    if held:
        marks.append([tag("b", "set"), f" {', '.join(held)}"])
    return match(joined(marks, " · "))


def of_picture(page: Page, query: SearchQuery, chosen: ChosenPicture, show: str) -> None:
    """Draw the pairs that a picture moves most, along their directions or against them.

    Raises:
        InputError: when the picture cannot be read, or the model cannot be loaded.
    """
    bundle = page.view.bundle
    effects = chosen.pair_effects(page.view)
    places = pair_directions(bundle)
    relative = _relative(page.view, effects)
    scores = effects if query.by == EFFECT else relative
    passing = above_chance(bundle)
    if query.above and passing.any():
        scores = np.where(passing, scores, 0)
    sign = 1 if show == TOWARDS else -1
    hits = [
        PairHit(int(places.rows[n]), int(places.places[n]), int(n), float(scores[n]))
        for n in np.argsort(-sign * scores, kind="stable")[:LIMIT]
        if sign * scores[n] > 0
    ]
    _drawn(page, query, hits, lambda hit, pair: _effect_note(effects, relative, hit))


def _relative(view: View, effects: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return effects in units of each pair's typical effect, 0 where it has none: [pair]."""
    bundle, own = view.bundle, pair_directions(view.bundle)
    paths = np.asarray(bundle.pair_paths)[own.rows, own.places]
    scales = (
        np.asarray(bundle.pair_sizes)[own.rows, paths]
        * np.asarray(bundle.pair_deviations)[own.rows, paths]
    )
    found: NDArray[np.float32] = np.zeros_like(effects)
    np.divide(effects, scales, out=found, where=scales > 0)
    return found


def _effect_note(
    effects: NDArray[np.float32], relative: NDArray[np.float32], hit: PairHit
) -> Markup:
    size = glossary.effect(float(effects[hit.number]))
    times = glossary.signed(float(relative[hit.number]))
    return match(tag("b", "effect"), f" {size} · {times} × its typical effect")


def _drawn(
    page: Page,
    query: SearchQuery,
    hits: Sequence[PairHit],
    note: Callable[[PairHit, Pair], Markup],
) -> None:
    """Draw a page of pairs, and what is left out."""
    view = page.view
    passing = above_chance(view.bundle)

    def card(hit: PairHit) -> Markup:
        pair = pair_at(view.bundle, hit.row, hit.place)
        return pair_card(view, hit.row, pair, note(hit, pair))

    frame.draw(_sieve(view, query, passing))
    paged(page, query, hits, lambda shown: cards(map(card, shown)), NOTHING_FOUND)


def _sieve(view: View, query: SearchQuery, passing: NDArray[np.bool_]) -> Markup:
    """Say whether pairs that are no more than chance are left out, with a link to the other way."""
    if not passing.any():
        said = (
            f"None of this bundle’s {len(passing):,} pairs has words that are above chance, so all "
            "are shown: read their numbers and pictures, not their names."
        )
        return notice(said) if query.above else caption(said)
    here = {"bundle": view.key} | replace(query, page=1).params()
    stay = {"data_stay": True}
    if query.above:
        return caption(
            f"Only what is above chance: {int((~passing).sum()):,} pairs whose words are no more "
            "than chance left out. ",
            anchor("search", here | {ABOVE: "0"}, "Show all", marks=stay),
        )
    return caption(
        "Pairs whose words are no more than chance are among them. ",
        anchor("search", here | {ABOVE: "1"}, "Show only those above chance", marks=stay),
    )

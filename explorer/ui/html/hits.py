"""How a search found a neuron, in one line on its card."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import Markup

from explorer.search import Hit, TextSearch
from explorer.search.meaningless import best_by_chance
from explorer.ui.core import glossary
from explorer.ui.data.grouping import NEGATIVE, POSITIVE
from explorer.ui.data.loaders import View
from explorer.ui.html.cards import card, cards, match
from explorer.ui.html.elements import Child, joined, tag

TRUST_SAID = (
    "The order weighs this by how well the neuron’s pictures show the text: the chance that one of "
    "its top pictures lies nearer to it than a random one. 50 % is what one neuron gets by "
    "guessing, and counts for nothing."
)


def best_by_chance_said(view: View) -> str:
    """Say what the best of all neurons reaches for a text that means nothing."""
    best = best_by_chance(view.bundle)
    return (
        f"The best neuron for a meaningless text reaches about {glossary.signed(best.cosine)} and "
        f"{glossary.share(best.shown)}."
    )


def hit_cards(
    view: View, hits: Sequence[Hit], note: Callable[[Hit], Markup], small: bool = False
) -> Markup:
    """Lay out the neurons that were found, each with the pictures of the end that was."""
    return cards(
        (
            card(view, h.row, note(h), small=small, end=NEGATIVE if h.end < 0 else POSITIVE)
            for h in hits
        ),
        small=small,
    )


def found_by(found: TextSearch, hit: Hit) -> Markup:
    """Say how a neuron was found, with every score it has."""
    marks: list[Child] = []
    if hit.end:
        end = "positive" if hit.end > 0 else "negative"
        texts = ", ".join(f"{text} {glossary.signed(cosine)}" for text, cosine in hit.found)
        marks.append([tag("b", "all"), f" {glossary.number(hit.score)} at its {end} end: {texts}"])
    marks.append([tag("b", "direction"), f" {glossary.signed(float(found.cosines[hit.row]))}"])
    (nearer,) = found.shown(np.array([hit.row])).tolist()
    shown = glossary.share(1 - nearer if hit.end < 0 else nearer)
    marks.append([tag("b", "pictures"), f" {shown}"])
    held = [
        f"{term.text} {glossary.signed(float(weight))}"
        for term, weight in zip(found.terms, found.text_weights[hit.row], strict=True)
        if weight
    ]
    near = [] if hit.end or held else [f"{t} {glossary.signed(w)}" for t, w in hit.found]
    if held or near:
        marks.append([tag("b", "set"), f" {', '.join(held or near)}"])
    return match(joined(marks, " · "))


def labels_note(found: TextSearch, hit: Hit) -> Markup:
    """Say in how many of its top pictures each text is named."""
    side = POSITIVE if hit.end > 0 else NEGATIVE
    pictures = int((found.bundle.top_images[hit.row, side] >= 0).sum())
    end = "" if hit.end > 0 else " of its negative end"
    said = ", ".join(f"{text} {count:.0f}" for text, count in hit.found)
    return match(tag("b", "labels"), f" {said} of {pictures}{end}")

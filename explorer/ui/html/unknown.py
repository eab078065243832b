"""What is said of a text that the dictionary lacks: what may be meant, and what is near it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from markupsafe import Markup

from explorer.search import TextSearch
from explorer.search.familiar import Neighbour
from explorer.search.query import Term
from explorer.ui.core import glossary
from explorer.ui.html.elements import caption, joined, tag
from explorer.ui.html.links import actions, chips

Way = Callable[[str, Sequence[Term], str], Markup]
"""A link from its text, the terms it leads to, and its classes."""


def did_you_mean(terms: Sequence[Term], meant: Mapping[Term, Sequence[str]], way: Way) -> Markup:
    """Ask what was meant, before the model embeds anything; every answer is an address."""

    def other(term: Term, text: str) -> list[Term]:
        return [replace(t, text=text) if t == term else t for t in terms]

    asked = (
        [
            tag("p", f"“{term.text}” is not in the dictionary. Did you mean:"),
            chips(way(text, other(term, text), "chip") for text in texts),
        ]
        for term, texts in meant.items()
    )
    exact = [replace(term, exact=True) if term in meant else term for term in terms]
    written = way("Search for it as it is written", exact, "button")
    why = caption("The model then embeds it. Quotation marks around a text ask for the same.")
    return tag("div", joined(asked), actions(written), why, css="empty asked", role="status")


def embedded_live(found: TextSearch) -> Markup:
    """Say of every text outside the dictionary how near the nearest text in it is."""
    return joined(
        tag("p", _near(found, number, near), css="notice" if near.far else "caption")
        for number, near in _neighbours(found).items()
    )


def any_far(found: TextSearch) -> bool:
    """Return whether some text of the query may mean nothing to the model."""
    return any(near.far for near in _neighbours(found).values())


def _neighbours(found: TextSearch) -> dict[int, Neighbour]:
    return {n: found.neighbour(n) for n, place in enumerate(found.places) if place < 0}


def _near(found: TextSearch, number: int, near: Neighbour) -> str:
    said = (
        f"“{found.terms[number].text}” is not in the dictionary: the model has just embedded it. "
        f"The nearest text that is there is “{found.bundle.texts[near.row]}”, cosine "
        f"{glossary.number(near.cosine)} without what all texts share; random letters reach up to "
        f"{glossary.number(near.letters)}."
    )
    if near.never:
        words = ", ".join(f"‘{word}’" for word in near.never)
        whose = "its" if len(near.never) == 1 else "their"
        what = f"what follows is what it makes of {whose} letters"
        return f"The model was never shown {words}: {what}. {said}"
    if near.far:
        return f"{said} What follows may be no more than what the model makes of its letters."
    return said

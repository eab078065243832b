"""What stands beside the map of a text: its colour's scale, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from explorer.palette import COLOURS
from explorer.ui.core import glossary
from explorer.ui.html.elements import NOTHING, joined, muted, notice, tag
from explorer.ui.html.pictures import dot

ALMOST_ALL = 0.995


def swatch(place: int, text: str) -> Markup:
    """Show a text with its colour."""
    return tag("span", dot(), text, css=f"c{place % len(COLOURS)} key")


def map_caption(place: int, text: str, end: float, opacity: int, confidence: float) -> Markup:
    """Show a text, its colour's scale from 0 to `end`, and how it stands in the dictionary."""
    scale = tag(
        "span",
        tag("span", "0", css="num"),
        tag("i"),
        tag("span", glossary.effect(end), css="num"),
        css=f"scale c{place % len(COLOURS)}",
        style=f"--most:{opacity}%",
    )
    return joined([swatch(place, text), scale, muted(ahead(confidence))])


def ahead(confidence: float) -> str:
    """Say how a text stands among the dictionary's in the picture."""
    most = "over 99 %" if confidence >= ALMOST_ALL else glossary.share(confidence)
    return f"ahead of {most} of the dictionary"


def doubts(texts: Sequence[str]) -> Markup:
    """Say in one sentence which texts the picture may not show; nothing where there are none."""
    return notice(doubt(texts)) if texts else NOTHING


def doubt(texts: Sequence[str]) -> str:
    """Return the sentence of `doubts` about one text or more."""
    named = ", ".join(f"“{text}”" for text in texts)
    many = "are" if len(texts) > 1 else "is"
    return (
        f"Low confidence: {named} {many} not much nearer to this picture than many other texts, so "
        "the map may mean nothing."
    )

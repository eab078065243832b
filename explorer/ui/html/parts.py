"""The pieces as strings, for pages that write their HTML by hand still; goes with the last one.

New code takes `elements`, `links`, `pictures` and `cards`, and draws `Markup`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from explorer.ui.data.grouping import strongest
from explorer.ui.data.loaders import View
from explorer.ui.html import cards as _cards
from explorer.ui.html import elements, links, pictures
from explorer.ui.html.pictures import picture_source

__all__ = ["picture_source", "strongest"]


def _raw(html: str) -> Markup:
    return Markup(html)  # noqa: S704  escaped by the page itself


def link(page: str, text: str, /, css: str = "", rel: str = "", marks: str = "", **p: Any) -> str:
    """`links.link`; `text` and `marks` are HTML."""
    named = {name: value for name, value in re.findall(r'([\w-]+)="([^"]*)"', marks)}
    return str(links.link(page, _raw(text), css=css, rel=rel or None, marks=named, **p))


def pager(page: str, number: int, pages: int, /, **params: Any) -> str:
    """`links.pager`."""
    return str(links.pager(page, number, pages, **params))


def card(view: View, row: int, note: str = "", **named: Any) -> str:
    """`cards.card`; `note` is HTML."""
    return str(_cards.card(view, row, _raw(note), **named))


def cards(items: Iterable[str], small: bool = False) -> str:
    """`cards.cards`."""
    return str(_cards.cards(map(_raw, items), small))


def figures(items: Iterable[tuple[str, str, str]]) -> str:
    """`elements.figures`."""
    return str(elements.figures(items))


def notice(sentence: str) -> str:
    """`elements.notice`."""
    return str(elements.notice(sentence))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """`elements.table`."""
    return str(elements.table(head, rows, right))


def image(*args: Any) -> str:
    """`pictures.image`."""
    return str(pictures.image(*args))


def strip(*args: Any, **named: Any) -> str:
    """`pictures.strip`."""
    return str(pictures.strip(*args, **named))


def tiles(*args: Any) -> str:
    """`pictures.tiles`."""
    return str(pictures.tiles(*args))


def legend(*args: Any) -> str:
    """`cards.legend`."""
    return str(_cards.legend(*args))

"""Notes, and the cards of models: Markdown to HTML that cannot do anything but be read.

Raw HTML stays text, pictures are not fetched (they would tell the author who reads it), links lead
to web and mail addresses only. Headings stand below those of the page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

TOP_HEADING = 3
_LINK = re.compile(r"(https?://|mailto:)[^\x00-\x20]+", re.IGNORECASE)
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>&~:$])")


def to_html(note: str) -> Markup:
    """Return a note as HTML."""
    return Markup(_markdown().render(note))  # noqa: S704  the renderer escapes HTML


def to_text(note: str) -> str:
    """Return a note's words on one line, without its markup."""
    inline = (token.children or [] for token in _markdown().parse(note) if token.type == "inline")
    lines = ("".join(_words(child) for child in children) for children in inline)
    return " ".join(" ".join(lines).split())


def _words(token: Token) -> str:
    return " " if token.type in {"softbreak", "hardbreak"} else token.content


def literal(text: str) -> str:
    """Return a text as Markdown that shows it as it is written."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


@cache
def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    markdown.validateLink = lambda url: bool(_LINK.fullmatch(url))  # type: ignore[method-assign]
    markdown.add_render_rule("heading_open", _heading)
    markdown.add_render_rule("heading_close", _heading)
    markdown.add_render_rule("link_open", _link)
    return markdown


def _heading(
    self: RendererHTML, tokens: Sequence[Token], place: int, options: Any, _env: Any
) -> str:
    token = tokens[place]
    token.tag = f"h{min(int(token.tag[1:]) + TOP_HEADING - 1, 6)}"
    return self.renderToken(tokens, place, options, {})


def _link(self: RendererHTML, tokens: Sequence[Token], place: int, options: Any, _env: Any) -> str:
    tokens[place].attrSet("rel", "noopener noreferrer nofollow")
    return self.renderToken(tokens, place, options, {})

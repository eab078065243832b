"""HTML that cannot hold an unescaped text: elements are made, never written.

Whatever is put into an element is escaped, unless it is `Markup`, which only these functions and
literal templates make (ruff's S704 refuses `Markup` of anything but a literal). What a page draws
must be `Markup`, so a forgotten escape is a type error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

Child = str | Iterable["Child"]
"""A text, which is escaped, `Markup`, which is not, or any number of them."""

Value = str | float | bool | None
"""Of an attribute."""

NOTHING = Markup("")
_EMPTY = ("img", "hr", "br")  # elements without an end
_ENDS = dict.fromkeys("\u202a\u202b\u202d\u202e", "\u202c") | dict.fromkeys(
    "\u2066\u2067\u2068", "\u2069"
)
"""What turns the direction of text -> what ends that, by Unicode's bidirectional algorithm."""
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")


def tag(name: str, /, *children: Child, css: Value = None, **attributes: Value) -> Markup:
    """Make an element.

    Args:
        name: such as `div`.
        children: what is inside, in this order.
        css: its classes.
        attributes: by name, `_` for `-`; True: without a value; None, False: left out.
    """
    marks = _attribute("class", css or None)
    marks += "".join(_attribute(key, value) for key, value in attributes.items())
    end = "" if name in _EMPTY else f"{joined(children)}</{name}>"
    return Markup(f"<{name}{marks}>{end}")  # noqa: S704  made of escaped pieces alone


def _attribute(name: str, value: Value) -> str:
    if value is None or value is False:
        return ""
    shown = "" if value is True else escape(value)
    return f' {name.rstrip("_").replace("_", "-")}="{shown}"'


def joined(children: Iterable[Child], between: str = "") -> Markup:
    """Put several after one another; texts among them are escaped."""
    pieces = (_escaped(c) if isinstance(c, str) else joined(c) for c in children)
    return Markup(str(escape(between)).join(pieces))  # noqa: S704  the same


def closed(text: str) -> str:
    """Return a text that turns nothing behind it: each change of direction in it has its end."""
    ends: list[str] = []
    for sign in _TURNS.findall(text):
        if sign in _ENDS:
            ends.append(_ENDS[sign])
        elif sign in ends:
            del ends[len(ends) - 1 - ends[::-1].index(sign) :]
    return text + "".join(reversed(ends))


def _escaped(text: str) -> Markup:
    return text if isinstance(text, Markup) else escape(closed(text))


def block(*children: Child, css: str = "") -> Markup:
    """Return the block that everything is drawn in; it carries the app's typography."""
    return tag("div", children, css=f"lens {css}".rstrip())


def caption(*children: Child, css: str = "") -> Markup:
    """Make a paragraph of explanation in small print."""
    return tag("p", children, css=f"caption {css}".rstrip())


def muted(*children: Child, num: bool = False) -> Markup:
    """Make a grey piece of text; `num`: a figure."""
    return tag("span", children, css="muted num" if num else "muted")


def notice(sentence: str) -> Markup:
    """Make one sentence about something that isn't as asked."""
    return tag("p", sentence, css="notice", role="status")


def figures(items: Iterable[tuple[str, str, str]]) -> Markup:
    """Show headline figures: name, value, one line below.

    Not `st.metric`, as of Streamlit 1.67: below its value there is only a delta, which is cut off
    after some 20 letters, and on a phone each takes a whole line, 135 px high.
    """
    return tag(
        "div",
        (
            tag(
                "div",
                tag("div", name, css="name"),
                tag("div", value, css="value"),
                tag("div", why, css="why"),
            )
            for name, value, why in items
        ),
        css="figures",
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> Markup:
    """Make a plain table that scrolls by itself where it is too wide.

    Columns in `right` are numbers.
    """

    def line(name: str, texts: Sequence[str]) -> Markup:
        cells = (tag(name, text, css="right" if i in right else "") for i, text in enumerate(texts))
        return tag("tr", cells)

    body = (line("td", row) for row in rows)
    return tag(
        "div",
        tag("table", tag("thead", line("th", head)), tag("tbody", body)),
        css="scroll",
        tabindex=0,  # so that keys can scroll it
    )


def command(text: str) -> Markup:
    """Show a command to copy; keys can scroll it."""
    return tag("pre", tag("code", text), tabindex=0)

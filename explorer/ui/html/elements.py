"""HTML that cannot hold an unescaped text: elements are made, never written.

Whatever is put into an element is escaped, unless it is `Markup`, which only these functions and
literal templates make (ruff's S704 refuses `Markup` of anything but a literal). What a page draws
must be `Markup`, so a forgotten escape is a type error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

Child = str | Iterable["Child"]
"""A text, which is escaped, `Markup`, which is not, or any number of them."""

Value = str | float | bool | None
"""Of an attribute."""

NOTHING = Markup("")
_EMPTY = ("img", "hr", "br")  # elements without an end


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
    pieces = (escape(c) if isinstance(c, str) else joined(c) for c in children)
    return Markup(str(escape(between)).join(pieces))  # noqa: S704  the same


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

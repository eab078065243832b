"""Texts that would be markup if a page forgot to escape them."""

from __future__ import annotations

from html.parser import HTMLParser

HOSTILE = """<script>alert("x")</script> & 'quoted'"""


class Read(HTMLParser):
    """What a browser would make of HTML: elements, attributes and the text between them."""

    def __init__(self, html: str) -> None:
        """Read a page or a piece of one."""
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_harmless(html: str, *, shown: int = 1) -> None:
    """Check that `HOSTILE` is read as a text at least `shown` times and never as markup."""
    read = Read(html)
    assert "script" not in read.elements
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    assert "& 'quoted" not in html, "an ampersand stands unescaped"
    assert HOSTILE not in html
    values = [value or "" for _, value in read.attributes]
    assert read.text.count(HOSTILE) + sum(HOSTILE in value for value in values) >= shown

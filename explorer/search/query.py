"""The query language of text search: several texts with + and −.

    ship + car          both
    dog - cat           the first without the second
    "dot - dash" + red  a quoted phrase is one text, whatever it holds, taken as it is written

An operator is a `+`, `-` or `−` at the beginning of the query or after white space. Inside a word
or at its end it belongs to the text: `t-shirt` and `c++` are one text each. Quotation marks count
at the beginning of a word only, so that `5" disk` needs none. Pure functions, no model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from explorer.errors import InputError

MOST_TEXTS = 8
LONGEST = 200  # characters of a whole query
SIGNS = {"+": 1, "-": -1, "−": -1}
QUOTES = {'"': '"', "“": "”", "„": "“"}

_TOKEN = re.compile(
    r"""\s*(?: (?P<operator>[+\-−]) | (?P<open>["“„]) | (?P<word>\S+) )""", re.VERBOSE
)


@dataclass(frozen=True)
class Term:
    """One text of a query, added (sign 1) or taken away (sign -1)."""

    text: str
    sign: int = 1
    exact: bool = False
    """Whether it stood in quotation marks: no other spelling or number is meant."""


def parse_query(query: str) -> tuple[Term, ...]:
    """Read a query's texts in order: single spaces inside them, accents in one form (NFC).

    Raises:
        InputError: when the query is empty or too long, an operator has no text, a quotation mark
            is left open, or there are more than eight texts; it says what to write.
    """
    query = unicodedata.normalize("NFC", query)
    if not query.strip():
        raise InputError("Give a text to search for.")
    if len(query) > LONGEST:
        raise InputError(f"This query has {len(query)} characters; write one of at most {LONGEST}.")
    terms: list[Term] = []
    sign, words, expecting = 1, list[_Token](), False
    for token in _tokens(query.rstrip()):
        if not token.operator:
            words.append(token)
            continue
        if words:
            terms.append(_term(words, sign))
        elif terms or expecting:
            raise InputError(f"There is no text between two operators in “{query.strip()}”.")
        sign, words, expecting = SIGNS[token.text], [], True
    if not words:
        raise InputError(
            f"There is no text after the last operator in “{query.strip()}”; add one, or put the "
            "sign in quotation marks."
        )
    terms.append(_term(words, sign))
    if len(terms) > MOST_TEXTS:
        raise InputError(f"This query has {len(terms)} texts; combine at most {MOST_TEXTS}.")
    return tuple(terms)


def format_query(terms: Sequence[Term]) -> str:
    """Write texts as a query that `parse_query` reads back, quoted where they need or have it."""
    parts: list[str] = []
    for place, term in enumerate(terms):
        if term.sign < 0:
            parts.append("−")
        elif place:
            parts.append("+")
        parts.append(_quoted(term.text) if term.exact or _special(term.text) else term.text)
    return " ".join(parts)


def _special(text: str) -> bool:
    special = {*SIGNS, *QUOTES}
    return any(word[0] in special for word in text.split())


def _quoted(text: str) -> str:
    opening, closing = ('"', '"') if '"' not in text else ("“", "”")
    return f"{opening}{text}{closing}"


class _Token(NamedTuple):
    """An operator, a word, or a phrase in quotation marks."""

    text: str
    operator: bool = False
    quoted: bool = False


def _term(words: list[_Token], sign: int) -> Term:
    return Term(" ".join(w.text for w in words), sign, all(w.quoted for w in words))


def _tokens(query: str) -> list[_Token]:
    found = []
    place = 0
    while place < len(query):
        token = _TOKEN.match(query, place)
        assert token is not None  # every character but trailing space begins a token
        place = token.end()
        if token["operator"]:
            found.append(_Token(token["operator"], operator=True))
            continue
        if token["word"]:
            found.append(_Token(token["word"]))
            continue
        close = query.find(QUOTES[token["open"]], place)
        if close < 0:
            raise InputError(f"A quotation mark is left open in “{query.strip()}”; close it.")
        phrase = " ".join(query[place:close].split())
        if not phrase:
            raise InputError("There is no text between the quotation marks; write one.")
        found.append(_Token(phrase, quoted=True))
        place = close + 1
    return found

"""Singular, plural and article of English words, by the package `inflect`."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

HELD = 50_000  # words: a new one takes some tenths of a millisecond
NUMBERS = (
    *("one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)


@lru_cache(HELD)
def singular(text: str) -> str:
    """Return a text with its last word made singular; as it is where that word is no plural."""
    return str(_engine().singular_noun(text) or text) if text.strip() else text


@lru_cache(HELD)
def plural(text: str) -> str:
    """Return a text with its last word, taken for a singular, made plural."""
    return str(_engine().plural_noun(text)) if text.strip() else text


def with_article(text: str) -> str:
    """Return a text after "a" or "an", as it sounds; as it is where it begins with a number.

    A number counts things or tells the time: "two hearts", "six thirty".
    """
    if text.split(" ", 1)[0].casefold() in NUMBERS:
        return text
    return str(_engine().a(text)) if text.strip() else text


@cache
def _engine() -> Any:
    import inflect  # takes a second: not before a word needs it

    return inflect.engine()

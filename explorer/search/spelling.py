"""What a text that the dictionary lacks was meant to be, if it looks like a slip of the pen.

Candidates are the texts within three edits in ten letters (optimal string alignment: letters added,
dropped, replaced, or swapped with their neighbour). They are ordered by

    similarity + 0.08 [a picture shows it] + 0.02 Zipf frequency

where the Zipf frequency is log10 of a word's occurrences in a billion (Speer's `wordfreq`), and
only those count that are a hundred times as frequent as what was written: "foxes" and "niche" are
words that this dictionary lacks, not slips. Over 1,000 misspellings from codespell's list of texts
in the dictionary of `picto` that pictures show, the right one comes first in 94 % and among three
in 97 %; of the slips 96 % are asked about, of 600 frequent words that it lacks 3 %.
"""

from __future__ import annotations

from collections.abc import Iterable

from explorer.bundle import Bundle
from explorer.kept import kept
from explorer.search.known import known_row, pictured
from explorer.search.query import Term

SIMILAR = 0.7
PICTURED_GAIN = 0.08
FREQUENCY_GAIN = 0.02
LEAST_GAP = 2.0  # of Zipf frequencies
SHORTEST = 4  # letters: shorter words are near to too many others
SHORTLIST = 12


def slips(bundle: Bundle, terms: Iterable[Term], most: int = 3) -> dict[Term, list[str]]:
    """Return the terms that look like slips, each with what it may mean, likeliest first."""
    unknown = [term for term in terms if known_row(bundle.dictionary, term) is None]
    meant = {term: likely_meant(bundle, term.text, most) for term in unknown if not term.exact}
    return {term: texts for term, texts in meant.items() if texts}


def likely_meant(bundle: Bundle, text: str, most: int = 3) -> list[str]:
    """Return the texts that one outside the dictionary was likely meant to be, likeliest first.

    Of a phrase, every word that no text has is replaced by the likeliest; one phrase at most.
    """
    words = text.split()
    if len(words) == 1:
        return _meant(bundle, text)[:most]
    known = kept(bundle, "words of texts", lambda: _words(bundle))
    fixed = [w if w.casefold() in known else next(iter(_meant(bundle, w)), w) for w in words]
    return [" ".join(fixed)] if fixed != words else []


def _meant(bundle: Bundle, word: str) -> list[str]:
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import extract
    from wordfreq import zipf_frequency

    if len(word) < SHORTEST:
        return []
    near = extract(
        word.casefold(),
        kept(bundle, "folded texts", lambda: [text.casefold() for text in bundle.texts]),
        scorer=OSA.normalized_similarity,
        score_cutoff=SIMILAR,
        limit=SHORTLIST,
    )
    frequencies = {row: zipf_frequency(text, "en") for text, _, row in near}
    written = zipf_frequency(word, "en")
    shown = pictured(bundle)
    merits = {
        row: similar + PICTURED_GAIN * shown[row] + FREQUENCY_GAIN * frequencies[row]
        for _, similar, row in near
        if written == 0 or frequencies[row] - written >= LEAST_GAP
    }
    return [bundle.texts[row] for row in sorted(merits, key=lambda row: -merits[row])]


def _words(bundle: Bundle) -> frozenset[str]:
    return frozenset(word for text in bundle.texts for word in text.casefold().split())

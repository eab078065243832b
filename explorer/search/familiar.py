"""Whether a text that the dictionary lacks means anything to the model, or only its letters do.

A text tower embeds every string, and nonsense comes as near to some text of the dictionary as many
a real word does. So two things are looked at:

1. its words that are *missing*: no text of the dictionary has them, in the singular or the plural,
   and they do not belong to every sentence ("this", "is"). A text without any is familiar, however
   far it lies from single texts;
2. its cosine with the nearest text, which is evidence only above what random letters reach: the
   95th percentile of seeded strings that the same text tower has embedded.

A text with a missing word is *far* where its cosine does not exceed that of random letters. Where
random letters come nearer to a text than half of the dictionary's own texts come to each other, a
high cosine proves nothing either: there, a missing word that is rare in English too makes a text
far, whatever its cosine. That is so of a small model that reads a meaning into letters (`picto`:
random letters 0.71, half of its texts 0.59). A large CLIP tells letters from words, and was shown
far more words than any dictionary of common words has: of it only the cosine is asked.
"""

from __future__ import annotations

import re
import string
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.bundle import Bundle
from explorer.describe.plurals import plural, singular
from explorer.kept import kept
from explorer.search.texts import Embed, text_directions

STRINGS = 128  # of random letters
LENGTHS = (3, 8)  # letters of one, fewest and most
AT_ONCE = 64  # texts that the model embeds in one go
REACHED = 0.95  # share of the strings that a near text comes nearer than
DRAWN = 500  # texts of the dictionary whose neighbours are looked at
SENTENCE = 5.5  # Zipf frequency of a word that says nothing of what a text is about
RARE = 3.0  # Zipf frequency below which a word is not one of the 30,000 most common

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True)
class Neighbour:
    """The known text nearest to one that is not."""

    row: int
    cosine: float
    """Of centred embeddings."""
    letters: float
    """95 of 100 strings of random letters have no text nearer than this."""
    never: tuple[str, ...]
    """Words that the model was never shown, where a high cosine proves nothing."""
    far: bool
    """Whether the text may mean nothing to the model."""


def nearest_known(
    bundle: Bundle, text: str, atom: NDArray[np.float32], embed: Embed | None = None
) -> Neighbour:
    """Return the dictionary's text nearest to one that it lacks, and whether that is near.

    `atom` is the text's centred embedding [embed], unit norm; `embed` takes the place of the
    bundle's model.

    Raises:
        InputError: when the model cannot be loaded.
    """
    cosines = bundle.dictionary.atoms() @ atom
    row = int(cosines.argmax())
    letters = letters_reach(bundle, embed)
    missing = missing_words(bundle, text)
    proves = letters < kept(bundle, "texts reach", lambda: _texts_reach(bundle))
    never = () if proves else tuple(word for word in missing if _frequency(word) < RARE)
    far = bool(never) or bool(missing and cosines[row] <= letters)
    return Neighbour(row, float(cosines[row]), letters, never, far)


def missing_words(bundle: Bundle, text: str) -> list[str]:
    """Return the words of a text that the dictionary has in no form, as they are written."""
    known = kept(bundle, "single words", lambda: _all_words(bundle))
    return [
        word
        for word in dict.fromkeys(_words(text))
        if not known & {word.casefold(), singular(word).casefold(), plural(word).casefold()}
        and _frequency(word) < SENTENCE
    ]


def letters_reach(bundle: Bundle, embed: Embed | None = None) -> float:
    """Return how near random letters come to a text: the 95th percentile of their cosines.

    Measured once; `embed` takes the place of the bundle's model.

    Raises:
        InputError: when the model cannot be loaded.
    """

    def measured() -> float:
        drawn = random_letters(STRINGS)
        parts = [drawn[first : first + AT_ONCE] for first in range(0, STRINGS, AT_ONCE)]
        atoms = np.concatenate([text_directions(bundle, part, embed) for part in parts])
        nearest = (atoms @ bundle.dictionary.atoms().T).max(axis=1)
        return float(np.quantile(nearest, REACHED))

    return kept(bundle, "letters reach", measured)


def random_letters(count: int, seed: int = 0) -> list[str]:
    """Return so many strings of three to eight random letters."""
    rng = np.random.default_rng(seed)
    fewest, most = LENGTHS
    letters = list(string.ascii_lowercase)
    return ["".join(rng.choice(letters, rng.integers(fewest, most + 1))) for _ in range(count)]


def _texts_reach(bundle: Bundle) -> float:
    """Return the median cosine of the dictionary's texts with their nearest neighbour."""
    atoms = bundle.dictionary.atoms()
    drawn = np.random.default_rng(0).permutation(len(atoms))[:DRAWN]
    cosines = atoms[drawn] @ atoms.T
    cosines[np.arange(len(drawn)), drawn] = -1
    return float(np.median(cosines.max(axis=1)))


def _all_words(bundle: Bundle) -> frozenset[str]:
    return frozenset(word.casefold() for text in bundle.texts for word in _words(text))


def _words(text: str) -> list[str]:
    """Return the words of a text, pictographs among them; other signs are none."""
    return [word for part in text.split() for word in _WORD.findall(part) or _pictograph(part)]


def _pictograph(part: str) -> list[str]:
    return [part] if any(unicodedata.category(sign) == "So" for sign in part) else []


def _frequency(word: str) -> float:
    """Return a word's Zipf frequency in English: log10 of its occurrences in a billion."""
    from wordfreq import zipf_frequency

    return float(zipf_frequency(word, "en"))

"""Which text of the dictionary a text stands for, which texts pictures show, and what is near.

A text is known if the dictionary has it, in any case, or has its singular or plural. What a model
makes of an unknown text may be nothing: a text encoder embeds every string. So the nearest known
text is told beside it, by the cosine of centred embeddings, and called far where nine in ten of the
dictionary's own texts have a nearer neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.bundle import Bundle
from explorer.bundle.pictures import picture_words
from explorer.describe.dictionary import TextDictionary
from explorer.describe.plurals import plural, singular
from explorer.kept import kept
from explorer.search.query import Term

NEARER = 0.9  # share of the dictionary's texts with a nearer neighbour, from where on a text is far
DRAWN = 500  # texts of the dictionary whose neighbours say so
SHOWN = ("label", "concept", "keywords")  # columns of the picture table whose words pictures show


@dataclass(frozen=True)
class Neighbour:
    """The known text nearest to one that is not."""

    row: int
    cosine: float
    """Of centred embeddings."""
    usual: float
    """Nine in ten of the dictionary's texts have a neighbour at least as near as this."""

    @property
    def far(self) -> bool:
        """Return whether it is too far to say what the text means to the model."""
        return self.cosine < self.usual


def known_row(dictionary: TextDictionary, term: Term) -> int | None:
    """Return the row of a text, or of its singular or plural unless it is to be taken as it is."""
    row = dictionary.row(term.text)
    if row is not None or term.exact:
        return row
    for other in (singular(term.text), plural(term.text)):
        row = dictionary.row(other)
        if row is not None:
            return row
    return None


def nearest_known(bundle: Bundle, atom: NDArray[np.float32]) -> Neighbour:
    """Return the text of the dictionary nearest to a centred embedding [embed] of unit norm."""
    atoms = bundle.dictionary.atoms()
    cosines = atoms @ atom
    row = int(cosines.argmax())
    return Neighbour(row, float(cosines[row]), kept(bundle, "usual", lambda: _usual(atoms)))


def pictured(bundle: Bundle) -> NDArray[np.bool_]:
    """Return which texts of the dictionary pictures show, by label, concept or keyword: [text].

    All of them where pictures carry no such text.
    """
    return kept(bundle, "pictured", lambda: _pictured(bundle))


def _pictured(bundle: Bundle) -> NDArray[np.bool_]:
    words = frozenset().union(*picture_words(bundle.pictures.table, SHOWN))
    found = np.array([text.lower() in words for text in bundle.texts])
    return found if found.any() else np.ones_like(found)


def _usual(atoms: NDArray[np.float32]) -> float:
    drawn = np.random.default_rng(0).permutation(len(atoms))[:DRAWN]
    cosines = atoms[drawn] @ atoms.T
    cosines[np.arange(len(drawn)), drawn] = -1
    return float(np.quantile(cosines.max(axis=1), 1 - NEARER))

"""Which text of the dictionary a text stands for, and which texts pictures show.

A text is known if the dictionary has it, in any case, or has its singular or plural. What a model
makes of an unknown text may be nothing: see `explorer.search.familiar`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explorer.bundle import Bundle
from explorer.bundle.pictures import picture_words
from explorer.describe.dictionary import TextDictionary
from explorer.describe.plurals import plural, singular
from explorer.kept import kept
from explorer.search.query import Term

SHOWN = ("label", "concept", "keywords")  # columns of the picture table whose words pictures show


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


def pictured(bundle: Bundle) -> NDArray[np.bool_]:
    """Return which texts of the dictionary pictures show, by label, concept or keyword: [text].

    All of them where pictures carry no such text.
    """
    return kept(bundle, "pictured", lambda: _pictured(bundle))


def _pictured(bundle: Bundle) -> NDArray[np.bool_]:
    words = frozenset().union(*picture_words(bundle.pictures.table, SHOWN))
    found = np.array([text.lower() in words for text in bundle.texts])
    return found if found.any() else np.ones_like(found)

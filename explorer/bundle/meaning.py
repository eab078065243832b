"""What a neuron may be called: what of it is more than chance; for every page and every file.

One rule, `title_of`, names a neuron wherever it is named:

1. by its words, where they beat chance: the first texts of its set, as many as gain more than null
   directions' do;
2. else by what its pictures share, where that beats chance, and said as such;
3. else by nothing.

A bundle that was not compared with chance (`Bundle.tested`) gives the heaviest texts, which claim
no meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from explorer.bundle import Bundle
from explorer.kept import kept

Basis = Literal["words", "pictures", "nothing", "untested"]

NAMED = 5
"""Words of a title at most."""
SHARED = 3
"""Words of a title at most that the pictures share."""
AGAINST = "against: "
"""Before words that it points away from, where it points to none."""
NOTHING = "nothing above chance"
SILENT = "no effect"


@dataclass(frozen=True)
class Title:
    """What a neuron may be called, and what that rests on."""

    text: str
    basis: Basis

    @property
    def claims(self) -> bool:
        """Whether it says that the neuron means something; only then may it stand in bold."""
        return self.basis in ("words", "pictures")


@dataclass(frozen=True, eq=False)
class Passing:
    """Which neurons of a bundle are more than chance, [neuron] each; none where it is untested."""

    words: NDArray[np.bool_]
    """Whether words describe it better than chance."""
    drivers: NDArray[np.bool_]
    """Whether its pictures share words more surely than chance."""
    counts: NDArray[np.int64]
    """How many of its first texts do; 0 where its words do not pass."""
    shared: NDArray[np.object_]
    """What its pictures share, with commas between; empty where that does not pass."""

    @property
    def either(self) -> NDArray[np.bool_]:
        """Whether either passes."""
        return self.words | self.drivers


def passing(bundle: Bundle) -> Passing:
    """Return which neurons of a bundle are more than chance."""
    return kept(bundle, "passing", lambda: _passing(bundle))


def _passing(bundle: Bundle) -> Passing:
    table = bundle.neurons
    if not bundle.tested:
        none = np.zeros(len(table), bool)
        return Passing(none, none, none.astype(np.int64), np.full(len(table), "", object))
    words = table["words_pass"].to_numpy(bool)
    shared = table["driven_by"].fillna("").astype(str).to_numpy(object)
    drivers = table["driven_pass"].to_numpy(bool) & (shared != "")
    counts = np.where(words, table["words"].to_numpy(np.int64), 0)
    return Passing(words, drivers, counts, np.where(drivers, shared, ""))


def title_of(bundle: Bundle, row: int, end: int = 1) -> Title:
    """Return what a neuron may be called; see the module.

    `end` is that of its direction, 1 or -1. The negative one is called by words of negative weight;
    which pictures drive a neuron says nothing of it.
    """
    if not bundle.tested:
        text = str(bundle.neurons["concepts"].iloc[row]) or SILENT
        return Title(text if end > 0 else f"{AGAINST}{text}", "untested")
    words = words_of(bundle, row)
    if words:
        towards = [text for text, weight in words if end * weight >= 0][:NAMED]
        away = [text for text, weight in words if end * weight < 0][:NAMED]
        return Title(", ".join(towards) or f"{AGAINST}{', '.join(away)}", "words")
    drivers = drivers_of(bundle, row) if end > 0 else []
    if drivers:
        return Title(f"pictures of {', '.join(drivers[:SHARED])}", "pictures")
    return Title(NOTHING, "nothing")


def words_of(bundle: Bundle, row: int) -> list[tuple[str, float]]:
    """Return the texts of a neuron's set that beat chance, in the pursuit's order, with weights."""
    count = int(passing(bundle).counts[row])
    found = zip(bundle.concept_ids[row, :count], bundle.concept_weights[row, :count], strict=True)
    return [(bundle.texts[int(text)], float(weight)) for text, weight in found if text >= 0]


def told_words(bundle: Bundle, row: int) -> list[tuple[str, float]]:
    """Return the texts that beat chance with the weights that fit the direction without others."""
    texts = [text for text, _ in words_of(bundle, row)]
    weights = fitted(bundle, row, len(texts)) if texts else ()
    return [(text, float(weight)) for text, weight in zip(texts, weights, strict=True)]


def drivers_of(bundle: Bundle, row: int) -> list[str]:
    """Return the words that a neuron's pictures share more surely than chance, surest first."""
    return [word for word in str(passing(bundle).shared[row]).split(", ") if word]


def passed_words(bundle: Bundle, row: int) -> frozenset[str]:
    """Return all words that are more than chance of a neuron, of either kind, in lower case."""
    towards = (text for text, weight in words_of(bundle, row) if weight >= 0)
    return frozenset(word.casefold() for word in (*towards, *drivers_of(bundle, row)))


def fitted(bundle: Bundle, row: int, count: int) -> NDArray[np.float64]:
    """Fit weights of the first `count` texts to a neuron's direction: [count] float64."""
    rows = np.asarray(bundle.concept_ids[row, :count])
    atoms = bundle.dictionary.centre(bundle.text_embeddings[rows]).astype(np.float64)
    direction = np.asarray(bundle.directions[row], np.float64)
    weights: NDArray[np.float64] = np.linalg.lstsq(atoms.T, direction, rcond=None)[0].astype(float)
    return weights

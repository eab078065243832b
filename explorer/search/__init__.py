"""Text search: near texts and pictures, and the neurons that a combination of texts leads to.

Let `e_t` be the unit embedding of text `t`, `m` the mean of the dictionary's embeddings and `a_t`
the centred text, `(e_t - m)` at unit norm: what the sparse descriptions are made of (paper, section
4.2). For texts with signs `s_t` (see `explorer.search.query`)

    a = sum over t of s_t a_t, at unit norm       the combined text, compared with directions
    q = m + sum over t of s_t (e_t - m), likewise what near texts and pictures are searched with

so that of a single text `q` is its embedding. Neurons are found in three ways:

1. by direction: the cosine of `a` and the neuron's direction, towards (positive) or away;
2. by set: the texts' signed weights in the neuron's sparse set; beside it the weight of a near text
   times its cosine with `a`;
3. both, the *polysemy search* for several added texts: a neuron carries all of them at one end of
   its direction `d` (end +1 or -1) by

       max over ends of [ min over added t of end d.a_t  -  max(0, max over taken t of end d.a_t) ]

   and counts only if every added text lies at that end and the result is positive.

Scores are cosines and weights. Where a direction points need not be what the neuron's pictures
show: in a search `by_pictures` the order is that of score times `told`, so that neurons whose
pictures do not show the text come later.

A text is the dictionary's if that has it, its singular or its plural, unless it stands in quotation
marks (see `explorer.search.known`); else it is embedded with the bundle's model. Axes: text neuron
image embed.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from explorer.bundle import Bundle
from explorer.bundle.meaning import title_of
from explorer.describe.agreement import TopWeights, rank_shares
from explorer.errors import InputError
from explorer.kept import kept
from explorer.search.familiar import Neighbour, nearest_known
from explorer.search.known import known_row, pictured
from explorer.search.query import Term, parse_query
from explorer.search.spelling import likely_meant
from explorer.search.texts import Embed, text_embeddings

NEAR_COSINE = 0.4  # between centred texts; one random pair in a hundred reaches it
ROUNDING = 1e-6  # cosines up to here are the rounding of 0
CANCELLED = 1e-3  # norm below which a combination is nothing but rounding
LEAST_WEIGHT = 0.005  # a weight that rounds to nothing is no match
THREADS = min(4, os.cpu_count() or 1)
SHARED = 2**23  # values from which on threads share them
PROBED = 8  # times as many neurons as are listed have their pictures looked at first
CHUNK = 2**18  # values that are multiplied at once: too few for BLAS to wait for a second thread
WIDE = 2**28  # bytes of rows that are kept widened: ten times as fast
ENDS = {1: "positive", -1: "negative"}

Rows = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Hit:
    """A neuron that was found."""

    row: int
    score: float
    found: tuple[tuple[str, float], ...] = ()
    """Texts with their weight in the set, or (polysemy search) their cosine."""
    end: int = 0
    """Polysemy search: the end of the direction where the texts are, 1 or -1."""


@dataclass(frozen=True, eq=False)
class TextSearch:
    """A query with its texts' embeddings; every result is computed when first asked for."""

    bundle: Bundle
    query: str
    terms: tuple[Term, ...]
    """A known text in the dictionary's spelling, whatever `written` has."""
    written: tuple[str, ...]
    """Each text as the query has it."""
    places: tuple[int, ...]
    """Row of each text in the dictionary (see `explorer.search.known`), -1 outside it."""
    embeddings: NDArray[np.float32]
    """[text, embed], unit norm."""
    trusted: bool = False
    """Whether neurons come in the order of score times `told`."""
    among: NDArray[np.bool_] | None = None
    """[neuron]: which neurons may be found; all where it is None."""
    embed: Embed | None = None
    """What takes the place of the bundle's model."""

    @cached_property
    def atoms(self) -> NDArray[np.float32]:
        """The centred texts, [text, embed], unit norm."""
        return self.bundle.dictionary.centre(self.embeddings)

    @cached_property
    def signs(self) -> NDArray[np.float32]:
        """1 for an added text, -1 for one taken away: [text]."""
        return np.array([term.sign for term in self.terms], np.float32)

    @cached_property
    def direction(self) -> NDArray[np.float32]:
        """`a` of the module's equations: [embed], unit norm.

        Raises:
            InputError: when the texts cancel out.
        """
        return _unit(self.signs @ self.atoms, self.query)

    @cached_property
    def embedding(self) -> NDArray[np.float32]:
        """`q` of the module's equations: [embed], unit norm."""
        mean = np.asarray(self.bundle.text_mean, np.float32)
        return _unit(mean + self.signs @ (self.embeddings - mean), self.query)

    @cached_property
    def cosines(self) -> NDArray[np.float32]:
        """Cosine of every neuron's direction with the combined text, [neuron]."""
        cosines: NDArray[np.float32] = self.text_cosines @ self._shares
        return cosines

    @cached_property
    def text_cosines(self) -> NDArray[np.float32]:
        """Cosine of every neuron's direction with each centred text, [neuron, text]."""
        return products(wide(self.bundle, "directions"), self.atoms)

    @cached_property
    def _shares(self) -> NDArray[np.float32]:
        """What the combined text takes of each centred text, [text]."""
        shares: NDArray[np.float32] = self.signs / np.linalg.norm(self.signs @ self.atoms)
        return shares

    @cached_property
    def _image_products(self) -> NDArray[np.float32]:
        """Products of every picture's embedding with each centred text, [image, text]."""
        return products(wide(self.bundle, "image_embeddings"), self.atoms)

    @cached_property
    def _image_ranks(self) -> NDArray[np.float32]:
        """The share of pictures farther from the combined text than each, [image]."""
        return rank_shares(self._image_products @ self._shares)

    def shown(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return how well neurons' pictures show the combined text, [row] in [0, 1].

        The chance that a top picture lies nearer to it than a random one (farther from it, for
        pictures of the negative end); 0.5 is guessing. See `explorer.describe.agreement`.
        """
        return top_weights(self.bundle).agreement(self._image_ranks, rows)

    def told(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return how far above guessing pictures show what the direction says, [row] in [0, 1]."""
        told: NDArray[np.float32] = np.clip(
            np.sign(self.cosines[rows]) * (2 * self.shown(rows) - 1), 0, 1
        )
        return told

    def by_pictures(self) -> TextSearch:
        """Return the same search, with neurons whose pictures show the text first."""
        found = replace(self, trusted=True)
        derived = vars(self).keys() - {field.name for field in fields(self)}
        vars(found).update({name: vars(self)[name] for name in derived})  # computed once
        return found

    @cached_property
    def text_weights(self) -> NDArray[np.float32]:
        """Weight of each text in every neuron's sparse set, 0 where it isn't: [neuron, text]."""
        return self._set_weights(self.places)

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """Signed sum of the texts' weights in every neuron's set, [neuron]."""
        weights: NDArray[np.float32] = self.text_weights @ self.signs
        return weights

    def near_texts(self, top: int, shown: bool) -> list[tuple[int, float]]:
        """Return the nearest of the texts that pictures show, or of the others: rows, cosines.

        The query's own are left out.
        """
        wanted = pictured(self.bundle) == shown
        wanted[[place for place in self.places if place >= 0]] = False
        rows = np.flatnonzero(wanted)
        best = rows[least(-self._nearness[rows], top)]
        return [(int(row), float(self._nearness[row])) for row in best]

    @cached_property
    def _nearness(self) -> NDArray[np.float32]:
        """Cosine of every text of the dictionary with the query, [text]."""
        return products(wide(self.bundle, "text_embeddings"), self.embedding[None])[:, 0]

    def neighbour(self, term: int) -> Neighbour:
        """Return the known text nearest to the query's text of that number."""
        return nearest_known(self.bundle, self.written[term], self.atoms[term], self.embed)

    def texts(self, top: int) -> list[tuple[int, float]]:
        """Return rows and cosines of the texts nearest to the query but the query's own."""
        from explorer.describe.dictionary import search

        ids, scores = search(self.bundle.index, self.embedding, top + len(self.terms))
        near = [
            (int(i), float(s))
            for i, s in zip(ids[0], scores[0], strict=True)
            if i >= 0 and i not in self.places
        ]
        return near[:top]

    def towards(self, top: int) -> list[Hit]:
        """Return the neurons whose direction is nearest to the combined text, nearest first."""
        return self._along(1, top)

    def away(self, top: int) -> list[Hit]:
        """Return the neurons whose direction points most strongly away from the combined text."""
        return self._along(-1, top)

    def sets(self, top: int) -> list[Hit]:
        """Return neurons whose sparse set holds texts of the query, heaviest signed sum first."""
        best = self._heaviest(self.weights)[:top]
        return [Hit(int(r), float(self.weights[r]), self._own_texts(int(r))) for r in best]

    def near_sets(self, top: int, near: int = 12) -> list[Hit]:
        """Return neurons whose set holds one of the `near` nearest texts, but none of the query's.

        The score is that text's weight times its cosine with the combined text (at least 0.4).
        """
        rows, likeness = self._related(near)
        if not rows:
            return []
        weights = self._set_weights(rows)
        weights[np.any(self.text_weights != 0, axis=1)] = 0
        scores = weights * likeness
        places = np.abs(scores).argmax(axis=1)
        strength = np.take_along_axis(scores, places[:, None], axis=1)[:, 0]
        texts = self.bundle.texts
        return [
            Hit(
                int(r),
                float(strength[r]),
                ((texts[rows[places[r]]], float(weights[r, places[r]])),),
            )
            for r in self._heaviest(strength)[:top]
        ]

    def carriers(self, top: int) -> list[Hit]:
        """Return neurons that carry all added texts; [] unless there are two or more."""
        added, taken = (self.text_cosines.T[self.signs == sign] for sign in (1, -1))
        if len(added) < 2:
            return []
        carried = np.stack([added.min(axis=0), -added.max(axis=0)])  # [end, neuron]
        against = np.stack([taken.max(axis=0, initial=0), -taken.min(axis=0, initial=0)])
        scores = np.where(carried > 0, carried - against, 0)
        side = scores.argmax(axis=0)
        strength = scores.max(axis=0)
        best = self._greatest(strength, top)
        return [
            Hit(int(r), float(strength[r]), self._own_cosines(int(r)), 1 - 2 * int(side[r]))
            for r in best
            if strength[r] > ROUNDING
        ]

    def pictures(self, top: int) -> list[tuple[int, float]]:
        """Return numbers and cosines of the corpus pictures nearest to the query, nearest first."""
        images = wide(self.bundle, "image_embeddings")
        scores = products(images, self.embedding[None])[:, 0]
        return [(int(i), float(scores[i])) for i in least(-scores, top)]

    def _along(self, sign: int, top: int) -> list[Hit]:
        """Return the neurons with the strongest cosines of one sign."""
        best = self._greatest(sign * self.cosines, top)
        return [Hit(int(r), float(self.cosines[r])) for r in best]

    def _greatest(self, strength: NDArray[np.float32], top: int) -> NDArray[np.int64]:
        """Return the rows that `strength` [neuron] puts first among those that may be found."""
        rows = np.arange(len(strength)) if self.among is None else np.flatnonzero(self.among)
        if not self.trusted:
            return rows[least(-strength[rows], top)]
        rows = self._within_reach(strength, rows, top)
        return rows[least(-strength[rows] * self.told(rows), top)]

    def _within_reach(
        self, strength: NDArray[np.float32], rows: NDArray[np.int64], top: int
    ) -> NDArray[np.int64]:
        """Leave out the rows that no `told`, at most 1, could bring among the `top`.

        So that the pictures of few of very many neurons are looked at.
        """
        leading = rows[least(-strength[rows], PROBED * top)]
        scores = np.sort(strength[leading] * self.told(leading))
        last = scores[-top] if 0 < top <= len(scores) else 0.0
        return rows[strength[rows] >= last] if last > 0 else rows

    def _heaviest(self, scores: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the rows of scores [neuron] that are no rounding, the heaviest first."""
        strength = np.abs(scores)
        held = strength >= LEAST_WEIGHT
        rows = np.flatnonzero(held if self.among is None else held & self.among)
        strength = strength[rows]
        counted = strength * self.told(rows) if self.trusted else strength
        return rows[np.lexsort((-strength, -counted))]

    def _own_texts(self, row: int) -> tuple[tuple[str, float], ...]:
        pairs = zip(self.terms, self.text_weights[row], strict=True)
        return tuple((term.text, float(weight)) for term, weight in pairs if weight)

    def _own_cosines(self, row: int) -> tuple[tuple[str, float], ...]:
        pairs = zip(self.terms, self.text_cosines[row], strict=True)
        return tuple((term.text, float(cosine)) for term, cosine in pairs)

    def _related(self, near: int) -> tuple[list[int], NDArray[np.float32]]:
        """Return dictionary rows of related texts, and their cosines with the combined text."""
        rows = [row for row, _ in self.texts(near)]
        atoms = self.bundle.dictionary.centre(np.asarray(self.bundle.text_embeddings[rows]))
        likeness = atoms @ self.direction
        kept = likeness >= NEAR_COSINE
        return [row for row, keep in zip(rows, kept, strict=True) if keep], likeness[kept]

    def _set_weights(self, places: tuple[int, ...] | list[int]) -> NDArray[np.float32]:
        """Return weights of dictionary rows in the sparse sets, [neuron, row]."""
        sets = kept(self.bundle, "sets by text", lambda: _sets_by_text(self.bundle))
        weights = np.zeros((sets.shape[0], len(places)), np.float32)
        for column, place in enumerate(places):
            if place >= 0:
                part = slice(sets.indptr[place], sets.indptr[place + 1])
                weights[sets.indices[part], column] = sets.data[part]
        return weights


def top_weights(bundle: Bundle) -> TopWeights:
    """Return what each of the neurons' top pictures counts for, kept with the bundle."""
    return kept(
        bundle,
        "top weights",
        lambda: TopWeights.of(bundle.top_images, bundle.top_effects, bundle.sizes["image"]),
    )


def open_search(bundle: Bundle, query: str, embed: Embed | None = None) -> TextSearch:
    """Read a query and embed its texts; see `explorer.search.texts` for `embed`.

    Raises:
        InputError: when the query cannot be read, or its texts cancel out.
    """
    terms = parse_query(query)
    rows = [known_row(bundle.dictionary, term) for term in terms]
    places = tuple(-1 if row is None else row for row in rows)
    known = tuple(
        term if row is None else replace(term, text=bundle.texts[row])
        for term, row in zip(terms, rows, strict=True)
    )
    written = tuple(term.text for term in terms)
    embeddings = text_embeddings(bundle, [term.text for term in known], embed)
    found = TextSearch(bundle, query.strip(), known, written, places, embeddings, embed=embed)
    _ = found.direction, found.embedding  # refuses texts that cancel out
    return found


def unknown_texts(bundle: Bundle, query: str) -> list[str]:
    """Return the texts of a query that the dictionary lacks, so that the model must embed them.

    Raises:
        InputError: when the query cannot be read.
    """
    terms = parse_query(query)
    unknown = (term.text for term in terms if known_row(bundle.dictionary, term) is None)
    return list(dict.fromkeys(unknown))


def search_text(
    bundle: Bundle, text: str, top: int = 12, embed: Embed | None = None
) -> dict[str, Any]:
    """Return what a query leads to, ready for JSON; at most `top` entries of each kind.

    Keys: `terms`, one outside the dictionary with what may be meant instead (`did_you_mean`), the
    `nearest` known text with its cosine, the one that random `letters` reach, words `never` shown
    to the model, and whether the text is `far` from all that it knows; `texts` near the query that
    pictures show, and `other_texts`; `directions` towards and `away` from it (cosine); `sets`
    that hold its texts and `near_sets` that hold near ones (weight); `both`: neurons that carry
    all of several added texts.

    Raises:
        InputError: when the query cannot be read, or its texts cancel out.
    """
    found = open_search(bundle, text, embed)
    texts = bundle.texts
    return {
        "bundle": bundle.name,
        "text": found.query,
        "in_dictionary": min(found.places) >= 0,
        "terms": [
            {"text": term.text, "written": found.written[number], "sign": term.sign}
            | {"in_dictionary": found.places[number] >= 0}
            | (_unknown(found, number) if found.places[number] < 0 else {})
            for number, term in enumerate(found.terms)
        ],
        "texts": [
            {"text": texts[i], "cosine": _round(s)} for i, s in found.near_texts(top, shown=True)
        ],
        "other_texts": [
            {"text": texts[i], "cosine": _round(s)} for i, s in found.near_texts(top, shown=False)
        ],
        "directions": [_entry(bundle, hit, "cosine") for hit in found.towards(top)],
        "away": [_entry(bundle, hit, "cosine") for hit in found.away(top)],
        "sets": [_entry(bundle, hit, "weight", "weights") for hit in found.sets(top)],
        "near_sets": [_entry(bundle, hit, "score", "weights") for hit in found.near_sets(top)],
        "both": [
            {**_entry(bundle, hit, "score", "cosines"), "end": ENDS[hit.end]}
            for hit in found.carriers(top)
        ],
    }


def _unknown(found: TextSearch, term: int) -> dict[str, Any]:
    near = found.neighbour(term)
    return {
        "did_you_mean": likely_meant(found.bundle, found.terms[term].text),
        "nearest": {"text": found.bundle.texts[near.row], "cosine": _round(near.cosine)},
        "letters": _round(near.letters),
        "never": list(near.never),
        "far": near.far,
    }


def wide(
    bundle: Bundle, name: Literal["directions", "image_embeddings", "text_embeddings"]
) -> Rows:
    """Return stored rows in single precision, kept in memory; as they are stored above `WIDE`."""
    rows: Rows = getattr(bundle, name)
    if rows.size * 4 > WIDE:
        return rows
    return kept(bundle, f"wide {name}", lambda: np.asarray(rows, np.float32))


def _sets_by_text(bundle: Bundle) -> csc_array:
    """Return the weights of all sparse sets by text: [neuron, text] float32."""
    ids, weights = np.asarray(bundle.concept_ids), bundle.concept_weights
    neurons, slots = np.nonzero(ids >= 0)
    places = neurons.astype(np.int32), ids[neurons, slots]
    held = np.asarray(weights[neurons, slots], np.float32), places
    return csc_array(held, shape=(len(ids), len(bundle.texts)))


def products(rows: Rows, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return inner products of stored rows with vectors: [row, vector] float32.

    `rows` is [row, embed], `vectors` [vector, embed]. The rows, float16 and memory-mapped perhaps,
    are widened a chunk at a time, and then taken from the cache for one vector after the other:
    BLAS is faster with each than with a few together. Threads share the chunks of many rows.
    """
    found = np.empty((len(vectors), len(rows)), np.float32)
    step = max(1, CHUNK // rows.shape[1])

    def fill(starts: range) -> None:
        for start in starts:
            part = np.asarray(rows[start : start + step], np.float32)
            for place, vector in enumerate(vectors):
                np.dot(part, vector, out=found[place, start : start + step])

    starts = range(0, len(rows), step)
    if rows.size < SHARED:
        fill(starts)
    else:
        list(_threads().map(fill, [starts[first::THREADS] for first in range(THREADS)]))
    return found.T


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS)


def least(values: NDArray[np.floating[Any]], top: int) -> NDArray[np.int64]:
    """Return the places of the `top` least values, least first, as a stable sort gives them."""
    if not 0 < top < len(values):
        return np.argsort(values, kind="stable")[:top]
    last = np.partition(values, top - 1)[top - 1]
    places = np.flatnonzero(values <= last)
    return places[np.argsort(values[places], kind="stable")][:top]


def _unit(vector: NDArray[np.float32], query: str) -> NDArray[np.float32]:
    norm = float(np.linalg.norm(vector))
    if norm < CANCELLED:
        raise InputError(f"The texts of “{query}” cancel out; combine different ones.")
    unit: NDArray[np.float32] = (vector / norm).astype(np.float32)
    return unit


def _entry(bundle: Bundle, hit: Hit, score: str, texts: str = "") -> dict[str, Any]:
    record, title = bundle.neurons.iloc[hit.row], title_of(bundle, hit.row)
    entry = {
        "layer": int(record["layer"]),
        "neuron": int(record["neuron"]),
        "title": title.text,
        "above_chance": title.claims,
        "concepts": str(record["concepts"]),
        score: _round(hit.score),
    }
    return entry | ({texts: {t: _round(v) for t, v in hit.found}} if texts else {})


def _round(value: float) -> float:
    return round(value, 4)

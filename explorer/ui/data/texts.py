"""Texts of a bundle to start with: those of most weight in its neurons, and queries of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explorer.search import products
from explorer.search.query import Term, format_query
from explorer.ui.data.loaders import View

EXAMPLES = 3  # of each kind
HEAVY = 24


def heavy_texts(view: View) -> list[str]:
    """Return the texts that carry most squared weight in this bundle's sets, heaviest first."""
    return view.held("heavy texts", _heavy_texts)


def _heavy_texts(view: View) -> list[str]:
    bundle = view.bundle
    ids, weights = np.asarray(bundle.concept_ids), np.asarray(bundle.concept_weights, np.float32)
    held = ids >= 0
    mass = np.bincount(ids[held], weights[held] ** 2, minlength=len(bundle.texts))
    mass[~_depicted(view)[:-1]] = 0
    heavy = np.argsort(-mass, kind="stable")[:HEAVY]
    return [bundle.texts[int(row)] for row in heavy if mass[row] > 0]


def example_queries(view: View) -> list[str]:
    """Return queries this bundle answers well: heavy texts, texts of one neuron, near texts."""
    return view.held("search examples", _example_queries)


def _example_queries(view: View) -> list[str]:
    heavy = heavy_texts(view)
    single = [[Term(text)] for text in heavy[:EXAMPLES]]
    plus = [[Term(a), Term(b)] for a, b in carried_together(view)]
    minus = [
        [Term(text), Term(_nearest_text(view, text), -1)] for text in heavy[EXAMPLES : 2 * EXAMPLES]
    ]
    return [format_query(terms) for terms in single + plus + minus]


def carried_together(view: View, most: int = EXAMPLES) -> list[tuple[str, str]]:
    """Return the two heaviest texts of neurons that carry two of different clusters most evenly."""
    bundle = view.bundle
    if bundle.concept_ids.shape[1] < 2:
        return []
    weights = np.asarray(bundle.concept_weights, np.float32)
    weights = np.where(_depicted(view)[np.asarray(bundle.concept_ids)], weights, 0)
    leading = np.argsort(-weights, axis=1, kind="stable")[:, :2]
    ids = np.take_along_axis(bundle.concept_ids, leading, axis=1)
    clusters = np.take_along_axis(bundle.concept_clusters, leading, axis=1)
    least = np.take_along_axis(weights, leading, axis=1)
    apart = (clusters[:, 0] != clusters[:, 1]) & (ids >= 0).all(axis=1) & ~view.silent
    scores = np.where(apart, least[:, 1], 0)
    pairs: list[tuple[str, str]] = []
    for row in np.argsort(-scores, kind="stable"):
        first, second = (bundle.texts[int(place)] for place in ids[row])
        if scores[row] <= 0 or len(pairs) == most:
            break
        if not any({first, second} & set(pair) for pair in pairs):
            pairs.append((first, second))
    return pairs


def _nearest_text(view: View, text: str) -> str:
    """Return the text of the dictionary nearest to another of its texts."""
    embeddings = view.bundle.text_embeddings
    depicted = _depicted(view)[:-1]
    place = view.bundle.dictionary.index_of(text)
    cosines = products(embeddings, np.asarray(embeddings[place], np.float32)[None])[:, 0]
    cosines[place] = -np.inf
    cosines[~depicted] -= 2  # after all that are
    return view.bundle.texts[int(cosines.argmax())]


def _depicted(view: View) -> NDArray[np.bool_]:
    """Return whether each text names a picture, [text + 1]; the last one stands for id -1.

    All texts where none does.
    """
    named = (view.bundle.text_table["source"] == "label").to_numpy()
    return np.append(named if named.any() else np.ones_like(named), False)

"""What is known of one neuron, and which neurons a text leads to; for pages and commands."""

from __future__ import annotations

from typing import Any

import numpy as np

from explorer.bundle import Bundle
from explorer.errors import InputError

MEASURES = (
    "explained_variance",
    "selectivity",
    "polysemy",
    "concept_polysemy",
    "image_polysemy",
    "label_diversity",
    "clusters",
    "threshold",
    "max_norm",
    "scale",
    "positive_share",
    "reconstruction",
)
ENDS = ("positive", "negative")


def neuron_facts(bundle: Bundle, layer: int, neuron: int, top: int = 25) -> dict[str, Any]:
    """Return everything the neuron page shows, ready for JSON.

    ``top`` bounds the pictures of either end and the concepts.

    Raises:
        InputError: the bundle has no such layer or neuron.
    """
    row = bundle.row(layer, neuron)
    record = bundle.neurons.iloc[row]
    return {
        "bundle": bundle.name,
        "layer": int(layer),
        "neuron": int(neuron),
        "dead": is_dead(bundle, row),
        "measures": {name: round(float(record[name]), 5) for name in MEASURES},
        "concepts": concepts_of(bundle, row, top),
        "images": {end: images_of(bundle, row, end, top) for end in ENDS},
        "neighbours": neighbours_of(bundle, row),
    }


def is_dead(bundle: Bundle, row: int) -> bool:
    """Return whether a neuron has no effect that varies, and so no direction."""
    return not np.any(bundle.directions[row])


def concepts_of(bundle: Bundle, row: int, top: int | None = None) -> list[dict[str, Any]]:
    """Return the sparse set of a neuron, heaviest first: text, weight, cluster."""
    ids, weights = bundle.concept_ids[row], bundle.concept_weights[row].astype(np.float32)
    clusters = bundle.concept_clusters[row]
    order = [i for i in np.argsort(-np.abs(weights), kind="stable") if ids[i] >= 0]
    return [
        {
            "text": bundle.texts[int(ids[i])],
            "weight": round(float(weights[i]), 4),
            "cluster": int(clusters[i]),
        }
        for i in order[:top]
    ]


def images_of(bundle: Bundle, row: int, end: str, top: int | None = None) -> list[dict[str, Any]]:
    """Return a neuron's images at one end, strongest first: image, label, effect, cluster."""
    place = ENDS.index(end)
    labels = bundle.pictures.table["label"]
    found = zip(
        bundle.top_images[row, place],
        bundle.top_effects[row, place],
        bundle.top_clusters[row, place],
        strict=True,
    )
    kept = [(int(i), float(e), int(c)) for i, e, c in found if i >= 0]
    return [
        {"image": i, "label": str(labels.iloc[i]), "effect": round(e, 5), "cluster": c}
        for i, e, c in kept[:top]
    ]


def neighbours_of(bundle: Bundle, row: int) -> list[dict[str, Any]]:
    """Return the neurons nearest by direction, nearest first."""
    table = bundle.neurons
    found = zip(bundle.neighbours[row], bundle.neighbour_cosines[row], strict=True)
    return [
        {
            "layer": int(table["layer"].iloc[other]),
            "neuron": int(table["neuron"].iloc[other]),
            "cosine": round(float(cosine), 4),
            "concepts": str(table["concepts"].iloc[other]),
        }
        for other, cosine in found
        if other >= 0
    ]


def search_text(bundle: Bundle, text: str, top: int = 12) -> dict[str, Any]:
    """Return what a text leads to: near texts, neurons that point to it, neurons that name it.

    A text outside the dictionary is embedded with the bundle's model.

    Raises:
        InputError: the text is empty.
    """
    from explorer.dictionary import search  # noqa: PLC0415  FAISS is not needed to browse

    query = text.strip()
    if not query:
        raise InputError("Give a text to search for.")
    dictionary = bundle.dictionary
    try:
        place = dictionary.index_of(query)
        embedding = np.asarray(bundle.text_embeddings[place], np.float32)
    except InputError:
        place = -1
        embedding = _embed(bundle, query)
    ids, scores = search(bundle.index, embedding, top + 1)
    near = [
        {"text": bundle.texts[int(i)], "cosine": round(float(s), 4)}
        for i, s in zip(ids[0], scores[0], strict=True)
        if i >= 0 and i != place
    ]
    return {
        "bundle": bundle.name,
        "text": query,
        "in_dictionary": place >= 0,
        "texts": near[:top],
        "directions": _by_direction(bundle, dictionary.centre(embedding), top),
        "sets": _by_set(bundle, place, top),
    }


def _embed(bundle: Bundle, text: str) -> np.ndarray:
    from explorer.models import encode_texts  # noqa: PLC0415  torch is not needed to browse

    return encode_texts(bundle.load_model(), [text])[0].numpy()


def _by_direction(bundle: Bundle, atom: np.ndarray, top: int) -> list[dict[str, Any]]:
    cosines = bundle.directions.astype(np.float32) @ np.ravel(atom)
    best = np.argsort(-cosines, kind="stable")[:top]
    return [{**_name(bundle, int(r)), "cosine": round(float(cosines[r]), 4)} for r in best]


def _by_set(bundle: Bundle, place: int, top: int) -> list[dict[str, Any]]:
    if place < 0:
        return []
    rows, slots = np.nonzero(bundle.concept_ids == place)
    weights = bundle.concept_weights[rows, slots].astype(np.float32)
    best = np.argsort(-np.abs(weights), kind="stable")[:top]
    return [{**_name(bundle, int(rows[i])), "weight": round(float(weights[i]), 4)} for i in best]


def _name(bundle: Bundle, row: int) -> dict[str, Any]:
    record = bundle.neurons.iloc[row]
    return {
        "layer": int(record["layer"]),
        "neuron": int(record["neuron"]),
        "concepts": str(record["concepts"]),
    }

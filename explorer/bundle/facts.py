"""What is known of one neuron; for pages and commands."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.bundle import Bundle
from explorer.bundle.meaning import title_of
from explorer.bundle.measures import TABLE

ENDS = ("positive", "negative")


def neuron_facts(bundle: Bundle, layer: int, neuron: int, top: int = 25) -> dict[str, Any]:
    """Return everything the neuron page shows, ready for JSON.

    `top` bounds the pictures of either end and the concepts.

    Raises:
        InputError: when the bundle has no such layer or neuron.
    """
    row = bundle.row(layer, neuron)
    record, title = bundle.neurons.iloc[row], title_of(bundle, row)
    return {
        "bundle": bundle.name,
        "layer": int(layer),
        "neuron": int(neuron),
        "title": title.text,
        "title_rests_on": title.basis,
        "dead": is_dead(bundle, row),
        "measures": {
            measure.key: _rounded(record[measure.key]) for measure in TABLE if measure.key in record
        },
        **chance_of(bundle, row),
        "concepts": concepts_of(bundle, row, top),
        "images": {end: images_of(bundle, row, end, top) for end in ENDS},
        "neighbours": neighbours_of(bundle, row),
    }


def _rounded(value: float) -> float | None:
    """Return a measure for JSON, which has no NaN."""
    return None if np.isnan(value) else round(float(value), 5)


def is_dead(bundle: Bundle, row: int) -> bool:
    """Return whether a neuron has no effect that varies, and so no direction."""
    return not np.any(bundle.directions[row])


def chance_of(bundle: Bundle, row: int) -> dict[str, Any]:
    """Return what of a neuron is more than chance; nothing for a bundle that was not tested.

    words: the first texts of its set, as many as gain more than chance; text_p, prediction,
    prediction_p, driven_p: see `explorer.bundle.measures`; driven_by: words that its pictures
    share; above_chance: whether its words or its drivers pass.
    """
    if not bundle.tested:
        return {}
    record = bundle.neurons.iloc[row]
    ids = bundle.concept_ids[row, : int(record["words"])]
    values = {
        key: _rounded(record[key]) for key in ("text_p", "prediction", "prediction_p", "driven_p")
    }
    return {
        "words": [bundle.texts[int(i)] for i in ids if i >= 0],
        **values,
        "driven_by": [word for word in str(record["driven_by"]).split(", ") if word],
        "words_above_chance": bool(record["words_pass"]),
        "driven_above_chance": bool(record["driven_pass"]),
        "above_chance": bool(record["words_pass"] or record["driven_pass"]),
    }


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
            "title": title_of(bundle, int(other)).text,
            "concepts": str(table["concepts"].iloc[other]),
        }
        for other, cosine in found
        if other >= 0
    ]


def relative_effects(bundle: Bundle, effects: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return effects in units of each neuron's typical effect, 0 where it has none: [neuron]."""
    scale = bundle.neurons["scale"].fillna(0).to_numpy(np.float32)
    found: NDArray[np.float32] = np.zeros_like(effects)
    np.divide(effects, scale, out=found, where=scale > 0)
    return found

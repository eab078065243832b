"""Match the neurons of two bundles: by their pictures, and by direction in a shared joint space.

Two bundles of one set of pictures, such as those of a model before and after a fine-tune, are
compared over the pictures that both have, by content. With `T` the top pictures of a neuron, at
the end where they have the stronger effects,

    overlap(a, b) = |T_a and T_b| / |T_a or T_b|

A neuron's match is the neuron of the other bundle, in the same layer, with the largest overlap.
The largest of thousands is never 0, so it is compared with what chance gives: the largest overlap
after the second bundle's top pictures are dealt anew among the neurons of the layer, each neuron
keeping its number of pictures and each picture its number of neurons. Where the texts that both
have lie at the same places, the joint space is shared, and the cosine of directions is told too.

Axes: neuron, image, text, embed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from explorer.bundle import Bundle
from explorer.errors import InputError

SHARED_SPACE = 0.99
"""Mean cosine of the texts' embeddings from which the joint space is one."""
FEWEST = 10
"""Pictures in common, at least."""
NUMBERED = 2.0
"""Times chance that neurons of one number overlap where the numbers mean the same neurons."""


@dataclass(frozen=True, eq=False)
class Matches:
    """The neurons of one bundle beside those of another."""

    rows: NDArray[np.int64]
    """[neuron]: rows of the first bundle, of the layers that both have."""
    best: NDArray[np.int64]
    """[neuron]: the row of the match in the second bundle, -1 where no top picture is shared."""
    overlap: NDArray[np.float32]
    """[neuron]: with the match, 0 to 1."""
    dealt: NDArray[np.float32]
    """[neuron]: what `overlap` would be with the second bundle's top pictures dealt at random."""
    home: NDArray[np.int64]
    """[neuron]: the row in the second bundle of the same layer and number."""
    same: NDArray[np.float32]
    """[neuron]: overlap with the neuron of the same layer and number."""
    cosine: NDArray[np.float32] | None
    """[neuron]: of the two directions of that layer and number; None without a shared space."""
    shown: NDArray[np.bool_]
    """[neuron]: whether it has top pictures that are shared."""
    chance: float
    """Mean overlap of a neuron with another one of its layer drawn at random."""
    pictures: int
    """That both bundles have."""
    layers: list[int]

    @property
    def numbered(self) -> bool:
        """Whether a number means the same neuron in both, as before and after a fine-tune."""
        return bool(self.same.mean() > NUMBERED * self.chance)

    def of_layer(self, layer: int) -> slice:
        """Return the places of a layer's neurons in the arrays."""
        width = len(self.rows) // len(self.layers)
        start = self.layers.index(layer) * width
        return slice(start, start + width)


def match_neurons(first: Bundle, second: Bundle) -> Matches:
    """Match the neurons of the layers that both bundles have.

    Raises:
        InputError: when they share no layer of one width, or hardly a picture.
        BundleError: when one cannot be read.
    """
    layers = [n for n in first.manifest.layers if n in second.manifest.layers]
    width = [
        bundle.manifest.counts["neurons"] // len(bundle.manifest.layers)
        for bundle in (first, second)
    ]
    if not layers or width[0] != width[1]:
        raise InputError(
            f"{first.name} has the layers {first.manifest.layers} of {width[0]} neurons, and "
            f"{second.name} {second.manifest.layers} of {width[1]}: compare bundles that share one."
        )
    keys = [_keys(bundle) for bundle in (first, second)]
    numbers, there = _shared(*keys)
    pictures = int(numbers.max(initial=-1)) + 1
    if pictures < FEWEST:
        raise InputError(
            f"{first.name} and {second.name} share {pictures} pictures: build both from one set."
        )
    parts = []
    for layer in layers:
        rows = first.row(layer, 0) + np.arange(width[0])
        others = second.row(layer, 0) + np.arange(width[0])
        parts.append(
            _layer(_tops(first, rows, numbers), _tops(second, others, there), rows, others)
        )
    found = [np.concatenate(column) for column in zip(*(part[:-1] for part in parts), strict=True)]
    rows, best, overlap, dealt, home, same, shown = found
    chance = float(np.mean([part[-1] for part in parts]))
    return Matches(
        rows, best, overlap, dealt, home, same,
        _cosines(first, second, layers, width[0]), shown, chance, pictures, layers,
    )  # fmt: skip


def _layer(
    own: csr_array, theirs: csr_array, rows: NDArray[np.int64], others: NDArray[np.int64]
) -> tuple[Any, ...]:
    """Return the arrays of `Matches` for one layer, in their order, and the chance overlap."""
    overlap = _overlaps(own, theirs)
    best, most = _largest(overlap)
    off = overlap.sum() - overlap.trace()
    return (
        rows,
        np.where(most > 0, others[best], -1),
        most,
        _largest(_overlaps(own, _dealt(theirs)))[1],
        others,
        overlap.diagonal().astype(np.float32),
        own.sum(axis=1) > 0,
        float(off) / max(1, len(rows) * (len(rows) - 1)),
    )


def _overlaps(own: csr_array, theirs: csr_array) -> csr_array:
    """Return [neuron, neuron]: pictures in both, as a share of those in either."""
    both = (own @ theirs.T).tocoo()
    either = own.sum(axis=1)[both.row] + theirs.sum(axis=1)[both.col] - both.data
    return csr_array((both.data / either, (both.row, both.col)), shape=both.shape)


def _largest(overlap: csr_array) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the place of each row's largest overlap, the first of several, and the overlap."""
    most = overlap.max(axis=1).toarray().ravel().astype(np.float32)
    return np.asarray(overlap.argmax(axis=1)).ravel(), most


def _dealt(tops: csr_array) -> csr_array:
    """Deal the top pictures anew: seeded; what a neuron would hold twice, it holds once."""
    pictures = np.random.default_rng(0).permutation(tops.indices)
    return _once(csr_array((tops.data, pictures, tops.indptr), shape=tops.shape, copy=True))


def _once(tops: csr_array) -> csr_array:
    """Return the array with 1 for each of its entries, however often one is there."""
    tops.sum_duplicates()
    tops.data[:] = 1
    return tops


def _tops(bundle: Bundle, rows: NDArray[np.int64], numbers: NDArray[np.int64]) -> csr_array:
    """Return [neuron, picture]: 1 for each shared picture at the neuron's stronger end."""
    effects = np.abs(bundle.top_effects[rows]).astype(np.float64)
    end = effects.sum(axis=2).argmax(axis=1)
    images = np.take_along_axis(bundle.top_images[rows], end[:, None, None], axis=1)[:, 0]
    shared = np.where(images >= 0, numbers[np.maximum(images, 0)], -1)
    neuron, place = np.nonzero(shared >= 0)
    shape = (len(rows), int(numbers.max(initial=0)) + 1)
    return _once(csr_array((np.ones(len(neuron)), (neuron, shared[neuron, place])), shape=shape))


def _shared(
    own: Sequence[str], theirs: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each picture's number among the shared ones, -1 for none: [image] of each bundle.

    `own` and `theirs` are the hashes of the pictures; copies of a picture have one number.
    """
    there = set(theirs)
    shared = (key for key in dict.fromkeys(own) if key in there)
    numbers = {key: number for number, key in enumerate(shared)}
    first, second = (
        np.array([numbers.get(key, -1) for key in keys], np.int64) for keys in (own, theirs)
    )
    return first, second


def _keys(bundle: Bundle) -> list[str]:
    """Return the hash of each picture of the corpus: [image]."""
    store = bundle.pictures
    return [hashlib.sha256(store.encoded(image)).hexdigest() for image in range(store.corpus_size)]


def _cosines(
    first: Bundle, second: Bundle, layers: list[int], width: int
) -> NDArray[np.float32] | None:
    if first.directions.shape[1] != second.directions.shape[1]:
        return None
    places = {text: row for row, text in enumerate(second.texts)}
    pairs = [(row, places[text]) for row, text in enumerate(first.texts) if text in places]
    if not pairs:
        return None
    own, theirs = np.array(pairs).T
    texts = [
        bundle.text_embeddings[rows].astype(np.float32)
        for bundle, rows in ((first, own), (second, theirs))
    ]
    if (texts[0] * texts[1]).sum(axis=1).mean() < SHARED_SPACE:
        return None
    directions = [
        np.concatenate(
            [bundle.directions[bundle.row(n, 0) : bundle.row(n, 0) + width] for n in layers]
        ).astype(np.float32)
        for bundle in (first, second)
    ]
    found: NDArray[np.float32] = (directions[0] * directions[1]).sum(axis=1)
    return found


def match_facts(first: Bundle, second: Bundle, top: int) -> dict[str, Any]:
    """Return the comparison as one JSON object: layer by layer, and the neurons that changed most.

    Raises:
        InputError: as `match_neurons` does.
        BundleError: as `match_neurons` does.
    """
    found = match_neurons(first, second)
    width = len(found.rows) // len(found.layers)
    kept = found.best == found.home
    by_layer = []
    for layer in found.layers:
        rows = found.of_layer(layer)
        facts = {
            "layer": layer,
            "kept": float(kept[rows].mean()),
            "overlap": float(found.same[rows].mean()),
            "best_overlap": float(np.median(found.overlap[rows])),
            "best_by_chance": float(np.median(found.dealt[rows])),
        }
        if found.cosine is not None:
            facts["cosine"] = float(found.cosine[rows].mean())
        by_layer.append(facts)
    table = second.neurons
    changed = []
    moved = np.flatnonzero(found.shown & (found.same < 1))
    for place in moved[np.argsort(found.same[moved], kind="stable")][:top]:
        best = int(found.best[place])
        changed.append(
            {
                "layer": found.layers[place // width],
                "neuron": int(place % width),
                "overlap": float(found.same[place]),
                "now_layer": int(table["layer"].iloc[best]) if best >= 0 else None,
                "now_neuron": int(table["neuron"].iloc[best]) if best >= 0 else None,
                "now_overlap": float(found.overlap[place]),
            }
        )
    return {
        "first": first.name,
        "second": second.name,
        "pictures": found.pictures,
        "shared_space": found.cosine is not None,
        "chance_overlap": found.chance,
        "layers": by_layer,
        "changed": changed,
    }

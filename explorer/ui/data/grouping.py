"""Concept clusters of a neuron for the eye: which concepts, which colour, which pictures.

A picture takes the colour of the concept cluster of its side whose weighted sum of concepts is
nearest to its centred embedding, with a bonus if one of the cluster's texts is literally among its
label and keywords. A picture near none has no colour. Independently of the texts, pictures that
look alike to the model form groups (the bundle's picture clusters), named by a word they share.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.bundle.meaning import passed_words
from explorer.ui.data.loaders import View

SHARED = 3  # words said of a neuron's pictures
COVERED = 0.6  # share of a word's pictures that earlier words may have told of already
COLOURS = 6  # clusters that get a colour of their own
REST = COLOURS  # colour of all others
LEAST_SHARE = 0.02  # of a side's squared weights, for a colour
WORD_BONUS = 0.25  # cosine added when a text of the cluster is a word of the picture
LEAST_AFFINITY = 0.2  # a picture and its own label reach 0.4 on average, two random ones 0.1
POSITIVE, NEGATIVE = 0, 1
STRONGEST = 8  # pictures of a neuron on a card


@dataclass(frozen=True)
class Concept:
    """One text of a sparse set."""

    text_id: int
    text: str
    weight: float
    cluster: int
    colour: int


@dataclass(frozen=True)
class Cluster:
    """Related concepts of one side, the heaviest text first."""

    number: int
    colour: int
    sign: int
    share: float  # of all squared weights of the neuron
    concepts: tuple[Concept, ...]

    def title(self, most: int = 3) -> str:
        """Return the leading texts."""
        return ", ".join(concept.text for concept in self.concepts[:most])


@dataclass(frozen=True)
class Picture:
    """One top picture of a neuron."""

    image: int
    effect: float
    cluster: int
    colour: int


def concept_clusters(view: View, row: int, most: int | None = None) -> list[Cluster]:
    """Group a neuron's concepts by cluster, heaviest cluster first; the pursuit's first `most`."""
    bundle = view.bundle
    ids = np.asarray(bundle.concept_ids[row])[:most]
    weights = np.asarray(bundle.concept_weights[row], dtype=np.float64)[:most]
    numbers = np.asarray(bundle.concept_clusters[row], dtype=np.int64)[:most]
    used = np.flatnonzero((ids >= 0) & (weights != 0))
    if not len(used):
        return []
    # concepts without a cluster stand alone
    alone = np.where(numbers < 0, 1000 + np.arange(len(numbers)), numbers)
    masses = weights**2 / np.sum(weights[used] ** 2)
    groups = [used[alone[used] == number] for number in dict.fromkeys(alone[used].tolist())]
    groups.sort(key=lambda members: -masses[members].sum())
    return [
        _cluster(view, members, ids, weights, alone, masses, place)
        for place, members in enumerate(groups)
    ]


def told_clusters(view: View, row: int) -> list[Cluster]:
    """Group the words of a neuron that beat chance; all texts of a bundle that was not tested."""
    most = int(view.passing.counts[row]) if view.bundle.tested else None
    return concept_clusters(view, row, most)


def by_weight(clusters: Sequence[Cluster]) -> list[Concept]:
    """Return all concepts of some clusters, the heaviest first."""
    concepts = (concept for cluster in clusters for concept in cluster.concepts)
    return sorted(concepts, key=lambda concept: -abs(concept.weight))


def _cluster(
    view: View,
    members: NDArray[np.int64],
    ids: NDArray[np.int32],
    weights: NDArray[np.float64],
    numbers: NDArray[np.int64],
    masses: NDArray[np.float64],
    place: int,
) -> Cluster:
    share = float(masses[members].sum())
    colour = place if place < COLOURS and share >= LEAST_SHARE else REST
    ordered = members[np.argsort(-np.abs(weights[members]), kind="stable")]
    number = int(numbers[members[0]])
    texts = view.bundle.texts
    concepts = tuple(
        Concept(int(ids[i]), texts[int(ids[i])], float(weights[i]), number, colour) for i in ordered
    )
    return Cluster(number, colour, 1 if concepts[0].weight > 0 else -1, share, concepts)


def top_pictures(
    view: View, row: int, end: int, clusters: list[Cluster], most: int = 25
) -> list[Picture]:
    """Return the strongest pictures of one end (0 positive, 1 negative), coloured by cluster."""
    images = np.asarray(view.bundle.top_images[row, end])[:most]
    effects = np.asarray(view.bundle.top_effects[row, end])[:most]
    kept = images >= 0
    images, effects = images[kept], effects[kept]
    sign = 1 if end == POSITIVE else -1
    coloured = [c for c in clusters if c.sign == sign and c.colour != REST]
    assigned = _nearest_cluster(view, images, coloured)
    return [
        Picture(
            int(image),
            float(effect),
            coloured[place].number if place >= 0 else -1,
            coloured[place].colour if place >= 0 else REST,
        )
        for image, effect, place in zip(images, effects, assigned, strict=True)
    ]


def strongest(view: View, row: int, most: int = STRONGEST, end: int = POSITIVE) -> list[int]:
    """Return the images with the strongest effect at one end, the positive one unless told."""
    return [int(image) for image in view.bundle.top_images[row, end, :most] if image >= 0]


def _nearest_cluster(
    view: View, images: NDArray[np.int32], clusters: list[Cluster]
) -> NDArray[np.int64]:
    """Place of the nearest cluster for each image, -1 for none near."""
    if not clusters or not len(images):
        return np.full(len(images), -1, dtype=np.int64)
    embeddings = view.bundle.image_embeddings[images].astype(np.float32) - view.image_mean
    affinity = _unit(embeddings) @ np.stack([_centroid(view, c) for c in clusters]).T
    for column, cluster in enumerate(clusters):
        texts = {concept.text.casefold() for concept in cluster.concepts}
        matched = [not texts.isdisjoint(view.words[int(image)]) for image in images]
        affinity[:, column] += WORD_BONUS * np.array(matched)
    best: NDArray[np.int64] = affinity.argmax(axis=1)
    return np.where(affinity.max(axis=1) >= LEAST_AFFINITY, best, -1)


def _centroid(view: View, cluster: Cluster) -> NDArray[np.float32]:
    ids = [concept.text_id for concept in cluster.concepts]
    weights = np.abs([concept.weight for concept in cluster.concepts]).astype(np.float32)
    atoms = view.bundle.dictionary.centre(view.bundle.text_embeddings[ids])
    centroid: NDArray[np.float32] = _unit(weights @ atoms)
    return centroid


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: NDArray[np.float32] = rows / np.maximum(norms, 1e-12)
    return unit


@dataclass(frozen=True)
class PictureGroup:
    """Top pictures that look alike to the model, and what they have in common."""

    word: str  # carried by most of them; "" if there is none
    agreeing: int  # pictures that carry the word
    pictures: tuple[Picture, ...]
    alike: bool = True  # False for those that are like no other
    sure: bool = False  # whether the neuron's word is more than chance


def picture_groups(view: View, row: int, end: int, pictures: list[Picture]) -> list[PictureGroup]:
    """Group one end's pictures by the bundle's picture clusters, the largest group first.

    Pictures alone in their cluster come together at the end, without a word.
    """
    clusters = np.asarray(view.bundle.top_clusters[row, end])
    images = np.asarray(view.bundle.top_images[row, end])
    by_image = dict(zip(images.tolist(), clusters.tolist(), strict=True))
    members: dict[int, list[Picture]] = {}
    for picture in pictures:
        members.setdefault(by_image.get(picture.image, -1), []).append(picture)
    together = [group for number, group in members.items() if number >= 0 and len(group) > 1]
    together.sort(key=len, reverse=True)
    kept = {picture.image for group in together for picture in group}
    passed = passed_words(view.bundle, row)
    groups = [named(view, group, passed) for group in together]
    alone = tuple(picture for picture in pictures if picture.image not in kept)
    return [*groups, PictureGroup("", 0, alone, alike=False)] if alone else groups


def named(
    view: View, pictures: Sequence[Picture], passed: frozenset[str] = frozenset()
) -> PictureGroup:
    """Name a group by the most telling word that half of its pictures carry, labels first.

    Words that `passed`, being more than chance of the neuron, go before all others; of these the
    one that most carry.
    """
    counts = Counter(word for picture in pictures for word in view.words[picture.image])
    labels = Counter(view.labels[picture.image].lower() for picture in pictures)
    total = len(view.words)
    telling = {
        word: (count + labels[word]) * math.log(total / view.word_counts[word])
        for word, count in counts.items()
        if 2 * count >= len(pictures) and count > 1
    }
    if not telling:
        return PictureGroup("", 0, tuple(pictures))

    def merit(word: str) -> tuple[float, float, str]:
        return (counts[word] + labels[word]) * (word in passed), telling[word], word

    word = max(telling, key=merit)
    return PictureGroup(word, counts[word], tuple(pictures), sure=word in passed)


def shared_words(view: View, row: int, end: int = POSITIVE) -> list[tuple[str, int]]:
    """Return up to three words that the top pictures of one end share, each with its count.

    Words of labels, keywords and looks that two or more of the pictures carry; whole labels, many
    pictures and rare words first, each telling mostly of pictures that the ones before do not.
    """
    return view.held(f"shared words {row} {end}", lambda view: _shared_words(view, row, end))


def _shared_words(view: View, row: int, end: int) -> list[tuple[str, int]]:
    images = [int(image) for image in view.bundle.top_images[row, end] if image >= 0]
    labels = Counter(view.labels[image].lower() for image in images)
    carriers: dict[str, set[int]] = {}
    for image in images:
        for word in view.words[image]:
            carriers.setdefault(word, set()).add(image)
    total = len(view.words)
    merits = {
        word: (len(held) + labels[word]) * math.log(total / view.word_counts[word])
        for word, held in carriers.items()
        if len(held) > 1
    }
    told: set[int] = set()
    found: list[tuple[str, int]] = []
    for word in sorted(merits, key=lambda word: (-merits[word], word)):
        held = carriers[word]
        if len(held & told) <= COVERED * len(held):
            found.append((word, len(held)))
            told |= held
        if len(found) == SHARED:
            break
    return found

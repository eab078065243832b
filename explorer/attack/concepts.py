"""Spurious concepts of a pair of classes, read off polysemantic neurons.

Gandelsman, Efros and Steinhardt, "Interpreting the Second-Order Effects of Neurons in CLIP",
section 5.1 (semantic adversarial images). A neuron whose direction separates two classes also
carries concepts that have nothing to do with either; a picture of the first class that contains
them is pushed towards the second.

1. `d`, the unit difference of the two texts' embeddings, target minus source.
2. A neuron's *separation*: what its typical effect moves along `d`, `scale[n] <r_n, d>`, with
   `r_n` its direction. The neurons with the largest separations either way are taken.
3. Their sparse sets are pooled, weighted by separation and sign, `support[c] = sum_n separation[n]
   weight[n, c]`: a text that turns on a neuron pointing to the target, or keeps down one pointing
   to the source, is supported.
4. Most texts have no picture, so a set speaks for every concept that its texts are near to:
   `score[l] = sum_c support[c] <e_l, e_c>` for the labels `l` of the corpus, with `e` the centred
   text embeddings; a neuron's part is its own share of the sum.
5. Concepts close to either class are left out: by the model's own text tower (cosine of centred
   embeddings) and by their words (shared stems of labels and keywords).
6. The best-scoring concepts are a shortlist; `explorer.attack_trials` tries it beside the source.
   Of a concept, the pictures with the largest *push* are shown: the picture's own embedding along
   `d`, less the corpus's mean.

What such pictures are for: finding what a model confuses before others do, and mending it.

Axes: neuron (by bundle row), text, embed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.kept import kept

NEAR = 0.2  # cosine of centred texts from which a concept is too close to a class
NEURONS = 1000
CONCEPTS = 3
SHORTLIST = 60  # best-scoring concepts that are tried
PREFERRED = 2  # pictures of a concept, those with the largest push, that are shown
CARRIERS = 6  # neurons named with a concept
STOP_WORDS = frozenset(
    {"a", "an", "and", "at", "by", "for", "from", "in", "no", "of", "on", "or", "the", "to", "with"}
)
_ENDINGS = ("ingly", "edly", "ies", "ing", "ers", "er", "ed", "es", "ly", "s", "y", "e")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class AttackSettings:
    """How concepts are ranked."""

    neurons: int = NEURONS
    """Most separating neurons whose sets are pooled."""
    concepts: int = CONCEPTS
    """Concepts that are kept of the shortlist."""
    near: float = NEAR
    """Cosine of centred texts from which a concept is too close to either class."""

    def __post_init__(self) -> None:
        """Refuse settings that leave nothing."""
        if self.neurons < 1 or self.concepts < 1:
            raise InputError("Ask for at least one neuron and one concept.")
        if not 0 < self.near <= 1:
            raise InputError(f"The nearness {self.near} is no cosine: choose from above 0 to 1.")


USUAL = AttackSettings()


@dataclass(frozen=True)
class Carrier:
    """A neuron that carries a concept towards the target."""

    layer: int
    neuron: int
    separation: float
    """What its typical effect moves towards the target; units of the output."""
    part: float
    """Its share of the concept's score."""
    text: str
    """The text of its sparse set that carries most of the share."""


@dataclass(frozen=True)
class SpuriousConcept:
    """A concept that has to do with neither class and still speaks for the target."""

    text: str
    score: float
    """What the pooled sets say for it; units of the output."""
    near_source: float
    """Cosine of its text with the source's, both centred."""
    near_target: float
    carriers: tuple[Carrier, ...]
    pictures: tuple[int, ...]
    """Numbers of its pictures that are shown, largest push first."""
    gain: float | None = None
    """What it adds to the margin beside the source, if it was tried; see `attack_trials`."""


@dataclass(frozen=True)
class Ranking:
    """The concepts of one pair, best first."""

    source: str
    target: str
    concepts: tuple[SpuriousConcept, ...]
    left_out: tuple[tuple[str, str], ...]
    """(text, why) of the best-scoring texts that were too close to a class."""
    tried: int = 0
    """Size of the shortlist that the concepts are the best of, by trial; 0 before."""

    @property
    def shown(self) -> dict[str, tuple[int, ...]]:
        """Concept -> pictures that stand for it, best concept first."""
        return {concept.text: concept.pictures for concept in self.concepts}

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {
            "source": self.source,
            "target": self.target,
            "tried": self.tried,
            "concepts": [
                {
                    "text": concept.text,
                    "score": round(concept.score, 5),
                    "gain": None if concept.gain is None else round(concept.gain, 4),
                    "cosine_source": round(concept.near_source, 4),
                    "cosine_target": round(concept.near_target, 4),
                    "neurons": [
                        {
                            "layer": carrier.layer,
                            "neuron": carrier.neuron,
                            "separation": round(carrier.separation, 5),
                            "part": round(carrier.part, 5),
                            "through": carrier.text,
                        }
                        for carrier in concept.carriers
                    ],
                }
                for concept in self.concepts
            ],
            "left_out": [{"text": text, "why": why} for text, why in self.left_out],
        }


def stem(word: str) -> str:
    """Return a word without its commonest English endings, lower case."""
    cleaned = word.lower()
    for ending in _ENDINGS:
        if cleaned.endswith(ending) and len(cleaned) - len(ending) >= 3:
            return cleaned[: -len(ending)]
    return cleaned


def stems(texts: Iterable[str]) -> frozenset[str]:
    """Return the stems of all words in some texts, function words left out."""
    words = (word for text in texts for word in re.findall(r"[^\W_]+", text.lower()))
    return frozenset(stem(word) for word in words if word not in STOP_WORDS)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What the corpus can show: its labels, their pictures and their words."""

    labels: tuple[str, ...]
    """Labels of corpus pictures that are texts of the dictionary, sorted."""
    rows: NDArray[np.int64]
    """[label]: row of each in the dictionary."""
    pictures: Mapping[str, tuple[int, ...]]
    """Label -> corpus pictures in colour (line drawings only where there is nothing else)."""
    keywords: Mapping[str, frozenset[str]]
    """Label, held-out ones too -> stems of its pictures' keywords."""
    held_out: Mapping[str, tuple[int, ...]]
    """Label -> held-out pictures."""


def vocabulary(bundle: Bundle) -> Vocabulary:
    """Return what a bundle's pictures can show; kept with the bundle."""
    return kept(bundle, "vocabulary", lambda: _vocabulary(bundle))


def _vocabulary(bundle: Bundle) -> Vocabulary:
    table = bundle.pictures.table
    place = {text: row for row, text in enumerate(bundle.texts)}
    shown: dict[str, list[int]] = defaultdict(list)
    drawn: dict[str, list[int]] = defaultdict(list)
    held: dict[str, list[int]] = defaultdict(list)
    words: dict[str, set[str]] = defaultdict(set)
    columns = [table[name].fillna("").astype(str) for name in ("label", "keywords", "kind")]
    for image, (label, keywords, kind, split) in enumerate(
        zip(*columns, table["split"], strict=True)
    ):
        if not label.strip():
            continue
        words[label] |= stems([keywords])
        if split == "heldout":
            held[label].append(image)
        else:
            (drawn if kind == "mono" else shown)[label].append(image)
    pictures = {label: tuple(shown.get(label) or drawn[label]) for label in {*shown, *drawn}}
    labels = tuple(sorted(label for label in pictures if label in place))
    return Vocabulary(
        labels=labels,
        rows=np.array([place[label] for label in labels], np.int64),
        pictures=pictures,
        keywords={label: frozenset(found) for label, found in words.items()},
        held_out={label: tuple(found) for label, found in held.items()},
    )


def centred_texts(bundle: Bundle) -> Floats:
    """Return the dictionary without what all texts share: [text, embed], unit norm."""
    return kept(bundle, "centred texts", bundle.dictionary.atoms)


def _weighted_directions(bundle: Bundle) -> Floats:
    """Return directions times typical effect, [neuron, embed]; zero for a dead neuron."""

    def make() -> Floats:
        scale = bundle.neurons["scale"].fillna(0).to_numpy(np.float32)
        weighted: Floats = np.asarray(bundle.directions, np.float32) * scale[:, None]
        return weighted

    return kept(bundle, "weighted directions", make)


def separations(bundle: Bundle, source: Floats, target: Floats) -> Floats:
    """Return what each neuron's typical effect moves from source to target: [neuron] float32.

    ``source`` and ``target`` are text embeddings [embed]. Units of the output.

    Raises:
        InputError: the two texts mean the same to the model.
    """
    difference = np.asarray(target, np.float32) - np.asarray(source, np.float32)
    length = float(np.linalg.norm(difference))
    if length < 1e-6:
        raise InputError("The two classes are one to the model: choose two different texts.")
    moved: Floats = _weighted_directions(bundle) @ (difference / length)
    return moved


def most_separating(moved: Floats, count: int) -> NDArray[np.int64]:
    """Return the rows of the neurons with the largest separations either way, largest first."""
    order = np.argsort(-np.abs(moved), kind="stable")[:count]
    return order[moved[order] != 0]


def pooled_scores(
    ids: NDArray[np.integer[Any]], weights: NDArray[np.floating[Any]], moved: Floats, texts: int
) -> NDArray[np.float64]:
    """Return `sum_n moved[n] weights[n, c]` by text: [text].

    ``ids`` and ``weights`` are the sparse sets [neuron, m], id -1 for none.
    """
    parts = np.asarray(weights, np.float64) * moved[:, None]
    used = ids >= 0
    scores: NDArray[np.float64] = np.bincount(ids[used], parts[used], texts).astype(np.float64)
    return scores


def label_scores(bundle: Bundle, support: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what supported texts say for each corpus label: [label].

    ``support`` is [text]. A label takes part in every text's support by the cosine of the two.
    """
    atoms = centred_texts(bundle)
    pooled = support.astype(np.float32) @ atoms
    scores: NDArray[np.float64] = (atoms[vocabulary(bundle).rows] @ pooled).astype(np.float64)
    return scores


def picture_pushes(bundle: Bundle, source: Floats, target: Floats) -> NDArray[np.float64]:
    """Return how far each picture lies towards the target: [image], held-out ones 0.

    The picture's unit-norm embedding along the unit difference of the two text embeddings, less
    the corpus's mean.
    """
    difference = np.asarray(target, np.float32) - np.asarray(source, np.float32)
    difference = difference / max(float(np.linalg.norm(difference)), 1e-9)
    along = np.asarray(bundle.image_embeddings, np.float32) @ difference
    pushes = np.zeros(len(bundle.pictures))
    pushes[: len(along)] = along - along.mean()
    return pushes


def preferred(
    bundle: Bundle, labels: Iterable[str], pushes: NDArray[np.float64]
) -> dict[str, tuple[int, ...]]:
    """Return label -> its `PREFERRED` pictures with the largest pushes, [image], largest first."""
    words = vocabulary(bundle)
    return {
        label: tuple(sorted(words.pictures[label], key=lambda image: -pushes[image])[:PREFERRED])
        for label in labels
    }


@dataclass(frozen=True, eq=False)
class Closeness:
    """Which of a vocabulary's labels are too close to either class, and how close."""

    source: Floats
    """[label]: cosine with the source, centred texts."""
    target: Floats
    reasons: tuple[str, ...]
    """[label]: why it is left out; empty where it is allowed."""

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """[label]: whether it may be shown beside the source."""
        return np.array([not reason for reason in self.reasons])


def closeness(
    bundle: Bundle,
    source: str,
    target: str,
    embeddings: tuple[Floats, Floats],
    near: float = NEAR,
) -> Closeness:
    """Return how close each corpus label is to two classes, by the text tower and by words.

    ``embeddings`` are those of source and target, [embed] each, as the text tower gives them.
    """
    words = vocabulary(bundle)
    atoms = centred_texts(bundle)[words.rows]
    cosines = [atoms @ text for text in bundle.dictionary.centre(np.stack(embeddings))]
    reasons = []
    names = [(source, "source"), (target, "target")]
    own = [(stems([name]), words.keywords.get(name, frozenset())) for name, _ in names]
    for place, label in enumerate(words.labels):
        why = ""
        mine, keys = stems([label]), words.keywords.get(label, frozenset())
        for (name, role), (named, keyed), cosine in zip(names, own, cosines, strict=True):
            if cosine[place] >= near:
                why = f"{role} “{name}”: cosine {cosine[place]:.2f}"
            elif mine & (named | keyed) or keys & named:
                shared = sorted(mine & (named | keyed) or keys & named)[0]
                why = f"{role} “{name}”: the word stem “{shared}”"
            if why:
                break
        reasons.append(why)
    return Closeness(cosines[0], cosines[1], tuple(reasons))


def rank_concepts(
    bundle: Bundle,
    source: str,
    target: str,
    embeddings: tuple[Floats, Floats],
    settings: AttackSettings = USUAL,
) -> Ranking:
    """Return the shortlist of a pair: spurious concepts that the corpus can show, best score first.

    ``embeddings`` are the text embeddings of source and target, [embed] each.

    Raises:
        InputError: the classes are one to the model, or no concept is left.
    """
    moved = separations(bundle, *embeddings)
    rows = most_separating(moved, settings.neurons)
    ids, weights = np.asarray(bundle.concept_ids[rows]), np.asarray(bundle.concept_weights[rows])
    words = vocabulary(bundle)
    support = pooled_scores(ids, weights, moved[rows], len(bundle.texts))
    scores = label_scores(bundle, support)
    close = closeness(bundle, source, target, embeddings, settings.near)
    order = [int(i) for i in np.argsort(-scores, kind="stable") if scores[i] > 0]
    listed = [i for i in order if not close.reasons[i]][:SHORTLIST]
    if not listed:
        raise InputError(
            f"No concept with pictures is left for “{source}” and “{target}”: choose classes that "
            "are further apart, or a larger nearness."
        )
    before = order[: order.index(listed[-1])]
    labels = [words.labels[i] for i in listed]
    shown = preferred(bundle, labels, picture_pushes(bundle, *embeddings))
    concepts = tuple(
        SpuriousConcept(
            text=label,
            score=float(scores[i]),
            near_source=float(close.source[i]),
            near_target=float(close.target[i]),
            carriers=_carriers(bundle, rows, ids, weights, moved[rows], int(words.rows[i])),
            pictures=shown[label],
        )
        for i, label in zip(listed, labels, strict=True)
    )
    left_out = tuple((words.labels[i], close.reasons[i]) for i in before if close.reasons[i])
    return Ranking(source, target, concepts, left_out)


def _carriers(
    bundle: Bundle,
    rows: NDArray[np.int64],
    ids: NDArray[np.integer[Any]],
    weights: NDArray[np.floating[Any]],
    moved: Floats,
    text: int,
) -> tuple[Carrier, ...]:
    """The neurons with the largest shares of one text's score."""
    cosines = np.append(centred_texts(bundle) @ centred_texts(bundle)[text], 0)  # -1: none
    shares = np.asarray(weights, np.float64) * moved[:, None] * cosines[ids]
    parts = shares.sum(axis=1)
    layers, numbers = bundle.neurons["layer"].to_numpy(), bundle.neurons["neuron"].to_numpy()
    return tuple(
        Carrier(
            layer=int(layers[rows[i]]),
            neuron=int(numbers[rows[i]]),
            separation=float(moved[i]),
            part=float(parts[i]),
            text=bundle.texts[int(ids[i, shares[i].argmax()])],
        )
        for i in np.argsort(-parts, kind="stable")[:CARRIERS]
        if parts[i] > 0
    )

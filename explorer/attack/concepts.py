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
6. The best-scoring concepts are a shortlist; `explorer.attack.trials` tries it beside the source.
   Of a concept, the pictures with the largest *push* are shown: the picture's own embedding along
   `d`, less the corpus's mean.

What such pictures are for: finding what a model confuses before others do, and mending it.

Axes: neuron (by bundle row), text, embed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.attack.closeness import NEAR, Floats, closeness
from explorer.attack.separation import (
    label_scores,
    most_separating,
    picture_pushes,
    pooled_scores,
    preferred,
    separations,
)
from explorer.attack.vocabulary import vocabulary
from explorer.bundle import Bundle
from explorer.errors import InputError

NEURONS = 1000
CONCEPTS = 3
SHORTLIST = 60  # best-scoring concepts that are tried
CARRIERS = 6  # neurons named with a concept


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
            raise InputError(
                f"The nearness {self.near} is not a cosine: choose a value above 0, up to 1."
            )


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
    """What it adds to the margin beside the source, where it was tried (`trials`)."""


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


def rank_concepts(
    bundle: Bundle,
    source: str,
    target: str,
    embeddings: tuple[Floats, Floats],
    settings: AttackSettings = USUAL,
) -> Ranking:
    """Return the shortlist of a pair: spurious concepts that the corpus can show, best score first.

    `embeddings` are the text embeddings of source and target, [embed] each.

    Raises:
        InputError: when the model cannot tell the classes apart, or no concept is left.
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
    """Return the neurons with the largest shares of one text's score."""
    atoms = bundle.dictionary.atoms()
    cosines = np.append(atoms @ atoms[text], 0)  # -1: none
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

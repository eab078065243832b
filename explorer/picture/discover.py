"""Concepts in one picture, read off its neurons (the paper's application, section 5).

1. A neuron's effect on the picture, minus its mean over the data set, along its own direction.
2. *Significant* neurons: those whose effect is as large as on the few per cent of the data set's
   pictures from which its direction was computed (the bundle's `threshold`).
3. Candidates are the texts in the sparse sets of significant neurons. Merged as in the paper, the
   sets weighted by effect give `support[c] = sum_n effect[n] weight[n, c]`.
4. Ranked by support alone, frequent texts drown the particular ones, and one large object drowns
   the others. So a candidate's `score` is what the neurons together add along it where they add
   most: the mean of the strongest tenth of the patches. Each patch's share counts as far as the
   text wins it from the dictionary's others (`explorer.picture.competition.named_shares`).
5. A concept found explains half of what is at its patches; the next one is the best of what is
   left. Texts for one object no longer take all places, and other objects come up.
6. A concept near to a stronger one (cosine of the texts) joins it.

Each concept comes with its patches, and with the significant neurons that name it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.bundle import Bundle
from explorer.bundle.meaning import Title, title_of
from explorer.errors import InputError
from explorer.picture.competition import named_shares
from explorer.picture.maps import concept_maps, strongest_patches
from explorer.picture.reading import Reading, neuron_shares

MOST_NEURONS = 400  # significant ones that are looked at, strongest first
NEAR = 0.7  # cosine of two texts from which one joins the other
NAMED_NEURONS = 8
CANDIDATES = 400  # concepts that are looked at, strongest first
EXPLAINED = 0.5  # of a concept's own peak, subtracted for later ones; chosen on calibration scenes


@dataclass(frozen=True)
class FoundNeuron:
    """A neuron that this picture drives."""

    row: int
    layer: int
    neuron: int
    effect: float
    """Along its direction, minus its mean; units of the output before normalisation."""
    strength: float
    """Effect over the threshold of its significant pictures."""
    significant: bool
    comparable: bool
    """Whether some picture of the bundle has as large an effect: `max_norm` is not passed."""
    title: Title


@dataclass(frozen=True, eq=False)
class FoundConcept:
    """A concept that the picture's neurons add to the output."""

    text: str
    score: float
    """Mean share of the strongest tenth of the patches, times what the text wins of each from the
    dictionary's others, minus what stronger concepts explain there; units of the output per
    patch."""
    support: float
    """The significant neurons' sets, weighted by effect and summed."""
    joined: tuple[str, ...]
    """Weaker concepts that mean nearly the same."""
    neurons: tuple[tuple[int, int, float], ...]
    """(layer, neuron, its part of the support), largest part first."""
    patches: Tensor
    """[patch_row, patch_column]: each patch's share of what all neurons add along the text."""


@dataclass(frozen=True, eq=False)
class Discovery:
    """What one picture's neurons say."""

    neurons: list[FoundNeuron]
    """The largest effects first; those that are not comparable come after all others."""
    concepts: list[FoundConcept]
    significant: int
    """How many neurons are significant on the picture."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {
            "significant_neurons": self.significant,
            "concepts": [
                {
                    "text": concept.text,
                    "score": round(concept.score, 6),
                    "support": round(concept.support, 5),
                    "joined": list(concept.joined),
                    "neurons": [
                        {"layer": layer, "neuron": neuron, "part": round(part, 5)}
                        for layer, neuron, part in concept.neurons
                    ],
                    "patches": [[round(v, 6) for v in row] for row in concept.patches.tolist()],
                }
                for concept in self.concepts
            ],
            "neurons": [
                {
                    "layer": found.layer,
                    "neuron": found.neuron,
                    "effect": round(found.effect, 5),
                    "strength": round(found.strength, 3),
                    "significant": found.significant,
                    "comparable": found.comparable,
                    "title": found.title.text,
                    "above_chance": found.title.claims,
                }
                for found in self.neurons
            ],
        }


def discover(
    bundle: Bundle, reading: Reading, image: int = 0, top: int = 12, neurons: int = 12
) -> Discovery:
    """Return the `top` concepts and the strongest `neurons` of one image of a reading.

    Neurons are the significant ones, largest effect first; where there are none, all that have a
    threshold. An effect beyond the neuron's largest on any of the bundle's pictures (`max_norm`)
    has nothing to be compared with, so that such neurons come last. Concepts, and what is
    significant, count them like the others.

    Raises:
        InputError: when `top` or `neurons` is not positive.
    """
    if top < 1 or neurons < 1:
        raise InputError("Ask for at least one concept and one neuron.")
    effects = reading.effects[image]
    strengths = _strengths(bundle, effects)
    order = np.argsort(-np.abs(effects) * (strengths != 0), kind="stable")
    chosen = significant_rows(bundle, effects)
    listed = chosen or [int(row) for row in order]
    comparable = np.abs(effects) <= bundle.neurons["max_norm"].to_numpy()
    listed = sorted(listed, key=lambda row: not comparable[row])  # stable
    return Discovery(
        neurons=[
            _neuron(bundle, row, effects, strengths, bool(comparable[row]))
            for row in listed[:neurons]
        ],
        concepts=_concepts(bundle, reading, image, effects, chosen, top),
        significant=int((np.abs(strengths) >= 1).sum()),
    )


def significant_rows(bundle: Bundle, effects: np.ndarray) -> list[int]:
    """Return the rows of the significant neurons, largest effect first, at most `MOST_NEURONS`."""
    significant = np.abs(_strengths(bundle, effects)) >= 1
    order = np.argsort(-np.abs(effects), kind="stable")
    return [int(row) for row in order if significant[row]][:MOST_NEURONS]


def concept_scores(bundle: Bundle, effects: np.ndarray, rows: list[int]) -> np.ndarray:
    """Return `sum_n effect[n] weight[n, c]` over some neurons: [text]."""
    ids = np.asarray(bundle.concept_ids[rows])
    parts = np.asarray(bundle.concept_weights[rows], np.float64) * effects[rows][:, None]
    used = ids >= 0
    return np.bincount(ids[used], weights=parts[used], minlength=len(bundle.texts))


def neuron_maps(bundle: Bundle, reading: Reading, rows: list[int], image: int = 0) -> Tensor:
    """Return each patch's share of neurons' effects along their own directions.

    [neuron, patch_row, patch_column], in the order of `rows`, the bundle's rows.
    """
    shares = _shares(bundle, reading, image, rows)
    grids: Tensor = shares[:, 1:].unflatten(1, reading.lens_model.grid)
    return grids


def named_texts(bundle: Bundle, rows: list[int]) -> np.ndarray:
    """Return the texts in the sparse sets of some neurons: [text] int, ascending."""
    ids = np.asarray(bundle.concept_ids[rows])
    return np.unique(ids[ids >= 0])


@dataclass(frozen=True)
class Ranked:
    """A candidate's place, its score, and the places that join it."""

    place: int
    score: float
    joined: list[int]


def rank_concepts(maps: Tensor, top: int, atoms: np.ndarray | None = None) -> list[Ranked]:
    """Return the `top` candidates, each the best of what those before it leave unexplained.

    `maps` are what candidates have of each patch [candidate, patch]; scores that are not positive
    are left out. `atoms`, the candidates' centred embeddings [candidate, embed], unit norm, say
    which texts are near enough to join; None joins nothing. Scores fall.
    """
    whole = strongest_patches(maps)
    left = [int(i) for i in torch.argsort(-whole, stable=True)[:CANDIDATES] if whole[i] > 0]
    unexplained = torch.ones(maps.shape[1])
    found: list[Ranked] = []
    while left and len(found) < top:
        scores = strongest_patches(maps[left] * unexplained)
        best = int(scores.argmax())
        if scores[best] <= 0:
            break
        place = left[best]
        near = atoms[left] @ atoms[place] >= NEAR if atoms is not None else np.zeros(len(left))
        joined = [other for other, is_near in zip(left, near, strict=True) if is_near]
        joined = [other for other in joined if other != place]
        found.append(Ranked(place, float(scores[best]), joined))
        left = [other for other in left if other != place and other not in set(joined)]
        own = maps[place].clamp(min=0)
        unexplained = unexplained * (1 - EXPLAINED * own / own.max())
    return found


def join_near(atoms: np.ndarray, scores: np.ndarray, top: int) -> list[tuple[int, list[int]]]:
    """Return (place, places that join it) of the `top` best scores, best first.

    `atoms` are the candidates' centred embeddings [candidate, embed], unit norm. Scores that are
    not positive are left out.
    """
    best = [int(i) for i in np.argsort(-scores, kind="stable")[:CANDIDATES] if scores[i] > 0]
    taken: set[int] = set()
    groups: list[tuple[int, list[int]]] = []
    for place in best:
        if place in taken or len(groups) == top:
            continue
        near = atoms[best] @ atoms[place] >= NEAR
        joined = [other for other, is_near in zip(best, near, strict=True) if is_near]
        groups.append((place, [o for o in joined if o != place and o not in taken]))
        taken.update([place, *joined])
    return groups


def _strengths(bundle: Bundle, effects: np.ndarray) -> np.ndarray:
    """Return effects over their neurons' thresholds, 0 for a neuron without one."""
    thresholds = bundle.neurons["threshold"].to_numpy(np.float64)
    strengths: np.ndarray = effects / np.where(thresholds > 0, thresholds, np.inf)
    return strengths


def _neuron(
    bundle: Bundle, row: int, effects: np.ndarray, strengths: np.ndarray, comparable: bool
) -> FoundNeuron:
    record = bundle.neurons.iloc[row]
    return FoundNeuron(
        row=row,
        layer=int(record["layer"]),
        neuron=int(record["neuron"]),
        effect=float(effects[row]),
        strength=float(strengths[row]),
        significant=bool(abs(strengths[row]) >= 1),
        comparable=comparable,
        title=title_of(bundle, row),
    )


def _concepts(
    bundle: Bundle,
    reading: Reading,
    image: int,
    effects: np.ndarray,
    rows: list[int],
    top: int,
) -> list[FoundConcept]:
    if not rows:
        return []
    named = named_texts(bundle, rows)
    atoms = reading.lens_model.dictionary[named]
    maps = concept_maps(reading, atoms, image)
    ranked = rank_concepts(named_shares(reading, atoms, image), top, atoms.numpy())
    support = concept_scores(bundle, effects, rows)
    return [
        FoundConcept(
            text=bundle.texts[named[found.place]],
            score=found.score,
            support=float(support[named[found.place]]),
            joined=tuple(bundle.texts[named[other]] for other in found.joined),
            neurons=_owners(bundle, effects, rows, int(named[found.place])),
            patches=maps[found.place].unflatten(0, reading.lens_model.grid),
        )
        for found in ranked
    ]


def _shares(bundle: Bundle, reading: Reading, image: int, rows: list[int]) -> Tensor:
    """Return the token shares of some neurons on one image, [neuron, token], in their order."""
    layers = bundle.neurons["layer"].to_numpy()[rows]
    numbers = bundle.neurons["neuron"].to_numpy()[rows]
    tokens = reading.trace.sigma[max(reading.trace.sigma)].shape[1]
    shares = torch.zeros(len(rows), tokens)
    for layer in np.unique(layers):
        places = np.flatnonzero(layers == layer)
        found = neuron_shares(reading, int(layer), [int(n) for n in numbers[places]])
        shares[torch.from_numpy(places)] = found[image].float().cpu()
    return shares


def _owners(
    bundle: Bundle, effects: np.ndarray, rows: list[int], text: int
) -> tuple[tuple[int, int, float], ...]:
    """Return the neurons that name a text, by their part of its support."""
    table = bundle.neurons
    places, slots = np.nonzero(np.asarray(bundle.concept_ids[rows]) == text)
    weights = np.asarray(bundle.concept_weights[rows], np.float64)[places, slots]
    parts = weights * effects[rows][places]
    found = sorted(zip(-parts, places, strict=True))[:NAMED_NEURONS]
    return tuple(
        (int(table["layer"].iloc[rows[i]]), int(table["neuron"].iloc[rows[i]]), float(-part))
        for part, i in found
    )

"""Concepts in one picture, read off its neurons (the paper's application, section 5).

1. A neuron's effect on the picture, less its mean over the data set, along its own direction.
2. *Significant* neurons: those whose effect is as large as on the few per cent of the data set's
   pictures from which its direction was computed (the bundle's `threshold`).
3. Each brings its sparse set: its direction is about `sum_c weight[n, c] text_c`, so that the
   neurons together add `score[c] = sum_n effect[n] weight[n, c]` of concept `c` to the output.
4. Concepts are ranked by score. A concept near to a stronger one (cosine of the texts) joins it.

Each concept comes with the neurons it came from and, from their exact token shares, with the
patches: `sum_n weight[n, c] share[n, t]`, which sums to the score with the class token's part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.heatmaps import Reading, neuron_effects, neuron_shares

MOST_NEURONS = 400  # significant ones that are looked at, strongest first
NEAR = 0.7  # cosine of two texts from which one joins the other
NAMED_NEURONS = 8
CANDIDATES = 400  # best concepts among which near ones are joined


@dataclass(frozen=True)
class FoundNeuron:
    """A neuron that this picture drives."""

    row: int
    layer: int
    neuron: int
    effect: float
    """Along its direction, less its mean; units of the output before normalisation."""
    strength: float
    """Effect over the threshold of its significant pictures."""
    significant: bool
    concepts: str


@dataclass(frozen=True, eq=False)
class FoundConcept:
    """A concept that the picture's neurons add to the output."""

    text: str
    score: float
    """Of itself and of what joined it; units of the output before normalisation."""
    joined: tuple[str, ...]
    neurons: tuple[tuple[int, int, float], ...]
    """(layer, neuron, its part of the score), largest part first."""
    patches: Tensor
    """[patch_row, patch_column]: where the score comes from."""


@dataclass(frozen=True, eq=False)
class Discovery:
    """What one picture's neurons say."""

    neurons: list[FoundNeuron]
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
                    "score": round(concept.score, 5),
                    "joined": list(concept.joined),
                    "neurons": [
                        {"layer": layer, "neuron": neuron, "part": round(part, 5)}
                        for layer, neuron, part in concept.neurons
                    ],
                    "patches": [[round(v, 5) for v in row] for row in concept.patches.tolist()],
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
                    "concepts": found.concepts,
                }
                for found in self.neurons
            ],
        }


def discover(
    bundle: Bundle, reading: Reading, image: int = 0, top: int = 12, neurons: int = 12
) -> Discovery:
    """Return the `top` concepts and the strongest `neurons` of one image of a reading.

    Raises InputError unless `top` and `neurons` are positive.
    """
    if top < 1 or neurons < 1:
        raise InputError("Ask for at least one concept and one neuron.")
    effects = all_effects(bundle, reading)[image]
    thresholds = bundle.neurons["threshold"].to_numpy(np.float64)
    strengths = effects / np.where(thresholds > 0, thresholds, np.inf)
    significant = np.abs(strengths) >= 1
    order = np.argsort(-np.abs(effects) * (strengths != 0), kind="stable")
    chosen = [int(row) for row in order if significant[row]][:MOST_NEURONS]
    found = [
        _neuron(bundle, int(row), effects, strengths)
        for row in (chosen or [int(row) for row in order])[:neurons]
    ]
    concepts = _concepts(bundle, reading, image, effects, chosen, top)
    return Discovery(found, concepts, int(significant.sum()))


def all_effects(bundle: Bundle, reading: Reading) -> np.ndarray:
    """Return every neuron's centred effect along its direction, [image, neuron], by bundle row."""
    owners = bundle.neurons["layer"].to_numpy()
    effects = np.zeros((len(reading.images), len(owners)))
    for layer in reading.lens_model.layers:
        effects[:, owners == layer] = neuron_effects(reading, layer).cpu().numpy()
    return effects


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
    return shares[:, 1:].unflatten(1, reading.lens_model.grid)


def join_near(bundle: Bundle, scores: np.ndarray, top: int) -> list[tuple[int, list[int], float]]:
    """Return (text, texts that join it, score together) for the best, strongest first."""
    best = [int(i) for i in np.argsort(-scores, kind="stable")[:CANDIDATES] if scores[i] > 0]
    if not best:
        return []
    atoms = bundle.text_embeddings[best].astype(np.float32) - bundle.text_mean
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    near = atoms @ atoms.T >= NEAR
    taken = np.zeros(len(best), bool)
    groups = []
    for place, text in enumerate(best):
        if taken[place]:
            continue
        joins = np.flatnonzero(near[place] & ~taken)
        taken[joins] = True
        others = [best[int(i)] for i in joins if i != place]
        groups.append((text, others, float(scores[[best[int(i)] for i in joins]].sum())))
    return sorted(groups, key=lambda group: -group[2])[:top]


def _neuron(bundle: Bundle, row: int, effects: np.ndarray, strengths: np.ndarray) -> FoundNeuron:
    record = bundle.neurons.iloc[row]
    return FoundNeuron(
        row=row,
        layer=int(record["layer"]),
        neuron=int(record["neuron"]),
        effect=float(effects[row]),
        strength=float(strengths[row]),
        significant=bool(abs(strengths[row]) >= 1),
        concepts=str(record["concepts"]),
    )


def _concepts(
    bundle: Bundle,
    reading: Reading,
    image: int,
    effects: np.ndarray,
    rows: list[int],
    top: int,
) -> list[FoundConcept]:
    groups = join_near(bundle, concept_scores(bundle, effects, rows), top) if rows else []
    if not groups:
        return []
    ids = np.asarray(bundle.concept_ids[rows])
    weights = np.asarray(bundle.concept_weights[rows], np.float64)
    kept = np.stack(
        [
            np.where(np.isin(ids, [text, *joined]), weights, 0).sum(axis=1)
            for text, joined, _ in groups
        ]
    )  # [concept, neuron]
    parts = kept * effects[rows]
    maps = torch.from_numpy(kept) @ _shares(bundle, reading, image, rows).double()
    return [
        FoundConcept(
            text=bundle.texts[text],
            score=score,
            joined=tuple(bundle.texts[other] for other in joined),
            neurons=_owners(bundle, rows, parts[place]),
            patches=maps[place, 1:].unflatten(0, reading.lens_model.grid).float(),
        )
        for place, (text, joined, score) in enumerate(groups)
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
    bundle: Bundle, rows: list[int], parts: np.ndarray
) -> tuple[tuple[int, int, float], ...]:
    table = bundle.neurons
    best = [int(i) for i in np.argsort(-parts, kind="stable")[:NAMED_NEURONS] if parts[i] > 0]
    return tuple(
        (
            int(table["layer"].iloc[rows[i]]),
            int(table["neuron"].iloc[rows[i]]),
            float(parts[i]),
        )
        for i in best
    )

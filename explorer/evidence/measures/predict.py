"""Claim 6: a description says what its neuron responds to, and some neurons mean several things.

*Descriptions.* For each neuron and evaluation picture, the signed effect along the neuron's
direction is predicted from the picture's label alone: the product of the label's text atom with the
neuron's sparse reconstruction. Reported are the metrics that pass the sanity checks of Oikarinen,
Yan and Weng, "Evaluating neuron explanations: a unified framework with sanity checks" (ICML 2025):
Pearson correlation, cosine, AUPRC, F1 and IoU; not AUC or recall, which do not. For the last three
a neuron's positives are its strongest 2 % of pictures (at least 5), and as many are predicted. The
control is another neuron's description of the same layer; beside it the direction itself in place
of its reconstruction, which no text set can be expected to beat. `baselines` asks the same of what
is known, to tell a measure that is blind from neurons that do not follow their descriptions.

*Polysemy.* A concept cluster of a neuron's sparse set is label-verified if at least two of the
neuron's strongest evaluation pictures have labels related to it (cosine with the cluster's weighted
sum above what 1 in 100 random pairs of texts reach), each picture counting for its nearest cluster.
A neuron is polysemous if two verified clusters are unrelated (cosine below half of that). The
baseline permutes the pictures' labels.

*Monosemanticity score* (arXiv 2504.02821): the mean cosine of pairs of pictures' embeddings,
weighted by the product of their effects brought to [0, 1]; here with the model's own embeddings.
Effects have two signs, and by their least and largest a picture without effect weighs about half;
beside it, therefore, the score of the positive side alone. The baseline permutes the pictures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from explorer.evidence.context import Context
from explorer.evidence.figures import Figure, figure
from explorer.evidence.measures import meanings
from explorer.evidence.measures.baselines import measure_baselines
from explorer.evidence.measures.metrics import METRICS, agreement

NEEDS_EFFECTS = True
TOP = 0.02
LEAST_TOP = 5
CHUNK = 1024


def measure(context: Context) -> dict[str, Any]:
    """Return how well labels predict effects, label-verified polysemy, and monosemanticity."""
    effects = context.record("effects")["signed"]
    alive = np.flatnonzero(context.alive)
    count = top_count(len(effects))
    return {
        **context.conditions(),
        "neurons": len(alive),
        "top": count,
        "descriptions": _descriptions(context, effects, alive, count),
        "controls": measure_baselines(
            context,
            effects,
            alive,
            reconstructions(context)[alive],
            swapped(context.bundle.neurons["layer"].to_numpy()[alive], context.settings.seed),
        ),
        "polysemy": _polysemy(context, effects, alive, count),
        "monosemanticity": _monosemanticity(context, effects, alive),
    }


def top_count(pictures: int) -> int:
    """Return how many pictures count as a neuron's strongest ones."""
    return min(max(LEAST_TOP, round(TOP * pictures)), max(pictures // 2, 1))


def reconstructions(context: Context) -> np.ndarray:
    """Return the bundle's sparse reconstructions, unit norm: [neuron, embed] float32."""
    ids, weights = context.bundle.concept_ids, context.bundle.concept_weights
    found = np.zeros((len(ids), context.atoms.shape[1]), np.float32)
    for start in range(0, len(ids), 512):
        part = slice(start, start + 512)
        scaled = np.where(ids[part] >= 0, weights[part].astype(np.float32), 0)
        found[part] = np.einsum("nm,nme->ne", scaled, context.atoms[np.maximum(ids[part], 0)])
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return found


def swapped(layers: np.ndarray, seed: int) -> np.ndarray:
    """Return for each neuron another one of its layer: [neuron] int64."""
    rng = np.random.default_rng([seed, 6])
    found = np.arange(len(layers))
    for layer in np.unique(layers):
        places = rng.permutation(np.flatnonzero(layers == layer))
        found[places] = np.roll(places, 1)
    return found


def _descriptions(
    context: Context, effects: np.ndarray, alive: np.ndarray, count: int
) -> dict[str, Any]:
    seed = context.settings.seed
    layers = context.bundle.neurons["layer"].to_numpy()[alive]
    described = reconstructions(context)[alive]
    directions = np.array(context.bundle.directions, np.float32)[alive]
    predictors = {
        "description": described,
        "other_neuron": described[swapped(layers, seed)],
        "direction": directions,
    }
    scores = {
        name: _agreements(effects[:, alive], context.label_atoms, vectors, count)
        for name, vectors in predictors.items()
    }
    result: dict[str, Any] = {
        name: {metric: figure(values[:, i], seed) for i, metric in enumerate(METRICS)}
        for name, values in scores.items()
    }
    result["beyond_other_neuron"] = {
        metric: figure(scores["description"][:, i] - scores["other_neuron"][:, i], seed)
        for i, metric in enumerate(METRICS)
    }
    result["chance_auprc"] = round(count / len(effects), 5)
    result["layers"] = [
        {
            "layer": layer,
            **_by_metric(scores, layers == layer, "pearson", seed),
            "auprc": _by_metric(scores, layers == layer, "auprc", seed),
        }
        for layer in context.layers
    ]
    bins = np.linspace(-0.5, 1, 31)
    result["pearson_bins"] = [round(float(edge), 3) for edge in bins]
    result["pearson_counts"] = np.histogram(scores["description"][:, 0], bins)[0].tolist()
    result["other_counts"] = np.histogram(scores["other_neuron"][:, 0], bins)[0].tolist()
    return result


def _by_metric(
    scores: dict[str, np.ndarray], chosen: np.ndarray, metric: str, seed: int
) -> dict[str, Figure]:
    """Return one metric of a neuron's own and another's description, over the chosen neurons."""
    column = METRICS.index(metric)
    names = ("description", "other_neuron")
    return {name: figure(scores[name][chosen, column], seed) for name in names}


def _agreements(
    effects: np.ndarray, labels: np.ndarray, vectors: np.ndarray, count: int
) -> np.ndarray:
    """Return `METRICS` of each neuron: [neuron, metric]."""
    parts = []
    for start in range(0, len(vectors), CHUNK):
        part = slice(start, start + CHUNK)
        predicted = labels @ vectors[part].T
        parts.append(agreement(effects[:, part].astype(np.float32), predicted, count))
    return np.concatenate(parts)


def _polysemy(
    context: Context, effects: np.ndarray, alive: np.ndarray, count: int
) -> dict[str, Any]:
    seed = context.settings.seed
    context.say("predict: label-verified meanings")
    checked = meanings.verify_labels(
        context.bundle, context.atoms, context.label_atoms, effects, alive, count, seed
    )
    layers = context.bundle.neurons["layer"].to_numpy()[alive]
    return {
        "related_cosine": round(checked.related, 5),
        "two_meanings": figure(checked.polysemous, seed),
        "of_verified": figure(checked.polysemous[checked.verified > 0], seed),
        "permuted": figure(checked.permuted, seed),
        "beyond_permuted": figure(checked.polysemous - checked.permuted, seed),
        "verified_clusters": figure(checked.verified, seed),
        "permutations": meanings.PERMUTATIONS,
        "verified_histogram": np.bincount(checked.verified.astype(int)).tolist(),
        "layers": [
            {
                "layer": layer,
                "two_meanings": figure(checked.polysemous[layers == layer], seed),
                "permuted": figure(checked.permuted[layers == layer], seed),
            }
            for layer in context.layers
        ],
    }


def _monosemanticity(context: Context, effects: np.ndarray, alive: np.ndarray) -> dict[str, Any]:
    seed = context.settings.seed
    embeddings = context.embeddings
    shuffled = embeddings[
        torch.from_numpy(np.random.default_rng([seed, 7]).permutation(len(effects)))
    ]
    signed = effects[:, alive]
    found = meanings.monosemanticity(signed, embeddings)
    chance = meanings.monosemanticity(signed, shuffled)
    above = meanings.monosemanticity(signed.clip(0), embeddings)
    above_chance = meanings.monosemanticity(signed.clip(0), shuffled)
    layers = context.bundle.neurons["layer"].to_numpy()[alive]
    return {
        "score": figure(found, seed),
        "permuted": figure(chance, seed),
        "beyond_permuted": figure(found - chance, seed),
        "positive_side": {
            "score": figure(above, seed),
            "permuted": figure(above_chance, seed),
            "beyond_permuted": figure(above - above_chance, seed),
        },
        "layers": [
            {
                "layer": layer,
                "score": figure(found[layers == layer], seed),
                "positive_side": figure(above[layers == layer], seed),
            }
            for layer in context.layers
        ],
    }

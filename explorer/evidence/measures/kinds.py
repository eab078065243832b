"""Claim 5: second-order effects describe a neuron better than direct or indirect ones.

Paper, sections 3.1 and 3.2. For the same neurons (drawn at random among the bundle's last layer:
recomputation is one block there, so that enough neurons are affordable to tell small differences
apart) and the same pictures, three effects on the representation are measured, each about its
corpus mean:

- *direct*: `p_0 w` straight to the output;
- *second-order*: through later attention;
- *indirect*: the true change when the neuron alone is mean-ablated and the rest recomputed.

Each kind gets a direction (the first right singular vector of its effects on corpus pictures) and
a sparse text description of it, by one procedure. Compared on evaluation pictures: how well the
description predicts the signed effect from labels (Pearson; AUPRC of the strongest tenth), how
selective the kind is (share of the squared effect on the strongest tenth), how much its direction
explains, and its share of the neuron's indirect influence (root mean square, and the part that
points the same way). The second-order description of the bundle, from far more pictures, is beside.

Pictures: for each neuron those with the strongest activation at any token, which favours no kind,
pooled over the neurons (a draw of the pool, where it is larger than `FIT` and `TEST` allow), and as
many drawn at random; all neurons see all of them.

Control: the second-order description of another of the neurons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.decompose import reconstruct, sparse_codes
from explorer.evidence.context import Context
from explorer.evidence.figures import figure, ratio
from explorer.evidence.measures.metrics import agreement
from explorer.evidence.measures.predict import reconstructions
from explorer.evidence.reference import corpus_pixels
from explorer.evidence.work import stream
from explorer.lens import trace, write_vectors
from explorer.lens.direct import direct_paths
from explorer.lens.interventions import Streams, recompute, streams

NEEDS_EFFECTS = True
KINDS = ("direct", "second_order", "indirect")
EACH = 2  # pictures per neuron, those with its strongest activations
FIT, TEST = 160, 320  # pictures at most, half of them from those
TENTH = 0.1
NAME = "kinds of effects"


@dataclass(frozen=True, eq=False)
class Sample:
    """Which pictures: numbers in the corpus to fit on, places in the evaluation set to test on."""

    fit: np.ndarray
    test: np.ndarray


def choose_pictures(peaks: np.ndarray, each: int, most: int, seed: int) -> np.ndarray:
    """Return pictures [image]: each neuron's `each` strongest, and as many others at random.

    `peaks` is [image, neuron]. Not more than `most`: of the strongest a draw, if need be.
    """
    rng = np.random.default_rng([seed, 9])
    chosen = np.unique(np.argsort(-peaks, axis=0, kind="stable")[:each])
    if len(chosen) > most // 2:
        chosen = rng.choice(chosen, most // 2, replace=False)
    others = np.setdiff1d(np.arange(len(peaks)), chosen)
    drawn = rng.choice(others, min(len(others), len(chosen)), replace=False)
    return np.sort(np.concatenate([chosen, drawn]))


def measure(context: Context) -> dict[str, Any]:
    """Return the comparison, each figure over neurons."""
    seed = context.settings.seed
    neurons = context.kind_neurons
    fit = context.reference.images[choose_pictures(context.reference.peaks, EACH, FIT, seed)]
    test = choose_pictures(context.record("effects")["peaks"], EACH, TEST, seed)
    effects = _effects(context, Sample(fit, test))
    labels = context.label_atoms[test]
    rows = np.array([context.bundle.row(*neuron) for neuron in neurons])
    table: dict[str, dict[str, np.ndarray]] = {}
    for kind in KINDS:
        found = effects[kind]
        directions = first_directions(found[: len(fit)])
        described = _described(context, directions)
        table[kind] = _scores(found[len(fit) :], directions, described, labels)
        if kind == "second_order":
            swapped = np.roll(described, 1, axis=0)
            table["other_neuron"] = _scores(found[len(fit) :], directions, swapped, labels)
    own = np.array(context.bundle.directions[rows], np.float32)
    own_text = reconstructions(context)[rows]
    table["second_order_of_the_build"] = _scores(
        effects["second_order"][len(fit) :], own, own_text, labels
    )
    tested = {kind: effects[kind][len(fit) :] for kind in KINDS}
    result: dict[str, Any] = {
        kind: {name: figure(values, seed) for name, values in columns.items()}
        for kind, columns in table.items()
    }
    result["other_neuron"] = {name: result["other_neuron"][name] for name in ("pearson", "auprc")}
    for kind in KINDS:
        result[kind] |= _influence(tested[kind], tested["indirect"], seed)
    for other in ("direct", "indirect"):
        result[f"second_order_beyond_{other}"] = {
            name: figure(table["second_order"][name] - table[other][name], seed)
            for name in ("pearson", "auprc", "explained", "selectivity")
        }
    return {
        **context.conditions(),
        "neurons": [list(neuron) for neuron in neurons],
        "layer": neurons[0][0],
        "fit_pictures": len(fit),
        "test_pictures": len(test),
        "chance_auprc": round(strongest_tenth(len(test)) / len(test), 5),
        "texts": min(context.bundle.concept_ids.shape[1], *context.atoms.shape),
        **result,
    }


def first_directions(effects: np.ndarray) -> np.ndarray:
    """Return the first right singular vectors of [image, neuron, embed]: [neuron, embed].

    Signed so that most of the squared effect projects positively.
    """
    by_neuron = torch.from_numpy(effects).permute(1, 0, 2).double()
    vectors = torch.linalg.svd(by_neuron, full_matrices=False).Vh[:, 0]
    scores = torch.einsum("nie,ne->ni", by_neuron, vectors)
    signs = torch.where((scores * scores.abs()).sum(1) < 0, -1.0, 1.0)
    signed: np.ndarray = (vectors * signs[:, None]).float().numpy()
    return signed


def _described(context: Context, directions: np.ndarray) -> np.ndarray:
    """Return the directions' sparse reconstructions from texts: [neuron, embed]."""
    atoms = context.atoms
    m = min(context.bundle.concept_ids.shape[1], *atoms.shape)
    code = sparse_codes(directions, atoms, m)
    return reconstruct(atoms, code.ids, code.weights).astype(np.float32)


def strongest_tenth(pictures: int) -> int:
    """Return how many pictures are the strongest tenth."""
    return max(1, round(TENTH * pictures))


def _scores(
    effects: np.ndarray, directions: np.ndarray, described: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """Return each measure of each neuron: name -> [neuron]."""
    along = np.einsum("ine,ne->in", effects, directions)
    squares = (effects.astype(np.float64) ** 2).sum(axis=2)
    top = strongest_tenth(len(effects))
    agreed = agreement(along, labels @ described.T, top)
    total = np.maximum(squares.sum(axis=0), 1e-30)
    return {
        "pearson": agreed[:, 0],
        "auprc": agreed[:, 2],
        "explained": (along.astype(np.float64) ** 2).sum(axis=0) / total,
        "selectivity": np.sort(squares, axis=0)[-top:].sum(axis=0) / total,
    }


def _influence(effects: np.ndarray, indirect: np.ndarray, seed: int) -> dict[str, Any]:
    squares = (effects.astype(np.float64) ** 2).sum(axis=(0, 2))
    whole = np.maximum((indirect.astype(np.float64) ** 2).sum(axis=(0, 2)), 1e-30)
    together = (effects.astype(np.float64) * indirect).sum(axis=(0, 2))
    return {
        "size_share": figure(np.sqrt(squares / whole), seed),
        "aligned_share": figure(together / whole, seed),
        "pooled_aligned_share": ratio(together, whole, seed),
    }


def _effects(context: Context, sample: Sample) -> dict[str, np.ndarray]:
    """Return each kind's centred effects on fit, then test pictures: [image, neuron, embed]."""
    loaded = context.loaded
    maker = KindEffects(context)
    count = len(sample.fit)

    def take(places: range) -> Mapping[str, np.ndarray]:
        fit = [int(sample.fit[p]) for p in places if p < count]
        test = np.array([sample.test[p - count] for p in places if p >= count])
        pixels = []
        if fit:
            pixels.append(corpus_pixels(context.bundle, loaded, fit))
        if len(test):
            pixels.append(context.evaluation.pixels(loaded, test))
        return maker(torch.cat(pixels))

    total = count + len(sample.test)
    return stream(context.work, NAME, total, context.settings.batch_size, take, context.say)


class KindEffects:
    """The three effects of a few neurons on a batch of pictures."""

    def __init__(self, context: Context) -> None:
        """Gather each neuron's weights and means."""
        self.model, self.neurons = context.loaded.model, context.kind_neurons
        self.tables, self.reference = context.tables, context.reference
        centre = context.bundle.manifest.centre
        self.layers = sorted({layer for layer, _ in self.neurons})
        self.direct = {n: direct_paths(self.model, n, centre=centre).cpu() for n in self.layers}
        self.writes = {n: write_vectors(self.model, n, centre=False) for n in self.layers}

    def __call__(self, pixels: Tensor) -> dict[str, np.ndarray]:
        """Return `KINDS` -> [image, neuron, embed] float32."""
        record = trace(self.model, pixels, self.layers)
        found = streams(self.model, pixels, self.layers)
        parts: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
        coefficients = {layer: record.coefficients(layer).cpu() for layer in self.layers}
        for layer, neuron in self.neurons:
            table = self.tables[layer]
            delta = coefficients[layer][:, :, neuron] - table.mean[:, neuron]
            parts["second_order"].append(delta @ table.paths[:, neuron])
            at_class = record.post_activations(layer)[:, 0, neuron] / record.sigma_post
            direct = at_class.cpu() - self.reference.direct[layer][neuron]
            parts["direct"].append(direct[:, None] * self.direct[layer][neuron])
            parts["indirect"].append(self._indirect(found, layer, neuron))
        return {kind: torch.stack(rows, dim=1).float().numpy() for kind, rows in parts.items()}

    def _indirect(self, found: Streams, layer: int, neuron: int) -> Tensor:
        activations = found.activations[layer][..., neuron]
        mean = self.reference.activations[layer][:, neuron].to(activations)
        change = (mean - activations)[..., None] * self.writes[layer][neuron].to(activations)
        ablated = recompute(self.model, layer, found.outputs[layer] + change)
        return (found.representation - ablated).float().cpu()

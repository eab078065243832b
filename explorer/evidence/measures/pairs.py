"""Pairs of a neuron and a later head: how few carry the effects, and what heads carry apart.

After Bu and Gandelsman, "Interpreting ResNet-based CLIP via Neuron-Attention Decomposition" (2025),
on the bundle's pairs (`explorer.describe.pairs`) and the evaluation pictures, which had no part in
choosing them:

- *How many*: the pairs that hold 90 % of a neuron's squared effect, at most six, and the share that
  the first 1, 2, ... hold on the evaluation pictures; beside it the share along one direction of
  the neuron's own, the one that the build found. Each neuron counts as much as any other: squared
  effects are divided by its mean one over the build's pictures.
- *Ablation*: all pairs of all layers, in order of their mean squared effect in the build, less the
  share named, are replaced by their means. Beside it as many pairs at random, and as many in whole
  neurons, those whose mean squared effect for each of their pairs is the largest.
- *Heads and meanings*: of a neuron with two or more clusters of texts that labels verify (see
  `predict`), the strongest pictures are put to the cluster of their label, and to the head that
  carries most of the effect along the neuron's direction. Mutual information of the two in bits,
  and the same after the heads were dealt anew among the pictures. It is 0 or more by construction,
  so that only the difference says something.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explorer.describe.pairs import HELD, MOST
from explorer.describe.polysemy import related_cosine
from explorer.evidence.context import Context
from explorer.evidence.figures import figure, ratio
from explorer.evidence.lenspass import CHUNK, LayerTables, LayerView, PassBatch, Replacement
from explorer.evidence.measures.ablation import hits, lead_shares, recalls
from explorer.evidence.measures.meanings import LEAST_PICTURES, cluster_centres

NEEDS_EFFECTS = True
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
WAYS = ("strongest", "random", "whole_neurons")
TOP = 0.05
"""Share of the evaluation pictures that are a neuron's strongest."""
SHUFFLES = 20
Kept = dict[int, list[Tensor]]
"""Layer -> for each variant the places kept, among [path x neuron]."""


class PairProbe:
    """What the pass gives of pairs; per picture, see `take`."""

    def __init__(self, context: Context) -> None:
        """Choose the pairs of every variant."""
        bundle = context.bundle
        self.kept = chosen_pairs(context)
        change = partial(_changes, kept=self.kept)
        self.ablation = Replacement(context.judge, change, layerwise=False)
        widest = bundle.pair_shares.shape[1]
        self.paths = {
            n: own_paths(bundle.pair_paths[table.rows], widest - len(table.mean))
            for n, table in context.tables.items()
        }
        scale = bundle.neurons["scale"].to_numpy(np.float32)
        self.scales = {n: torch.from_numpy(scale[t.rows].copy()) for n, t in context.tables.items()}
        self.neurons = len(scale)

    def take(self, batch: PassBatch, /) -> Mapping[str, NDArray[Any]]:
        """Return ranks after every variant, and what pairs hold.

        `left` [image, count]: mean over neurons of the squared effect that is left when the first
        0, 1, ... pairs are kept; `along` [image]: that along the neuron's own direction; `head`
        [image, neuron] int16: the path that carries most along the neuron's direction.
        """
        images = batch.images.stop - batch.images.start
        left = torch.zeros(images, MOST + 1, dtype=torch.float64)
        along = torch.zeros(images, dtype=torch.float64)
        head = np.zeros((images, self.neurons), np.int16)
        alive = 0
        for view in batch.views:
            scale = self.scales[view.layer]
            weight = torch.where(scale > 0, 1 / scale.clamp(min=1e-30).square(), 0.0)
            alive += int((scale > 0).sum())
            left += remainders(view, self.paths[view.layer]) @ weight.double()
            along += view.signed.double().square() @ weight.double()
            carried = view.delta * view.tables.gains * view.signed.sign()[:, None]
            head[:, view.tables.rows] = carried.argmax(dim=1).numpy()
        found = self.ablation.take(batch)
        return {
            **found,
            "left": left.numpy() / max(alive, 1),
            "along": along.numpy() / max(alive, 1),
            "head": head,
        }


def probe(context: Context) -> PairProbe:
    """Return the probe of a bundle.

    Raises:
        InputError: when the bundle has no pairs; it says how to add them.
    """
    return PairProbe(context)


def own_paths(stored: NDArray[np.integer[Any]], before: int) -> Tensor:
    """Return the pairs that matter in a layer's own numbers: [neuron, pair], -1 for none.

    `stored` counts along the paths of the bundle's earliest layer, of which the layer lacks the
    first `before`.
    """
    paths = np.asarray(stored, np.int64)
    return torch.from_numpy(np.where(paths >= 0, paths - before, -1))


def remainders(view: LayerView, kept: Tensor) -> Tensor:
    """Return the squared effect that is left with the first pairs kept: [image, count, neuron].

    `kept` [neuron, pair] are the pairs in order, -1 for none.
    """
    whitening = view.tables.whitening[0]
    parts = []
    for start in range(0, len(view.by_neuron), CHUNK):
        part = slice(start, start + CHUNK)
        delta = view.by_neuron[part].clone()  # [neuron, image, path]
        rows = [torch.bmm(delta, whitening[part]).square().sum(dim=2)]
        for pair in range(kept.shape[1]):
            path = kept[part, pair]
            there = path >= 0
            delta[torch.nonzero(there)[:, 0], :, path[there]] = 0
            rows.append(torch.bmm(delta, whitening[part]).square().sum(dim=2))
        parts.append(torch.stack(rows))
    return torch.cat(parts, dim=1).permute(2, 0, 1).double()


def chosen_pairs(context: Context) -> Kept:
    """Return the places that each variant keeps: of `WAYS`, for each of `SHARES`."""
    tables = context.tables
    sizes = {n: pair_energies(context, table) for n, table in tables.items()}
    whole = {
        n: np.tile(np.square(_column(context, n, "scale")) / len(table.mean), len(table.mean))
        for n, table in tables.items()
    }
    rng = np.random.default_rng([context.settings.seed, 19])
    chance = {n: rng.random(len(values)) for n, values in sizes.items()}
    kept: Kept = {n: [] for n in tables}
    for values in (sizes, chance, whole):
        every = np.sort(np.concatenate(list(values.values())))[::-1]
        for share in SHARES:
            limit = every[max(1, round(share * len(every))) - 1]
            for n, own in values.items():
                kept[n].append(torch.from_numpy(np.flatnonzero(own >= limit)))
    return kept


def pair_energies(context: Context, table: LayerTables) -> NDArray[np.float64]:
    """Return the mean squared effect of each pair of a layer in the build: [path x neuron]."""
    bundle, paths = context.bundle, len(table.mean)
    scales = bundle.pair_sizes[table.rows] * bundle.pair_deviations[table.rows]
    energies: NDArray[np.float64] = np.square(scales[:, -paths:].astype(np.float64)).T.ravel()
    return energies


def _column(context: Context, layer: int, name: str) -> NDArray[np.float64]:
    rows = context.tables[layer].rows
    values: NDArray[np.float64] = context.bundle.neurons[name].to_numpy(np.float64)[rows]
    return values


def _changes(view: LayerView, kept: Kept) -> Tensor:
    """Return the changes of ablating all, then all but each variant's: [variant, image, embed]."""
    delta, paths = view.delta.flatten(1), view.tables.paths.flatten(0, 1)
    parts = [delta[:, places] @ paths[places] for places in kept[view.layer]]
    return torch.stack([torch.zeros_like(view.total), *parts]) - view.total


def measure(context: Context) -> dict[str, Any]:
    """Return the section's figures; see the module."""
    seed, record = context.settings.seed, context.record("pairs")
    ranks = record["ranks"][:, -1]
    full, ablated = hits(record["full"]), hits(ranks[:, 0])
    names = [f"{way} {share:g}" for way in WAYS for share in SHARES]
    shares = lead_shares(record["leads"][:, -1], names, seed)
    found = {name: hits(ranks[:, 1 + place]) for place, name in enumerate(names)}
    return {
        **context.conditions(),
        "full": recalls(record["full"], seed),
        "ablated": {"recall@1": figure(ablated, seed)},
        "drop": figure(full - ablated, seed),
        "carried": shares["carried"],
        "pairs": sum(len(table.mean) * len(table.directions) for table in context.tables.values()),
        "kept": [_kept(share, found, ablated, full, shares, seed) for share in SHARES],
        **_counts(context, seed),
        "held": _held(record, seed),
        "meanings": _meanings(context, record["head"], seed),
    }


def _kept(
    share: float,
    found: Mapping[str, NDArray[np.float64]],
    ablated: NDArray[np.float64],
    full: NDArray[np.float64],
    leads: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    row: dict[str, Any] = {"share": share}
    for way in WAYS:
        name = f"{way} {share:g}"
        row[way] = {
            "recall@1": figure(found[name], seed),
            "kept": ratio(found[name] - ablated, full - ablated, seed),
            "lead": leads[name],
        }
    for other in WAYS[1:]:
        difference = found[f"{WAYS[0]} {share:g}"] - found[f"{other} {share:g}"]
        row[f"beyond_{other}"] = figure(difference, seed)
    return row


def _counts(context: Context, seed: int) -> dict[str, Any]:
    """Return how many pairs hold `HELD` of a neuron's squared effect in the build."""
    bundle, alive = context.bundle, context.alive
    count = (np.asarray(bundle.pair_paths) >= 0).sum(axis=1)
    held = np.asarray(bundle.pair_held, np.float32).max(axis=1)
    reached = held >= HELD - 1e-3  # stored as float16
    layers = bundle.neurons["layer"].to_numpy()
    told = (np.asarray(bundle.pair_words) > 0)[np.asarray(bundle.pair_paths) >= 0]
    return {
        "holding": {
            "reached": figure(reached[alive], seed),
            "pairs_where_reached": figure(count[alive & reached], seed),
            "held": figure(held[alive], seed),
            "layers": [
                {
                    "layer": layer,
                    "pairs_of_a_neuron": len(context.tables[layer].mean),
                    "reached": figure(reached[alive & (layers == layer)], seed),
                    "held": figure(held[alive & (layers == layer)], seed),
                }
                for layer in context.layers
            ],
        },
        "with_words_above_chance": figure(told, seed),
    }


def _held(record: Mapping[str, NDArray[Any]], seed: int) -> dict[str, Any]:
    """Return the share of squared effects that the first pairs, or one direction, explain."""
    total = record["left"][:, 0]
    return {
        "first_pairs": [
            ratio(total - record["left"][:, count], total, seed) for count in range(1, MOST + 1)
        ],
        "one_direction": ratio(record["along"], total, seed),
    }


def _meanings(context: Context, heads: NDArray[np.int16], seed: int) -> dict[str, Any]:
    """Return the mutual information of head and meaning, and that of shuffled heads."""
    bundle, labels = context.bundle, context.label_atoms
    signed = context.record("effects")["signed"]
    related = related_cosine(context.atoms)
    top = max(4, round(TOP * len(signed)))
    rng = np.random.default_rng([seed, 20])
    own: list[float] = []
    shuffled: list[float] = []
    for row in np.flatnonzero(context.alive):
        column = signed[:, row]
        pictures = np.argsort(-column, kind="stable")[:top]
        pictures = pictures[column[pictures] > 0]
        centres = cluster_centres(
            context.atoms,
            bundle.concept_ids[row],
            bundle.concept_weights[row].astype(np.float32),
            bundle.concept_clusters[row],
        )
        clusters = verified_clusters(centres, labels[pictures], related)
        named = clusters >= 0
        if len(np.unique(clusters[named])) < 2:
            continue
        carriers = heads[pictures[named], row]
        own.append(mutual_information(carriers, clusters[named]))
        dealt = [
            mutual_information(rng.permutation(carriers), clusters[named]) for _ in range(SHUFFLES)
        ]
        shuffled.append(float(np.mean(dealt)))
    return {
        "neurons": len(own),
        "pictures": top,
        "information": figure(own, seed),
        "shuffled": figure(shuffled, seed),
        "beyond_shuffled": figure(np.subtract(own, shuffled), seed),
    }


def verified_clusters(
    centres: NDArray[np.float32], labels: NDArray[np.float32], related: float
) -> NDArray[np.int64]:
    """Return the cluster of each picture's label: [picture], -1 where it is related to none.

    `centres` [cluster, embed] and `labels` [picture, embed] unit norm. A cluster that fewer than
    `LEAST_PICTURES` labels name is none.
    """
    if not len(centres) or not len(labels):
        return np.full(len(labels), -1)
    cosines = labels @ centres.T
    nearest = np.where(cosines.max(axis=1) >= related, cosines.argmax(axis=1), -1)
    counts = np.bincount(nearest[nearest >= 0], minlength=len(centres))
    return np.where((nearest >= 0) & (counts[nearest] >= LEAST_PICTURES), nearest, -1)


def mutual_information(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the mutual information of two labellings of the same things, in bits."""
    _, rows = np.unique(one, return_inverse=True)
    _, columns = np.unique(other, return_inverse=True)
    joint = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(joint, (rows, columns), 1 / len(rows))
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log2(joint[there] / apart[there])).sum())

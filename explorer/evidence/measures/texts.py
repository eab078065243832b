"""Claim 4: a direction is a sparse sum of texts.

Paper, section 4.2: recall when each neuron's centred effect is replaced by its projection on the
unit-norm reconstruction of its direction from m texts (`codes` says why unit-norm).

Two experiments. (a) All neurons of the bundle, with the first m texts of the bundle's own sparse
sets. (b) The strongest neurons of all layers (by the root mean square of their effects), with m
texts chosen in several ways, up to 128; the other neurons' effects stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.evidence.context import Context
from explorer.evidence.figures import Figure, figure, ratio
from explorer.evidence.lenspass import LayerView, PassBatch, Replacement
from explorer.evidence.measures import codes
from explorer.evidence.measures.ablation import hits, recalls
from explorer.resumable import Arrays, Reporter

NEAREST = "nearest"
EVERY = "texts: all neurons"


@dataclass(frozen=True, eq=False)
class Candidates:
    """Unit vectors that neurons' effects are projected on.

    `neurons` are places within the layer, `vectors` [variant, neuron, embed], `gains` [neuron,
    path, variant] their products with the paths.
    """

    neurons: Tensor
    vectors: Tensor
    gains: Tensor

    def change(self, view: LayerView) -> Tensor:
        """Return what projecting adds to the representation: [variant + 1, image, embed].

        Variant 0 mean-ablates the neurons' effects.
        """
        if not len(self.neurons):
            return torch.zeros(len(self.vectors) + 1, *view.total.shape)
        scores = torch.bmm(view.by_neuron[self.neurons], self.gains)
        kept = torch.bmm(scores.permute(2, 1, 0), self.vectors)
        whole = len(self.neurons) == view.delta.shape[2]
        total = view.total if whole else self._total(view)
        return torch.cat([-total[None], kept - total])

    def _total(self, view: LayerView) -> Tensor:
        paths = view.tables.paths[:, self.neurons].flatten(0, 1)
        return view.delta[:, :, self.neurons].flatten(1) @ paths


class TextProbe:
    """Both experiments' replacements, as the arrays of `Replacement` with `a_` and `b_` before."""

    def __init__(self, first: Replacement, second: Replacement) -> None:
        """Keep the two."""
        self.parts = {"a": first, "b": second}

    def take(self, batch: PassBatch, /) -> Mapping[str, np.ndarray]:
        """Classify a batch in both experiments."""
        return {
            f"{part}_{key}": values
            for part, replacement in self.parts.items()
            for key, values in replacement.take(batch).items()
        }


def probe(context: Context) -> TextProbe:
    """Return the probe of both experiments."""
    own = own_vectors(context)
    rows = strongest(context)
    compared = torch.from_numpy(compared_vectors(context)["vectors"])
    every: dict[int, Candidates] = {}
    some: dict[int, Candidates] = {}
    for layer, table in context.tables.items():
        inside = slice(table.rows.start, table.rows.stop)
        every[layer] = _candidates(
            table.paths, torch.arange(inside.stop - inside.start), own[:, inside]
        )
        of_layer = np.flatnonzero((rows >= inside.start) & (rows < inside.stop))
        places = torch.from_numpy(rows[of_layer] - inside.start)
        some[layer] = _candidates(table.paths, places, compared[:, torch.from_numpy(of_layer)])

    return TextProbe(
        Replacement(context.judge, lambda view: every[view.layer].change(view), layerwise=False),
        Replacement(context.judge, lambda view: some[view.layer].change(view), layerwise=False),
    )


def _candidates(paths: Tensor, neurons: Tensor, vectors: Tensor) -> Candidates:
    gains = torch.einsum("kne,vne->nkv", paths[:, neurons], vectors)
    return Candidates(neurons, vectors.contiguous(), gains)


def strongest(context: Context) -> np.ndarray:
    """Return the rows of the neurons with the strongest effects, rising: [chosen] int64."""
    scale = np.where(context.alive, context.bundle.neurons["scale"].to_numpy(), -1)
    order = np.argsort(-scale, kind="stable")[: context.settings.text_neurons]
    return np.sort(order[scale[order] >= 0])


def own_sizes(context: Context) -> list[int]:
    """Return the numbers of texts within the bundle's own sparse sets."""
    most = context.bundle.concept_ids.shape[1]
    return [m for m in codes.SIZES if m <= most] or [most]


def _directions(context: Context) -> Tensor:
    directions = torch.from_numpy(np.array(context.bundle.directions, np.float32))
    return torch.nn.functional.normalize(directions, dim=1)


def own_vectors(context: Context) -> Tensor:
    """Return (a)'s vectors: the direction, the nearest text, then m texts.

    [variant, neuron, embed] float32, unit norm.
    """
    targets = _directions(context)
    atoms = torch.from_numpy(context.atoms)
    ids = torch.from_numpy(np.array(context.bundle.concept_ids, np.int64))
    found = codes.prefixes(targets, atoms, ids, [1, *own_sizes(context)])
    return torch.cat([targets[None], found])


def compared_vectors(context: Context) -> Arrays:
    """Return (b)'s vectors: the direction, the nearest text, then every method at every m.

    "vectors" [variant, chosen, embed] float32 and the lasso's "certified" [size]; kept in the
    working folder.
    """
    kept = context.work.arrays("texts")
    if kept is not None:
        return kept
    targets = _directions(context)[torch.from_numpy(strongest(context))]
    atoms = torch.from_numpy(context.atoms)
    sizes = codes.sizes_for(*atoms.shape)
    seed = context.settings.seed

    def notify(method: str) -> Reporter:
        return Reporter(context.say, f"texts: {method}", len(targets))

    pursued = codes.omp(targets, atoms, sorted({1, *sizes}), notify("omp"))
    lasso = codes.lasso(targets, atoms, sizes, notify("lasso"))
    vectors = [
        targets[None],
        pursued[:1],
        pursued[-len(sizes) :],
        codes.random_texts(targets, atoms, sizes, seed),
        codes.nonnegative(targets, atoms, sizes, notify("nonnegative")),
        lasso.reconstructions,
    ]
    found = {"vectors": torch.cat(vectors).numpy(), "certified": np.array(lasso.certified)}
    context.work.keep_arrays("texts", found)
    return found


def measure(context: Context) -> dict[str, Any]:
    """Return recall and reconstruction cosines by number of texts and by method."""
    seed = context.settings.seed
    record = context.record("texts")
    sizes = codes.sizes_for(*context.atoms.shape)
    found = compared_vectors(context)
    vectors = found["vectors"]
    cosines = np.einsum("vne,ne->vn", vectors, vectors[0])
    alive = context.alive
    own = own_vectors(context)
    own_cosines = torch.einsum("vne,ne->vn", own, own[0]).numpy()[:, alive]
    every = _rows(record, "a", own_cosines, [("omp", own_sizes(context))], seed)
    compared = _rows(record, "b", cosines, [(name, sizes) for name in codes.METHODS], seed)
    place = {(row["method"], row["m"]): i + 1 for i, row in enumerate(compared)}
    return {
        **context.conditions(),
        "texts": len(context.atoms),
        "full": recalls(record["a_full"], seed),
        "all_neurons": {
            "neurons": int(alive.sum()),
            **_ablated(record, "a", seed),
            "lead": _lead(record["a_leads"][:, 0], seed),
            "rows": every,
        },
        "strongest": {
            "neurons": vectors.shape[1],
            **_ablated(record, "b", seed),
            "rows": compared,
            "lasso_certified": dict(zip(map(str, sizes), found["certified"].tolist(), strict=True)),
            "omp_beyond_random": [
                {
                    "m": m,
                    "cosine": figure(
                        cosines[place["omp", m] - 1] - cosines[place["random", m] - 1], seed
                    ),
                }
                for m in sizes
            ],
        },
    }


def _ablated(record: Arrays, part: str, seed: int) -> dict[str, Any]:
    full, ablated = hits(record[f"{part}_full"]), hits(record[f"{part}_ranks"][:, 0, 0])
    return {"ablated": figure(ablated, seed), "drop": figure(full - ablated, seed)}


def _lead(leads: np.ndarray, seed: int) -> dict[str, Figure]:
    """Return what the effects add to the lead, and what the largest number of texts keeps of it.

    `leads` [image, variant] in the order of `_rows`, after mean ablation.
    """
    carried = -leads[:, 0]
    by_directions, by_texts = leads[:, 1] + carried, leads[:, -1] + carried
    return {
        "carried": figure(carried, seed),
        "directions": ratio(by_directions, carried, seed),
        "of_direction": ratio(by_texts, by_directions, seed),
    }


def _rows(
    record: Arrays, part: str, cosines: np.ndarray, methods: list[tuple[str, list[int]]], seed: int
) -> list[dict[str, Any]]:
    """Return a row a variant: method, m, recall, cosine of the reconstruction, and shares kept.

    "kept" is of the recall that is lost without the effects, "of_direction" of what the directions
    themselves keep of it.
    """
    names: list[tuple[str, int | None]] = [("direction", None), (NEAREST, 1)]
    names += [(method, m) for method, sizes in methods for m in sizes]
    ranks = record[f"{part}_ranks"][:, 0]
    full = hits(record[f"{part}_full"])
    ablated, direction = hits(ranks[:, 0]), hits(ranks[:, 1])
    rows = []
    for place, (method, m) in enumerate(names):
        found = hits(ranks[:, place + 1])
        rows.append(
            {
                "method": method,
                "m": m,
                "recall@1": figure(found, seed),
                "kept": ratio(found - ablated, full - ablated, seed),
                "of_direction": ratio(found - ablated, direction - ablated, seed),
                "reconstruction": figure(cosines[place], seed),
            }
        )
    return rows

"""Pages with neurons and heads beside the same pages with neurons; and rules to place pairs by.

Times are taken over the app's own protocol, as in `benchmarks.app`: the same queries in turn, for
neurons and for pairs. A rule for the map is judged by how many of a pair's ten truly nearest
neurons it puts among the thirty that lie around the pair; neurons themselves say what the map can
give. Directions by texts are what a bundle without weights of its own has.
"""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from benchmarks.app import Session, opened_bundle, random_address, running_app
from explorer.bundle import Bundle
from explorer.bundle.pair_directions import PairDirections, from_texts, pair_directions
from explorer.errors import InputError

TRUE, AROUND = 10, 30
NEAREST = 5  # neurons whose places a rule brings together
HEADS: dict[str, dict[str, object]] = {
    "search": {"of": "heads", "above": "0"},
    "atlas": {"of": "heads"},
}


@dataclass(frozen=True)
class PairsBench:
    """What is asked of the app."""

    bundle: str = field(default="", metadata={"help": "the bundle's folder name"})
    views: int = field(default=20, metadata={"help": "timed views per page, of each kind"})
    pairs: int = field(default=2000, metadata={"help": "pairs that rules are judged on"})
    seed: int = field(default=0, metadata={"help": "of the addresses and the pairs"})

    def __post_init__(self) -> None:
        """Refuse what measures nothing.

        Raises:
            InputError: when a number is less than 1.
        """
        if min(self.views, self.pairs) < 1:
            raise InputError("Ask for at least one view and one pair.")


def bench_pairs(settings: PairsBench) -> dict[str, Any]:
    """Time the pages, and judge the map's rules.

    Returns `server_ms` (page -> first view of pairs, medians of neurons and of pairs, their ratio),
    `kept` (rule -> share of true neighbours around) and `texts_cosine` (median cosine between a
    pair's direction and the sum of its texts).

    Raises:
        InputError: when there is no such bundle, or it has no pairs or no weights.
    """
    bundle = opened_bundle(settings.bundle)
    found = pair_directions(bundle)
    if not found.exact:
        raise InputError(f"The bundle {bundle.name} has no weights of its own: nothing to compare.")
    draw = random.Random(settings.seed)
    with running_app() as (address, _):
        times = {page: _times(address, page, bundle, settings.views, draw) for page in HEADS}
    chosen = np.random.default_rng(settings.seed).permutation(len(found))[: settings.pairs]
    return {
        "bundle": bundle.name,
        "pairs": len(found),
        "server_ms": times,
        "kept": _rules(bundle, found, chosen),
        "texts_cosine": round(_texts_cosine(bundle, found), 3),
    }


def _times(
    address: str, page: str, bundle: Bundle, views: int, draw: random.Random
) -> dict[str, float]:
    taken: dict[str, list[float]] = {"neurons": [], "pairs": []}
    with Session(address) as session:
        session.view(page, random_address(page, bundle, draw))
        first = 1000 * session.view(page, random_address(page, bundle, draw) | HEADS[page])
        for _ in range(views):
            asked = random_address(page, bundle, draw)
            for kind, own in (("neurons", {}), ("pairs", HEADS[page])):
                taken[kind].append(1000 * session.view(page, asked | own))
    medians = {kind: round(statistics.median(values), 1) for kind, values in taken.items()}
    ratio = round(medians["pairs"] / medians["neurons"], 2)
    return {"first_of_pairs": round(first, 1), **medians, "ratio": ratio}


def _rules(bundle: Bundle, found: PairDirections, chosen: NDArray[np.int64]) -> dict[str, float]:
    """Return the share of true neighbours that each rule keeps."""
    atlas = np.asarray(bundle.atlas, np.float64)
    alive = np.flatnonzero(np.isfinite(atlas).all(axis=1))
    places, directions = atlas[alive], np.asarray(bundle.directions, np.float32)[alive]
    around = NearestNeighbors(n_neighbors=AROUND + 1).fit(places)

    def kept(at: NDArray[np.float64], true: NDArray[np.int64], skip: int = 0) -> float:
        near = around.kneighbors(at, return_distance=False)[:, skip : AROUND + skip]
        shares = [len(np.intersect1d(a, b)) / TRUE for a, b in zip(near, true, strict=True)]
        return round(float(np.mean(shares)), 3)

    def nearest(cosines: NDArray[np.float32], skip: int = 0) -> NDArray[np.int64]:
        return np.argsort(-cosines, axis=1)[:, skip : TRUE + skip]

    true = nearest(_vectors(found)[chosen] @ directions.T)
    some = np.random.default_rng(0).permutation(len(alive))[: len(chosen)]
    return {
        "nearest neuron": kept(places[true[:, 0]], true),
        f"mean of {NEAREST}": kept(places[true[:, :NEAREST]].mean(axis=1), true),
        f"median of {NEAREST}": kept(np.median(places[true[:, :NEAREST]], axis=1), true),
        "neurons themselves": kept(places[some], nearest(directions[some] @ directions.T, 1), 1),
    }


def _texts_cosine(bundle: Bundle, found: PairDirections) -> float:
    told = replace(found, parts=(from_texts(bundle, found.rows, found.places),))
    return float(np.median((_vectors(told) * _vectors(found)).sum(axis=1)))


def _vectors(found: PairDirections) -> NDArray[np.float32]:
    """Return all directions, [pair, embed], by their cosines with the axes."""
    return found.cosines(np.eye(found.parts[0].outputs.shape[1], dtype=np.float32))

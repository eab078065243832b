"""One neuron of a bundle as its page shows it: read from the address once, handed to every section.

What takes a look at the arrays is derived when a section first asks for it, and kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from explorer.bundle.facts import is_dead
from explorer.bundle.meaning import fitted
from explorer.bundle.pairs import Head, Pair, find_pair, pairs_of
from explorer.errors import InputError
from explorer.ui.address.address import IMAGE, Place, whole
from explorer.ui.core import glossary
from explorer.ui.data import grouping
from explorer.ui.data.grouping import Cluster, Picture
from explorer.ui.data.loaders import View

PICTURES, TEXTS, WHERE, MORE = "pictures", "texts", "where", "more"  # the address parameters
HEAD = "head"  # one of its pairs, by block and head
HEADS = "heads"  # the part of the page that shows its pairs
TABS = {
    PICTURES: "All pictures",
    HEADS: "Head by head",
    TEXTS: "Sparse decomposition",
    "effects": "Effect sizes",
    "measures": "All measures",
    "similar": "Similar neurons",
    "try": "Try a picture",
    "files": "Download",
}
"""What lies below the first screen, by its value in the address."""
STRONGEST, GROUPED = "strongest", "grouped"
ORDERS = {STRONGEST: "Strongest first", GROUPED: "Grouped by similarity"}
DOUBTFUL = 0.6  # agreement below which the texts don't tell the pictures


@dataclass(frozen=True, eq=False)
class Neuron:
    """A neuron, and how its page shows it."""

    view: View
    row: int
    grouped: bool = False
    """Whether its pictures stand in groups."""
    mapped: bool = False
    """Whether each picture lies under the map of where the effect comes from."""
    asked: int | None = None
    """How many texts are shown; all where it is None."""
    more: str = PICTURES
    """Which of `TABS` lies below the first screen."""
    head: Pair | None = None
    """The pair that is shown in place of all; None: all."""

    @cached_property
    def place(self) -> Place:
        """Return layer and neuron."""
        return self.view.place(self.row)

    @property
    def name(self) -> str:
        """Return the neuron's name, the same everywhere."""
        return glossary.neuron_name(*self.place)

    @property
    def dead(self) -> bool:
        """Return whether no picture has an effect on it that varies."""
        return is_dead(self.view.bundle, self.row)

    @property
    def silent(self) -> bool:
        """Return whether it has no effect worth describing."""
        return bool(self.view.silent[self.row])

    @property
    def agreement(self) -> float:
        """Return how well its texts tell its pictures."""
        return self.measure("agreement")

    @property
    def doubtful(self) -> bool:
        """Return whether its texts don't tell its pictures."""
        return self.agreement < DOUBTFUL

    @property
    def scale(self) -> float:
        """Return its typical effect."""
        return self.measure("scale")

    def measure(self, key: str) -> float:
        """Return a number of the neuron table."""
        return float(self.view.column(key)[self.row])

    @cached_property
    def clusters(self) -> list[Cluster]:
        """Return all its concepts by cluster, heaviest cluster first; none for a dead neuron."""
        return grouping.concept_clusters(self.view, self.row)

    @cached_property
    def told(self) -> list[Cluster]:
        """Return the words that beat chance by cluster; all texts of an untested bundle."""
        if not self.view.bundle.tested:
            return self.clusters
        return cut(self.view, self.row, self.clusters, int(self.view.passing.counts[self.row]))

    @cached_property
    def most_texts(self) -> int:
        """Return how many texts its sparse set holds."""
        return int((np.asarray(self.view.bundle.concept_ids[self.row]) >= 0).sum())

    @property
    def texts(self) -> int:
        """Return how many texts are shown."""
        return self.most_texts if self.asked is None else self.asked

    @cached_property
    def shown_clusters(self) -> list[Cluster]:
        """Return the clusters of the texts that are shown, weights fitted anew."""
        return cut(self.view, self.row, self.clusters, self.texts)

    @cached_property
    def cosines(self) -> NDArray[np.float32]:
        """Return cosines of its direction with the sums of its first 1, 2, … texts, [text]."""
        stored = self.view.bundle.concept_cosines[self.row, : self.most_texts]
        return np.asarray(stored, np.float32)

    @cached_property
    def pictures(self) -> tuple[list[Picture], list[Picture]]:
        """Return its strongest pictures at the positive end and at the negative one."""
        positive, negative = (
            grouping.top_pictures(self.view, self.row, end, self.told)
            for end in (grouping.POSITIVE, grouping.NEGATIVE)
        )
        return positive, negative

    @cached_property
    def pairs(self) -> list[Pair]:
        """Return its pairs that matter, the largest share first; none in a bundle without pairs."""
        found = pairs_of(self.view.bundle, self.row) if self.view.bundle.paired else []
        return sorted(found, key=lambda pair: -pair.share)

    @cached_property
    def neighbours(self) -> list[tuple[int, float]]:
        """Return the neurons nearest by direction as rows with their cosines, nearest first."""
        rows = np.asarray(self.view.bundle.neighbours[self.row])
        cosines = np.asarray(self.view.bundle.neighbour_cosines[self.row], np.float32)
        return [(int(r), float(c)) for r, c in zip(rows, cosines, strict=True) if r >= 0]

    def params(self, **changes: object) -> dict[str, object]:
        """Return its address's own parameters, with changes."""
        layer, neuron = self.place
        return {"layer": layer, "neuron": neuron} | changes


def read_neuron(params: Mapping[str, str], view: View) -> tuple[Neuron, list[str]]:
    """Read the address: which neuron, shown how; a sentence for what can't be read."""
    row, problems = _read_row(params, view)
    order, where = params.get(PICTURES, STRONGEST), params.get(WHERE, "")
    if where not in {"", "1"}:
        problems.append(f"“{where}” is not a value for “{WHERE}”: write 1 or leave it out.")
    if order not in ORDERS:
        possible = " or ".join(ORDERS)
        problems.append(f"“{order}” is not a value for “{PICTURES}”: write {possible}.")
    more = params.get(MORE) or _meant(params)
    if more not in TABS:
        problems.append(f"“{more}” is no part of this page. Possible: {', '.join(TABS)}.")
        more = PICTURES
    neuron = Neuron(view, row, order == GROUPED, where == "1", more=more)
    if named := params.get(HEAD, ""):
        try:
            neuron = replace(neuron, head=find_pair(pairs_of(view.bundle, row), named))
        except InputError as error:
            problems.append(str(error))
    asked = params.get(TEXTS, "")
    if not asked or not neuron.most_texts:
        return neuron, problems
    count = whole(asked)
    if count is None or not 1 <= count <= neuron.most_texts:
        problems.append(
            f"“{asked}” texts cannot be shown: choose 1 to {neuron.most_texts}. All are shown."
        )
        return neuron, problems
    return replace(neuron, asked=count), problems


def _meant(params: Mapping[str, str]) -> str:
    """Return the part that an address's other parameters are about."""
    if params.get(IMAGE):
        return "try"
    if params.get(HEAD):
        return HEADS
    return TEXTS if params.get(TEXTS) else PICTURES


def _read_row(params: Mapping[str, str], view: View) -> tuple[int, list[str]]:
    """Read the row; else a sensible one and a sentence saying why."""
    asked = {key: params.get(key, "") for key in ("layer", "neuron")}
    values = {key: whole(text) for key, text in asked.items()}
    problems = [
        f"“{text}” is not a {key}: write a whole number, 0 or larger."
        for key, text in asked.items()
        if text and values[key] is None
    ]
    layer = view.layers[-1] if values["layer"] is None else values["layer"]
    try:
        row = view.bundle.row(layer, values["neuron"] or 0)
    except InputError as error:
        problems.append(str(error))
        row = view.bundle.row(layer if layer in view.layers else view.layers[-1], 0)
    if problems:
        problems[-1] += f" {glossary.neuron_name(*view.place(row))} is shown instead."
    return row, problems


def head_shares(view: View, row: int) -> tuple[list[int], NDArray[np.float32]]:
    """Return the later blocks, and each of their heads' share of the strong effects.

    The shares, [block, head] float32, add up to 1; one below 0 works against the rest.
    """
    model = view.bundle.manifest.model
    layer, _ = view.place(row)
    blocks = list(range(layer + 1, int(model["blocks"])))
    heads = int(model["heads"])
    stored = np.asarray(view.bundle.path_shares[row], np.float32)
    return blocks, stored[len(stored) - len(blocks) * heads :].reshape(len(blocks), heads)


def heads_address(head: Head | None) -> dict[str, str]:
    """Return the parameters of a neuron's address that open one of its heads; none for None."""
    return {} if head is None else {MORE: HEADS, HEAD: "{}.{}".format(*head)}


def cut(view: View, row: int, clusters: list[Cluster], count: int) -> list[Cluster]:
    """Return the clusters of the first `count` texts of the pursuit, weights fitted anew."""
    ids = np.asarray(view.bundle.concept_ids[row])
    if count >= int((ids >= 0).sum()):
        return clusters
    if not count:
        return []
    weights = dict(
        zip(
            (view.bundle.texts[int(i)] for i in ids[:count]),
            fitted(view.bundle, row, count),
            strict=True,
        )
    )
    total = sum(weight**2 for weight in weights.values()) or 1.0
    kept = []
    for cluster in clusters:
        concepts = tuple(
            replace(concept, weight=float(weights[concept.text]))
            for concept in cluster.concepts
            if concept.text in weights
        )
        if concepts:
            share = float(sum(concept.weight**2 for concept in concepts) / total)
            kept.append(replace(cluster, concepts=concepts, share=share))
    return kept

"""What the Adversarial page computes, kept: a pair's concepts, proposals, pictures, explanations.

The model is the one that all pages share (`explorer.lens_model.open_lens_model`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import streamlit as st

from explorer.attack.audit import Audit, audit
from explorer.attack.batch import Attack, Attempt
from explorer.attack.concepts import text_embeddings
from explorer.attack.pairs import Classes, Pair, propose_pairs
from explorer.attack.scenes import AttackScene, compose_attack
from explorer.evidence.measures.attack import OWN
from explorer.picture.uploads import decode
from explorer.ui.data import live
from explorer.ui.data.adversarial_query import AttackQuery
from explorer.ui.data.loaders import View

PROPOSED = 6
EXAMPLES = 4  # pictures that stand on the page before a batch is made
BATCH = "_attack_batch"


@dataclass
class Batch:
    """A batch under way; of this session alone."""

    key: tuple[object, ...]
    attempts: list[Attempt] = field(default_factory=list)
    coming: Iterator[Attempt] | None = None

    @property
    def running(self) -> bool:
        """Whether more pictures are to come."""
        return self.coming is not None


@dataclass(frozen=True)
class Proposal:
    """A pair to look at."""

    pair: Pair
    share: float | None = None
    """Share of its pictures that were taken for the target, where that was measured."""


def find_attack(view: View, query: AttackQuery) -> Attack:
    """A pair's ranked concepts. Raises InputError if none is left."""
    live.lens_model(view)
    return _attack(view.key, view.bundle.manifest.identity, query.source, query.target, view)


@st.cache_resource(
    max_entries=32,
    show_spinner="The best concepts are tried beside the source, some 100 pictures …",
)
def _attack(key: str, identity: str, source: str, target: str, _view: View) -> Attack:
    return Attack.of(_view.bundle, source, target)


def examples(view: View, query: AttackQuery) -> list[Attempt]:
    """The first few pictures of a batch, made at once. Raises InputError as `find_attack` does."""
    attack = find_attack(view, query)
    identity = view.bundle.manifest.identity
    return _examples(view.key, identity, query.source, query.target, query.seed, attack)


@st.cache_resource(max_entries=32, show_spinner="A few pictures are made …")
def _examples(
    key: str, identity: str, source: str, target: str, seed: int, _attack: Attack
) -> list[Attempt]:
    return list(_attack.attempts(EXAMPLES, seed=seed))


def measured_pairs(view: View) -> list[Proposal]:
    """The measured pairs that are most often taken for the target; none if none were measured."""
    found = view.bundle.manifest.evidence.get("attack", {}).get("by_pair", [])
    rows = [row for row in found if OWN in row]
    best = sorted(rows, key=lambda row: -row[OWN])[:PROPOSED]
    return [Proposal(Pair(row["source"], row["target"]), row[OWN]) for row in best]


def proposals(view: View, seed: int) -> list[Proposal]:
    """A few pairs drawn by a seed; seconds of work. Raises InputError if the bundle has none."""
    found = _proposals(view.key, view.bundle.manifest.identity, seed, view)
    return [Proposal(pair) for pair in found]


@st.cache_resource(max_entries=32, show_spinner="The model looks for striking pairs …")
def _proposals(key: str, identity: str, seed: int, _view: View) -> list[Pair]:
    return propose_pairs(_view.bundle, Classes.of(_view.bundle), PROPOSED, seed)


def scene_of(view: View, query: AttackQuery, number: int) -> AttackScene:
    """A batch's scene again, from its address. Raises InputError if it cannot be made."""
    attack = find_attack(view, query)
    pair = attack.ranking.source, attack.ranking.target
    return compose_attack(view.bundle, *pair, attack.ranking.shown, seed=query.seed, number=number)


def batch_of(view: View, query: AttackQuery) -> Batch:
    """The session's batch for an address; an empty one where another was made last."""
    key = (view.key, view.bundle.manifest.identity, query.source, query.target, query.seed,
           query.count)  # fmt: skip
    held: Batch | None = st.session_state.get(BATCH)
    if held is None or held.key != key:
        held = Batch(key)
        st.session_state[BATCH] = held
    return held


def start(view: View, query: AttackQuery) -> None:
    """Begin a batch anew; `advance` makes its pictures."""
    batch = batch_of(view, query)
    batch.attempts.clear()
    batch.coming = find_attack(view, query).attempts(query.count, seed=query.seed)


def stop(view: View, query: AttackQuery) -> None:
    """Make no more pictures; those there are stay."""
    batch_of(view, query).coming = None


def advance(batch: Batch) -> None:
    """Make the next picture of a batch."""
    if batch.coming is None:
        return
    made = next(batch.coming, None)
    if made is None:
        batch.coming = None
    else:
        batch.attempts.append(made)


def explain(view: View, query: AttackQuery, number: int) -> Audit:
    """Why the batch's picture is taken for the target. Raises InputError if nothing pushes it."""
    identity = view.bundle.manifest.identity
    return _explain(view.key, identity, query.source, query.target, query.seed, number, view)


@st.cache_data(max_entries=64, show_spinner="The neurons that push it are looked for …")
def _explain(
    key: str, identity: str, source: str, target: str, seed: int, number: int, _view: View
) -> Audit:
    scene = scene_of(_view, AttackQuery(source, target, seed), number)
    first, second = text_embeddings(_view.bundle, [source, target])
    return audit(_view.bundle, scene.image, source, target, (first, second))


def explain_upload(view: View, data: bytes, right: str, wrong: str) -> Audit:
    """The same for a picture from outside, not kept. Raises InputError if it cannot be read."""
    first, second = text_embeddings(view.bundle, [right, wrong])
    return audit(view.bundle, decode(data).picture, right, wrong, (first, second))

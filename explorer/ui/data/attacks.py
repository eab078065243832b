"""Attacks of a bundle, kept for all sessions: a pair's concepts, scenes and their explanations.

The model is the one that all pages share (`loaded_model.opened`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st
from pydantic import BaseModel, Field, FiniteFloat

from explorer.attack.audit import Audit, audit
from explorer.attack.batch import Attack, Attempt
from explorer.attack.concepts import Ranking
from explorer.attack.pairs import Classes, Pair, propose_pairs
from explorer.attack.scenes import AttackScene, compose_attack
from explorer.bundle.manifest import digest_of
from explorer.picture.uploads import decode
from explorer.search.texts import text_embeddings
from explorer.ui.address.attack_query import AttackQuery
from explorer.ui.data import line, loaded_model
from explorer.ui.data.loaders import View

PROPOSED = 6
EXAMPLES = 4  # pictures that stand on the page before a batch is made


@dataclass(frozen=True)
class Proposal:
    """A pair to look at."""

    pair: Pair
    share: float | None = None
    """Share of its pictures in which the target scored above the source, where measured."""


class MeasuredPair(BaseModel):
    """What is read here of a pair that was measured."""

    source: str
    target: str
    share: FiniteFloat | None = Field(default=None, alias="second-order")


class MeasuredAttack(BaseModel):
    """What is read here of the evidence on attacks."""

    by_pair: list[MeasuredPair] = []


def find_attack(view: View, query: AttackQuery) -> Attack:
    """Return a pair's ranked concepts.

    Raises:
        InputError: when no concept is left.
    """
    loaded_model.opened(view)
    return Attack(view.bundle, *_ranked(*basis(view), query.source, query.target, view))


def basis(view: View) -> tuple[str, str]:
    """Return what a pair's concepts and scenes are made from: the bundle's name, and a SHA-256.

    That is of the bundle and its evidence on attacks, which says what trials of concepts gained.
    Both change the concepts.
    """
    return view.key, view.held("basis of attacks", _digest)


def _digest(view: View) -> str:
    manifest = view.bundle.manifest
    return digest_of({"bundle": manifest.identity, "attack": manifest.evidence.get("attack")})


@st.cache_resource(
    max_entries=32,
    show_spinner="Trying the best concepts beside the source, about 100 pictures …",
)
def _ranked(
    key: str, digest: str, source: str, target: str, _view: View
) -> tuple[Ranking, np.ndarray]:
    """Return what an attack is made of but its bundle, which a kept one would keep alive."""
    found = Attack.of(_view.bundle, source, target)
    return found.ranking, found.texts


def first_attempts(view: View, query: AttackQuery) -> list[Attempt]:
    """Return the first few pictures of a batch, made at once.

    Raises:
        InputError: when `find_attack` raises it.
    """
    attack = find_attack(view, query)
    return _first_attempts(*basis(view), query.source, query.target, query.seed, attack)


@st.cache_resource(max_entries=32, show_spinner="Making a few pictures …")
def _first_attempts(
    key: str, digest: str, source: str, target: str, seed: int, _attack: Attack
) -> list[Attempt]:
    return list(_attack.attempts(EXAMPLES, seed=seed))


def measured_pairs(view: View) -> list[Proposal]:
    """Return the measured pairs whose target most often scored above the source, if any."""
    found = view.bundle.manifest.section("attack", MeasuredAttack)
    rows = [(row.share, row) for row in found.by_pair if row.share is not None] if found else []
    best = sorted(rows, key=lambda row: -row[0])[:PROPOSED]
    return [Proposal(Pair(row.source, row.target), share) for share, row in best]


def proposals(view: View, seed: int) -> list[Proposal]:
    """Draw a few pairs by a seed; seconds of work.

    Raises:
        InputError: when the bundle has no pair to propose.
    """
    found = _proposals(view.key, view.bundle.manifest.identity, seed, view)
    return [Proposal(pair) for pair in found]


@st.cache_resource(max_entries=32, show_spinner="Looking for striking pairs …")
def _proposals(key: str, identity: str, seed: int, _view: View) -> list[Pair]:
    return propose_pairs(_view.bundle, Classes.of(_view.bundle), PROPOSED, seed)


def scene_of(view: View, query: AttackQuery, number: int) -> AttackScene:
    """Make a batch's scene again, from its address.

    Raises:
        InputError: when it cannot be made.
    """
    ranking = find_attack(view, query).ranking
    return compose_attack(
        view.bundle, ranking.source, ranking.target, ranking.shown, seed=query.seed, number=number
    )


def explain(view: View, query: AttackQuery, number: int) -> Audit:
    """Find out why the batch's picture is taken for the target.

    Raises:
        InputError: when nothing pushes it there.
    """
    return _explain(*basis(view), query.source, query.target, query.seed, number, view)


@st.cache_data(max_entries=64, show_spinner="Looking for the neurons that push it …")
def _explain(
    key: str, digest: str, source: str, target: str, seed: int, number: int, _view: View
) -> Audit:
    scene = scene_of(_view, AttackQuery(source, target, seed), number)
    first, second = text_embeddings(_view.bundle, [source, target])
    return audit(_view.bundle, scene.image, source, target, (first, second))


def explain_upload(view: View, data: bytes, right: str, wrong: str) -> Audit:
    """Find out the same for a picture from outside, which is not kept.

    Raises:
        InputError: when it cannot be read.
    """
    picture = decode(data).picture
    with line.turn("Looking for the neurons that push it …"):
        first, second = text_embeddings(view.bundle, [right, wrong])
        return audit(view.bundle, picture, right, wrong, (first, second))

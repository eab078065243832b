"""The batch of pictures that a session has under way, made one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import streamlit as st

from explorer.attack.batch import Attempt
from explorer.ui.address.attack_query import AttackQuery
from explorer.ui.data.attacks import basis, find_attack
from explorer.ui.data.loaders import View

BATCH = "_attack_batch"


@dataclass
class Batch:
    """A batch under way; of this session alone."""

    key: tuple[object, ...]
    attempts: list[Attempt] = field(default_factory=list)
    coming: Iterator[Attempt] | None = None

    @property
    def running(self) -> bool:
        """Return whether more pictures are to come."""
        return self.coming is not None

    def advance(self) -> None:
        """Make the next picture."""
        if self.coming is None:
            return
        made = next(self.coming, None)
        if made is None:
            self.coming = None
        else:
            self.attempts.append(made)


def batch_of(view: View, query: AttackQuery) -> Batch:
    """Return the session's batch for an address; an empty one where another was made last."""
    key = (*basis(view), query.source, query.target, query.seed, query.count)
    held: Batch | None = st.session_state.get(BATCH)
    if held is None or held.key != key:
        held = Batch(key)
        st.session_state[BATCH] = held
    return held


def start(view: View, query: AttackQuery) -> None:
    """Start a new batch; `Batch.advance` makes its pictures."""
    batch = batch_of(view, query)
    batch.attempts.clear()
    batch.coming = find_attack(view, query).attempts(query.count, seed=query.seed)


def stop(view: View, query: AttackQuery) -> None:
    """Make no more pictures; those made stay."""
    batch_of(view, query).coming = None

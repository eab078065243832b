"""Where the work of a build is done: in this process, or on a Ray cluster.

An engine has two kinds of work. It fills a `Gathering` with the images of a pass, and it maps a
function over pieces that do not depend on each other. Arrays do not follow from the engine: parts
of a pass merge exactly, and the pieces are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from explorer.build.corpus import Corpus
from explorer.build.gathering import Gathering, stream
from explorer.build.memory import room_for
from explorer.build.settings import BuildSettings
from explorer.errors import InputError
from explorer.resumable import Say

MISSING = (
    "--engine ray needs Ray, which is not installed here: "
    'pip install "second-order-explorer[ray]" here and on every machine of the cluster.'
)

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Does the work of a build."""

    def room(self, settings: BuildSettings, weights: int) -> float:
        """Return the bytes that statistics may take wherever they are gathered.

        `weights` are the bytes of the model, which is loaded here already.
        """

    def fill(
        self,
        gather: Gathering,
        corpus: Corpus,
        order: NDArray[np.int64],
        settings: BuildSettings,
        work: Path,
        say: Say,
    ) -> None:
        """Gather the images of `order` [image] from where `gather` is; keep the state in `work`.

        Raises:
            InputError: when the work cannot be done there.
            Interrupted: after Ctrl-C, with the state saved.
        """

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield `work(item)` of each item, in order.

        Raises:
            InputError: when the work cannot be done there; or what `work` raises.
        """


class LocalEngine:
    """Work in this process, one piece after the other."""

    def room(self, settings: BuildSettings, weights: int) -> float:
        """Return what is free, or as `--memory` says."""
        return room_for(settings)

    def fill(
        self,
        gather: Gathering,
        corpus: Corpus,
        order: NDArray[np.int64],
        settings: BuildSettings,
        work: Path,
        say: Say,
    ) -> None:
        """Gather the images in one stream."""
        stream(corpus, gather, order, settings, lambda done: gather.save(work), say)

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield the results as they are asked for."""
        return map(work, items)


@contextmanager
def open_engine(settings: BuildSettings, say: Say) -> Iterator[Engine]:
    """Yield the engine that `--engine` names; a cluster is left when the block ends.

    Raises:
        InputError: when Ray is not installed, or no cluster answers.
    """
    if settings.engine == "local":
        yield LocalEngine()
        return
    try:
        from explorer.build.ray_engine import connected
    except ImportError as error:
        if not (error.name or "").startswith("ray"):
            raise
        raise InputError(MISSING) from error
    with connected(settings, say) as engine:
        yield engine

"""Work on many items in worker processes, the results in order.

The processes are those of torch's DataLoader. Ctrl-C goes to the main process alone, which ends
them; when it is killed they end by themselves. Few items are worked on in the main process: to
start workers would take longer.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from explorer.build import container

FEW = 256
"""Pictures that need no workers."""
MOST = 16
"""Workers at most, unless more are asked for."""
AHEAD = 4  # results that wait for each worker

Item = TypeVar("Item")
Result = TypeVar("Result")


def worker_count(asked: int | None, pictures: int, share: float = 1.0) -> int:
    """Return how many workers to decode with: as asked, or by the cores there are.

    `share` is the share of the cores that the main process leaves. Workers are forked, so there are
    none where the system does not do that well.
    """
    if not sys.platform.startswith("linux") or pictures < 2:
        return 0
    if asked is not None:
        return asked
    cores = min(len(os.sched_getaffinity(0)), container.cores())
    return 0 if pictures < FEW else max(1, min(MOST, int(cores * share)))


@contextmanager
def in_order(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Iterator[Result]]:
    """Yield an iterator over `work(item)` in order; the workers are gone when the block ends.

    Results go through a pipe: NumPy arrays rather than tensors, which would fill the shared memory
    of a container. What `work` raises is raised where its result would come.
    """
    if not workers:
        yield map(work, items)
        return
    with closing(_from_workers(work, items, workers)) as results:
        yield results


def _from_workers(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Generator[Result, None, None]:
    loader = DataLoader(
        _Work(work, items),
        batch_size=None,
        shuffle=False,
        num_workers=min(workers, len(items)),
        prefetch_factor=AHEAD,
        collate_fn=_as_it_is,
        worker_init_fn=_leave_signals,
        multiprocessing_context="fork",
        generator=torch.Generator(),  # it draws a number, which must not be one of the model's
    )
    for result in loader:
        if isinstance(result, _Raised):
            raise result.error
        yield result


class _Raised:
    """An exception on its way to the main process, which raises it with its own words."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class _Work(Dataset[Any], Generic[Item, Result]):
    def __init__(self, work: Callable[[Item], Result], items: Sequence[Item]) -> None:
        self.work, self.items = work, items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int) -> Result | _Raised:
        try:
            return self.work(self.items[place])
        except Exception as error:
            return _Raised(error)


def _as_it_is(result: Any) -> Any:
    return result


def _leave_signals(_worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)

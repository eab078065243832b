"""Work on a Ray cluster: parts of a pass, and pieces of what comes behind it.

A worker is a process of Ray's. It gets the model once, through Ray's object store, and sees one
part after the other (`explorer.build.parts`). Parts that are finished are kept in the build's
working folder and merged here in the order of the pass: the state is that of a local build, so a
build may even change its engine when it goes on. A part whose worker dies is given out again.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import ray
import torch
from numpy.typing import NDArray
from ray.exceptions import RayError, RaySystemError, RayTaskError

import explorer
from explorer.build.corpus import Corpus
from explorer.build.gathering import NAME, Gathering, batches_of, reader, save_state, stream
from explorer.build.memory import GIB, SPARE, room_for
from explorer.build.parts import Job, PartGatherer, digest, head_size, part_size, places_of
from explorer.build.settings import BuildSettings
from explorer.errors import ExplorerError, InputError, brief
from explorer.resumable import Arrays, Say, run_batches

WARM_UP = "warm-up"
TRIES = 3
"""Times that a piece of work is given out before its workers' deaths are no accident."""
LACKING = r"No module named '(\w+)"
REACHED_WITHIN = 10.0  # seconds, a cluster's first machine
POLL = 1.0  # seconds between two looks at Ctrl-C

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Crew:
    """The workers that a cluster has room for."""

    cpus: int
    """Cores and threads of each."""
    gpus: int
    """0 or 1, of each."""
    machines: tuple[tuple[int, float], ...]
    """Workers, and bytes of memory, of each machine that has room for one."""

    @classmethod
    def of(cls, settings: BuildSettings) -> Crew:
        """Count the workers of the cluster that this process is connected to.

        Raises:
            InputError: when there is room for none.
        """
        gpus = int(settings.device.startswith("cuda"))
        there = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        fit = [r for r in there if r.get("CPU", 0) >= 1 and r.get("GPU", 0) >= gpus]
        if not fit:
            wanted = "GPU" if gpus else "CPU"
            raise InputError(f"No machine of the Ray cluster offers a {wanted}: add one to it.")
        shares = [int(r["CPU"] // (r["GPU"] if gpus else 1)) for r in fit]
        cpus = settings.ray_cpus or max(1, min(shares))
        counts = [min(int(r["CPU"] // cpus), int(r["GPU"]) if gpus else int(r["CPU"])) for r in fit]
        if not any(counts):
            largest = max(int(r["CPU"]) for r in fit)
            raise InputError(
                f"--ray-cpus is {cpus}, and the largest machine of the Ray cluster has {largest}."
            )
        memory = [float(r.get("memory", 0)) for r in fit]
        machines = tuple(pair for pair in zip(counts, memory, strict=True) if pair[0])
        return cls(cpus, gpus, machines)

    @property
    def workers(self) -> int:
        """How many there are."""
        return sum(count for count, _ in self.machines)

    def room(self, weights: int) -> float:
        """Return the bytes that each worker has beside a model of so many."""
        return min(SPARE * memory / count - weights for count, memory in self.machines)

    def __str__(self) -> str:
        """Return it in words."""
        each = f"{self.cpus} CPU{'s' * (self.cpus > 1)}" + " and a GPU" * self.gpus
        machines = len(self.machines)
        return (
            f"{self.workers} worker{'s' * (self.workers > 1)} of {each} on {machines} "
            f"machine{'s' * (machines > 1)}"
        )


@contextmanager
def connected(settings: BuildSettings, say: Say) -> Iterator[RayEngine]:
    """Yield the engine of a cluster; see `--ray-address`. A connection made here ends here.

    Raises:
        InputError: when no cluster answers, or it has no room for a worker.
    """
    mine = not ray.is_initialized()
    if mine:
        connect(settings.ray_address)
    try:
        crew = Crew.of(settings)
        say(f"ray: {crew}")
        yield RayEngine(crew, say)
    finally:
        if mine:
            ray.shutdown()


def connect(address: str | None) -> None:
    """Connect this process to a cluster; see `--ray-address`.

    Raises:
        InputError: when none answers there, or it refuses.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or Ray warns of the other
    named = address or os.environ.get("RAY_ADDRESS", "")
    try:
        _knock(named)
        ray.init(
            address=address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"No Ray cluster answers at {named or 'this machine'} ({brief(error)}): start one with "
            "'ray start --head', leave --ray-address and RAY_ADDRESS out, or, where it asks for a "
            "token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN."
        ) from error


def _knock(address: str) -> None:
    """Look whether anyone listens at HOST:PORT; Ray itself would try for minutes.

    Raises:
        OSError: when nobody does.
    """
    host, _, port = address.partition("://")[2 if "://" in address else 0].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=REACHED_WITHIN).close()


class RayEngine:
    """Work on the cluster that this process is connected to."""

    def __init__(self, crew: Crew, say: Say) -> None:
        """Take the crew."""
        self.crew, self.say = crew, say

    def room(self, settings: BuildSettings, weights: int) -> float:
        """Return what each worker has, and this process; or as `--memory` says."""
        if settings.memory is not None:
            return settings.memory * GIB
        most = max(count for count, _ in self.crew.machines)  # they may be on this machine
        return min(self.crew.room(weights), room_for(settings) / (most + 1))

    def fill(
        self,
        gather: Gathering,
        corpus: Corpus,
        order: NDArray[np.int64],
        settings: BuildSettings,
        work: Path,
        say: Say,
    ) -> None:
        """Gather the first images here and the others in parts, which are merged in order."""
        head = head_size(gather, settings, len(order))
        if gather.done < head:
            warm = order[:head]
            stream(corpus, gather, warm, settings, lambda done: gather.save(work), say, WARM_UP)
        if head == len(order):
            return
        size = part_size(settings, len(order))
        places = list(places_of(head, len(order), size))
        job = Job(corpus, settings, gather.beginning(), min(size, len(order) - head))
        say(f"ray: {len(places)} parts of {size:,} images or fewer")
        with closing(Parts(self._tasks(_gather_part), job, order, places, work, say)) as parts:

            def save(done: int) -> None:
                gather.save(work)
                parts.forget(done)

            run_batches(
                NAME,
                len(order),
                size,
                parts.wait_for,
                lambda _, part: gather.absorb(reader(part)),
                save,
                say,
                done=head,
                unit="images",
                save_seconds=60 * settings.save_minutes,
            )

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield the results in order, as soon as they are there."""
        shared = ray.put(work)
        with closing(self._tasks(_work)) as tasks:
            for place, item in enumerate(items):
                tasks.add(place, f"piece {place + 1} of {len(items)}", [shared], item)
            found: dict[int, Result] = {}
            for place in range(len(items)):
                while place not in found:
                    key, result = tasks.take()
                    found[key] = result
                yield found.pop(place)

    def _tasks(self, function: Callable[..., Any]) -> Tasks:
        crew = self.crew
        remote = ray.remote(num_cpus=crew.cpus, num_gpus=crew.gpus, max_retries=0)(function)
        here = Place(_versions(), crew.cpus, os.getcwd())  # noqa: PTH109  # a plain string
        return Tasks(lambda *arguments: remote.remote(here, *arguments), self.say)


class Tasks:
    """Pieces of work on the cluster; one whose worker dies is given out again."""

    def __init__(self, start: Callable[..., Any], say: Say) -> None:
        """Give out work by `start`, which returns the reference to a result."""
        self._start, self._say = start, say
        self._given: dict[Any, tuple[Any, str, tuple[Any, ...]]] = {}
        self._tries: Counter[Any] = Counter()

    def add(self, key: Any, name: str, *arguments: Any) -> None:
        """Give out a piece of work; `name` is what messages call it."""
        self._tries[key] += 1
        self._given[self._start(*arguments)] = (key, name, arguments)

    def take(self) -> tuple[Any, Any]:
        """Wait for any piece and return its key and result.

        Raises:
            InputError: when the workers of one piece die again and again; or what the work raises.
        """
        while True:
            done, _ = ray.wait(list(self._given), num_returns=1, timeout=POLL)
            for reference in done:
                key, name, arguments = self._given.pop(reference)
                try:
                    return key, ray.get(reference)
                except RayTaskError as error:
                    raise _own_words(error) from error
                except RayError as error:
                    if self._tries[key] >= TRIES:
                        raise InputError(
                            f"{name} lost its worker {TRIES} times ({brief(error)}): look whether "
                            "memory is short there, give --memory less or --ray-cpus more, and run "
                            "the same command again."
                        ) from error
                    self._say(f"{name} lost its worker; it is given out again")
                    self.add(key, name, *arguments)

    def close(self) -> None:
        """Stop what is still at work."""
        for reference in self._given:
            ray.cancel(reference, force=True)
        self._given.clear()


class Parts:
    """The parts of a pass: at work on the cluster, or finished, each in a folder."""

    def __init__(
        self,
        tasks: Tasks,
        job: Job,
        order: NDArray[np.int64],
        places: Sequence[range],
        work: Path,
        say: Say,
    ) -> None:
        """Give out the parts at `places` of `order` that `work` does not hold."""
        self._tasks, self._job, self._order = tasks, job, order
        self._folder, self._say = work / "parts", say
        self._shared = Shared(uuid.uuid4().hex, ray.put(job))
        for place in places:
            if not self._of(place).is_dir():
                self._add(place, None)

    def wait_for(self, places: range) -> Path:
        """Return the folder of a part when it is finished; others that come first are kept too."""
        while not self._of(places).is_dir():
            found, state = self._tasks.take()
            if state is None:
                self._say(f"{_named(found)} is of pictures out of its worker's reach: sending them")
                self._add(found, self._views(found))
            else:
                save_state(self._of(found), state.items())
        return self._of(places)

    def forget(self, done: int) -> None:
        """Remove the parts that a saved state of so many images holds."""
        for folder in self._folder.glob("*-*"):
            if int(folder.name.split("-")[1]) <= done:
                shutil.rmtree(folder)

    def close(self) -> None:
        """Stop what is still at work."""
        self._tasks.close()

    def _of(self, places: range) -> Path:
        return self._folder / f"{places.start:09d}-{places.stop:09d}"

    def _add(self, places: range, views: list[Any] | None) -> None:
        numbers = self._order[places.start : places.stop]
        first = digest(self._job.corpus.seen(numbers[:1]))
        self._tasks.add(places, _named(places), self._shared, numbers, first, views)

    def _views(self, places: range) -> list[Any]:
        """Put what the model sees of a part into the object store, batch by batch."""
        numbers = self._order[places.start : places.stop]
        batches = batches_of(numbers, 0, self._job.settings)
        return [ray.put(self._job.corpus.seen(batch)) for batch in batches]


def _named(places: range) -> str:
    return f"the part from image {places.start:,} to {places.stop:,}"


# On a worker.


@dataclass(frozen=True)
class Place:
    """What is the same for all workers."""

    versions: dict[str, str]
    cpus: int
    folder: str
    """The build's own, which relative paths are in."""

    def take(self) -> None:
        """Prepare this process.

        Raises:
            InputError: when this machine has other versions.
        """
        if (found := _versions()) != self.versions:
            raise InputError(
                f"A machine of the Ray cluster has {_listed(found)}, and the build "
                f"{_listed(self.versions)}: install the same on all."
            )
        torch.set_num_threads(self.cpus)
        if Path(self.folder).is_dir():
            os.chdir(self.folder)


@dataclass(frozen=True)
class Shared:
    """A job in the object store, which a worker fetches once."""

    token: str
    job: Any


_gatherers: dict[str, PartGatherer] = {}
"""The one of the job that this process works on."""


def _gather_part(
    place: Place,
    shared: Shared,
    numbers: NDArray[np.int64],
    first: str,
    views: list[Any] | None,
) -> dict[str, Arrays] | None:
    """Return what a part comes to; see `PartGatherer.gather`."""
    place.take()
    if shared.token not in _gatherers:
        _gatherers.clear()
        _gatherers[shared.token] = PartGatherer(ray.get(shared.job))
    seen = None if views is None else (ray.get(view) for view in views)
    return _gatherers[shared.token].gather(numbers.copy(), first, seen)


def _work(place: Place, shared: Sequence[Any], item: Any) -> Any:
    """Return what a piece of other work comes to; the pass before it is over."""
    place.take()
    _gatherers.clear()
    return ray.get(shared[0])(item)


def _versions() -> dict[str, str]:
    return {"second-order-explorer": explorer.__version__, "torch": torch.__version__}


def _listed(versions: dict[str, str]) -> str:
    return " and ".join(f"{name} {version}" for name, version in versions.items())


def _own_words(error: RayTaskError) -> Exception:
    """Return what the work raised; of what is none of ours, with the worker's own traceback."""
    cause = error.cause
    if isinstance(cause, ExplorerError):
        return cause
    if isinstance(cause, RaySystemError) and (lacking := re.search(LACKING, str(cause))):
        return InputError(
            f"A machine of the Ray cluster has no package '{lacking[1]}': "
            'pip install "second-order-explorer[ray]" on every machine.'
        )
    return error

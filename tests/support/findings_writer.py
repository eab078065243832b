"""A process that writes findings, for the tests of concurrency: `URL TASK ARGUMENTS`."""

from __future__ import annotations

import sys
from dataclasses import replace

from explorer.errors import ConflictError
from explorer.findings.model import NeuronRef
from explorer.findings.store import Store
from tests.support.findings import sample


def add_and_count(store: Store, who: str, times: int, collection: str, counter: str) -> None:
    """Add findings to one collection and count one note up, again where another was faster."""
    for turn in range(times):
        saved = store.add(sample(f"{who} {turn}"))
        store.append(collection, saved.id)
        while True:
            current = store.get(counter)
            counted = replace(current.content, note=str(int(current.content.note) + 1))
            try:
                store.save(counter, current.version, counted)
                break
            except ConflictError:
                continue


def add_for_ever(store: Store, collection: str) -> None:
    """Add findings of many rows until killed, naming each once it is stored."""
    neurons = tuple(NeuronRef(0, number) for number in range(150))
    tags = tuple(f"tag{number:02d}" for number in range(20))
    while True:
        saved = store.add(sample(neurons=neurons, tags=tags))
        print(saved.id, flush=True)
        store.append(collection, saved.id)


def main() -> None:
    url, task, *rest = sys.argv[1:]
    store = Store(url)
    if task == "count":
        add_and_count(store, rest[0], int(rest[1]), rest[2], rest[3])
    else:
        add_for_ever(store, rest[0])


if __name__ == "__main__":
    main()

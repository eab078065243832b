"""The command `attack`: measure adversarial pictures, or write a batch of them."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.commands.options import BUNDLE, Adder, Result, add_settings, read_settings, to_stderr
from explorer.errors import InputError

if TYPE_CHECKING:
    from explorer.attack.pairs import Pair
    from explorer.attack.settings import BatchSettings
    from explorer.bundle import Bundle


def add_attack_command(add: Adder) -> None:
    """Add the command to the command line's parser."""
    add("attack", _attack, "measure or make pictures that are taken for another class", _fill)


def read_pairs(text: str) -> list[tuple[str, str]]:
    """Read 'cat>piano,owl>taxi'.

    Raises:
        InputError: when a part does not name two classes.
    """
    pairs = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        source, _, target = (side.strip() for side in part.partition(">"))
        if not source or not target:
            raise InputError(f"“{part}” is not a pair: write source>target, such as 'cat>piano'.")
        pairs.append((source, target))
    if not pairs:
        raise InputError("Name at least one pair, such as 'cat>piano', or auto.")
    return pairs


def _fill(command: argparse.ArgumentParser) -> None:
    from explorer.attack.settings import BatchSettings

    command.add_argument("bundle", type=Path, help=BUNDLE)
    add_settings(command, BatchSettings)


def _attack(options: argparse.Namespace) -> Result:
    from explorer.attack.pairs import Pair
    from explorer.attack.settings import AUTO, BatchSettings
    from explorer.bundle import Bundle
    from explorer.evidence.measures.attack import METHODS, measure_attack

    settings = read_settings(options, BatchSettings)
    bundle = Bundle.open(options.bundle)
    pairs: int | list[Pair] = settings.count
    if settings.pairs != AUTO:
        pairs = [Pair(*pair) for pair in read_pairs(settings.pairs)]
    methods = tuple(filter(None, (name.strip() for name in settings.methods.split(";")))) or METHODS
    result = measure_attack(
        bundle, pairs=pairs, n=settings.n, methods=methods, seed=settings.seed, progress=to_stderr
    )
    measured = [Pair(row["source"], row["target"]) for row in result["by_pair"]]
    written = _write(bundle, measured, settings, settings.out) if settings.out else []
    return {"bundle": bundle.name, **result, **({"files": written} if written else {})}


def _write(bundle: Bundle, pairs: list[Pair], settings: BatchSettings, out: Path) -> list[str]:
    from explorer.attack.batch import Attack, pair_stem, zip_file

    out.mkdir(parents=True, exist_ok=True)
    files = []
    for place, pair in enumerate(pairs):
        attack = Attack.of(bundle, pair.source, pair.target)
        seed = settings.seed + place
        made = list(islice(attack.attempts(settings.n, seed=seed), settings.n))
        file = out / f"{pair_stem(attack.ranking)}.zip"
        file.write_bytes(zip_file(attack.ranking, made))
        files.append(str(file))
    return files

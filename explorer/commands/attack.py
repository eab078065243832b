"""The command `attack`: measure adversarial pictures, or write a batch of them."""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from explorer.commands.picture import Adder
from explorer.errors import InputError

Result = dict[str, Any]
AUTO = "auto"


def add_attack_command(add: Adder) -> None:
    """Add the command to the command line's parser."""
    attack = add("attack", _attack, "measure or make pictures that are taken for another class")
    attack.add_argument("bundle", type=Path)
    attack.add_argument("--pairs", default=AUTO, help="auto, or 'cat>piano,owl>taxi'")
    attack.add_argument("--count", type=int, default=50, help="auto: how many pairs")
    attack.add_argument("--n", type=int, default=4, help="pictures per pair and method")
    attack.add_argument(
        "--methods", default="", help="ways to choose concepts with ; between, all by default"
    )
    attack.add_argument("--seed", type=int, default=0)
    attack.add_argument("-o", "--out", type=Path, help="also write pictures and recipes there")


def read_pairs(text: str) -> list[tuple[str, str]]:
    """Read 'cat>piano,owl>taxi'.

    Raises:
        InputError: when a part does not name two classes.
    """
    pairs = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        source, _, target = (side.strip() for side in part.partition(">"))
        if not source or not target:
            raise InputError(f"“{part}” names no pair: write source>target, such as 'cat>piano'.")
        pairs.append((source, target))
    if not pairs:
        raise InputError("Name at least one pair, such as 'cat>piano', or auto.")
    return pairs


def _attack(options: argparse.Namespace) -> Result:
    from explorer.attack.pairs import Classes, Pair, propose_pairs
    from explorer.bundle import Bundle
    from explorer.evidence.measures.attack import METHODS, measure_attack

    bundle = Bundle.open(options.bundle)
    if options.n < 1:
        raise InputError("--n is the number of pictures per pair and method: give 1 or more.")

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    if options.pairs == AUTO:
        pairs = propose_pairs(bundle, Classes.of(bundle), options.count, options.seed)
    else:
        pairs = [Pair(*pair) for pair in read_pairs(options.pairs)]
    methods = tuple(filter(None, (name.strip() for name in options.methods.split(";")))) or METHODS
    result = measure_attack(
        bundle, pairs=pairs, n=options.n, methods=methods, seed=options.seed, progress=say
    )
    written = _write(bundle, pairs, options) if options.out else []
    return {"bundle": bundle.name, **result, **({"files": written} if written else {})}


def _write(bundle: Any, pairs: list[Any], options: argparse.Namespace) -> list[str]:
    from explorer.attack.batch import Attack, file_stem, zip_file

    options.out.mkdir(parents=True, exist_ok=True)
    files = []
    for place, pair in enumerate(pairs):
        attack = Attack.of(bundle, pair.source, pair.target)
        seed = options.seed + place
        made = list(islice(attack.attempts(options.n, seed=seed), options.n))
        file = options.out / f"{file_stem(attack.ranking)}.zip"
        file.write_bytes(zip_file(attack.ranking, made))
        files.append(str(file))
    return files

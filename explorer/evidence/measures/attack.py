"""How often pictures with spurious concepts fool the model, beside other ways to choose.

For each pair of classes the same scenes (source, background, place) are made with concepts from

- `second-order`: `explorer.attack.trials.find_concepts`;
- `BASELINES`: `none`, nothing added; `random`, drawn at random; `nearest`, the texts nearest to the
  target; `indirect`, the neurons whose indirect effects separate the classes;
- `CONTROLS`: `untried`, the second-order shortlist's best by score, their pictures drawn at random;
  `random, tried`, `nearest, tried`, `indirect, tried`, a baseline's shortlist with the second-order
  method's last step, so that nothing differs but where the shortlist comes from. They say how much
  of a success is owed to the neurons, and how much to the trials.

All leave out the same texts: close to either class by the text tower or by their words. Success
is the share of pictures classified as the target, between the two classes and among all classes of
the held-out pictures. Intervals are bootstrap intervals over pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.attack.closeness import closeness
from explorer.attack.concepts import SHORTLIST, USUAL, AttackSettings, rank_concepts
from explorer.attack.indirect import IndirectEffects, measure_indirect
from explorer.attack.pairs import Classes, Pair, propose_pairs
from explorer.attack.scenes import ADDED, compose_attack
from explorer.attack.separation import picture_pushes, preferred
from explorer.attack.settings import PAIRS
from explorer.attack.trials import gains
from explorer.attack.vocabulary import vocabulary
from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.evidence.claims.attack import OWN
from explorer.evidence.context import Context
from explorer.evidence.figures import RESAMPLES, Figure, figure
from explorer.evidence.work import Work, stream

BASELINES = ("none", "random", "nearest", "indirect")
CONTROLS = ("untried", "random, tried", "nearest, tried", "indirect, tried")
METHODS = (OWN, *BASELINES, *CONTROLS)
SCENES = 100
RULE = "Seeded pairs: recognised sources, each with its likeliest unlike recognised class."
NAMED = "Pairs that were named."
Progress = Callable[[str], object]


Shown = Mapping[str, Sequence[int]]
"""Concept -> the pictures that may stand for it."""


@dataclass(frozen=True)
class Additions:
    """What a method adds to a pair's scenes."""

    shown: Shown
    gains: Mapping[str, float] = field(default_factory=dict)
    """Concept -> what it gained beside the source, where it was tried; largest first."""


def measure(context: Context) -> dict[str, Any]:
    """Measure the section with the settings' seed; see `measure_attack`."""
    return measure_attack(
        context.bundle,
        pairs=context.settings.pairs,
        n=context.settings.scenes // 5,
        seed=context.settings.seed,
        work=context.work.folder,
        progress=context.say,
    )


def measure_attack(
    bundle: Bundle,
    *,
    pairs: int | Sequence[Pair] = PAIRS,
    n: int = SCENES,
    methods: Sequence[str] = METHODS,
    settings: AttackSettings = USUAL,
    seed: int = 0,
    work: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return success rates of attacks, two-way and among all classes, by method.

    With `work`, a folder, an interrupted measurement continues at the pair where it stopped.

    Args:
        bundle: with held-out pictures, whose names are the classes.
        pairs: how many striking pairs to propose, or the pairs themselves.
        n: scenes per pair and method.
        methods: of `METHODS`.
        settings: how concepts are ranked.
        seed: of pairs, scenes and resampling.
        progress: called with a sentence now and then.

    Raises:
        InputError: when a method or a class is unknown, or the bundle has too few pictures.
    """
    _check(methods, n)
    say = progress or (lambda line: None)
    classes = Classes.of(bundle)
    if isinstance(pairs, int):
        chosen, settings = _attackable(bundle, classes, pairs, settings, seed)
    else:
        chosen = [_named(pair, classes) for pair in pairs]
    reads_indirect = any("indirect" in name for name in methods)
    trial = Trial(
        bundle, classes, methods, n, settings,
        measure_indirect(bundle, seed, say) if reads_indirect else None,
    )  # fmt: skip

    def take(places: range) -> Mapping[str, NDArray[Any]]:
        rows = [trial.of(chosen[number], seed + number) for number in places]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    kept = stream(Work(work), f"attack-{n}", len(chosen), 1, take, say)
    hits = {name: kept["hits"][:, place] for place, name in enumerate(methods)}
    return {
        "pairs": len(chosen),
        "scenes": n,
        "classes": len(classes.labels),
        "recognised": sum(pair.recognised for pair in chosen),
        "rule": RULE if isinstance(pairs, int) else NAMED,
        "near": settings.near,
        "neurons": settings.neurons,
        "seed": seed,
        "bootstrap": {"resamples": RESAMPLES, "over": "pairs"},
        "methods": {name: _figures(found, seed) for name, found in hits.items()},
        "beyond": _beyond({name: found[..., 0] for name, found in hits.items()}, seed),
        "by_pair": _rows(chosen, hits, kept, vocabulary(bundle).labels),
    }


def _named(pair: Pair, classes: Classes) -> Pair:
    """Return a pair that was named, once both of its classes are known and differ.

    Raises:
        InputError: when they aren't.
    """
    if classes.place(pair.source) == classes.place(pair.target):
        raise InputError(f"“{pair.source}” is named as source and as target: name two classes.")
    return pair


def _check(methods: Sequence[str], n: int) -> None:
    for name in methods:
        if name not in METHODS:
            raise InputError(
                f"{name!r} is no way to choose concepts: choose among {'; '.join(METHODS)}."
            )
    if n < 1:
        raise InputError("An attack is measured on at least one scene per pair.")


@dataclass(frozen=True)
class Trial:
    """What is tried on every pair."""

    bundle: Bundle
    classes: Classes
    methods: Sequence[str]
    scenes: int
    settings: AttackSettings
    indirect: IndirectEffects | None

    def of(self, pair: Pair, seed: int) -> dict[str, list[Any]]:
        """Return a pair's `hits` [method, scene, outcome], and own `concepts` and `gains`.

        Outcomes are (fooled of two, fooled of all, margin). Concepts are numbers in the bundle's
        vocabulary, -1 where fewer are found than are wanted.
        """
        ways = choices(self.bundle, pair, self.classes, self.settings, self.indirect, seed)
        made = {name: ways[name]() for name in self.methods}
        own = made[OWN].gains if OWN in made else {}
        labels = vocabulary(self.bundle).labels
        lacking = [-1] * (self.settings.concepts - len(own))
        return {
            "hits": [
                _attack(self.bundle, self.classes, pair, additions.shown, self.scenes, seed)
                for additions in made.values()
            ],
            "concepts": [labels.index(text) for text in own] + lacking,
            "gains": [*own.values(), *lacking],
        }


def _rows(
    chosen: Sequence[Pair],
    hits: Mapping[str, NDArray[np.float64]],
    kept: Mapping[str, NDArray[Any]],
    labels: Sequence[str],
) -> list[dict[str, Any]]:
    """Return each pair's success between the two classes, by method, and its own concepts."""
    rows = []
    for place, pair in enumerate(chosen):
        found = kept["concepts"][place] >= 0
        rows.append(
            {
                "source": pair.source,
                "target": pair.target,
                **{name: round(float(own[place, :, 0].mean()), 4) for name, own in hits.items()},
                "concepts": [labels[i] for i in kept["concepts"][place][found]],
                "gains": [float(gain) for gain in kept["gains"][place][found]],
            }
        )
    return rows


def _attackable(
    bundle: Bundle, classes: Classes, count: int, settings: AttackSettings, seed: int
) -> tuple[list[Pair], AttackSettings]:
    """Return proposed pairs for which concepts are left, and the settings under which they are.

    Where the text tower finds every concept near to some class, words alone decide what is.

    Raises:
        InputError: when no pair has any.
    """
    nears = (settings.near, 1.0)
    for wider in (replace(settings, near=near) for near in nears):
        try:
            proposed = propose_pairs(bundle, classes, count, seed, wider.near)
        except InputError:
            continue
        found = [pair for pair in proposed if _has_concepts(bundle, classes, pair, wider)]
        if found:
            return found, wider
    raise InputError(
        "No pair of classes leaves a concept that belongs to neither: build the bundle from "
        "pictures of more than a few names, or with --texts corpus+common."
    )


def _has_concepts(bundle: Bundle, classes: Classes, pair: Pair, settings: AttackSettings) -> bool:
    embeddings = classes.embedding(pair.source), classes.embedding(pair.target)
    try:
        rank_concepts(bundle, pair.source, pair.target, embeddings, settings)
    except InputError:
        return False
    return True


def choices(
    bundle: Bundle,
    pair: Pair,
    classes: Classes,
    settings: AttackSettings,
    indirect: IndirectEffects | None,
    seed: int,
) -> dict[str, Callable[[], Additions]]:
    """Return how each method finds what it adds to the scenes of one pair."""
    words = vocabulary(bundle)
    embeddings = (classes.embedding(pair.source), classes.embedding(pair.target))
    ranking = rank_concepts(bundle, pair.source, pair.target, embeddings, settings)
    close = closeness(bundle, pair.source, pair.target, embeddings, settings.near)
    allowed = np.flatnonzero(close.allowed)
    count = settings.concepts

    def by_chance(labels: Iterable[str]) -> Additions:
        return Additions({label: words.pictures[label] for label in labels})

    def best(scores: NDArray[Any]) -> list[str]:
        order = allowed[np.argsort(-scores[allowed], kind="stable")]
        return [words.labels[i] for i in order[:SHORTLIST]]

    def tried(shown: Shown) -> Additions:
        gained = gains(bundle, pair.source, pair.target, embeddings, shown)
        kept = dict(list(gained.items())[:count])
        return Additions({label: shown[label] for label in kept}, kept)

    def listed(labels: Sequence[str]) -> Additions:
        return tried(preferred(bundle, labels, picture_pushes(bundle, *embeddings)))

    drawn = [words.labels[i] for i in np.random.default_rng([seed, 2]).permutation(allowed)]
    ways: dict[str, Callable[[], Additions]] = {
        OWN: lambda: tried(ranking.shown),
        "none": lambda: Additions({}),
        "random": lambda: by_chance(drawn),
        "random, tried": lambda: listed(drawn[:SHORTLIST]),
        "untried": lambda: by_chance(concept.text for concept in ranking.concepts[:count]),
        "nearest": lambda: by_chance(best(close.target)[:count]),
        "nearest, tried": lambda: listed(best(close.target)),
    }
    if indirect is not None:
        reached = best(indirect.scores(bundle, *embeddings))
        ways["indirect"] = lambda: by_chance(reached[:count])
        ways["indirect, tried"] = lambda: listed(reached)
    return ways


def _attack(
    bundle: Bundle, classes: Classes, pair: Pair, shown: Shown, n: int, seed: int
) -> list[tuple[float, float, float]]:
    """Return (fooled of two, fooled of all, margin) of n scenes."""
    named = pair.source, pair.target
    scenes = [
        compose_attack(bundle, *named, shown, seed=seed, number=number, added=ADDED).image
        for number in range(n)
    ]
    scores = classes.scores(scenes)
    source, target = classes.place(pair.source), classes.place(pair.target)
    margin = scores[:, target] - scores[:, source]
    whole = scores.argmax(1) == target
    return [(float(m > 0), float(a), float(m)) for m, a in zip(margin, whole, strict=True)]


def _figures(hits: NDArray[np.float64], seed: int) -> dict[str, Figure]:
    """Return success and margin over pairs; `hits` [pair, scene, (two, all, margin)]."""
    named = zip(("two_way", "all_classes", "margin"), hits.mean(axis=1).T, strict=True)
    return {name: figure(values, seed) for name, values in named}


def _beyond(two_way: dict[str, NDArray[np.float64]], seed: int) -> dict[str, Figure]:
    """Return how much more pictures second-order concepts fool than each other way's do.

    `two_way`: method -> [pair, scene]. Pairs are compared one by one.
    """
    if OWN not in two_way:
        return {}
    mine = two_way[OWN].mean(axis=1)
    return {n: figure(mine - v.mean(axis=1), seed) for n, v in two_way.items() if n != OWN}

"""Trials: which concepts of a shortlist do tip the model when they stand beside the source.

A text says what neurons should answer to. Beside a large source, attention decides how much of that
reaches the output, and the source's own evidence how much it matters. So a shortlist is tried:
pictures of its concepts beside the source, one at a time. A picture's *gain* in a scene is

    gain = margin with it - margin without it,   margin = cosine with target - cosine with source.

1. Every concept's best picture is tried in one scene.
2. The `FINALISTS` with the largest gains are tried in two other scenes, each with every picture
   that may stand for them. Their gain is the mean of these; the first scene only selected.

Trial scenes are composed like any other (`explorer.attack.scenes`), under a seed that no batch can
have, and show the source in the corpus's styles where it has any: a held-out picture that is
attacked later was not tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, FiniteFloat

from explorer.attack.closeness import Floats
from explorer.attack.concepts import USUAL, AttackSettings, Ranking, rank_concepts
from explorer.attack.scenes import APART, compose_attack
from explorer.attack.vocabulary import vocabulary
from explorer.bundle import Bundle
from explorer.picture.model import open_lens_model
from explorer.picture.reading import embed_pictures

FINALISTS = 12
HEAT, FINAL = (0,), (1, 2)  # numbers of the trial scenes of both rounds


class TriedPair(BaseModel):
    """What is read here of a pair that was measured."""

    source: str
    target: str
    concepts: list[str] = []
    gains: list[FiniteFloat] = []


class Tried(BaseModel):
    """What is read here of the evidence on attacks."""

    near: float
    neurons: int
    by_pair: list[TriedPair]


def find_concepts(
    bundle: Bundle,
    source: str,
    target: str,
    embeddings: tuple[Floats, Floats],
    settings: AttackSettings = USUAL,
) -> Ranking:
    """Return a pair's spurious concepts that gain most in trials, largest gain first.

    `embeddings` are the text embeddings of source and target, [embed] each. A pair that the
    bundle's evidence holds was tried when that was measured, and is not tried again.

    Raises:
        InputError: as `rank_concepts` does, or nothing shows the source.
    """
    ranking = rank_concepts(bundle, source, target, embeddings, settings)
    gained = recorded(bundle, ranking, settings)
    if not gained:
        gained = gains(bundle, source, target, embeddings, ranking.shown)
    return best_by_trial(ranking, gained, settings.concepts)


def best_by_trial(ranking: Ranking, gained: Mapping[str, float], count: int) -> Ranking:
    """Return a ranking with only the `count` concepts that gain most, largest gain first."""
    listed = {concept.text: concept for concept in ranking.concepts}
    kept = tuple(replace(listed[text], gain=gain) for text, gain in list(gained.items())[:count])
    return replace(ranking, concepts=kept, tried=len(listed))


def recorded(bundle: Bundle, ranking: Ranking, settings: AttackSettings) -> dict[str, float]:
    """Return the gains of the best concepts as the bundle's evidence holds them, largest first.

    Empty where the pair was not measured, or was with other settings or another shortlist.
    """
    measured = bundle.manifest.section("attack", Tried)
    if not measured or (measured.near, measured.neurons) != (settings.near, settings.neurons):
        return {}
    for row in measured.by_pair:
        if (row.source, row.target) == (ranking.source, ranking.target):
            found = dict(zip(row.concepts, row.gains, strict=False))
            usable = len(found) == settings.concepts and found.keys() <= ranking.shown.keys()
            return found if usable else {}
    return {}


def gains(
    bundle: Bundle,
    source: str,
    target: str,
    embeddings: tuple[Floats, Floats],
    shown: Mapping[str, Sequence[int]],
) -> dict[str, float]:
    """Return the finalists' gains, largest first; `shown` maps concepts to their pictures.

    Raises:
        InputError: when nothing shows the source, or a concept shows the target.
    """
    sources = vocabulary(bundle).pictures.get(source, ())
    texts = np.stack(embeddings)

    def scene(number: int, concepts: Mapping[str, Sequence[int]]) -> Image.Image:
        return compose_attack(
            bundle, source, target, concepts,
            sources=sources, seed=APART, number=number, added=1,
        ).image  # fmt: skip

    def tried(trials: Sequence[tuple[str, int]], numbers: Sequence[int]) -> NDArray[np.float32]:
        """Return gains [trial, scene] of (concept, picture)."""
        plain = [scene(number, {}) for number in numbers]
        with_it = [scene(n, {concept: [image]}) for concept, image in trials for n in numbers]
        scores = pair_scores(bundle, [*plain, *with_it], texts)
        margins = (scores[:, 1] - scores[:, 0]).reshape(-1, len(numbers))
        gained: NDArray[np.float32] = margins[1:] - margins[0]
        return gained

    first = tried([(concept, pictures[0]) for concept, pictures in shown.items()], HEAT)
    finalists = [list(shown)[i] for i in np.argsort(-first[:, 0], kind="stable")[:FINALISTS]]
    trials = [(concept, image) for concept in finalists for image in shown[concept]]
    final = tried(trials, FINAL)
    owners = np.array([concept for concept, _ in trials])
    mean = {concept: float(final[owners == concept].mean()) for concept in finalists}
    return dict(sorted(mean.items(), key=lambda pair: -pair[1]))


def pair_scores(
    bundle: Bundle, pictures: Sequence[Image.Image], texts: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return each picture's cosine with each of `texts` [text, embed]: [picture, text]."""
    images = embed_pictures(open_lens_model(bundle), pictures).numpy()
    cosines: NDArray[np.float32] = images @ (texts / np.linalg.norm(texts, axis=1, keepdims=True)).T
    return cosines

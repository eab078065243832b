"""Which concepts are too close to a class to be shown beside it.

By the model's own text tower (cosine of centred embeddings), and by their words (shared stems of
labels and keywords).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.attack.vocabulary import stems, vocabulary
from explorer.bundle import Bundle

NEAR = 0.2  # cosine of centred texts from which a concept is too close to a class

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Closeness:
    """Which of a vocabulary's labels are too close to either class, and how close."""

    source: Floats
    """[label]: cosine with the source, centred texts."""
    target: Floats
    reasons: tuple[str, ...]
    """[label]: why it is left out; empty where it is allowed."""

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """[label]: whether it may be shown beside the source."""
        return np.array([not reason for reason in self.reasons])


def closeness(
    bundle: Bundle,
    source: str,
    target: str,
    embeddings: tuple[Floats, Floats],
    near: float = NEAR,
) -> Closeness:
    """Return how close each corpus label is to two classes, by the text tower and by words.

    `embeddings` are those of source and target, [embed] each, as the text tower gives them.
    """
    words = vocabulary(bundle)
    atoms = bundle.dictionary.atoms()[words.rows]
    cosines = [atoms @ text for text in bundle.dictionary.centre(np.stack(embeddings))]
    reasons = []
    names = [(source, "source"), (target, "target")]
    own = [(stems([name]), words.keywords.get(name, frozenset())) for name, _ in names]
    for place, label in enumerate(words.labels):
        why = ""
        mine, keys = stems([label]), words.keywords.get(label, frozenset())
        for (name, role), (named, keyed), cosine in zip(names, own, cosines, strict=True):
            if cosine[place] >= near:
                why = f"{role} “{name}”: cosine {cosine[place]:.2f}"
            elif mine & (named | keyed) or keys & named:
                shared = sorted(mine & (named | keyed) or keys & named)[0]
                why = f"{role} “{name}”: the word stem “{shared}”"
            if why:
                break
        reasons.append(why)
    return Closeness(cosines[0], cosines[1], tuple(reasons))

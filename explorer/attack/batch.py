"""A batch of adversarial pictures: composed one by one, scored, and written with their recipes."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.attack.concepts import USUAL, AttackSettings, Ranking
from explorer.attack.pairs import Classes
from explorer.attack.scenes import ADDED, AttackScene, compose_attack
from explorer.attack.trials import find_concepts, pair_scores
from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.formats import file_stem
from explorer.picture.painting import encode
from explorer.search.texts import text_embeddings

MOST = 1000


@dataclass(frozen=True, eq=False)
class Attempt:
    """One picture with what the model says of it."""

    scene: AttackScene
    source_score: float
    """Cosine of picture and source text."""
    target_score: float
    plain: tuple[float, float]
    """Source and target score of the same scene with nothing added."""
    rival: float = -1.0
    """Highest cosine of the picture with another class of the bundle; -1 where it has none."""

    @property
    def fooled(self) -> bool:
        """Whether the target scores above the source."""
        return self.target_score > self.source_score

    @property
    def taken(self) -> bool:
        """Whether the target scores above the source and all other classes."""
        return self.fooled and self.target_score > self.rival

    @property
    def fooled_before(self) -> bool:
        """Whether it does with nothing added."""
        return self.plain[1] > self.plain[0]

    def as_dict(self) -> dict[str, Any]:
        """Return recipe and scores, ready for JSON."""
        return {
            "recipe": self.scene.recipe.as_dict(),
            "source_score": round(self.source_score, 5),
            "target_score": round(self.target_score, 5),
            "target_above_source": self.fooled,
            "target_above_all_classes": self.taken,
            "without_additions": [round(v, 5) for v in self.plain],
        }


@dataclass(frozen=True, eq=False)
class Attack:
    """A pair with its ranked concepts, ready to compose any number of pictures."""

    bundle: Bundle
    ranking: Ranking
    texts: np.ndarray
    """[2, embed]: source and target."""

    @classmethod
    def of(
        cls, bundle: Bundle, source: str, target: str, settings: AttackSettings = USUAL
    ) -> Attack:
        """Rank and try a pair's concepts.

        Raises:
            InputError: when `find_concepts` finds none.
        """
        first, second = text_embeddings(bundle, [source, target])
        ranking = find_concepts(bundle, source, target, (first, second), settings)
        return cls(bundle, ranking, np.stack([first, second]))

    def attempts(self, count: int, *, seed: int = 0, added: int = ADDED) -> Iterator[Attempt]:
        """Compose and score pictures one by one; stop by taking no more.

        Raises:
            InputError: when the count is outside 1 to 1,000, or a scene cannot be composed.
        """
        if not 1 <= count <= MOST:
            raise InputError(f"{count} pictures cannot be made: ask for 1 to {MOST:,}.")
        pair = self.ranking.source, self.ranking.target
        for number in range(count):
            both = [
                compose_attack(self.bundle, *pair, shown, seed=seed, number=number, added=added)
                for shown in (self.ranking.shown, {})
            ]
            pictures = [scene.image for scene in both]
            scores = pair_scores(self.bundle, pictures, np.vstack([self.texts, self.others]))
            (source, target), plain = scores[:, :2].tolist()
            rival = float(scores[0, 2:].max(initial=-1.0))
            yield Attempt(both[0], source, target, plain=tuple(plain), rival=rival)

    @cached_property
    def others(self) -> NDArray[np.float32]:
        """Return the embeddings of all classes but the two, [class, embed]."""
        try:
            classes = Classes.of(self.bundle)
        except InputError:  # fewer than two: the pair is of free texts
            return np.zeros((0, self.texts.shape[1]), np.float32)
        pair = (self.ranking.source, self.ranking.target)
        return classes.embeddings[[label not in pair for label in classes.labels]]


def zip_file(ranking: Ranking, attempts: Iterable[Attempt]) -> bytes:
    """Return a zip of PNG pictures, their recipes and scores, and the ranked concepts."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        records = []
        for attempt in attempts:
            name = f"{pair_stem(ranking)}-{attempt.scene.recipe.number:04d}.png"
            _store(archive, name, encode(attempt.scene.image))
            records.append({"file": name, **attempt.as_dict()})
        whole = {**ranking.as_dict(), "pictures": records, "purpose": PURPOSE}
        _store(
            archive,
            "recipes.json",
            (json.dumps(whole, ensure_ascii=False, indent=1) + "\n").encode(),
        )
    return buffer.getvalue()


PURPOSE = (
    "Pictures that a model confuses, made to audit and defend it: the source object is whole and "
    "dominant, the target is absent."
)


def pair_stem(ranking: Ranking) -> str:
    """Return a file name without its ending for a pair."""
    return "-as-".join(file_stem(name, "class") for name in (ranking.source, ranking.target))


def _store(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # the same bytes every time
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)

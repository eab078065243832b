"""Pairs of classes to attack: the model tells them apart, and their names are unlike.

The classes are the names of the bundle's held-out pictures: drawings of a style the model never
saw. No pair is chosen by looking at an attack.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from explorer.attack.closeness import NEAR, Floats
from explorer.attack.scenes import APART, compose_attack
from explorer.attack.vocabulary import stems, vocabulary
from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.kept import kept
from explorer.picture.model import LensModel, open_lens_model
from explorer.picture.reading import embed_pictures
from explorer.search.texts import text_embeddings

PLAIN = (10, 11, 12)  # numbers of the scenes in which a source must be recognised
RUNNERS_UP = 30  # classes nearest to a source's picture among which its target is looked for


@dataclass(frozen=True)
class Pair:
    """What is shown, and what it should be taken for."""

    source: str
    target: str


@dataclass(frozen=True, eq=False)
class Classes:
    """The names of the held-out pictures, as the text tower sees them; kept a bundle at a time."""

    bundle: Bundle
    opened: LensModel
    labels: tuple[str, ...]
    embeddings: Floats
    """[class, embed], unit norm."""
    read: dict[int, Floats] = field(default_factory=dict, repr=False)
    """Class -> [class]: cosines of its first held-out picture, on white; filled when asked for."""

    @classmethod
    def of(cls, bundle: Bundle) -> Classes:
        """Look the names up in the dictionary, or encode them, once a bundle.

        Raises:
            InputError: when the bundle has held-out pictures of fewer than two names.
        """
        return kept(bundle, "classes", lambda: cls._embedded(bundle))

    @classmethod
    def _embedded(cls, bundle: Bundle) -> Classes:
        labels = tuple(sorted(vocabulary(bundle).held_out))
        if len(labels) < 2:
            raise InputError(
                f"The bundle '{bundle.name}' has held-out pictures of {len(labels)} names: two "
                "classes are needed for an attack."
            )
        embeddings = text_embeddings(bundle, labels)
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        return cls(bundle, open_lens_model(bundle), labels, embeddings)

    def place(self, label: str) -> int:
        """Return a class's row.

        Raises:
            InputError: when there is none of that name.
        """
        try:
            return self.labels.index(label)
        except ValueError as error:
            raise InputError(
                f"No held-out picture is called “{label}”: choose a class among their names, such "
                f"as “{self.labels[0]}”."
            ) from error

    def embedding(self, label: str) -> Floats:
        """Return a class's text embedding, [embed]."""
        row: Floats = self.embeddings[self.place(label)]
        return row

    def scores(self, pictures: Iterable[Image.Image]) -> Floats:
        """Return cosines of pictures with all classes, [image, class]."""
        images = embed_pictures(self.opened, list(pictures))
        found: Floats = images.numpy() @ self.embeddings.T
        return found

    def picture_scores(self, place: int) -> Floats:
        """Return the cosines of a class's held-out picture with all classes: [class]."""
        if place not in self.read:
            image = vocabulary(self.bundle).held_out[self.labels[place]][0]
            self.read[place] = self.scores([self.bundle.pictures.rgb(image)])[0]
        return self.read[place]

    def recognised(self, place: int) -> bool:
        """Return whether a class's held-out picture is nearest to its own name."""
        return int(self.picture_scores(place).argmax()) == place

    def recognised_in_scenes(self, place: int) -> bool:
        """Return whether it is so in `PLAIN` scenes too, with nothing beside it."""
        label = self.labels[place]
        scenes = (
            compose_attack(self.bundle, label, "", {}, seed=APART, number=number).image
            for number in PLAIN
        )
        return bool((self.scores(scenes).argmax(axis=1) == place).all())


def propose_pairs(
    bundle: Bundle, classes: Classes, count: int, seed: int = 0, near: float = NEAR
) -> list[Pair]:
    """Return seeded pairs: recognised sources, each with its likeliest unlike recognised class.

    Sources are drawn at random among the classes whose held-out picture is recognised among all,
    on white and in scenes with nothing beside it: what falls by itself proves nothing.
    The target is, of the classes that score best on that picture, the first that is recognised
    itself and unlike the source: cosine of centred texts below `near`, no word stem shared by
    names or keywords. A target is taken once.

    Raises:
        InputError: when fewer than one pair is asked for, or none is found.
    """
    if count < 1:
        raise InputError("Ask for at least one pair.")
    pairs: list[Pair] = []
    taken: set[int] = set()
    for source in np.random.default_rng([seed, 4]).permutation(len(classes.labels)):
        if len(pairs) == count:
            break
        if not (classes.recognised(int(source)) and classes.recognised_in_scenes(int(source))):
            continue
        order = np.argsort(-classes.picture_scores(int(source)), kind="stable")
        for target in (int(place) for place in order[1 : RUNNERS_UP + 1]):
            usable = target not in taken and unlike(bundle, classes, int(source), target, near)
            if usable and classes.recognised(target):
                taken.add(target)
                pairs.append(Pair(classes.labels[source], classes.labels[target]))
                break
    if not pairs:
        raise InputError(
            "No two classes are recognised and unlike each other: name a pair yourself."
        )
    return pairs


def unlike(bundle: Bundle, classes: Classes, source: int, target: int, near: float) -> bool:
    """Return whether two classes differ by the text tower and by name and keywords."""
    words = vocabulary(bundle)
    names = [classes.labels[source], classes.labels[target]]
    first, second = ((stems([name]), words.keywords.get(name, frozenset[str]())) for name in names)
    shared = first[0] & (second[0] | second[1]) or second[0] & first[1]
    first, second = bundle.dictionary.centre(classes.embeddings[[source, target]])
    return not shared and float(first @ second) < near

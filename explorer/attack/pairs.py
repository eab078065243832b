"""Pairs of classes to attack: the model tells them apart, and their names are unlike.

The classes are the names of the bundle's held-out pictures, or of its corpus where fewer than two
names are held out. No pair is chosen by looking at an attack.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from explorer.attack.closeness import NEAR, Floats
from explorer.attack.gallery import gallery_image, pictures_of
from explorer.attack.scenes import APART, compose_attack
from explorer.attack.vocabulary import stems, vocabulary
from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.kept import kept
from explorer.picture.model import LensModel, open_lens_model
from explorer.picture.reading import embed_pictures
from explorer.pixels import to_rgb
from explorer.search.texts import text_embeddings

PLAIN = (10, 11, 12)  # numbers of the scenes in which a source must be recognised
RUNNERS_UP = 30  # classes nearest to a source's picture among which its target is looked for


@dataclass(frozen=True)
class Pair:
    """What is shown, and what it should be taken for."""

    source: str
    target: str
    recognised: bool = True
    """Whether the model knows both by their pictures; False for a pair of a model that knows none.
    """


@dataclass(frozen=True, eq=False)
class Classes:
    """The names of the classes, as the text tower sees them; kept a bundle at a time."""

    bundle: Bundle
    opened: LensModel
    labels: tuple[str, ...]
    embeddings: Floats
    """[class, embed], unit norm."""
    read: dict[int, Floats] = field(default_factory=dict, repr=False)
    """Class -> [class]: cosines of its first picture, on white; filled when asked for."""

    @classmethod
    def of(cls, bundle: Bundle) -> Classes:
        """Look the names up in the dictionary, or encode them, once a bundle.

        Raises:
            InputError: when the bundle's pictures have fewer than two names.
        """
        return kept(bundle, "classes", lambda: cls._embedded(bundle))

    @classmethod
    def _embedded(cls, bundle: Bundle) -> Classes:
        words = vocabulary(bundle)
        labels = tuple(sorted(words.held_out if len(words.held_out) > 1 else words.labels))
        if len(labels) < 2:
            raise InputError(
                f"The pictures of the bundle '{bundle.name}' have {len(labels)} names, and two "
                "classes are needed for an attack: type two texts, or build it from a folder with "
                "a sub-folder for each class."
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
        """Return the cosines of a class's first picture with all classes: [class]."""
        if place not in self.read:
            image = pictures_of(self.bundle, self.labels[place])[0]
            self.read[place] = self.scores([to_rgb(gallery_image(self.bundle, image))])[0]
        return self.read[place]

    def recognised(self, place: int) -> bool:
        """Return whether a class's first picture is nearest to its own name."""
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

    Sources are drawn at random among the classes whose first picture is recognised among all,
    on white and in scenes with nothing beside it: what falls by itself proves nothing.
    The target is, of the classes that score best on that picture, the first that is recognised
    itself and unlike the source: cosine of centred texts below `near`, no word stem shared by
    names or keywords. A target is taken once. Of a model that recognises no such two, pairs are
    drawn without asking for it, and say so.

    Raises:
        InputError: when fewer than one pair is asked for, or none is found.
    """
    if count < 1:
        raise InputError("Ask for at least one pair.")
    order = [int(p) for p in np.random.default_rng([seed, 4]).permutation(len(classes.labels))]
    for recognised in (True, False):
        pairs: dict[int, Pair] = {}  # by target
        for source in order:
            if len(pairs) == count:
                break
            if recognised and not (
                classes.recognised(source) and classes.recognised_in_scenes(source)
            ):
                continue
            for target in _runners_up(classes, source):
                usable = target not in pairs and unlike(bundle, classes, source, target, near)
                if usable and (not recognised or classes.recognised(target)):
                    names = classes.labels[source], classes.labels[target]
                    pairs[target] = Pair(*names, recognised)
                    break
        if pairs:
            return list(pairs.values())
    raise InputError("No two classes are recognised and unlike each other: name a pair yourself.")


def _runners_up(classes: Classes, source: int) -> list[int]:
    """Return the classes that score best on a class's picture, but for the class itself."""
    order = np.argsort(-classes.picture_scores(source), kind="stable")
    return [int(place) for place in order[: RUNNERS_UP + 1] if place != source]


def unlike(bundle: Bundle, classes: Classes, source: int, target: int, near: float) -> bool:
    """Return whether two classes differ by the text tower and by name and keywords."""
    words = vocabulary(bundle)
    names = [classes.labels[source], classes.labels[target]]
    first, second = ((stems([name]), words.keywords.get(name, frozenset[str]())) for name in names)
    shared = first[0] & (second[0] | second[1]) or second[0] & first[1]
    first, second = bundle.dictionary.centre(classes.embeddings[[source, target]])
    return not shared and float(first @ second) < near

"""Pairs of classes to attack: the model tells them apart, and their names are unlike.

The classes are the names of the bundle's held-out pictures: drawings of a style the model never
saw. No pair is chosen by looking at an attack.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explorer.adversarial import NEAR, Floats, stems, vocabulary
from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.lens_model import LensModel, open_lens_model
from explorer.models import encode_images, encode_texts

RUNNERS_UP = 30  # classes nearest to a source's picture among which its target is looked for


@dataclass(frozen=True)
class Pair:
    """What is shown, and what it should be taken for."""

    source: str
    target: str


@dataclass(frozen=True, eq=False)
class Classes:
    """The names of the held-out pictures, as the text tower sees them."""

    opened: LensModel
    labels: tuple[str, ...]
    embeddings: Floats
    """[class, embed], unit norm."""
    pictures: Floats
    """[class, class]: cosine of each class's first held-out picture, on white, with each name."""

    @classmethod
    def of(cls, bundle: Bundle, say: Callable[[str], object] = lambda line: None) -> Classes:
        """Encode names and pictures, once a bundle.

        Raises:
            InputError: the bundle has held-out pictures of fewer than two names.
        """
        return _classes(bundle, say)

    def place(self, label: str) -> int:
        """Return a class's row. Raises InputError if there is none of that name."""
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
        with self.opened.lock:
            images = encode_images(self.opened.loaded, pictures, batch_size=16)
        found: Floats = images.numpy() @ self.embeddings.T
        return found


_KEPT: dict[str, Classes] = {}


def _classes(bundle: Bundle, say: Callable[[str], object]) -> Classes:
    key = hashlib.sha256(f"{bundle.path}{bundle.manifest.identity}".encode()).hexdigest()
    if key in _KEPT:
        return _KEPT[key]
    words = vocabulary(bundle)
    labels = tuple(sorted(words.held_out))
    if len(labels) < 2:
        raise InputError(
            f"The bundle '{bundle.name}' has held-out pictures of {len(labels)} names: two classes "
            "are needed for an attack."
        )
    opened = open_lens_model(bundle)
    say(f"reading {len(labels):,} held-out pictures")
    with opened.lock:
        texts = encode_texts(opened.loaded, labels).numpy()
        shown = (bundle.pictures.rgb(words.held_out[label][0]) for label in labels)
        pictures = encode_images(opened.loaded, shown).numpy()
    _KEPT.clear()  # one bundle's at a time
    _KEPT[key] = Classes(opened, labels, texts, pictures @ texts.T)
    return _KEPT[key]


def propose_pairs(
    bundle: Bundle, classes: Classes, count: int, seed: int = 0, near: float = NEAR
) -> list[Pair]:
    """Return seeded pairs: recognised sources, each with its likeliest unlike recognised class.

    Sources are drawn at random among the classes whose held-out picture is recognised among all.
    The target is, of the classes that score best on that picture, the first that is recognised
    itself and unlike the source: cosine of centred texts below ``near``, no word stem shared by
    names or keywords. A target is taken once.

    Raises:
        InputError: fewer than one pair is asked for, or none is found.
    """
    if count < 1:
        raise InputError("Ask for at least one pair.")
    scores = classes.pictures
    known = scores.argmax(1) == np.arange(len(classes.labels))
    rng = np.random.default_rng([seed, 4])
    pairs: list[Pair] = []
    taken: set[int] = set()
    for source in rng.permutation(np.flatnonzero(known)):
        for target in np.argsort(-scores[source], kind="stable")[: RUNNERS_UP + 1]:
            usable = target != source and known[target] and int(target) not in taken
            if usable and unlike(bundle, classes, int(source), int(target), near):
                taken.add(int(target))
                pairs.append(Pair(classes.labels[source], classes.labels[target]))
                break
        if len(pairs) == count:
            break
    if not pairs:
        raise InputError(
            "No two classes are recognised and unlike each other: name a pair yourself."
        )
    return pairs


def unlike(bundle: Bundle, classes: Classes, source: int, target: int, near: float) -> bool:
    """Return whether two classes differ by the text tower, and by the words of name and keywords."""
    words = vocabulary(bundle)
    names = [classes.labels[source], classes.labels[target]]
    first, second = ((stems([name]), words.keywords.get(name, frozenset[str]())) for name in names)
    shared = first[0] & (second[0] | second[1]) or second[0] & first[1]
    centred = classes.embeddings[[source, target]] - np.asarray(bundle.text_mean)
    return not shared and _cosine(centred[0], centred[1]) < near


def _cosine(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / length if length else 1.0

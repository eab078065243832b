"""Pictures of a source object with spurious concepts beside it: composed, seeded, with a recipe.

The source stays *whole and dominant*, which is checked on pixels: nothing covers it, nothing of it
is cut off, it is larger than any other object and at least as large as all of them together. The
target never appears: a picture whose label or keywords share a word stem with the target's name,
or whose label is close to it, is refused.

Everything of a scene is drawn from one generator seeded by (pair's seed, number), in an order that
does not depend on what is added: the same number with other concepts has the same background, the
same source, in the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explorer.attack.gallery import gallery_image, pictures_of
from explorer.attack.vocabulary import Vocabulary, stems, vocabulary
from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.scenes.compose import BACKGROUNDS, draw_background

SIDE = 168
SOURCE_SIDE = (0.58, 0.66)  # of the scene's side
ADDED_SIDE = 0.40
SMALLEST_SIDE = 0.14
ADDED = 3
OPAQUE = 127
CORNERED = 0.15  # how far from a corner the source may stand, as a share of the room left
MARGIN = 2  # pixels between objects
APART = 2**32 - 1  # seed of scenes that only choose; above every seed of a batch


@dataclass(frozen=True)
class Added:
    """One picture of a concept in a scene."""

    concept: str
    image: int
    """Number in the gallery: the bundle's own, or behind them a shipped one's."""
    box: tuple[int, int, int, int]
    """Left, top, width, height in pixels."""
    share: float
    """Of the scene's pixels."""


@dataclass(frozen=True)
class Recipe:
    """How a scene was made; the same recipe gives the same pixels."""

    bundle: str
    source: str
    target: str
    seed: int
    number: int
    size: int
    source_image: int
    source_box: tuple[int, int, int, int]
    source_share: float
    background: str
    added: tuple[Added, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class AttackScene:
    """A composed picture."""

    image: Image.Image
    """RGB."""
    recipe: Recipe
    source_mask: NDArray[np.bool_]
    """[row, column]: where the source is."""


def check_hidden(words: Vocabulary, target: str, labels: Iterable[str]) -> None:
    """Check that no label, nor its pictures' keywords, names the target.

    Raises:
        InputError: when one does.
    """
    named = stems([target])
    for label in labels:
        shared = named & (stems([label]) | words.keywords.get(label, frozenset()))
        if shared:
            raise InputError(
                f"A picture of “{label}” would show the target “{target}” (the word stem "
                f"“{sorted(shared)[0]}”): leave it out."
            )


def compose_attack(
    bundle: Bundle,
    source: str,
    target: str,
    concepts: Mapping[str, Sequence[int]],
    *,
    sources: Sequence[int] = (),
    seed: int = 0,
    number: int = 0,
    added: int = ADDED,
    size: int = SIDE,
) -> AttackScene:
    """Compose scene `number`: the source, and up to `added` different ones of `concepts`.

    `concepts` maps each to the pictures that may stand for it. Without concepts the scene is the
    same but for what would have been added. The source is one of `sources`, or else of those
    that `pictures_of` finds for it.

    Raises:
        InputError: when nothing shows a concept, or a concept shows the target.
    """
    words = vocabulary(bundle)
    check_hidden(words, target, concepts)
    hidden = next((concept for concept, pictures in concepts.items() if not pictures), None)
    if hidden is not None:
        raise InputError(f"No picture of the corpus shows “{hidden}”: leave it out.")
    pictures = sources or pictures_of(bundle, source)
    rng = np.random.default_rng([seed, number])
    background = str(rng.choice(BACKGROUNDS))
    canvas = draw_background(rng, background, size)
    source_image = int(pictures[int(rng.integers(len(pictures)))])
    flip, side = rng.random() < 0.3, rng.uniform(*SOURCE_SIDE)
    place = rng.integers(2, size=2) + CORNERED * rng.uniform(-1, 1, size=2)  # 0 or 1, jittered
    place = place.clip(0, 1)
    sprite = _sprite(bundle, source_image, flip, side * size)
    corner = (round(place[0] * (size - sprite.width)), round(place[1] * (size - sprite.height)))
    canvas.paste(sprite, corner, sprite)
    taken = np.zeros((size, size), bool)
    _cover(taken, sprite, corner)
    mask = taken.copy()
    chooser = np.random.default_rng([seed, number, 1])
    made = _add_all(bundle, list(concepts.items()), added, canvas, taken, chooser)
    recipe = Recipe(
        bundle=bundle.name,
        source=source,
        target=target,
        seed=seed,
        number=number,
        size=size,
        source_image=source_image,
        source_box=(*corner, *sprite.size),
        source_share=round(float(mask.mean()), 4),
        background=background,
        added=made,
    )
    return AttackScene(canvas, recipe, mask)


def _add_all(
    bundle: Bundle,
    concepts: Sequence[tuple[str, Sequence[int]]],
    count: int,
    canvas: Image.Image,
    taken: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[Added, ...]:
    """Paste pictures of different concepts on free ground, none too large; change canvas, taken."""
    size, room = canvas.width, int(taken.sum())
    chosen = rng.choice(len(concepts), min(count, len(concepts)), replace=False)
    made = []
    for place, index in enumerate(int(i) for i in chosen):
        concept, pictures = concepts[index]
        image = int(pictures[int(rng.integers(len(pictures)))])
        allowance = room // (len(chosen) - place)
        side = ADDED_SIDE
        while side >= SMALLEST_SIDE:
            sprite = _sprite(bundle, image, False, side * size)
            pixels = int((np.asarray(sprite.getchannel("A")) > OPAQUE).sum())
            corner = _free_corner(taken, sprite, rng) if pixels <= allowance else None
            if corner is not None:
                canvas.paste(sprite, corner, sprite)
                _cover(taken, sprite, corner)
                room -= pixels
                share = round(pixels / size**2, 4)
                made.append(Added(concept, image, (*corner, *sprite.size), share))
                break
            side *= 0.88
    return tuple(made)


def _sprite(bundle: Bundle, image: int, flip: bool, side: float) -> Image.Image:
    """Return a picture cropped to what is visible, its longer side `side` pixels: RGBA."""
    picture = gallery_image(bundle, image)
    box = picture.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox()
    picture = picture.crop(box) if box else picture
    if flip:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale = side / max(picture.size)
    shape = (max(2, round(picture.width * scale)), max(2, round(picture.height * scale)))
    return picture.resize(shape, Image.Resampling.LANCZOS)


def _cover(taken: NDArray[np.bool_], sprite: Image.Image, corner: tuple[int, int]) -> None:
    x, y = corner
    shown = np.asarray(sprite.getchannel("A")) > OPAQUE
    taken[y : y + sprite.height, x : x + sprite.width] |= shown


def _free_corner(
    taken: NDArray[np.bool_], sprite: Image.Image, rng: np.random.Generator
) -> tuple[int, int] | None:
    """Return a random corner at which the sprite's box covers nothing taken; None if none is."""
    size = len(taken)
    height, width = sprite.height + 2 * MARGIN, sprite.width + 2 * MARGIN
    if height > size or width > size:
        return None
    sums = np.zeros((size + 1, size + 1), np.int64)
    sums[1:, 1:] = taken.cumsum(0).cumsum(1)
    covered = (
        sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
        + sums[:-height, :-width]
    )  # fmt: skip
    free = np.argwhere(covered == 0)
    if not len(free):
        return None
    row, column = free[int(rng.integers(len(free)))]
    return int(column) + MARGIN, int(row) + MARGIN

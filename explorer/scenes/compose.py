"""Seeded scenes: pictures composed on a background, with a caption and one mask per object.

1. Draw a background: plain, gradient, texture, scenery, or a photograph if any are given.
2. Choose for each object a size, a place that overlaps the others least, a flip and a tilt.
3. Paste back to front; an object's mask is what of it stays visible.

Everything is drawn from one `numpy.random.Generator`: the same seed gives the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

BACKGROUNDS = ("plain", "gradient", "texture", "scenery")
TEXTURES = ("stripes", "checks", "dots", "clouds", "clouds", "grain")  # clouds twice as often


@dataclass(frozen=True)
class SceneSettings:
    """What a scene may look like; sizes are shares of the scene's side."""

    size: int = 168
    smallest: float = 0.35
    largest: float = 0.75
    tilt: float = 12.0  # degrees either way
    flip: float = 0.3  # chance of a mirror image
    jitter: float = 0.25  # strength of the objects' colour changes
    backgrounds: tuple[str, ...] = BACKGROUNDS

    def __post_init__(self) -> None:
        """Refuse sizes that no scene can have."""
        if not 0 < self.smallest <= self.largest <= 1:
            raise ValueError(
                f"0 < smallest <= largest <= 1 is needed, got {self.smallest}, {self.largest}."
            )
        unknown = set(self.backgrounds) - set(BACKGROUNDS)
        if unknown:
            raise ValueError(f"unknown backgrounds {sorted(unknown)}; choose among {BACKGROUNDS}.")


@dataclass(frozen=True)
class SceneObject:
    """One picture to place: RGBA, its label, and whether its ink may be chosen freely."""

    image: Image.Image
    label: str
    mono: bool = False


@dataclass(frozen=True)
class Scene:
    """A composed picture."""

    image: Image.Image  # RGB
    labels: tuple[str, ...]
    masks: np.ndarray  # [object, row, column] bool, what of each object is visible
    caption: str
    background: str


def compose(
    rng: np.random.Generator,
    objects: Sequence[SceneObject],
    settings: SceneSettings = SceneSettings(),
    photographs: Sequence[Image.Image] = (),
) -> Scene:
    """Compose `objects` (1-4) into one scene, the first one hindmost.

    `photographs` are further backgrounds, one of which is taken as often as any other kind.
    """
    kinds = [*settings.backgrounds, *(["photograph"] if photographs else [])]
    kind = str(rng.choice(kinds))
    if kind == "photograph":
        canvas = _photograph(rng, photographs[int(rng.integers(len(photographs)))], settings.size)
    else:
        canvas = draw_background(rng, kind, settings.size)
    masks = np.zeros((len(objects), settings.size, settings.size), bool)
    for position, thing in enumerate(objects):
        sprite = _prepare(rng, thing, settings, len(objects))
        corner = _place(rng, sprite, np.asarray(masks[:position].any(0)), settings.size)
        sprite = _ink(rng, sprite, canvas, corner) if thing.mono else sprite
        canvas.paste(sprite, corner, sprite)
        visible = np.zeros((settings.size, settings.size), bool)
        alpha = np.asarray(sprite.getchannel("A")) > 127
        visible[corner[1] : corner[1] + sprite.height, corner[0] : corner[0] + sprite.width] = alpha
        masks[:position] &= ~visible
        masks[position] = visible
    labels = tuple(thing.label for thing in objects)
    return Scene(canvas, labels, masks, caption(labels), kind)


def caption(labels: Sequence[str]) -> str:
    """Return "a dog face, a car and a banana" for three labels."""
    named = [f"{'an' if label[:1] in 'aeiou' else 'a'} {label}" for label in labels]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def draw_background(rng: np.random.Generator, kind: str, size: int) -> Image.Image:
    """Return an RGB background of one of `BACKGROUNDS`, `size` pixels square."""
    if kind == "plain":
        return Image.new("RGB", (size, size), tuple(int(v) for v in _colour(rng)))
    if kind == "gradient":
        return _gradient(rng, size)
    if kind == "texture":
        return _texture(rng, size)
    return _scenery(rng, size)


def _colour(rng: np.random.Generator) -> np.ndarray:
    """Draw white one time in four, otherwise any colour, pale ones more often."""
    if rng.random() < 0.25:
        return np.full(3, 255.0)
    return 255 * rng.random(3) ** rng.uniform(0.3, 1.5)


def _gradient(rng: np.random.Generator, size: int) -> Image.Image:
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:size, 0:size] / size - 0.5
    ramp = np.cos(angle) * columns + np.sin(angle) * rows
    if rng.random() < 0.3:
        ramp = np.hypot(rows, columns)
    ramp = (ramp - ramp.min()) / np.ptp(ramp)
    first, last = _colour(rng), 255 * rng.random(3)
    pixels = first + ramp[..., None] * (last - first)
    return Image.fromarray(pixels.astype(np.uint8), "RGB")


def _fractal(rng: np.random.Generator, size: int, octaves: int = 5) -> np.ndarray:
    """Draw smooth noise in [0, 1], [row, column]."""
    total = np.zeros((size, size))
    for octave in range(octaves):
        grid = rng.random((2 + 2**octave, 2 + 2**octave)).astype(np.float32)
        smooth = Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC)
        total += np.asarray(smooth) * 0.6**octave
    scaled: np.ndarray = (total - total.min()) / (np.ptp(total) + 1e-9)
    return scaled


def _texture(rng: np.random.Generator, size: int) -> Image.Image:
    first, last = _colour(rng), 255 * rng.random(3)
    period, angle = rng.uniform(6, size / 3), rng.uniform(0, np.pi)
    rows, columns = np.mgrid[0:size, 0:size]
    across, along = (
        columns * np.cos(angle) + rows * np.sin(angle),
        rows * np.cos(angle) - columns * np.sin(angle),
    )

    def wave(v: np.ndarray) -> np.ndarray:
        height: np.ndarray = 0.5 + 0.5 * np.sin(2 * np.pi * v / period)
        return height

    patterns: dict[str, Callable[[], np.ndarray]] = {
        "stripes": lambda: (wave(across) > rng.uniform(0.3, 0.7)) * 1.0,
        "checks": lambda: ((wave(across) > 0.5) ^ (wave(along) > 0.5)) * 1.0,
        "dots": lambda: (wave(across) * wave(along) > rng.uniform(0.5, 0.8)) * 1.0,
        "clouds": lambda: _fractal(rng, size),
        "grain": lambda: rng.random((size, size)),
    }
    pattern = patterns[str(rng.choice([*TEXTURES]))]()
    contrast = rng.uniform(0.25, 1.0)
    pixels = first + contrast * pattern[..., None] * (last - first)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8), "RGB")


def _scenery(rng: np.random.Generator, size: int) -> Image.Image:
    """Draw sky over hills over a ground, or a wall over a floor, each with its own grain."""
    outdoors = rng.random() < 0.7
    horizon = rng.uniform(0.35, 0.75) * size
    if outdoors:
        hues = ((120, 180, 240), (250, 180, 130), (200, 210, 220), (30, 40, 90))
        sky = np.array(hues[int(rng.integers(len(hues)))]) + rng.normal(0, 15, 3)
        grounds = (
            (110, 160, 80),
            (220, 200, 150),
            (150, 140, 130),
            (240, 245, 250),
            (90, 130, 170),
        )
        ground = np.array(grounds[int(rng.integers(len(grounds)))]) + rng.normal(0, 15, 3)
    else:
        sky, ground = _colour(rng), 255 * rng.random(3)
    fade = np.linspace(0, 1, size)[:, None, None]
    pixels = (
        sky + fade * rng.uniform(0, 70) + 40 * rng.random() * (_fractal(rng, size)[..., None] - 0.5)
    )
    rows = np.arange(size)[:, None]
    if outdoors:
        ridge = _fractal(rng, size, 4)[0] * rng.uniform(0.1, 0.35) * size
        hills = (rows > horizon - ridge)[..., None]
        pixels = np.where(
            hills, ground * rng.uniform(0.5, 0.9) + 20 * _fractal(rng, size)[..., None], pixels
        )
    floor = (rows > horizon)[..., None]
    grain = 50 * rng.random() * (_fractal(rng, size, 6)[..., None] - 0.5)
    pixels = np.where(floor, ground + grain + 25 * fade, pixels)
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8), "RGB")
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.5)))


def _photograph(rng: np.random.Generator, photograph: Image.Image, size: int) -> Image.Image:
    side = int(min(photograph.size) * rng.uniform(0.5, 1))
    left = int(rng.integers(photograph.width - side + 1))
    top = int(rng.integers(photograph.height - side + 1))
    box = (left, top, left + side, top + side)
    return photograph.convert("RGB").resize((size, size), Image.Resampling.BICUBIC, box)


def _prepare(
    rng: np.random.Generator, thing: SceneObject, settings: SceneSettings, count: int
) -> Image.Image:
    """Flip, tilt, recolour and scale one object; several objects share the room."""
    sprite = thing.image
    if rng.random() < settings.flip:
        sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if settings.tilt and rng.random() < 0.6:
        angle = float(np.clip(rng.normal(0, settings.tilt / 2), -settings.tilt, settings.tilt))
        sprite = sprite.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    box = sprite.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox()
    sprite = sprite.crop(box) if box else sprite
    if settings.jitter and not thing.mono:
        sprite = _jitter(rng, sprite, settings.jitter)
    crowd = (1.0, 0.72, 0.62, 0.55)[count - 1]
    side = rng.uniform(settings.smallest, settings.largest) * crowd * settings.size
    scale = side / max(sprite.size)
    shape = (max(4, round(sprite.width * scale)), max(4, round(sprite.height * scale)))
    resample = Image.Resampling.LANCZOS if rng.random() < 0.8 else Image.Resampling.BILINEAR
    return sprite.resize(shape, resample)


def _jitter(rng: np.random.Generator, sprite: Image.Image, strength: float) -> Image.Image:
    alpha, colour = sprite.getchannel("A"), sprite.convert("RGB")
    for enhance in (ImageEnhance.Color, ImageEnhance.Brightness, ImageEnhance.Contrast):
        colour = enhance(colour).enhance(float(rng.uniform(1 - strength, 1 + strength)))
    if rng.random() < 0.15:
        shift = int(rng.integers(-20, 21))
        hue, saturation, value = colour.convert("HSV").split()
        hue = hue.point(lambda v: (v + shift) % 256)
        colour = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
    colour.putalpha(alpha)
    return colour


def _ink(
    rng: np.random.Generator, sprite: Image.Image, canvas: Image.Image, corner: tuple[int, int]
) -> Image.Image:
    """Draw a single-colour picture in an ink that stands out from what lies behind it."""
    behind = canvas.crop((*corner, corner[0] + sprite.width, corner[1] + sprite.height))
    luminance = np.asarray(behind.convert("L")).mean()
    inks = 255 * rng.random((12, 3)) ** rng.uniform(0.5, 2)
    distance = np.abs(inks @ (0.299, 0.587, 0.114) - luminance)
    far = np.flatnonzero(distance > 80)
    ink = inks[far[0]] if len(far) else np.full(3, 0.0 if luminance > 127 else 255.0)
    inked = Image.new("RGB", sprite.size, tuple(int(v) for v in ink))
    inked.putalpha(sprite.getchannel("A"))
    return inked


def _place(
    rng: np.random.Generator, sprite: Image.Image, taken: np.ndarray, size: int
) -> tuple[int, int]:
    """Return the corner, of eight random ones, under which least is taken."""
    room = (size - sprite.width, size - sprite.height)
    corners = [
        (int(rng.integers(max(room[0], 0) + 1)), int(rng.integers(max(room[1], 0) + 1)))
        for _ in range(8 if taken.any() else 1)
    ]
    cost = [taken[y : y + sprite.height, x : x + sprite.width].sum() for x, y in corners]
    return corners[int(np.argmin(cost))]

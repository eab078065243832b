"""Which picture is under study: an upload, an example scene, or one of the bundle's."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PIL import Image

from explorer.bundle.originals import whole_picture
from explorer.errors import InputError
from explorer.findings.copy import opened
from explorer.picture import painting
from explorer.picture.uploads import shown
from explorer.scenes.cutouts import has_alpha
from explorer.scenes.seeded import SceneSet, draw_scene
from explorer.ui.address.attack_query import read_scene
from explorer.ui.data import findings_data, studies
from explorer.ui.data.attacks import scene_of
from explorer.ui.data.image_query import ImageQuery
from explorer.ui.data.loaders import View

SCENE_SIDE = 336
THUMBNAIL = 112
PICTURES = 6
"""Held-out photographs offered as examples."""
# pool and whether several objects, for each example in order: from the scenes whose objects are
# named most often by ten concepts to the least, as measured on the shipped bundle (85, 78, 45 and
# 24 %), so that the first thing a visitor sees is read as well as any
_PLAN = (
    *[("pictogram", False)] * 2,
    ("photographic", False),
    *[("pictogram", True)] * 4,
    *[("photographic", True)] * 3,
)


@dataclass(frozen=True, eq=False)
class Source:
    """A picture to study, and where it comes from."""

    name: str
    picture: Image.Image
    size: tuple[int, int]
    """Its own width and height; the picture may be reduced."""
    suggested: tuple[str, ...]
    """Texts to look for first; none for an upload, whose concepts are taken."""
    kind: str
    """"upload", "scene", "attack", "finding" or "image"."""
    scene_set: str = ""
    """Of a seeded scene: the set it is of, as the evidence on discovery calls it."""

    @property
    def several(self) -> bool:
        """Whether it is a seeded scene of several objects."""
        return bool(self.scene_set) and len(self.suggested) > 1


@dataclass(frozen=True, eq=False)
class Example:
    """A seeded scene of the example strip."""

    picture: Image.Image
    labels: tuple[str, ...]
    thumbnail: bytes
    scene_set: str
    """`SceneSet.name`."""


def example_pictures(view: View) -> list[int]:
    """Return some held-out photographs, one a label, [image]; pictures with alpha make scenes."""
    return view.held("example pictures", _choose_pictures)


def _choose_pictures(view: View) -> list[int]:
    store = view.bundle.pictures
    held = range(store.corpus_size, len(store))
    whole = [image for image in held if not has_alpha(store, image)]
    first = {view.labels[image]: image for image in reversed(whole)}
    return sorted(first.values())[:PICTURES]


def example_scenes(view: View) -> list[Example]:
    """Return the bundle's example scenes; none where it ships too few pictures to make them of."""
    return view.held("example scenes", _draw_scenes)


def _draw_scenes(view: View) -> list[Example]:
    found: list[Example] = []
    for number, (pool, multiple) in enumerate(_PLAN):
        for kind in (pool, "pictogram"):  # a bundle may have no photographic pictures
            try:
                scene_set = SceneSet("examples", kind, multiple)
                scene = draw_scene(view.bundle, scene_set, number, SCENE_SIDE)
            except InputError:
                continue
            small = scene.image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
            thumbnail = painting.encode(small, "WEBP")
            found.append(Example(scene.image, scene.labels, thumbnail, scene_set.name))
            break
    return found


def addressed(view: View, query: ImageQuery) -> Source | None:
    """Return what the address names, else the first example, else a picture of the bundle.

    A picture of the bundle is read from its own file where that is still there.

    Raises:
        InputError: when it names a picture that cannot be made or read.
    """
    if query.attack:
        return _attack(view, query.attack)
    if query.finding:
        return _found(query.finding)
    pictures, scenes = example_pictures(view), example_scenes(view)
    image = query.image
    if image is None and not query.addressed and pictures:
        image = pictures[0]
    number = query.scene or 0
    if image is None and number < len(scenes):
        scene = scenes[number]
        found = _source(f"Example {number + 1}", scene.picture, scene.labels, "scene")
        return replace(found, scene_set=scene.scene_set)
    image = image or 0
    if image >= len(view.bundle.pictures):
        return None
    label = view.labels[image]
    suggested = () if label == "unlabelled" else (label,)
    name = f"Picture {image:,}: {label}"
    return _source(name, whole_picture(view.bundle, image), suggested, "image")


def uploaded(data: bytes, name: str) -> Source:
    """Return a picture from outside.

    Raises:
        InputError: in one sentence, when it cannot be used.
    """
    found = studies.decoded(data)
    return Source(name or "Your picture", found.picture, found.size, (), "upload")


def _attack(view: View, text: str) -> Source | None:
    """Return a scene of the Adversarial page."""
    named = read_scene(text)
    if named is None:
        return None
    pair, number = named
    scene = scene_of(view, pair, number)
    name = f"Picture {number} of {pair.source} as {pair.target}"
    return _source(name, scene.image, (pair.source, pair.target), "attack")


def _found(identifier: str) -> Source:
    """Return the picture that a finding holds."""
    content = findings_data.store().get(identifier).content
    if not content.copy:
        raise InputError("This finding holds no picture of its own: open it from its page.")
    return _source(content.title, opened(content.copy), content.texts, "finding")


def _source(name: str, picture: Image.Image, texts: tuple[str, ...], kind: str) -> Source:
    return Source(name, shown(picture), picture.size, texts, kind)

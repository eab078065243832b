"""The picture under study: an upload of this session, an example scene, or one of the bundle's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st
from PIL import Image

from explorer.errors import InputError
from explorer.findings.copy import opened
from explorer.picture import painting
from explorer.picture.discover import Discovery, discover
from explorer.picture.patches import Patch, strongest_at_patches
from explorer.picture.segment import PictureReading, Segmentation, SegmentSettings, segment
from explorer.picture.uploads import Upload, decode
from explorer.scenes.seeded import SceneSet, draw_scene
from explorer.ui.address.attack_query import read_scene
from explorer.ui.data import findings_data, live
from explorer.ui.data.attacks import scene_of
from explorer.ui.data.classes import classes_of
from explorer.ui.data.image_query import ImageQuery
from explorer.ui.data.loaders import View

SCENE_SIDE = 336
THUMBNAIL = 112
MOST_CONCEPTS = 12
MOST_NEURONS = 12
MOST_LIKELY = 5  # texts
KEPT_MAPS = 24
_KEPT = ("_image_upload", "_image_reading", "_image_discovery", "_image_patches", "_image_maps")
# pool and whether several objects, for each example in order
_PLAN = (
    *[("pictogram", True)] * 4,
    *[("photographic", True)] * 3,
    *[("pictogram", False)] * 2,
    ("photographic", False),
)


@dataclass(frozen=True, eq=False)
class Source:
    """A picture to study."""

    name: str
    picture: Image.Image
    size: tuple[int, int]
    """Its own width and height; the picture may be reduced."""
    digest: str
    suggested: tuple[str, ...]
    """Texts to look for first; none for an upload, whose concepts are taken."""
    kind: str
    """"upload", "scene", "attack", "finding" or "image"."""


@dataclass(frozen=True, eq=False)
class Example:
    """A seeded scene of the example strip."""

    picture: Image.Image
    labels: tuple[str, ...]
    thumbnail: bytes


def examples(view: View) -> list[Example]:
    """The bundle's example scenes; none where it ships too few pictures to make them of."""
    return view.held("image-examples", _draw_examples)


def _draw_examples(view: View) -> list[Example]:
    found: list[Example] = []
    for number, (pool, multiple) in enumerate(_PLAN):
        for kind in (pool, "pictogram"):  # a bundle may have no photographic pictures
            try:
                scene_set = SceneSet("examples", kind, multiple)
                scene = draw_scene(view.bundle, scene_set, number, SCENE_SIDE)
            except InputError:
                continue
            small = scene.image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
            found.append(Example(scene.image, scene.labels, painting.encode(small, "WEBP")))
            break
    return found


def addressed(view: View, query: ImageQuery) -> Source | None:
    """The picture that the address names, else the first example, else a picture of the bundle."""
    if query.attack:
        return _attack(view, query.attack)
    if query.finding:
        return _found(query.finding)
    scenes = examples(view)
    number = query.scene if query.addressed else 0
    if query.image is None and number is not None and number < len(scenes):
        scene = scenes[number]
        return _source(f"Example {number + 1}", scene.picture, scene.labels, "scene")
    image = query.image or 0
    if image >= len(view.bundle.pictures):
        return None
    label = view.labels[image]
    suggested = () if label == "unlabelled" else (label,)
    return _source(
        f"Picture {image:,}: {label}", view.bundle.pictures.rgb(image), suggested, "image"
    )


def _attack(view: View, text: str) -> Source | None:
    """A scene of the Adversarial page."""
    named = read_scene(text, classes_of(view))
    if named is None:
        return None
    pair, number = named
    scene = scene_of(view, pair, number)
    name = f"Picture {number} of {pair.source} as {pair.target}"
    return _source(name, scene.image, (pair.source, pair.target), "attack")


def _found(identifier: str) -> Source:
    """The picture that a finding holds. Raises InputError where there is none."""
    content = findings_data.store().get(identifier).content
    if not content.copy:
        raise InputError("This finding holds no picture of its own: open it from its page.")
    return _source(content.title, opened(content.copy), content.texts, "finding")


def uploaded(data: bytes, name: str) -> Source:
    """A picture from outside. Raises InputError, in one sentence, if it can't be used.

    It is decoded once: pages run again at every touch of a widget.
    """
    key = (hashlib.sha256(data).digest(), name)
    return _kept("_image_upload", key, 1, lambda: _decoded(data, name))


def _decoded(data: bytes, name: str) -> Source:
    found: Upload = decode(data)
    source = _source(name or "Your picture", found.picture, (), "upload")
    return replace(source, size=found.size)


def _source(name: str, picture: Image.Image, texts: tuple[str, ...], kind: str) -> Source:
    digest = hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()
    return Source(name, picture, picture.size, digest, texts, kind)


def read_picture(view: View, source: Source, fit: str) -> PictureReading:
    """One lens pass over the picture, kept in the session until another is looked at."""
    live.lens_model(view)
    key = (view.key, view.bundle.manifest.created, source.digest, fit)
    return _kept(
        "_image_reading", key, 2, lambda: PictureReading.of(view.bundle, source.picture, fit)
    )


def find_concepts(view: View, source: Source) -> Discovery:
    """What the picture's neurons say; always of the whole picture."""
    seen = read_picture(view, source, "pad")
    key = (view.key, source.digest)
    return _kept(
        "_image_discovery",
        key,
        2,
        lambda: discover(view.bundle, seen.reading, top=MOST_CONCEPTS, neurons=MOST_NEURONS),
    )


def likely_texts(view: View, source: Source) -> tuple[str, ...]:
    """Texts that the picture most surely shows, by patches and whole output together."""
    places = read_picture(view, source, "pad").presence.likely(MOST_LIKELY)
    return tuple(view.bundle.texts[place] for place in places)


def find_patches(view: View, source: Source) -> list[list[Patch]]:
    """What is strongest at each patch of the picture seen whole: [row][column]."""
    seen = read_picture(view, source, "pad")
    key = (view.key, source.digest)
    return _kept("_image_patches", key, 2, lambda: strongest_at_patches(view.bundle, seen.reading))


def find_texts(
    view: View, source: Source, texts: tuple[str, ...], settings: SegmentSettings
) -> Segmentation:
    """Maps of texts on the picture, kept in the session."""
    seen = read_picture(view, source, settings.fit)
    key = (view.key, source.digest, texts, settings)
    return _kept("_image_maps", key, KEPT_MAPS, lambda: segment(view.bundle, seen, texts, settings))


def _kept(name: str, key: Any, most: int, make: Any) -> Any:
    """A small store of the session's own: pictures of one visitor are never another's."""
    store: dict[Any, Any] = st.session_state.setdefault(name, {})
    if key not in store:
        made = make()
        while len(store) >= most:
            store.pop(next(iter(store)))
        store[key] = made
    return store[key]


def forget() -> None:
    """Drop everything the session keeps of its pictures."""
    for name in _KEPT:
        st.session_state.pop(name, None)

"""The Image page's four ways to show maps of texts, and the files of what is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import streamlit as st
from markupsafe import Markup
from PIL import Image
from torch import Tensor

from explorer.formats import file_stem
from explorer.picture import files as exports
from explorer.picture import painting
from explorer.picture.methods import METHODS, Method
from explorer.picture.segment import Segmentation
from explorer.picture.study import Study
from explorer.ui.address.address import href
from explorer.ui.core import glossary
from explorer.ui.data.image_query import ImageQuery, settings_of
from explorer.ui.data.studies import pixels_digest
from explorer.ui.html import maps, shots
from explorer.ui.html.elements import NOTHING, Child, caption, joined, muted, tag
from explorer.ui.image.source import Source
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page

Size = tuple[int, int]


@dataclass(frozen=True)
class Panel:
    """One painted picture: on the page, and in the files."""

    name: str
    """What it shows: its alternative text, and its file's name."""
    caption: Child
    paint: Callable[[Size], Image.Image]
    """Draws it at any width and height."""


@dataclass(frozen=True)
class Shown:
    """A way of showing: panels, and HTML above and below them."""

    panels: tuple[Panel, ...] = ()
    above: Markup = NOTHING
    below: Markup = NOTHING


def draw(page: Page, query: ImageQuery, source: Source, study: Study, found: Segmentation) -> None:
    """Draw the maps as the address asks for them, and what can be downloaded."""
    shown = _VIEWS[query.view](query, study, found)
    size = shots.preview_size(source.picture.size)
    pictures = [shots.shot(p.paint(size), p.name, p.caption) for p in shown.panels]
    frame.draw(shown.above, shots.grid(pictures), shown.below)
    _downloads(page, query, source, found, shown.panels)


def _heatmaps(query: ImageQuery, study: Study, found: Segmentation) -> Shown:
    ends = found.ends(query.scale)
    drawn: dict[Size, Tensor] = {}  # of the last size: panels are painted one after the other

    def strengths(size: Size) -> Tensor:
        if size not in drawn:
            drawn.clear()
            drawn[size] = found.strengths(size, query.scale)
        return drawn[size]

    def panel(place: int, text: str) -> Panel:
        def paint(size: Size) -> Image.Image:
            strength = strengths(size)[place].numpy()
            colour = painting.colour_of(place)
            return painting.paint(study.picture, strength, colour, query.opacity / 100)

        said = maps.map_caption(place, text, ends[place], query.opacity, found.confidence[place])
        return Panel(f"Where “{text}” comes from", said, paint)

    return Shown(tuple(panel(place, text) for place, text in enumerate(found.texts)))


def _mask(query: ImageQuery, study: Study, found: Segmentation) -> Shown:
    def paint(size: Size) -> Image.Image:
        return painting.paint_labels(study.picture, found.labels(size), query.opacity / 100)

    labels = found.labels(shots.preview_size(study.picture.size))
    keys = [
        [
            maps.swatch(place, text),
            " ",
            muted(glossary.share(float((labels == place + 1).mean()))),
            " ",
        ]
        for place, text in enumerate(found.texts)
    ]
    said = (
        "Each pixel belongs to the text with the largest map there, if that is above "
        f"{glossary.share(found.threshold)} of the text's peak; the rest is background."
    )
    return Shown(
        (Panel("The picture, segmented", NOTHING, paint),),
        below=joined([tag("div", keys, css="legend"), caption(said)]),
    )


def _methods(query: ImageQuery, study: Study, found: Segmentation) -> Shown:
    place = compared(query, found.texts)
    text = found.texts[place]

    def panel(method: Method) -> Panel:
        other = study.segment((text,), settings_of(replace(query, method=method.name)))

        def paint(size: Size) -> Image.Image:
            strength = other.strengths(size)[0].numpy()
            colour = painting.colour_of(place)
            return painting.paint(study.picture, strength, colour, query.opacity / 100)

        return Panel(f"{method.title}: “{text}”", method.title, paint)

    with study.reading(query.fit).sharing():
        panels = tuple(panel(method) for method in METHODS.values())
    blind = " and ".join(m.title for m in METHODS.values() if not m.reads_text)
    return Shown(
        panels,
        above=caption(
            f"“{text}” by every method on this model, each map relative to its own peak. These do "
            f"not look at the text: {blind}."
        ),
    )


def _difference(query: ImageQuery, study: Study, found: Segmentation) -> Shown:
    if len(found.texts) < 2:
        said = "Enter two texts, separated by a comma, to compare them."
        return Shown(above=tag("p", said))
    one, other = pair(query, found.texts)
    first, second = found.texts[one], found.texts[other]

    def paint(size: Size) -> Image.Image:
        values = found.difference(first, second, size).numpy()
        colours = painting.colour_of(one), painting.colour_of(other)
        return painting.paint_difference(study.picture, values, query.opacity / 100, colours)

    return Shown(
        (Panel(f"“{first}” against “{second}”", NOTHING, paint),),
        below=joined(
            [
                tag(
                    "div",
                    maps.swatch(one, first),
                    maps.swatch(other, second),
                    css="legend",
                ),
                caption(
                    "The first text's map minus the second's, over the largest difference: the "
                    "colour is that of the text to which more comes from there."
                ),
            ]
        ),
    )


def compared(query: ImageQuery, texts: tuple[str, ...]) -> int:
    """Return the place of the text that methods are compared on."""
    return min(query.first, len(texts) - 1)


def pair(query: ImageQuery, texts: tuple[str, ...]) -> tuple[int, int]:
    """Return the places of the two texts that are compared; there are two or more."""
    one = compared(query, texts)
    other = min(query.second, len(texts) - 1)
    return one, other if other != one else (one + 1) % len(texts)


_VIEWS = {"maps": _heatmaps, "mask": _mask, "methods": _methods, "difference": _difference}


def _downloads(
    page: Page,
    query: ImageQuery,
    source: Source,
    found: Segmentation,
    panels: tuple[Panel, ...],
) -> None:
    stem = file_stem(source.name, "picture")

    def overlays() -> bytes:
        painted = {panel.name: panel.paint(source.picture.size) for panel in panels}
        return exports.pictures_file(painted)

    def described() -> str:
        record = exports.description(page.view.bundle, found, settings_of(query), source.size)
        record["picture"] = {
            "name": source.name,
            "kind": source.kind,
            "pixels_sha256": pixels_digest(source.picture),
        }
        record["shown"] = {
            "view": query.view,
            "scale": query.scale,
            "opacity": query.opacity / 100,
            "address": href("image", bundle=page.view.key, **query.params()),
        }
        return json.dumps(record, ensure_ascii=False, indent=1) + "\n"

    many = len(panels) > 1
    with st.container(key="lens_downloads", horizontal=True):
        if panels:
            st.download_button(
                f"{len(panels)} overlays (PNG, zip)" if many else "Overlay (PNG)",
                overlays,
                f"{stem}-overlays.zip" if many else f"{stem}-overlay.png",
                "application/zip" if many else "image/png",
                on_click="ignore",
            )
        st.download_button(
            "Mask (PNG)", lambda: exports.mask_file(found, source.size), f"{stem}-labels.png",
            "image/png", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Arrays (.npz)", lambda: exports.arrays_file(found), f"{stem}-maps.npz",
            "application/octet-stream", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Settings (JSON)", described, f"{stem}-settings.json", "application/json",
            on_click="ignore",
        )  # fmt: skip

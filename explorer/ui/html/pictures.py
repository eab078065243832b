"""Pictures in HTML: one, tiles with captions, groups, strips."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from explorer.bundle.pictures import picture_kind
from explorer.ui.core import glossary
from explorer.ui.data import grouping, served
from explorer.ui.data.grouping import Picture, PictureGroup
from explorer.ui.data.loaders import View
from explorer.ui.html.elements import muted, tag
from explorer.ui.html.links import link


def picture_source(data: bytes) -> str:
    """Make a data address of an encoded picture that no file holds, one just painted say."""
    kind = picture_kind(data)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def picture_mark(svg: str) -> Markup:
    """Show a drawing of the app's own, decorative."""
    source = base64.b64encode(svg.encode()).decode("ascii")
    return tag("img", src=f"data:image/svg+xml;base64,{source}", alt="")


def image(view: View, number: int, source: str = "") -> Markup:
    """Show one picture, its label as alternative text; `source`: its address, or another's."""
    label = view.labels[number]
    return tag(
        "img",
        src=source or f"{served.pictures_address(view)}{number}",
        alt=label,
        title=label,
        loading="lazy",
        decoding="async",
    )


def tile(shown: Markup, label: str, figure: str, css: str = "tile") -> Markup:
    """Show a picture in a frame, over its label and a figure."""
    return tag(
        "figure",
        tag("div", shown, css="frame"),
        tag(
            "figcaption",
            tag("span", label, css="label", title=label),
            tag("span", figure, css="effect"),
        ),
        css=css,
    )


def tiles(
    view: View, pictures: Sequence[Picture], sources: Mapping[int, str] | None = None
) -> Markup:
    """Lay out pictures, each with label, effect, its cluster's colour and a link to its page.

    `sources` are drawn in place of the pictures, by their number.
    """
    folder, painted = served.pictures_address(view), sources or {}
    cells = (
        _tile(view, picture, painted.get(picture.image, f"{folder}{picture.image}"))
        for picture in pictures
    )
    return tag("div", cells, css="pics")


def _tile(view: View, picture: Picture, source: str) -> Markup:
    colour = f" c{picture.colour}" if picture.colour != grouping.REST else ""
    shown = image(view, picture.image, source)
    return tile(
        link("image", shown, bundle=view.key, image=picture.image),
        view.labels[picture.image],
        glossary.effect(picture.effect),
        f"tile{colour}",
    )


def groups(
    view: View, found: Sequence[PictureGroup], sources: Mapping[int, str] | None = None
) -> Markup:
    """Lay out groups of pictures, small ones beside each other; `sources` as in `tiles`."""
    blocks = (
        tag(
            "section",
            group_heading(group),
            tiles(view, group.pictures, sources),
            css="group",
            style=f"--count: {len(group.pictures)}",
        )
        for group in found
    )
    return tag("div", blocks, css="groups")


def group_heading(group: PictureGroup) -> Markup:
    """Say what a group of pictures shares, and in how many of them."""
    if group.word:
        count = f"{group.agreeing} of {len(group.pictures)}"
        return tag("h3", group.word, " ", muted(count), css="" if group.sure else "unclaimed")
    name = "alike, without a common word" if group.alike else "alone"
    return tag("h3", muted(f"{name}, {len(group.pictures)}"))


def strip(view: View, images: Iterable[int], wide: bool = False) -> Markup:
    """Lay pictures side by side, without captions; `wide`: as many in a row as fit."""
    folder = served.pictures_address(view)
    cells = (tag("span", image(view, int(n), f"{folder}{n}"), css="cell") for n in images)
    return tag("div", cells, css="strip pics" if wide else "strip")


def meanings(view: View, groups: Sequence[tuple[str, int, Sequence[int]]]) -> Markup:
    """Lay groups of pictures side by side: name, colour, images."""
    return tag(
        "div",
        (
            tag(
                "div",
                tag("div", dot(), tag("span", name, css="text", title=name), css="name"),
                strip(view, images),
                css=f"meaning c{colour}",
            )
            for name, colour, images in groups
        ),
        css="meanings",
    )


def dot() -> Markup:
    """Show a dot in the colour of the cluster around it."""
    return tag("span", css="dot")

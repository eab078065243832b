"""The pictures that stand for a finding: its own copy, its bundle's, or its neurons' strongest."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st
from markupsafe import Markup

from explorer.errors import InputError
from explorer.findings.copy import opened
from explorer.findings.model import Finding
from explorer.picture import painting
from explorer.ui.data import grouping
from explorer.ui.data.loaders import View
from explorer.ui.html import pictures
from explorer.ui.html.elements import NOTHING, tag

CARD_PICTURES = 8
THUMBNAIL = 112  # pixels of the long side of a finding's own picture


def strip_of(view: View | None, content: Finding, most: int = CARD_PICTURES) -> Markup:
    """Lay a finding's pictures side by side; without its bundle only its own copy."""
    if content.copy:
        return strip([own_picture(content)])
    return pictures.strip(view, images_of(view, content, most)) if view else NOTHING


def strip(images: Iterable[Markup]) -> Markup:
    """Lay pictures side by side."""
    return tag("div", (tag("span", image, css="cell") for image in images), css="strip")


def images_of(view: View, content: Finding, most: int = CARD_PICTURES) -> list[int]:
    """Return numbers of the bundle's pictures: the finding's, or its first neurons' strongest."""
    if content.image is not None:
        return [content.image] if content.image < len(view.labels) else []
    rows = known_rows(view, content)
    if not rows:
        return []
    each = max(1, most // min(len(rows), 2))
    return [image for row in rows[:2] for image in grouping.strongest(view, row, each)][:most]


def own_picture(content: Finding, longest: int = THUMBNAIL) -> Markup:
    """Show the finding's own copy, reduced; nothing where it has none or it is damaged."""
    try:
        file = _reduced(content.copy, longest) if content.copy else b""
    except InputError:
        return NOTHING
    if not file:
        return NOTHING
    said = ", ".join(content.texts) or content.title
    return tag("img", src=pictures.picture_source(file), alt=said, title=said)


@st.cache_data(max_entries=256, show_spinner=False)
def _reduced(data: bytes, longest: int) -> bytes:
    picture = opened(data)
    picture.thumbnail((longest, longest))
    return painting.encode(picture, "WEBP")


def known_rows(view: View, content: Finding) -> list[int]:
    """Return the rows of a finding's neurons, except those that the bundle does not have."""
    places = ((ref.layer, ref.neuron) for ref in content.neurons)
    return [view.bundle.row(*place) for place in places if view.has(*place)]

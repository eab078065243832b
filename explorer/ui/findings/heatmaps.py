"""The heatmaps of a finding about a picture, drawn again from its texts and settings."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from explorer.bundle import Bundle
from explorer.findings.copy import opened
from explorer.findings.model import Finding
from explorer.ui.core import glossary
from explorer.ui.data import loaded_model, studies
from explorer.ui.data.loaders import View
from explorer.ui.html.maps import ahead, doubt

SIDE = 336  # pixels of the long side


@dataclass(frozen=True)
class DrawnMap:
    """The map of one of a finding's texts, and what it can be trusted with."""

    place: int
    """The text's place among the finding's, which decides its colour."""
    text: str
    file: bytes
    """PNG."""
    end: float
    """The value that has the full colour, in the map's units."""
    opacity: int
    """Of the full colour, per cent."""
    confidence: float
    """Share of the dictionary's texts that it is ahead of in the picture, 0 to 1."""
    doubtful: bool
    """Whether it may well not be in the picture."""

    @property
    def name(self) -> str:
        """What it shows."""
        return f"Where “{self.text}” comes from"

    @property
    def said(self) -> str:
        """What a file says below it, where there is no scale and no notice."""
        ends = f"{self.name}: full colour at {glossary.effect(self.end)}, {ahead(self.confidence)}."
        return f"{ends} {doubt([self.text])}" if self.doubtful else ends


def captioned(view: View, finding: Finding) -> list[tuple[str, bytes]]:
    """Return the captions and PNG files of `draw`, for files of findings."""
    return [(drawn.said, drawn.file) for drawn in draw(view, finding)]


def draw(view: View, finding: Finding) -> list[DrawnMap]:
    """Return the map of each of the finding's texts; none for one about neurons.

    Raises:
        InputError: when the model cannot be loaded or the texts cannot be encoded.
    """
    if finding.neurons or not finding.texts:
        return []
    settings = tuple(sorted((key, str(value)) for key, value in finding.settings.items()))
    return _drawn(
        *loaded_model.stamp(view), finding.image, finding.copy, finding.texts, settings, view
    )


@st.cache_data(max_entries=64, show_spinner=False)
def _drawn(
    path: str,
    stamp: int,
    image: int | None,
    copy: bytes,
    texts: tuple[str, ...],
    settings: tuple[tuple[str, str], ...],
    _view: View,
) -> list[DrawnMap]:
    from explorer.picture import painting
    from explorer.picture.study import Study
    from explorer.ui.data.image_query import read_query, settings_of
    from explorer.ui.html.shots import preview_size

    query, _ = read_query(dict(settings), _view)
    bundle: Bundle = _view.bundle
    picture = opened(copy) if image is None else studies.whole(bundle, image)
    found = Study.of(bundle, picture).segment(texts, settings_of(query))
    width, height = preview_size(picture.size, SIDE)
    scale = SIDE / max(width, height)
    strengths = found.strengths((round(width * scale), round(height * scale)), query.scale)
    ends = found.ends(query.scale)

    def drawn(place: int, text: str) -> DrawnMap:
        colour = painting.colour_of(place)
        painted = painting.paint(picture, strengths[place].numpy(), colour, query.opacity / 100)
        return DrawnMap(
            place,
            text,
            painting.encode(painted),
            ends[place],
            query.opacity,
            found.confidence[place],
            text in found.doubtful,
        )

    return [drawn(place, text) for place, text in enumerate(found.texts)]

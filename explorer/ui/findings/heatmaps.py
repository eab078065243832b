"""The heatmaps of a finding about a picture, drawn again from its texts and settings."""

from __future__ import annotations

import streamlit as st

from explorer.bundle import Bundle
from explorer.findings.copy import opened
from explorer.findings.model import Finding
from explorer.ui.data import loaded_model, studies
from explorer.ui.data.loaders import View

SIDE = 336  # pixels of the long side


def draw(view: View, finding: Finding) -> list[tuple[str, bytes]]:
    """Return a caption and a PNG for each of the finding's texts; none for one about neurons.

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
) -> list[tuple[str, bytes]]:
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
    return [
        (
            f"Where “{text}” comes from",
            painting.encode(
                painting.paint(
                    picture, strength.numpy(), painting.colour_of(place), query.opacity / 100
                )
            ),
        )
        for place, (text, strength) in enumerate(zip(found.texts, strengths, strict=True))
    ]

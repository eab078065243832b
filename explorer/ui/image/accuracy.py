"""How well the open heatmap method finds things, on scenes with known outlines."""

from __future__ import annotations

from dataclasses import replace

from markupsafe import Markup
from pydantic import BaseModel, ValidationError

from explorer.evidence.claim import PICTOGRAMS
from explorer.evidence.stored import stored_evidence
from explorer.picture.methods import METHODS
from explorer.ui.data.image_query import ImageQuery
from explorer.ui.data.loaders import View
from explorer.ui.html.elements import NOTHING, caption
from explorer.ui.html.links import link

_, SCENES = PICTOGRAMS
BLIND = "attention"  # a method that never reads the text


class _Value(BaseModel):
    value: float


class _Scores(BaseModel):
    foreground_average_precision: _Value


class _Set(BaseModel):
    methods: dict[str, dict[str, _Scores]]


class _Section(BaseModel):
    sets: dict[str, _Set]


def accuracy(view: View, query: ImageQuery) -> Markup:
    """Say how precise the open maps are among several objects, beside the best and a blind method.

    Nothing where it was not measured, or alone.
    """
    found = _measured(view, query.form)
    if query.method not in found or len(found) < 2:
        return NOTHING
    best = max(found, key=found.__getitem__)
    blind = f"; a map that never reads the text, {found[BLIND]:.2f}" if BLIND in found else ""
    said = [
        "In scenes of several drawings these maps put an object's pixels first with an average "
        f"precision of {found[query.method]:.2f}{blind}. "
    ]
    if best == query.method:
        said.append("No other method measured here has more. ")
    else:
        title = METHODS[best].title
        params = replace(query, method=best, threshold=None).params()
        marks = {"data_stay": True}
        other = link("image", title, marks=marks, bundle=view.key, **params)
        said += ["Best here: ", other, f", {found[best]:.2f}. "]
    more = link("evidence", "Evidence", bundle=view.key, claim="segmentation")
    return caption(*said, more, ".", css="below")


def _measured(view: View, form: str) -> dict[str, float]:
    """Return the precision of each known method's maps in a form, where it was measured."""
    try:
        stored = stored_evidence(view.bundle, "segmentation")["segmentation"]
        methods = _Section.model_validate(stored).sets[SCENES].methods
    except (KeyError, ValidationError):
        return {}
    return {
        name: forms[form].foreground_average_precision.value
        for name, forms in methods.items()
        if name in METHODS and form in forms
    }

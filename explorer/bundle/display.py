"""What a notebook shows of a bundle and of a neuron: pictures, words, and chance beside them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from explorer.bundle.facts import chance_of, concepts_of, images_of
from explorer.bundle.pictures import picture_kind

if TYPE_CHECKING:
    from explorer.bundle import Bundle

PICTURES = 8
WORDS = 6
UNTESTED = "This bundle was built before neurons were compared with chance."


@dataclass(frozen=True, eq=False)
class Neuron:
    """One neuron of a bundle, as a notebook shows it; `explorer.bundle.facts` has its facts."""

    bundle: Bundle
    layer: int
    neuron: int

    @property
    def row(self) -> int:
        """Its row in every array of the bundle."""
        return self.bundle.row(self.layer, self.neuron)

    def _repr_html_(self) -> str:
        shown = images_of(self.bundle, self.row, "positive", PICTURES)
        words = ", ".join(c["text"] for c in concepts_of(self.bundle, self.row, WORDS))
        return Markup(
            "<div><b>Layer {} · neuron {:,}</b> of <i>{}</i>"
            '<div style="display:flex;gap:6px;flex-wrap:wrap;margin:6px 0">{}</div>'
            "<div>It adds: <b>{}</b></div>{}</div>"
        ).format(
            self.layer,
            self.neuron,
            self.bundle.name,
            Markup("").join(_picture(self.bundle, image["image"]) for image in shown),
            words or "nothing that varies",
            _chance(self.bundle, self.row),
        )


def bundle_html(bundle: Bundle) -> str:
    """Return what a notebook shows of a bundle: its name, its numbers, pictures of its corpus."""
    counts, layers = bundle.manifest.counts, bundle.manifest.layers
    step = max(1, counts["images"] // PICTURES)
    return Markup(
        "<div><b>{}</b>: {:,} neurons of layers {} to {}, {:,} pictures, {:,} texts"
        '<div style="display:flex;gap:6px;flex-wrap:wrap;margin:6px 0">{}</div></div>'
    ).format(
        bundle.name,
        counts["neurons"],
        layers[0],
        layers[-1],
        counts["images"],
        counts["texts"],
        Markup("").join(
            _picture(bundle, image) for image in range(0, counts["images"], step)[:PICTURES]
        ),
    )


def _picture(bundle: Bundle, image: int) -> Markup:
    data = bundle.pictures.encoded(image)
    label = str(bundle.pictures.table["label"].iloc[image])
    return Markup(
        '<img src="data:image/{};base64,{}" alt="{}" title="{}" width="72" height="72" '
        'style="object-fit:contain;background:#fff">'
    ).format(picture_kind(data), base64.b64encode(data).decode(), label, label)


def _chance(bundle: Bundle, row: int) -> Markup:
    if not bundle.tested:
        return Markup("<div>{}</div>").format(UNTESTED)
    found = chance_of(bundle, row)
    drivers = ", ".join(found["driven_by"]) or "no shared word"
    return Markup(
        "<div>What drives it: <b>{}</b> ({})</div>"
        "<div>Its words: {}; a meaningless direction is described as well with p = {}</div>"
    ).format(
        drivers,
        _beyond(found["driven_above_chance"]),
        _beyond(found["words_above_chance"]),
        "unknown" if found["text_p"] is None else f"{found['text_p']:.2g}",
    )


def _beyond(passes: bool) -> str:
    return "more than chance" if passes else "no more than chance"

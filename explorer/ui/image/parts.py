"""Pieces of HTML for the Image page. Pure strings; every text is escaped here."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from explorer.evidence.stored import stored_evidence
from explorer.palette import COLOURS
from explorer.picture import painting
from explorer.picture.discover import FoundConcept, FoundNeuron
from explorer.picture.patches import Patch
from explorer.picture.segment import scaled
from explorer.picture.study import Study
from explorer.ui.address.address import href
from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.html import parts
from explorer.ui.html.shots import preview_size
from explorer.ui.image.source import Example, Source

SMALL = 168
NAMED = 3  # neurons named at a patch
ALMOST_ALL = 0.995


def swatch(place: int, text: str) -> str:
    """A text with its colour."""
    colour = place % len(COLOURS)
    return f'<span class="c{colour} key"><span class="dot"></span>{escape(text)}</span>'


def strip(view: View, found: Sequence[Example], chosen: int | None) -> str:
    """The example scenes, each a link."""
    cells = []
    for number, example in enumerate(found):
        names = escape(", ".join(example.labels))
        body = (
            f'<img src="{parts.picture_source(example.thumbnail)}" alt="{names}" title="{names}">'
        )
        anchor = parts.link("image", body, css="cell", bundle=view.key, scene=number)
        if number == chosen:
            anchor = anchor.replace("<a ", '<a aria-current="true" ')
        cells.append(anchor)
    return f'<nav class="examples" aria-label="Example pictures">{"".join(cells)}</nav>'


def likely(texts: Sequence[str], mapped: Callable[[str], str]) -> str:
    """What the picture most surely shows; `mapped` is the link to a text's map."""
    if not texts:
        return ""
    named = "".join(f"<li><b>{escape(text)}</b> {mapped(text)}</li>" for text in texts)
    return (
        '<h2>Likely in it</h2><p class="caption">The dictionary\'s texts that are nearest, by the '
        "model's whole output and by the strongest patches of second-order effects together.</p>"
        f'<ol class="likely">{named}</ol>'
    )


def hit_rates(view: View) -> str:
    """How often discovery names what is there, as measured; nothing where it wasn't."""
    measured = stored_evidence(view.bundle).get("discovery", {})

    def named(pool: str) -> str:
        alone, among = (
            glossary.share(measured[f"{pool}, {kind}"]["concepts"]["hit@10"]["value"])
            for kind in ("single", "multiple")
        )
        return f"{alone} of the objects that stand alone and {among} of those among others"

    try:
        said = [
            "In scenes of drawings in a style unseen in training, ten such concepts name "
            f"{named('pictogram')}"
        ]
    except KeyError:
        return ""
    if "photographic, single" in measured:
        said.append(f"in scenes of photographic cut-outs, {named('photographic')}")
    more = parts.link("evidence", "Evidence", bundle=view.key, claim="discovery")
    return f'<p class="caption below">{"; ".join(said)}. {more}.</p>'


def concept_list(view: View, concepts: Sequence[FoundConcept], mapped: Callable[[str], str]) -> str:
    """Discovered concepts as bars, strongest first, each a link to the neurons that name it.

    `mapped` is the link to a text's map.
    """
    most = max((concept.score for concept in concepts), default=0.0) or 1.0
    rows = []
    for concept in concepts:
        name = parts.link("neurons", escape(concept.text), bundle=view.key, word=concept.text[:60])
        also = ", ".join(concept.joined[:4])
        near = f' <span class="muted">with {escape(also)}</span>' if also else ""
        named = [
            parts.link("neuron", f"{layer}.{neuron}", bundle=view.key, layer=layer, neuron=neuron)
            for layer, neuron, _ in concept.neurons[:NAMED]
        ]
        rows.append(
            f'<li><div class="what">{name}{near}<span class="num">'
            f"{glossary.number(1000 * concept.score, 1)}</span></div>"
            f'<div class="rank" role="presentation"><i style="width:'
            f'{100 * concept.score / most:.0f}%"></i></div>'
            f'<div class="from">{" · ".join([mapped(concept.text), *named])}</div></li>'
        )
    return f'<ol class="concepts-found">{"".join(rows)}</ol>'


def neuron_card(view: View, found: FoundNeuron, patches: Tensor, study: Study) -> str:
    """A neuron with its own map on the picture, all of it a link to its page."""
    strength = torch.sign(torch.tensor(found.effect)) * patches
    size = preview_size(study.picture.size, SMALL)
    drawn = scaled(study.framing().to_picture(strength[None, None], size))[0].numpy()
    name = glossary.neuron_name(found.layer, found.neuron)
    source = parts.picture_source(
        painting.encode(painting.paint(study.picture, drawn, painting.colour_of(0)), "WEBP")
    )
    times = f"{glossary.number(abs(found.strength), 1)} × its threshold"
    body = (
        f'<span class="shot"><img src="{source}" alt="Where {name} comes from"></span>'
        f'<div class="where">{name}</div><div class="concepts">'
        f"{escape(found.concepts) or 'no concepts'}</div>"
        f'<div class="match">effect {glossary.effect(found.effect)}, {times}</div>'
    )
    return parts.link(
        "neuron", body, css="card", bundle=view.key, layer=found.layer, neuron=found.neuron
    )


def patch_reader(view: View, source: Source, study: Study) -> str:
    """Return the picture under its patches; image.js says what is strongest at one."""
    picture, framing, patches = study.picture, study.framing(), study.patches
    size = preview_size(picture.size)
    shown = picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)
    address = parts.picture_source(painting.encode(shown.convert("RGB"), "WEBP"))
    window = framing.windows[0]
    rows, columns = len(patches), len(patches[0])
    place = (
        f"left:{100 * window.left / framing.width:.3f}%;"
        f"top:{100 * window.top / framing.height:.3f}%;"
        f"width:{100 * window.side / framing.width:.3f}%;"
        f"height:{100 * window.side / framing.height:.3f}%;"
        f"grid-template-columns:repeat({columns},1fr);grid-template-rows:repeat({rows},1fr)"
    )
    said = escape(json.dumps(patch_texts(view, patches), ensure_ascii=False, separators=(",", ":")))
    return (
        f'<div class="patch-reader" data-patches="{said}">'
        f'<div class="patches" style="aspect-ratio:{framing.width}/{framing.height}">'
        f'<img src="{address}" alt="{escape(source.name)}">'
        f'<div class="cells" style="{place}" tabindex="0" role="application" '
        f'aria-label="Patches: move with the arrow keys">{"<span></span>" * rows * columns}</div>'
        "</div>"
        f'<p class="caption below">{source.size[0]:,} × {source.size[1]:,} pixels, seen as '
        f"{rows} × {columns} patches. Point at a patch to read what is strongest there; click to "
        "hold it.</p>"
        '<div class="readout" aria-live="polite"></div></div>'
    )


def patch_texts(view: View, patches: Sequence[Sequence[Patch]]) -> dict[str, Any]:
    """What image.js reads: texts and neurons once, and for each patch (place, thousandths)."""
    texts: dict[str, int] = {}
    neurons: dict[int, int] = {}
    cells = [
        [
            [
                [texts.setdefault(text, len(texts)), round(1000 * share, 1)]
                for text, share in patch.concepts
            ],
            [
                [neurons.setdefault(row, len(neurons)), round(1000 * share, 1)]
                for row, share in patch.neurons
            ],
        ]
        for line in patches
        for patch in line
    ]
    return {
        "grid": [len(patches), len(patches[0])],
        "page": href("neuron", bundle=view.key),
        "texts": list(texts),
        "neurons": [[*view.place(row), str(view.column("concepts")[row])] for row in neurons],
        "cells": cells,
    }


def limits(view: View, grid: tuple[int, int]) -> str:
    """What the result can be trusted with, and how to bring a larger model."""
    model = view.bundle.manifest.model
    own = model.get("source") == "model" or str(model.get("source", "")).startswith("local-dir:")
    what = (
        "This is a small model: it knows pictograms well and common photographs fairly, and it "
        f"sees a picture as {grid[0]} × {grid[1]} patches."
        if own
        else f"Read with {model.get('source')}."
    )
    more = parts.link("about", "Bring a larger CLIP", bundle=view.key)
    return f'<p class="caption">{escape(what)} {more}.</p>'


def map_caption(place: int, text: str, end: float, opacity: int, confidence: float) -> str:
    """A text, the scale of its colour from 0 to `end`, and how it stands in the dictionary."""
    colour = place % len(COLOURS)
    return (
        f'{swatch(place, text)}<span class="scale c{colour}" style="--most:{opacity}%">'
        f'<span class="num">0</span><i></i><span class="num">{glossary.effect(end)}</span></span>'
        f'<span class="muted">{ahead(confidence)}</span>'
    )


def ahead(confidence: float) -> str:
    """How a text stands among the dictionary's in the picture."""
    most = "over 99 %" if confidence >= ALMOST_ALL else glossary.share(confidence)
    return f"ahead of {most} of the dictionary"


def doubts(texts: Sequence[str]) -> str:
    """One sentence about texts that the picture may not show."""
    named = ", ".join(f"“{text}”" for text in texts)
    many = "are" if len(texts) > 1 else "is"
    return parts.notice(
        f"Low confidence: {named} {many} not much nearer to this picture than many other texts, so "
        "the map may mean nothing."
    )

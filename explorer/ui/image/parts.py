"""The Image page's pieces of HTML."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from markupsafe import Markup
from PIL import Image
from torch import Tensor

from explorer.evidence.stored import stored_evidence
from explorer.picture import painting
from explorer.picture.discover import FoundConcept, FoundNeuron
from explorer.picture.patches import Patch
from explorer.picture.segment import scaled
from explorer.picture.study import Study
from explorer.places import SHIPPED
from explorer.ui.address.address import href
from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.html.cards import match, named, rank_bar
from explorer.ui.html.elements import NOTHING, caption, joined, muted, notice, tag
from explorer.ui.html.links import link, neuron_link
from explorer.ui.html.pictures import image as bundle_picture
from explorer.ui.html.pictures import picture_source
from explorer.ui.html.shots import preview_size
from explorer.ui.image.source import Example, Source

SMALL = 168
NAMED = 3  # neurons named at a patch

UNFAMILIAR = (
    "Low confidence: for 95 % of the bundle’s pictures some text is nearer to the model’s output "
    "than any is for this one. Concepts and maps may mean little."
)

Linked = Callable[[str], Markup]
"""Text -> a link to its map."""


def strip(
    view: View, pictures: Sequence[int], scenes: Sequence[Example], chosen: tuple[str, int]
) -> Markup:
    """Show the examples, each a link: held-out pictures, then scenes; `chosen`: which is open."""

    def cell(kind: str, number: int, shown: Markup) -> Markup:
        marks = {"aria_current": "true" if (kind, number) == chosen else None}
        place = {kind: str(number)}
        return link("image", shown, css="cell", marks=marks, bundle=view.key, **place)

    def drawn(example: Example) -> Markup:
        names = ", ".join(example.labels)
        return tag("img", src=picture_source(example.thumbnail), alt=names, title=names)

    cells = [cell("image", image, bundle_picture(view, image)) for image in pictures]
    cells += [cell("scene", place, drawn(example)) for place, example in enumerate(scenes)]
    return tag("nav", cells, css="examples", aria_label="Example pictures")


def _named(view: View, text: str) -> Markup:
    """Write a text that a list names: bold, but where texts fit no better than chance."""
    return muted(text) if view.says_nothing else tag("b", text)


def _css(view: View, name: str) -> str:
    return f"{name} unsure" if view.says_nothing else name


def no_better(view: View) -> Markup:
    """Say what lists of texts are worth where no words pass."""
    if not view.says_nothing:
        return NOTHING
    return caption(
        "In this bundle texts fit no better than chance: those listed here are the nearest, and "
        "need not mean anything."
    )


def likely(view: View, texts: Sequence[str], mapped: Linked) -> Markup:
    """Say what the picture most surely shows."""
    if not texts:
        return NOTHING
    return joined(
        [
            tag("h2", "Likely in it"),
            caption(
                "The dictionary's texts that are nearest, by the model's whole output and by the "
                "strongest patches of second-order effects together."
            ),
            tag(
                "ol",
                (tag("li", _named(view, text), " ", mapped(text)) for text in texts),
                css="likely",
            ),
        ]
    )


def hit_rates(view: View) -> Markup:
    """Say how often discovery names what is there, as measured; nothing where it wasn't."""
    measured = stored_evidence(view.bundle, "discovery").get("discovery", {})

    def named(pool: str) -> str:
        alone, among = (
            glossary.share(measured[f"{pool}, {kind}"]["concepts"]["hit@10"]["value"])
            for kind in ("single", "multiple")
        )
        return f"{alone} of the objects that stand alone and {among} of those among others"

    try:
        said = [f"In scenes composed of drawings, ten such concepts name {named('pictogram')}"]
    except KeyError:
        return NOTHING
    if "photographic, single" in measured:
        said.append(f"in scenes of photographic cut-outs, {named('photographic')}")
    more = link("evidence", "Evidence", bundle=view.key, claim="discovery")
    return caption(f"{'; '.join(said)}. ", more, ".", css="below")


def unfamiliar(view: View, source: Source) -> Markup:
    """Say that no text is as near as is usual: a warning, but where several objects make it so."""
    return _of_several(view, source.scene_set) if source.several else notice(UNFAMILIAR)


def _of_several(view: View, scene_set: str) -> Markup:
    """Say what is measured of a set's scenes to which no text is as near as is usual."""
    said = (
        "Of several objects no text stands for all: for 95 % of the bundle’s pictures some text is "
        "nearer to the model’s output than any is for this one."
    )
    try:
        measured = stored_evidence(view.bundle, "discovery")["discovery"][scene_set]["unfamiliar"]
        scenes, named, elsewhere = (
            glossary.share(measured[key]["value"]) for key in ("scenes", "named", "named_elsewhere")
        )
    except KeyError:
        return caption(said)
    return caption(
        f"{said} So it is in {scenes} of such scenes; ten concepts name {named} of the objects in "
        f"these, {elsewhere} in the others."
    )


def concept_list(view: View, concepts: Sequence[FoundConcept], mapped: Linked) -> Markup:
    """Show discovered concepts as bars, strongest first, each a link to the neurons naming it."""
    most = max((concept.score for concept in concepts), default=0.0) or 1.0
    lines = (_concept(view, concept, concept.score / most, mapped) for concept in concepts)
    return tag("ol", lines, css=_css(view, "concepts-found"))


def _concept(view: View, concept: FoundConcept, share: float, mapped: Linked) -> Markup:
    name = link("neurons", concept.text, bundle=view.key, word=concept.text[:60])
    also = ", ".join(concept.joined[:4])
    near = [" ", muted(f"with {also}")] if also else NOTHING
    score = tag("span", glossary.effect(concept.score), css="num")
    named = [
        link("neuron", f"{layer}.{neuron}", bundle=view.key, layer=layer, neuron=neuron)
        for layer, neuron, _ in concept.neurons[:NAMED]
    ]
    return tag(
        "li",
        tag("div", name, near, score, css="what"),
        rank_bar(share, role="presentation"),
        tag("div", joined([mapped(concept.text), *named], " · "), css="from"),
    )


def neuron_maps(
    study: Study, maps: Tensor, effects: Sequence[float], longest: int, opacity: float = 0.8
) -> list[Image.Image]:
    """Paint neurons' maps [neuron, patch_row, patch_column], each towards its own effect's side.

    The pictures are at most `longest` pixels long.
    """
    size = preview_size(study.picture.size, longest)
    strengths = torch.tensor(effects).sign()[:, None, None] * maps
    drawn = scaled(study.framing().to_picture(strengths[None], size)).numpy()
    return [painting.paint(study.picture, one, painting.colour_of(0), opacity) for one in drawn]


def neuron_card(view: View, found: FoundNeuron, painted: Image.Image) -> Markup:
    """Show a neuron with its own map, `painted`, all of it a link to its page."""
    name = glossary.neuron_name(found.layer, found.neuron)
    source = picture_source(painting.encode(painted, "WEBP"))
    how = f", {glossary.number(abs(found.strength), 1)} × its threshold"
    if not found.comparable:
        how = ": beyond anything among the bundle's pictures, so not comparable"
    body = (
        tag("span", tag("img", src=source, alt=f"Where {name} comes from"), css="shot"),
        tag("div", name, css="where"),
        named(found.title),
        match(f"effect {glossary.effect(found.effect)}{how}"),
    )
    return link("neuron", body, css="card", bundle=view.key, layer=found.layer, neuron=found.neuron)


def patch_reader(view: View, source: Source, study: Study) -> Markup:
    """Show the picture under its patches; image.js says what is strongest at one."""
    picture, framing, patches = study.picture, study.framing(), study.patches
    size = preview_size(picture.size)
    shown = picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)
    window = framing.windows[0]
    rows, columns = len(patches), len(patches[0])
    every = [patch for line in patches for patch in line]
    strongest = _strongest(every)
    place = (
        f"left:{100 * window.left / framing.width:.3f}%;"
        f"top:{100 * window.top / framing.height:.3f}%;"
        f"width:{100 * window.side / framing.width:.3f}%;"
        f"height:{100 * window.side / framing.height:.3f}%;"
        f"grid-template-columns:repeat({columns},1fr);grid-template-rows:repeat({rows},1fr)"
    )
    cells = tag(
        "div",
        [tag("span", css="on" if number == strongest else None) for number in range(len(every))],
        css="cells",
        style=place,
        tabindex="0",
        role="application",
        aria_label="Patches: move with the arrow keys",
    )
    address = picture_source(painting.encode(shown.convert("RGB"), "WEBP"))
    return tag(
        "div",
        tag(
            "div",
            tag("img", src=address, alt=source.name),
            cells,
            css="patches",
            style=f"aspect-ratio:{framing.width}/{framing.height};max-width:{size[0]}px",
        ),
        caption(
            f"{source.size[0]:,} × {source.size[1]:,} pixels, seen as {rows} × {columns} patches. "
            "Shown: the strongest patch (outlined). Point at another to see its own; click to keep "
            "it. Numbers: what comes from the patch, in units of the model's output before "
            "normalisation.",
            css="below",
        ),
        _readout(view, every[strongest]),
        css="patch-reader",
        data_at=str(strongest),
        data_patches=json.dumps(
            patch_texts(view, patches), ensure_ascii=False, separators=(",", ":")
        ),
    )


def _strongest(patches: Sequence[Patch]) -> int:
    """Return the place of the patch whose first text gets most from it."""
    shares = [patch.concepts[0][1] if patch.concepts else 0.0 for patch in patches]
    return shares.index(max(shares))


def _readout(view: View, patch: Patch) -> Markup:
    """Say what is strongest at a patch, as image.js does for the one that is pointed at."""

    def lines(items: Iterable[Markup], title: str) -> Markup:
        return tag("div", tag("h3", title), tag("ol", items))

    texts = (
        tag("li", _named(view, text), muted(glossary.effect(share), num=True))
        for text, share in patch.concepts
    )
    neurons = (
        tag(
            "li",
            tag(
                "span",
                neuron_link(view, row, glossary.neuron_name(*view.place(row))),
                muted(view.title(row).text),
                css="who",
            ),
            muted(glossary.effect(share), num=True),
        )
        for row, share in patch.neurons
    )
    said = (lines(texts, "Concepts here"), lines(neurons, "Neurons here"))
    return tag("div", said, css=_css(view, "readout"), aria_live="polite")


def patch_texts(view: View, patches: Sequence[Sequence[Patch]]) -> dict[str, Any]:
    """Return what image.js reads: texts and neurons once, per patch (place, share)."""
    texts: dict[str, int] = {}
    neurons: dict[int, int] = {}
    cells = [
        [
            [
                [texts.setdefault(text, len(texts)), glossary.effect(share)]
                for text, share in patch.concepts
            ],
            [
                [neurons.setdefault(row, len(neurons)), glossary.effect(share)]
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
        "neurons": [[*view.place(row), view.title(row).text] for row in neurons],
        "cells": cells,
    }


def limits(view: View, grid: tuple[int, int]) -> Markup:
    """Say what the result can be trusted with, and how to bring a larger model."""
    seen = f"The model sees a picture as {grid[0]} × {grid[1]} patches."
    if view.bundle.manifest.name != SHIPPED:
        more = link("evidence", "What was measured of it", bundle=view.key)
        return caption(seen, " ", more, ".")
    known = "It is small: it knows pictograms well and common photographs fairly."
    return caption(seen, " ", known, " ", link("about", "Use a larger CLIP", bundle=view.key), ".")

"""Pieces of HTML for the Image page. Pure strings; every text is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from explorer import painting
from explorer.discover import FoundConcept, FoundNeuron
from explorer.framing import Framing
from explorer.palette import COLOURS
from explorer.segment import scaled
from explorer.ui import glossary, parts
from explorer.ui.image_source import Example
from explorer.ui.loaders import View

PREVIEW = 480  # long side in pixels
SMALL = 168
NAMED = 3  # neurons named at a patch
ALMOST_ALL = 0.995


def preview_size(size: tuple[int, int], longest: int = PREVIEW) -> tuple[int, int]:
    """Width and height of a picture shown at most `longest` pixels long."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def shot(picture: Image.Image, alt: str, caption: str = "") -> str:
    """One picture with a caption; `caption` is HTML."""
    source = parts.picture_source(painting.encode(picture, "WEBP"))
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure class="shot"><img src="{source}" alt="{escape(alt)}">{below}</figure>'


def shots(items: Iterable[str]) -> str:
    """A grid of pictures with captions."""
    return f'<div class="shots">{"".join(items)}</div>'


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


def concept_list(view: View, concepts: Sequence[FoundConcept]) -> str:
    """Discovered concepts as bars, strongest first, each a link to the neurons that name it."""
    most = max((concept.score for concept in concepts), default=0.0) or 1.0
    rows = []
    for concept in concepts:
        name = parts.link("neurons", escape(concept.text), bundle=view.key, word=concept.text[:60])
        also = ", ".join(concept.joined[:4])
        near = f' <span class="muted">with {escape(also)}</span>' if also else ""
        sources = " · ".join(
            parts.link("neuron", f"{layer}.{neuron}", bundle=view.key, layer=layer, neuron=neuron)
            for layer, neuron, _ in concept.neurons[:NAMED]
        )
        rows.append(
            f'<li><div class="what">{name}{near}<span class="num">'
            f"{glossary.number(1000 * concept.score, 1)}</span></div>"
            f'<div class="rank" role="presentation"><i style="width:'
            f'{100 * concept.score / most:.0f}%"></i></div>'
            f'<div class="from">{f"from {sources}" if sources else ""}</div></li>'
        )
    return f'<ol class="concepts-found">{"".join(rows)}</ol>'


def neuron_card(
    view: View, found: FoundNeuron, patches: Tensor, framing: Framing, picture: Image.Image
) -> str:
    """A neuron with its own map on the picture, all of it a link to its page."""
    strength = torch.sign(torch.tensor(found.effect)) * patches
    size = preview_size(picture.size, SMALL)
    drawn = scaled(framing.to_picture(strength[None, None], size))[0].numpy()
    name = glossary.neuron_name(found.layer, found.neuron)
    source = parts.picture_source(
        painting.encode(painting.paint(picture, drawn, painting.colour_of(0)), "WEBP")
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


def patch_reader(
    picture: Image.Image,
    framing: Framing,
    neurons: Sequence[FoundNeuron],
    neuron_maps: NDArray[np.float32],
    concepts: Sequence[FoundConcept],
) -> str:
    """The picture under a grid; each patch says which concepts and neurons are strongest there.

    `neuron_maps` is [neuron, patch_row, patch_column].
    """
    size = preview_size(picture.size)
    shown = picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)
    source = parts.picture_source(painting.encode(shown.convert("RGB"), "WEBP"))
    window = framing.windows[0]
    rows, columns = neuron_maps.shape[1:]
    place = (
        f"left:{100 * window.left / framing.width:.3f}%;"
        f"top:{100 * window.top / framing.height:.3f}%;"
        f"width:{100 * window.side / framing.width:.3f}%;"
        f"height:{100 * window.side / framing.height:.3f}%;"
        f"grid-template-columns:repeat({columns},1fr);grid-template-rows:repeat({rows},1fr)"
    )
    cells = "".join(
        f'<span title="{escape(_strongest(row, column, neurons, neuron_maps, concepts))}"></span>'
        for row in range(rows)
        for column in range(columns)
    )
    return (
        f'<div class="patches" style="aspect-ratio:{framing.width}/{framing.height}">'
        f'<img src="{source}" alt="The picture"><div class="cells" style="{place}">{cells}</div>'
        "</div>"
    )


def _strongest(
    row: int,
    column: int,
    neurons: Sequence[FoundNeuron],
    neuron_maps: NDArray[np.float32],
    concepts: Sequence[FoundConcept],
) -> str:
    here = sorted(concepts, key=lambda concept: -float(concept.patches[row, column]))
    named = [c.text for c in here[:NAMED] if float(c.patches[row, column]) > 0]
    values = np.abs(neuron_maps[:, row, column])
    best = [neurons[int(i)] for i in np.argsort(-values)[:NAMED]]
    listed = ", ".join(f"layer {found.layer} neuron {found.neuron}" for found in best)
    return f"{', '.join(named) or 'no concept'}\n{listed or 'no neuron'}"


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


def nearer(share: float) -> str:
    """How a text stands among the dictionary's, by its strongest patches."""
    least = f"{glossary.share(share)}" if share < ALMOST_ALL else "over 99 %"
    return f"stronger here than {least} of the dictionary"


def doubts(texts: Sequence[str]) -> str:
    """One sentence about texts the picture hardly shows."""
    named = ", ".join(f"“{text}”" for text in texts)
    many = "are" if len(texts) > 1 else "is"
    return parts.notice(
        f"Low confidence: {named} {many} hardly stronger in this picture than any other text, so "
        f"the map may mean nothing."
    )

"""A neuron head by head: each later head that carries it, with its share, words and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from explorer.bundle.pairs import Pair
from explorer.ui.address.found import HEADS as FOUND_HEADS
from explorer.ui.address.pin import Pin
from explorer.ui.core import glossary
from explorer.ui.data import grouping
from explorer.ui.data.grouping import Picture
from explorer.ui.data.neuron import HEAD, HEADS, MORE, Neuron, heads_address
from explorer.ui.html.elements import NOTHING, caption, figures, joined, muted, notice, tag
from explorer.ui.html.links import actions, choices, concept_link, link, neuron_link, pin_button
from explorer.ui.html.pictures import dot, strip, tiles
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page

ROW = 6  # pictures of a head in the tree
ALL = ""  # in the address: no head
SAID = (
    "A later head reads the neuron and adds one direction of its own, the same for every picture; "
    "the picture only says how strongly. "
)
KIND = (
    " Shares here are of the squared effect over all pictures, in any direction; those under "
    "“Which heads carry it” are of the strong effects along the neuron’s one direction."
)
ALIKE = (
    " Heads of one colour add directions that are more alike than 99 of 100 pairs of the layer at "
    "random."
)
GRID_SAID = (
    "The neuron’s strongest pictures. A coloured edge: the picture is among the {} strongest of a "
    "head too; where it is among those of several, the colour is that of the larger effect."
)


def section(page: Page, neuron: Neuron) -> None:
    """Draw the switch between the neuron and its heads, and what it is switched to."""
    frame.draw(tag("h2", "Head by head"))
    if neuron.view.unpaired:
        frame.draw(notice(neuron.view.unpaired))
        return
    if not neuron.pairs:
        frame.draw(caption("No head carries an effect of this neuron that varies."))
        return
    frame.draw(_switch(neuron))
    if neuron.head is None:
        _tree(neuron)
    else:
        _one(neuron, neuron.head)


def _switch(neuron: Neuron) -> Markup:
    """Offer the whole neuron and each of its heads."""
    options = {ALL: "All heads"} | {
        pair.name: f"{pair.name} · {glossary.share(pair.share)}" for pair in neuron.pairs
    }
    current = neuron.head.name if neuron.head else ALL
    here = neuron.params() | {MORE: HEADS}
    marks = {"data_stay": True}
    links = choices(
        "neuron", "Heads", options, current, HEAD, marks, bundle=neuron.view.key, **here
    )
    return tag("div", links, css="heads-switch")


def _tree(neuron: Neuron) -> None:
    """Draw the heads side by side as branches of the neuron, and its pictures in their colours."""
    pairs, view = neuron.pairs, neuron.view
    held = glossary.share(max(pair.held for pair in pairs))
    count = "One head holds" if len(pairs) == 1 else f"{len(pairs)} heads together hold"
    pictures = neuron.pictures[grouping.POSITIVE]
    most = max(len(pair.images) for pair in pairs)
    frame.draw(
        caption(
            SAID, f"{count} {held} of the neuron’s squared effect.", KIND, ALIKE, _seen(neuron)
        ),
        tag("ul", (_branch(neuron, pair) for pair in pairs), css="tree"),
        caption(GRID_SAID.format(most)),
        tiles(view, coloured(pictures, pairs)),
    )


def _seen(neuron: Neuron) -> str:
    """Say of how many pictures shares and strongest pictures are, where that is not all."""
    manifest = neuron.view.bundle.manifest
    every = manifest.counts["images"]
    seen = manifest.settings.get("pair_pictures", every)
    if seen >= every:
        return ""
    return (
        f" Shares and heads’ pictures are those of {seen:,} of the {every:,} pictures, drawn at "
        "random."
    )


def _branch(neuron: Neuron, pair: Pair) -> Markup:
    name = neuron_link(neuron.view, neuron.row, f"Head {pair.name}", **heads_address(pair.key))
    return tag(
        "li",
        tag(
            "div",
            tag(
                "h3",
                dot(),
                name,
                muted(glossary.share(pair.share), num=True),
                pin_button(*neuron.place, pair.key),
            ),
            _share_bar(pair),
            _title(neuron, pair),
            css="what",
        ),
        strip(neuron.view, [shown.image for shown in pair.images[:ROW]]),
        css=f"c{colour_of(pair)}",
    )


def _share_bar(pair: Pair) -> Markup:
    width = f"width:{100 * min(max(pair.share, 0), 1):.0f}%"
    said = "works against the rest" if pair.share < 0 else f"{glossary.share(pair.share)}"
    return tag("div", tag("i", style=width), css="share", role="img", aria_label=said, title=said)


def _title(neuron: Neuron, pair: Pair) -> Markup:
    """Name the words that beat chance as links; else the nearest, in grey, as no claim."""
    if pair.words:
        words = (
            concept_link(neuron.view, text, text, css="") for text, _ in pair.texts[: pair.words]
        )
        return tag("p", joined(words, ", "), css="concepts")
    return tag("p", pair.said, css="concepts unclaimed")


def _one(neuron: Neuron, pair: Pair) -> None:
    """Draw one head: how much it carries, its words, its strongest pictures."""
    view = neuron.view
    pictures = [
        Picture(shown.image, shown.effect, pair.meaning, colour_of(pair)) for shown in pair.images
    ]
    alike = [other.name for other in neuron.pairs if other.meaning == pair.meaning != -1]
    shared = (
        f"Heads {', '.join(alike)} add directions alike."
        if len(alike) > 1
        else "No other of the neuron’s heads adds a direction like it."
    )
    frame.draw(
        tag(
            "div",
            tag("h3", dot(), f" Head {pair.head} of block {pair.block}", css=f"c{colour_of(pair)}"),
            actions(
                link(
                    "atlas",
                    "Show on the atlas",
                    css="button",
                    bundle=view.key,
                    of=FOUND_HEADS,
                    at=Pin(*neuron.place, pair.key).written,
                ),
                pin_button(*neuron.place, pair.key, wide=True),
            ),
            css="neuron-head",
        ),
        caption(SAID, shared, _seen(neuron)),
        figures(
            [
                ("Share", glossary.share(pair.share), "of the neuron’s squared effect"),
                ("Typical effect", glossary.size(pair.scale), "root mean square over pictures"),
                ("Words by chance", f"p {glossary.probability(pair.text_p)}",
                 "a random direction of this head is described as well"),
                ("Prediction", glossary.number(pair.prediction),
                 "correlation of its effects with what the words say "
                 f"(p {glossary.probability(pair.prediction_p)})"),
            ]
        ),
        tag("h3", "What it adds"),
        _title(neuron, pair),
        _texts(pair),
        tag("h3", "Its strongest pictures"),
        tiles(view, pictures),
    )  # fmt: skip


def _texts(pair: Pair) -> Markup:
    if not pair.texts:
        return NOTHING
    listed = ", ".join(f"{text} {glossary.signed(weight)}" for text, weight in pair.texts)
    return caption(f"Sum of texts nearest to its direction, with weights: {listed}.")


def colour_of(pair: Pair) -> int:
    """Return the colour of a pair's meaning, the same in the tree and in the grid."""
    return pair.meaning if 0 <= pair.meaning < grouping.COLOURS else grouping.REST


def coloured(pictures: Sequence[Picture], pairs: Sequence[Pair]) -> list[Picture]:
    """Return the neuron's pictures in the colour of the head with the larger effect on each.

    Pictures that are among the strongest of no head have no colour.
    """
    largest: dict[int, float] = {}
    best: dict[int, Pair] = {}
    for pair in pairs:
        for shown in pair.images:
            if shown.effect > largest.get(shown.image, 0.0):
                largest[shown.image], best[shown.image] = shown.effect, pair
    return [
        replace(picture, cluster=own.meaning, colour=colour_of(own))
        if (own := best.get(picture.image))
        else replace(picture, cluster=-1, colour=grouping.REST)
        for picture in pictures
    ]

"""The Compare page: up to four pinned neurons, or pairs of one with a head, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from explorer.bundle.pair_directions import pair_directions
from explorer.bundle.pairs import Pair
from explorer.errors import InputError
from explorer.ui.address.address import write_places
from explorer.ui.address.pin import pinned
from explorer.ui.compare.items import Item, item_of
from explorer.ui.core import glossary
from explorer.ui.data import highlights
from explorer.ui.data.grouping import NEGATIVE, POSITIVE
from explorer.ui.data.loaders import View
from explorer.ui.html.elements import NOTHING, caption, figures, joined, muted, notice, table, tag
from explorer.ui.html.links import actions, chips, concept_link, link, pages
from explorer.ui.html.pictures import strip
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import neuron_maps, picture_choice, save_finding

PICTURES = 12  # of either end
ROW = {1: 12, 2: 6, 3: 6, 4: 4}  # pictures side by side, by number of neurons
SHARED = 20  # shared concepts listed at most
OWN = 8  # of each neuron's own concepts
SUGGESTED = 3
FURTHER = "All texts of the decompositions; most are no better than chance"
SUMMED = (
    " This bundle has no weights of its own, so the weighted sum of its texts stands for a pair’s "
    "direction."
)
PAIR_FACTS: dict[str, Callable[[Pair], str]] = {
    "Share of the squared effect": lambda pair: glossary.share(pair.share),
    "Typical effect": lambda pair: glossary.size(pair.scale),
    "Words by chance, p": lambda pair: glossary.probability(pair.text_p),
    "Prediction": lambda pair: glossary.number(pair.prediction),
    "Prediction by chance, p": lambda pair: glossary.probability(pair.prediction_p),
}


def body(page: Page, image: int | None) -> None:
    """Draw the whole page, or how to pin the first neurons."""
    view = page.view
    frame.title("Compare")
    kinds = pages("What to compare", frame.COMPARISONS, "compare", bundle=view.key)
    frame.draw(tag("div", tag("h1", "Compare"), kinds, css="neuron-head"))
    items = [item_of(view, pin) for pin in pinned()]
    if not items:
        frame.draw(_empty(view), css="empty")
        return
    frame.draw(_columns([item.card for item in items]))
    rows = list(dict.fromkeys(item.row for item in items))
    save_finding.of_neurons(page, rows, f"{len(items)} {_called(items)} compared")
    if len(items) > 1:
        frame.draw(_cosines(items), _concepts(items))
    else:
        frame.draw(
            notice(f"One {_called(items)[:-1]} is pinned: pin a second one to compare it with.")
        )
    frame.draw(_pictures(items))
    frame.draw(_measures([item for item in items if item.pair is None]), _shares(items))
    _on_a_picture(page, items, image)


def _called(items: Sequence[Item]) -> str:
    """Return what the things compared are called together."""
    heads = sum(item.pair is not None for item in items)
    return "neurons" if not heads else "pairs" if heads == len(items) else "neurons and pairs"


def _empty(view: View) -> Markup:
    """Say what pins are, and offer a first set to try."""
    best = [found.row for found in highlights.held(view)[:SUGGESTED]]
    suggested = (
        link(
            "compare",
            f"Compare {len(best)} striking neurons",
            css="button first",
            bundle=view.key,
            pins=write_places([view.place(row) for row in best]),
        )
        if best
        else NOTHING
    )
    browse = link("neurons", "Browse all neurons", css="button", bundle=view.key)
    said = (
        "Pin up to four neurons, or heads of neurons, with the + on their cards or on their pages. "
        "The pins stay in the address, so that a link shows the same comparison."
    )
    return joined([tag("h2", "Nothing pinned yet"), tag("p", said), actions(suggested, browse)])


def _columns(cells: Sequence[Markup]) -> Markup:
    """Lay one cell per neuron side by side."""
    style = f"--columns: {len(cells)}; --row: {ROW[len(cells)]}"
    return tag("div", (tag("div", cell) for cell in cells), css="compare", style=style)


def _named_columns(items: Sequence[Item], cells: Sequence[Markup]) -> Markup:
    """Lay out one cell per item, under its name: far down the page the cards are out of sight."""
    return _columns(
        [
            joined([caption(tag("b", item.short)), cell])
            for item, cell in zip(items, cells, strict=True)
        ]
    )


def _table(first: str, items: Sequence[Item], lines: list[list[str]], last: str = "") -> Markup:
    """Show a line for each fact and a column for each item."""
    head = [first, *(item.short for item in items), *([last] if last else [])]
    css = "named with-last" if last else "named"
    return tag("div", table(head, lines, right=range(1, len(head))), css=css)


def _cosines(items: Sequence[Item]) -> Markup:
    """Say how alike the directions are, two by two."""
    lines = [
        [item.short, *(glossary.signed(float(value)) for value in line)]
        for item, line in zip(items, cosine_table(items), strict=True)
    ]
    exact = all(item.pair is None or pair_directions(item.view.bundle).exact for item in items)
    return joined(
        [
            tag("h2", "How alike their directions are"),
            caption(
                "Cosine of each two directions in the joint space: 1 the same, 0 nothing in "
                "common, −1 opposite.",
                "" if exact else SUMMED,
            ),
            _table("", items, lines),
        ]
    )


def cosine_table(items: Sequence[Item]) -> NDArray[np.float32]:
    """Return cosines between the directions of some items, [item, item]; 0 for a dead neuron."""
    unit = np.stack([item.direction for item in items])
    return np.asarray(unit @ unit.T, np.float32)


def shared_texts(sets: list[dict[str, float]]) -> list[str]:
    """Return texts in two or more sets: those in most first, then by their least weight."""
    texts = {text for held in sets for text in held if sum(text in other for other in sets) > 1}

    def merit(text: str) -> tuple[int, float]:
        weights = [abs(held[text]) for held in sets if text in held]
        return len(weights), min(weights)

    return sorted(texts, key=lambda text: (*(-value for value in merit(text)), text))


def _concepts(items: Sequence[Item]) -> Markup:
    """Show shared texts with every item's weight, then each one's own."""
    sets = [item.texts for item in items]
    if not items[0].view.bundle.tested:
        return _sets(items, sets)
    told = [item.told for item in items]
    return joined(
        [
            _sets(items, told) if any(told) else NOTHING,
            tag("details", tag("summary", FURTHER), _sets(items, sets)),
        ]
    )


def _sets(items: Sequence[Item], sets: list[dict[str, float]]) -> Markup:
    """Show the texts that several sets share, then each one's own."""
    shared = shared_texts(sets)
    own = [_own(item.view, held, shared) for item, held in zip(items, sets, strict=True)]
    return joined(
        [
            tag("h2", "Words they share"),
            _shared(items, sets, shared),
            tag("h2", "Words of one only"),
            caption("The heaviest texts that are in none of the other sets."),
            _named_columns(items, own),
        ]
    )


def _shared(items: Sequence[Item], sets: list[dict[str, float]], shared: list[str]) -> Markup:
    if not shared:
        return caption("No text is in two of them.")
    lines = [
        [text, *(glossary.signed(held[text]) if text in held else "" for held in sets)]
        for text in shared[:SHARED]
    ]
    more = f", the first {SHARED} are shown" if len(shared) > SHARED else ""
    said = f"Texts in two or more of the sets, {len(shared)} in all{more}; with their weight"
    return joined([caption(f"{said} in each."), _table("Concept", items, lines)])


def _own(view: View, held: dict[str, float], shared: list[str]) -> Markup:
    texts = [text for text in held if text not in shared][:OWN]
    if not texts:
        return tag("p", "none", css="muted")
    return chips(
        concept_link(view, text, [text, " ", muted(glossary.signed(held[text]), num=True)])
        for text in texts
    )


def _pictures(items: Sequence[Item]) -> Markup:
    """Show the strongest pictures of both ends; the other one only where a neuron has it."""
    ends = [(POSITIVE, "Pictures they respond to", "along")]
    if any(item.pair is None for item in items):
        ends.append((NEGATIVE, "Pictures at the other end", "against"))
    return joined(_end(items, *end) for end in ends)


def _end(items: Sequence[Item], end: int, title: str, meaning: str) -> list[Markup]:
    said = f"Up to {PICTURES} pictures whose effect points most strongly {meaning} each direction."
    cells = [
        strip(item.view, item.pictures(PICTURES, end))
        if item.pair is None or end == POSITIVE
        else tag("p", "not kept for a head", css="muted")
        for item in items
    ]
    return [tag("h2", title), caption(said), _named_columns(items, cells)]


def _measures(items: Sequence[Item]) -> Markup:
    """Show the measures of the neurons among the items."""
    if not items:
        return NOTHING
    view = items[0].view
    keys = [key for key in glossary.MEASURES if key in view.neurons]
    lines = [
        [
            _beside(view, key),
            *(glossary.MEASURES[key].show(float(view.column(key)[item.row])) for item in items),
            _chance(view, key),
        ]
        for key in keys
    ]
    said = (
        "The same as on the neurons' pages, where each is explained. Effects are in units of the "
        "model's output before normalisation. Beside them: what chance gives, or a network with "
        "random weights, as far as that is known; of a p-value, up to which value neurons pass."
    )
    return joined(
        [tag("h2", "Measures"), caption(said), _table("Measure", items, lines, "By chance")]
    )


def _shares(items: Sequence[Item]) -> Markup:
    """Show what is known of the pairs among the items."""
    heads = [item for item in items if item.pair is not None]
    if not heads:
        return NOTHING
    lines = [
        [name, *(show(item.pair) for item in heads if item.pair)]
        for name, show in PAIR_FACTS.items()
    ]
    said = (
        "Of each pair: the share of its neuron’s squared effect that the head carries, and how "
        "sure its words are; a neuron’s page explains them under “Head by head”."
    )
    return joined([tag("h2", "Heads"), caption(said), _table("", heads, lines)])


def _beside(view: View, key: str) -> Markup:
    """Show a measure's name with its chance level below it, where there is no column for that."""
    measure = glossary.MEASURES[key]
    found = measure.chance_in(view.bundle)
    below = tag("span", found.said, css="narrow muted") if found else NOTHING
    return joined([measure.name, below])


def _chance(view: View, key: str) -> str:
    """Say where chance lies on a measure, as far as it is known."""
    found = glossary.MEASURES[key].chance_in(view.bundle)
    return found.said.removeprefix("chance ") if found else ""


def _on_a_picture(page: Page, items: Sequence[Item], image: int | None) -> None:
    """Draw their effects on one picture of the visitor's choice."""
    view = page.view
    frame.draw(
        tag("h2", "On one picture"),
        caption(
            "Choose a picture from the bundle or upload your own: how strongly does it push the "
            "output along each direction?"
        ),
    )
    chosen = picture_choice.picker(page, image, {})
    if chosen is None:
        return
    try:
        effects = [item.effect(chosen) for item in items]
        subjects = [
            neuron_maps.Subject(item.row, -1 if effect < 0 else 1, item.pair)
            for item, (effect, _) in zip(items, effects, strict=True)
        ]
        sources = neuron_maps.on_one_picture(view, subjects, chosen.picture(view))
    except InputError as error:
        frame.draw(notice(str(error)))
        return
    cells = [
        joined(
            [
                neuron_maps.shot(source, f"Where {chosen.name} drives {item.name}"),
                figures(
                    [
                        (
                            item.short,
                            glossary.effect(effect),
                            f"{glossary.signed(relative)} × its typical effect",
                        )
                    ]
                ),
            ]
        )
        for item, (effect, relative), source in zip(items, effects, sources, strict=True)
    ]
    frame.draw(
        tag("h3", chosen.name),
        caption(
            "The effect of this picture minus the mean over all pictures, in units of the output "
            "before normalisation. Colour: the patches from which an effect comes, relative to its "
            "strongest."
        ),
        _columns(cells),
    )

"""The Compare page: up to four pinned neurons side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from explorer.bundle.facts import relative_effects
from explorer.errors import InputError
from explorer.ui.address.address import write_places
from explorer.ui.core import glossary
from explorer.ui.data import highlights
from explorer.ui.data.grouping import NEGATIVE, POSITIVE, strongest
from explorer.ui.data.loaders import View
from explorer.ui.html.cards import card
from explorer.ui.html.elements import NOTHING, caption, figures, joined, muted, notice, table, tag
from explorer.ui.html.links import actions, chips, concept_link, link, pages
from explorer.ui.html.pictures import strip
from explorer.ui.shell import frame, pins
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import neuron_maps, picture_choice, save_finding

PICTURES = 12  # of either end
ROW = {1: 12, 2: 6, 3: 6, 4: 4}  # pictures side by side, by number of neurons
SHARED = 20  # shared concepts listed at most
OWN = 8  # of each neuron's own concepts
SUGGESTED = 3
FURTHER = "All texts of the decompositions; most are no better than chance"


def body(page: Page, image: int | None) -> None:
    """Draw the whole page, or how to pin the first neurons."""
    view = page.view
    frame.title("Compare")
    kinds = pages("What to compare", frame.COMPARISONS, "compare", bundle=view.key)
    frame.draw(tag("div", tag("h1", "Compare"), kinds, css="neuron-head"))
    places = pins.pinned()
    if not places:
        frame.draw(_empty(view), css="empty")
        return
    rows = [view.bundle.row(*place) for place in places]
    frame.draw(_heads(view, rows))
    save_finding.of_neurons(page, rows, f"{len(rows)} neurons compared")
    if len(rows) > 1:
        frame.draw(_cosines(view, rows), _concepts(view, rows))
    else:
        frame.draw(notice("One neuron is pinned: pin a second one to compare it with."))
    frame.draw(_pictures(view, rows))
    frame.draw(_measures(view, rows))
    _on_a_picture(page, rows, image)


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
        "Pin up to four neurons with the + on their cards or on their pages. The pins stay in the "
        "address, so that a link shows the same comparison."
    )
    return joined([tag("h2", "Nothing pinned yet"), tag("p", said), actions(suggested, browse)])


def _columns(cells: Sequence[Markup]) -> Markup:
    """Lay one cell per neuron side by side."""
    style = f"--columns: {len(cells)}; --row: {ROW[len(cells)]}"
    return tag("div", (tag("div", cell) for cell in cells), css="compare", style=style)


def _named_columns(view: View, rows: list[int], cells: Sequence[Markup]) -> Markup:
    """Lay out one cell per neuron, under its name: far down the page the cards are out of sight."""
    return _columns(
        [
            joined([caption(tag("b", _name(view, row))), cell])
            for row, cell in zip(rows, cells, strict=True)
        ]
    )


def _name(view: View, row: int) -> str:
    layer, neuron = view.place(row)
    return f"{layer} · {neuron:,}"


def _heads(view: View, rows: list[int]) -> Markup:
    return _columns([card(view, row) for row in rows])


def _cosines(view: View, rows: list[int]) -> Markup:
    """Say how alike the directions are, per pair."""
    names = [_name(view, row) for row in rows]
    lines = [
        [name, *(glossary.signed(float(value)) for value in line)]
        for name, line in zip(names, cosine_table(view, rows), strict=True)
    ]
    return joined(
        [
            tag("h2", "How alike their directions are"),
            caption(
                "Cosine of each pair of directions in the joint space: 1 the same, 0 nothing in "
                "common, −1 opposite."
            ),
            table(["", *names], lines, right=range(1, len(rows) + 1)),
        ]
    )


def cosine_table(view: View, rows: list[int]) -> NDArray[np.float32]:
    """Return cosines between the directions of some neurons, [row, row]; 0 for a dead one."""
    directions = np.asarray(view.bundle.directions[rows], np.float32)
    norms = np.linalg.norm(directions, axis=1, keepdims=True)
    unit = directions / np.where(norms > 0, norms, 1)
    return np.asarray(unit @ unit.T, np.float32)


def weights_of(view: View, row: int, most: int | None = None) -> dict[str, float]:
    """Return a neuron's sparse set, the pursuit's first `most`: text -> weight, heaviest first."""
    ids = np.asarray(view.bundle.concept_ids[row])[:most]
    weights = np.asarray(view.bundle.concept_weights[row], np.float32)[:most]
    order = [i for i in np.argsort(-np.abs(weights), kind="stable") if ids[i] >= 0 and weights[i]]
    return {view.bundle.texts[int(ids[i])]: float(weights[i]) for i in order}


def shared_texts(sets: list[dict[str, float]]) -> list[str]:
    """Return texts in two or more sets: those in most first, then by their least weight."""
    texts = {text for held in sets for text in held if sum(text in other for other in sets) > 1}

    def merit(text: str) -> tuple[int, float]:
        weights = [abs(held[text]) for held in sets if text in held]
        return len(weights), min(weights)

    return sorted(texts, key=lambda text: (*(-value for value in merit(text)), text))


def _concepts(view: View, rows: list[int]) -> Markup:
    """Show shared concepts with every neuron's weight, then each one's own."""
    sets = [weights_of(view, row) for row in rows]
    if not view.bundle.tested:
        return _sets(view, rows, sets)
    told = [weights_of(view, row, int(view.passing.counts[row])) for row in rows]
    return joined(
        [
            _sets(view, rows, told) if any(told) else NOTHING,
            tag("details", tag("summary", FURTHER), _sets(view, rows, sets)),
        ]
    )


def _sets(view: View, rows: list[int], sets: list[dict[str, float]]) -> Markup:
    """Show the texts that several sets share, then each one's own."""
    shared = shared_texts(sets)
    own = [_own(view, held, shared) for held in sets]
    return joined(
        [
            tag("h2", "Words they share"),
            _shared(view, rows, sets, shared),
            tag("h2", "Words of one neuron only"),
            caption("The heaviest texts that are in none of the other sets."),
            _named_columns(view, rows, own),
        ]
    )


def _shared(view: View, rows: list[int], sets: list[dict[str, float]], shared: list[str]) -> Markup:
    if not shared:
        return caption("No text is in two of them.")
    lines = [
        [text, *(glossary.signed(held[text]) if text in held else "" for held in sets)]
        for text in shared[:SHARED]
    ]
    more = f", the first {SHARED} are shown" if len(shared) > SHARED else ""
    said = f"Texts in two or more of the sets, {len(shared)} in all{more}; with their weight"
    names = [_name(view, row) for row in rows]
    return joined(
        [
            caption(f"{said} in each."),
            table(["Concept", *names], lines, right=range(1, len(rows) + 1)),
        ]
    )


def _own(view: View, held: dict[str, float], shared: list[str]) -> Markup:
    texts = [text for text in held if text not in shared][:OWN]
    if not texts:
        return tag("p", "none", css="muted")
    return chips(
        concept_link(view, text, [text, " ", muted(glossary.signed(held[text]), num=True)])
        for text in texts
    )


def _pictures(view: View, rows: list[int]) -> Markup:
    ends = []
    for end, title, meaning in (
        (POSITIVE, "Pictures they respond to", "along"),
        (NEGATIVE, "Pictures at the other end", "against"),
    ):
        cells = [strip(view, strongest(view, row, PICTURES, end)) for row in rows]
        said = (
            f"The {PICTURES} pictures whose effect points most strongly {meaning} each neuron's "
            "direction."
        )
        ends.append([tag("h2", title), caption(said), _named_columns(view, rows, cells)])
    return joined(ends)


def _measures(view: View, rows: list[int]) -> Markup:
    keys = [key for key in glossary.MEASURES if key in view.neurons]
    lines = [
        [
            glossary.MEASURES[key].name,
            *(glossary.MEASURES[key].show(float(view.neurons[key].iloc[row])) for row in rows),
            _chance(view, key),
        ]
        for key in keys
    ]
    names = [_name(view, row) for row in rows]
    said = (
        "The same as on the neurons' pages, where each is explained. Effects are in units of the "
        "model's output before normalisation. The last column: what chance gives, or a "
        "network with random weights, as far as that is known."
    )
    return joined(
        [
            tag("h2", "Measures"),
            caption(said),
            table(["Measure", *names, "By chance"], lines, right=range(1, len(rows) + 2)),
        ]
    )


def _chance(view: View, key: str) -> str:
    """Say where chance lies on a measure, as far as it is known."""
    found = glossary.MEASURES[key].chance_in(view.bundle)
    return found.said.removeprefix("chance ") if found else ""


def _on_a_picture(page: Page, rows: list[int], image: int | None) -> None:
    """Draw their effects on one picture of the visitor's choice."""
    view = page.view
    frame.draw(
        tag("h2", "On one picture"),
        caption(
            "Choose a picture from the bundle or upload your own: how strongly does each of these "
            "neurons push the output along its direction?"
        ),
    )
    chosen = picture_choice.picker(page, image, {})
    if chosen is None:
        return
    try:
        effects = chosen.effects(view)
        sources = neuron_maps.on_one_picture(view, rows, chosen.picture(view), effects)
    except InputError as error:
        frame.draw(notice(str(error)))
        return
    relative = relative_effects(view.bundle, effects)
    cells = [
        joined(
            [
                neuron_maps.shot(
                    source,
                    f"Where {chosen.name} drives {glossary.neuron_name(*view.place(row))}",
                ),
                figures(
                    [
                        (
                            _name(view, row),
                            glossary.effect(float(effects[row])),
                            f"{glossary.signed(float(relative[row]))} × its typical effect",
                        )
                    ]
                ),
            ]
        )
        for row, source in zip(rows, sources, strict=True)
    ]
    frame.draw(
        tag("h3", chosen.name),
        caption(
            "The effect of this picture minus the mean over all pictures, in units of the output "
            "before normalisation. Colour: the patches from which a neuron's effect comes, "
            "relative to its strongest."
        ),
        _columns(cells),
    )

"""The Compare page: up to four pinned neurons side by side."""

from __future__ import annotations

from html import escape

import numpy as np
from numpy.typing import NDArray

from explorer.bundle.facts import relative_effects
from explorer.errors import InputError
from explorer.ui.address.address import PINS, write_places
from explorer.ui.core import glossary
from explorer.ui.data import highlights
from explorer.ui.data.grouping import NEGATIVE, POSITIVE
from explorer.ui.data.loaders import View
from explorer.ui.html import parts
from explorer.ui.shell import frame, pins
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import neuron_maps, picture_choice, save_finding

PICTURES = 12  # of either end
ROW = {1: 12, 2: 6, 3: 6, 4: 4}  # pictures side by side, by number of neurons
SHARED = 20  # shared concepts listed at most
OWN = 8  # of each neuron's own concepts
SUGGESTED = 3


def body(page: Page, image: int | None) -> None:
    """The whole page, or how to pin the first neurons."""
    view = page.view
    frame.title("Compare")
    frame.draw("<h1>Compare</h1>")
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
        frame.draw(parts.notice("One neuron is pinned: pin a second one to compare it with."))
    frame.draw(_pictures(view, rows))
    frame.draw(_measures(view, rows))
    _on_a_picture(page, rows, image)


def _empty(view: View) -> str:
    """What pins are, and a first set to try."""
    best = [found.row for found in highlights.held(view)[:SUGGESTED]]
    suggested = parts.link(
        "compare",
        f"Compare {len(best)} striking neurons",
        css="button first",
        bundle=view.key,
        **{PINS: write_places([view.place(row) for row in best])},
    )
    browse = parts.link("neurons", "Browse all neurons", css="button", bundle=view.key)
    return (
        "<h2>Nothing pinned yet</h2><p>Pin up to four neurons with the + on their cards or on "
        "their pages. The pins stay in the address, so that a link shows the same comparison.</p>"
        f'<div class="actions">{suggested}{browse}</div>'
    )


def _columns(cells: list[str]) -> str:
    """One cell a neuron, side by side."""
    inner = "".join(f"<div>{cell}</div>" for cell in cells)
    return (
        f'<div class="compare" style="--columns: {len(cells)}; --row: {ROW[len(cells)]}">'
        f"{inner}</div>"
    )


def _named_columns(view: View, rows: list[int], cells: list[str]) -> str:
    """One cell a neuron, under its name: far down the page the cards are out of sight."""
    return _columns(
        [
            f'<p class="caption"><b>{_name(view, row)}</b></p>{cell}'
            for row, cell in zip(rows, cells, strict=True)
        ]
    )


def _name(view: View, row: int) -> str:
    layer, neuron = view.place(row)
    return f"{layer} · {neuron:,}"


def _heads(view: View, rows: list[int]) -> str:
    return _columns([parts.card(view, row) for row in rows])


def _cosines(view: View, rows: list[int]) -> str:
    """How alike the directions are, pair by pair."""
    names = [_name(view, row) for row in rows]
    products = cosine_table(view, rows)
    table = [
        [name, *(glossary.signed(float(value)) for value in line)]
        for name, line in zip(names, products, strict=True)
    ]
    return (
        "<h2>How alike their directions are</h2>"
        '<p class="caption">Cosine of each pair of directions in the joint space: 1 the same, 0 '
        "nothing in common, −1 opposite.</p>"
        + parts.table(["", *names], table, right=range(1, len(rows) + 1))
    )


def cosine_table(view: View, rows: list[int]) -> NDArray[np.float32]:
    """Cosines between the directions of some neurons, [row, row]; 0 for a dead one."""
    directions = np.asarray(view.bundle.directions[rows], np.float32)
    norms = np.linalg.norm(directions, axis=1, keepdims=True)
    unit = directions / np.where(norms > 0, norms, 1)
    return np.asarray(unit @ unit.T, np.float32)


def weights_of(view: View, row: int) -> dict[str, float]:
    """A neuron's sparse set: text -> weight, heaviest first."""
    ids = np.asarray(view.bundle.concept_ids[row])
    weights = np.asarray(view.bundle.concept_weights[row], np.float32)
    order = [i for i in np.argsort(-np.abs(weights), kind="stable") if ids[i] >= 0 and weights[i]]
    return {view.bundle.texts[int(ids[i])]: float(weights[i]) for i in order}


def shared_texts(sets: list[dict[str, float]]) -> list[str]:
    """Texts in two or more sets: those in most first, then by the least of their weights."""
    texts = {text for held in sets for text in held if sum(text in other for other in sets) > 1}

    def merit(text: str) -> tuple[int, float]:
        weights = [abs(held[text]) for held in sets if text in held]
        return len(weights), min(weights)

    return sorted(texts, key=lambda text: (*(-value for value in merit(text)), text))


def _concepts(view: View, rows: list[int]) -> str:
    """Shared concepts with every neuron's weight, then each one's own."""
    sets = [weights_of(view, row) for row in rows]
    shared = shared_texts(sets)
    names = [_name(view, row) for row in rows]
    table = [
        [text, *(glossary.signed(held[text]) if text in held else "" for held in sets)]
        for text in shared[:SHARED]
    ]
    more = f", the first {SHARED} are shown" if len(shared) > SHARED else ""
    first = (
        '<p class="caption">Texts in two or more of the sparse sets, '
        f"{len(shared)} in all{more}; with their weight in each.</p>"
        + parts.table(["Concept", *names], table, right=range(1, len(rows) + 1))
        if shared
        else '<p class="caption">No text is in two of the sparse sets.</p>'
    )
    own = _named_columns(view, rows, [_own(view, held, shared) for held in sets])
    return (
        f"<h2>Concepts they share</h2>{first}<h2>Concepts of one alone</h2>"
        f'<p class="caption">The heaviest texts that no other of these sets holds.</p>{own}'
    )


def _own(view: View, held: dict[str, float], shared: list[str]) -> str:
    texts = [text for text in held if text not in shared][:OWN]
    chips = "".join(
        parts.link(
            "concept",
            f'{escape(text)} <span class="muted num">{glossary.signed(held[text])}</span>',
            css="chip",
            bundle=view.key,
            text=text,
        )
        for text in texts
    )
    return f'<div class="chips">{chips}</div>' if chips else '<p class="muted">none</p>'


def _pictures(view: View, rows: list[int]) -> str:
    ends = []
    for end, title, meaning in (
        (POSITIVE, "Pictures they respond to", "along"),
        (NEGATIVE, "Pictures at the other end", "against"),
    ):
        cells = [parts.strip(view, parts.strongest(view, row, PICTURES, end)) for row in rows]
        ends.append(
            f'<h2>{title}</h2><p class="caption">The {PICTURES} pictures whose effect points most '
            f"strongly {meaning} each neuron's direction.</p>{_named_columns(view, rows, cells)}"
        )
    return "".join(ends)


def _measures(view: View, rows: list[int]) -> str:
    keys = [key for key in glossary.MEASURES if key in view.neurons]
    table = [
        [
            glossary.MEASURES[key].name,
            *(glossary.MEASURES[key].show(float(view.neurons[key].iloc[row])) for row in rows),
        ]
        for key in keys
    ]
    names = [_name(view, row) for row in rows]
    return (
        "<h2>Measures</h2>"
        '<p class="caption">The same as on the neurons\' pages, where each is explained. Effects '
        "are in units of the model's output before normalisation.</p>"
        + parts.table(["Measure", *names], table, right=range(1, len(rows) + 1))
    )


def _on_a_picture(page: Page, rows: list[int], image: int | None) -> None:
    """Their effects on one picture of the visitor's choice."""
    view = page.view
    frame.draw(
        "<h2>On one picture</h2>"
        '<p class="caption">Choose a picture of the bundle or give one of your own: how strongly '
        "does each of these neurons push the output along its direction?</p>"
    )
    chosen = picture_choice.picker(page, image, {})
    if chosen is None:
        return
    try:
        effects = chosen.effects(view)
        sources = neuron_maps.on_one_picture(view, rows, chosen.picture(view), effects)
    except InputError as error:
        frame.draw(parts.notice(str(error)))
        return
    relative = relative_effects(view.bundle, effects)
    name = escape(chosen.name)
    cells = [
        f'<figure class="shot"><img src="{source}" alt="Where {name} drives '
        f'{glossary.neuron_name(*view.place(row))}"></figure>'
        + parts.figures(
            [
                (
                    _name(view, row),
                    glossary.effect(float(effects[row])),
                    f"{glossary.signed(float(relative[row]))} × its typical effect",
                )
            ]
        )
        for row, source in zip(rows, sources, strict=True)
    ]
    frame.draw(
        f"<h3>{name}</h3>"
        '<p class="caption">The effect of this picture minus the mean over all pictures, in units '
        "of the output before normalisation. Colour: the patches from which a neuron's effect "
        "comes, relative to its strongest.</p>",
        _columns(cells),
    )

"""One picture of the visitor's choice: how strongly it drives a neuron, and where."""

from __future__ import annotations

import numpy as np

from explorer.bundle.facts import relative_effects
from explorer.errors import InputError
from explorer.ui.address.address import read_picture
from explorer.ui.core import glossary
from explorer.ui.data.neuron import MORE, PICTURES, TEXTS, WHERE, Neuron
from explorer.ui.html.elements import caption, figures, notice, tag
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import neuron_maps, picture_choice

KEPT = (MORE, PICTURES, TEXTS, WHERE)  # how the page is shown, beside its neuron


def section(page: Page, neuron: Neuron) -> None:
    """Draw the choice of a picture and, once there is one, what it does."""
    view, row = neuron.view, neuron.row
    frame.draw(
        tag("h2", "Try a picture"),
        caption(
            "Choose a picture from the bundle or upload your own: how strongly does it drive this "
            "neuron, and from where?"
        ),
    )
    image, problems = read_picture(page.params, len(view.labels))
    frame.show_problems(problems)
    kept = {key: value for key, value in page.params.items() if key in KEPT}
    kept |= {key: str(value) for key, value in neuron.params().items()}
    chosen = picture_choice.picker(page, image, kept)
    if chosen is None:
        return
    try:
        effects = chosen.effects(view)
        subject = neuron_maps.Subject(row, -1 if effects[row] < 0 else 1)
        source = neuron_maps.on_one_picture(view, [subject], chosen.picture(view))[0]
    except InputError as error:
        frame.draw(notice(str(error)))
        return
    effect = float(effects[row])
    relative = float(relative_effects(view.bundle, effects)[row])
    said = figures(
        [
            ("Effect", glossary.effect(effect), "minus its mean over all pictures"),
            (
                "Of its typical effect",
                f"{glossary.signed(relative)} ×",
                _standing(neuron, effect),
            ),
        ]
    )
    colour = caption(
        "Colour: the patches from which the effect comes, relative to the strongest. Effects are "
        "in units of the output before normalisation."
    )
    frame.draw(
        tag(
            "div",
            neuron_maps.shot(source, f"Where {chosen.name} drives the neuron"),
            tag("div", tag("h3", chosen.name), said, colour),
            css="tried",
        )
    )


def _standing(neuron: Neuron, effect: float) -> str:
    """Say how it stands among the bundle's random sample of pictures."""
    sample = np.abs(np.asarray(neuron.view.bundle.sample_effects[neuron.row], np.float32))
    weaker = int((sample < abs(effect)).sum())
    return f"stronger than {weaker} of {len(sample)} random pictures"

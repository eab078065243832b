"""Why a picture is taken for the wrong class: scores, concepts, and the neurons that push it."""

from __future__ import annotations

from markupsafe import Markup

from explorer.attack.audit import Audit
from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.html.cards import card, cards, match
from explorer.ui.html.elements import caption, joined, muted, table, tag
from explorer.ui.html.links import concept_link

NEURONS = 12


def explanation(view: View, found: Audit) -> Markup:
    """Say what pushed a picture, and what the model says with those neurons at their mean."""
    said = "right" if found.corrected else "still wrong"
    return joined(
        [
            _scores(found),
            tag(
                "p",
                f"With the {found.ablated} neurons that push it most held at their mean, the "
                "prediction is ",
                tag("b", said),
                ".",
            ),
            caption(
                "Cosines of picture and text. A neuron at its mean: its activations at every "
                "token replaced by their mean over a sample of the bundle's pictures, and all "
                "that follows computed anew."
            ),
            tag("h3", "Concepts in the sets of these neurons"),
            tag("p", _concepts(view, found) or "None with pictures."),
            tag("h3", "The neurons"),
            caption(
                "Push: the centred second-order effect on this picture along the difference of "
                "the two texts, in units of the output before normalisation; at most "
                f"{NEURONS} are shown."
            ),
            _neurons(view, found),
        ]
    )


def _scores(found: Audit) -> Markup:
    rows = [
        ("as it is", found.before),
        (f"{found.ablated} neurons at their mean", found.after),
    ]
    return table(
        ("", found.right, found.wrong, "prediction"),
        [(name, *map(glossary.number, scores), _named(found, scores)) for name, scores in rows],
        right=(1, 2),
    )


def _named(found: Audit, scores: tuple[float, float]) -> str:
    return found.right if scores[0] >= scores[1] else found.wrong


def _concepts(view: View, found: Audit) -> Markup:
    named = (
        joined([concept_link(view, text, text, css=""), " ", muted(glossary.effect(score))])
        for text, score in found.concepts
    )
    return joined(named, " · ")


def _neurons(view: View, found: Audit) -> Markup:
    shown = (
        card(
            view,
            view.bundle.row(pusher.layer, pusher.neuron),
            match(f"pushes by {glossary.effect(pusher.push)}"),
            small=True,
        )
        for pusher in found.neurons[:NEURONS]
    )
    return cards(shown, small=True)

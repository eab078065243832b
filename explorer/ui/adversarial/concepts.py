"""The spurious concepts of a pair: how much each gains, and which neurons carry it."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from explorer.attack.concepts import Carrier, Ranking, SpuriousConcept
from explorer.attack.gallery import gallery_file
from explorer.attack.vocabulary import vocabulary
from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.html.cards import rank_bar
from explorer.ui.html.elements import NOTHING, caption, joined, table, tag
from explorer.ui.html.links import concept_link, neuron_link
from explorer.ui.html.pictures import picture_source, strip

CARRIERS = 3
SHOWN = 4  # pictures of a concept
LEFT_OUT = 12
LEAST = 1e-9  # keeps the bars' scale from being zero


def ranked(view: View, ranking: Ranking) -> Markup:
    """List the concepts: gain, pictures, and the neurons that carry each."""
    most = max([LEAST, *(concept.gain or 0.0 for concept in ranking.concepts)])
    rows = (_concept(view, concept, most) for concept in ranking.concepts)
    return tag("ol", rows, css="concepts-found")


def _concept(view: View, concept: SpuriousConcept, most: float) -> Markup:
    gain = concept.gain or 0.0
    others = vocabulary(view.bundle).pictures[concept.text]
    shown = [*concept.pictures, *(i for i in others if i not in concept.pictures)][:SHOWN]
    carriers = (_carrier(view, carrier) for carrier in concept.carriers[:CARRIERS])
    return tag(
        "li",
        tag(
            "div",
            concept_link(view, concept.text, concept.text, css=""),
            tag("span", glossary.signed(gain), css="num"),
            css="what",
        ),
        rank_bar(max(0.0, gain / most), role="presentation"),
        _pictures(view, shown),
        tag(
            "div",
            "from ",
            joined(carriers, " · "),
            f"; the sets predict {glossary.effect(concept.score)}. Cosine with the source "
            f"{glossary.signed(concept.near_source)}, the target "
            f"{glossary.signed(concept.near_target)}",
            css="from",
        ),
    )


def _pictures(view: View, shown: Sequence[int]) -> Markup:
    """Show pictures of a concept, the bundle's own or shipped ones."""
    own = [image for image in shown if image < len(view.bundle.pictures)]
    if own or not shown:
        return strip(view, own, wide=True)
    sources = (picture_source(gallery_file(view.bundle, image)) for image in shown)
    cells = (tag("span", tag("img", src=source, alt=""), css="cell") for source in sources)
    return tag("div", cells, css="strip pics")


def _carrier(view: View, carrier: Carrier) -> Markup:
    row = view.bundle.row(carrier.layer, carrier.neuron)
    name = neuron_link(view, row, f"{carrier.layer}.{carrier.neuron}")
    return joined([name, f" through “{carrier.text}”"])


def left_out(ranking: Ranking) -> Markup:
    """List texts that would have ranked as high but are close to a class, and say which."""
    if not ranking.left_out:
        return NOTHING
    more = len(ranking.left_out) - LEFT_OUT
    return tag(
        "details",
        tag("summary", f"Left out as too close to a class: {len(ranking.left_out):,}"),
        table(("Left out", "Too close to the"), ranking.left_out[:LEFT_OUT]),
        caption(f"and {more:,} more") if more > 0 else NOTHING,
    )

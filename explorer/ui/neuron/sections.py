"""The sections of a neuron's page."""

from __future__ import annotations

from html import escape

import numpy as np
import streamlit as st

from explorer.bundle.facts import is_dead
from explorer.errors import InputError
from explorer.ui.address.address import whole, write_places
from explorer.ui.core import glossary
from explorer.ui.data import grouping
from explorer.ui.data.grouping import Cluster, Picture
from explorer.ui.data.loaders import View
from explorer.ui.html import charts, parts
from explorer.ui.neuron import rebuild, routes, spread
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import neuron_maps, picture_choice, save_finding

BARS = 24
LEADING = 6
DOUBTFUL = 0.6  # agreement below which the page warns
WIDTHS = (1.5, 1)
HEAD = (4, 1)
PICTURES = "pictures"  # the address parameter
STRONGEST, GROUPED = "strongest", "grouped"
PICTURE_ORDERS = {STRONGEST: "Strongest first", GROUPED: "Grouped by likeness"}
CARRIED = (PICTURES, neuron_maps.WHERE, picture_choice.IMAGE)  # along to the next number
ENDS = (grouping.POSITIVE, grouping.NEGATIVE)
MAPS_SAID = (
    " Colour: the patches from which the effect comes, relative to the strongest of each picture."
)
END_SAID = {
    grouping.POSITIVE: "The {} pictures whose effect points most strongly along the neuron's "
    "direction. The number is the effect minus its mean over all pictures, in units of the output "
    "before normalisation. A coloured edge: the concept cluster that the picture is near to.",
    grouping.NEGATIVE: "The {} pictures whose effect points most strongly against the direction.",
}


def read_row(page: Page) -> tuple[int, list[str]]:
    """The row the address names; else a sensible one and a sentence saying why."""
    view, params = page.view, page.params
    asked = {key: params.get(key, "") for key in ("layer", "neuron")}
    values = {key: whole(text) for key, text in asked.items()}
    problems = [
        f"“{text}” is no {key}: write a whole number from 0 on."
        for key, text in asked.items()
        if text and values[key] is None
    ]
    layer = view.layers[-1] if values["layer"] is None else values["layer"]
    neuron = values["neuron"] or 0
    try:
        row = view.bundle.row(layer, neuron)
    except InputError as error:
        problems.append(str(error))
        row = view.bundle.row(layer if layer in view.layers else view.layers[-1], 0)
    if problems:
        problems[-1] += f" {glossary.neuron_name(*view.place(row))} is shown instead."
    others = neuron_maps.problems(page)
    order = params.get(PICTURES, STRONGEST)
    if order not in PICTURE_ORDERS:
        choices = " or ".join(PICTURE_ORDERS)
        others.append(f"“{order}” is no value for “{PICTURES}”: write {choices}.")
    return row, problems + others


def heading(page: Page, row: int) -> None:
    """Name, leading concepts, what its pictures show, previous and next."""
    view = page.view
    layer, neuron = view.place(row)
    name = glossary.neuron_name(layer, neuron)
    frame.title(name)
    steps = _step(page, row - 1, "← Previous", "prev") + _step(page, row + 1, "Next →", "next")
    clusters = grouping.concept_clusters(view, row)
    facts = parts.facts(view, row) if clusters else ""
    frame.draw(
        f'<div class="neuron-head"><div><h1>{name}</h1>{facts}</div>'
        f'<nav class="actions" aria-label="Neighbouring numbers">{steps}'
        f"{parts.pin_button(layer, neuron, wide=True)}</nav></div>"
    )
    with st.container(key="lens_head"):
        left, right = st.columns(HEAD, vertical_alignment="top")
    with left:
        frame.draw(_chips(view, clusters), parts.shown_words(view, row))
    with right:
        save_finding.of_neuron(page, row)
    if view.silent[row]:
        frame.draw(parts.notice(_silence(view, row)))
    elif view.agreement(row) < DOUBTFUL:
        frame.draw(f'<p class="caption">{_doubt(view, row)}</p>')


def _doubt(view: View, row: int) -> str:
    """Say that the texts don't tell the pictures."""
    return (
        f"Don't take this neuron's words for what its pictures show: the agreement is "
        f"{glossary.share(view.agreement(row))}, where guessing gives 50 %. Its direction is what "
        "it adds to them, which other neurons may outweigh."
    )


def _step(page: Page, row: int, text: str, rel: str) -> str:
    """The way to another number, looked at in the same way."""
    view = page.view
    if not 0 <= row < len(view.neurons):
        return f'<span class="button">{text}</span>'
    layer, neuron = view.place(row)
    kept = {key: page.params[key] for key in CARRIED if key in page.params}
    return parts.link(
        "neuron", text, css="button", rel=rel, bundle=view.key, layer=layer, neuron=neuron, **kept
    )


def _chips(view: View, clusters: list[Cluster]) -> str:
    leading = grouping.by_weight([cluster for cluster in clusters if cluster.sign > 0])
    chips = (
        parts.link(
            "concept",
            f'<span class="dot"></span>{escape(concept.text)} '
            f'<span class="muted num">{glossary.signed(concept.weight)}</span>',
            css=f"chip c{concept.colour}",
            bundle=view.key,
            text=concept.text,
        )
        for concept in leading[:LEADING]
    )
    return f'<div class="chips">{"".join(chips)}</div>'


def _silence(view: View, row: int) -> str:
    if is_dead(view.bundle, row):
        return (
            "This neuron is dead: on none of the pictures has it an effect that varies, so "
            "it has no direction, no concepts and no top pictures."
        )
    return (
        "This neuron is all but silent: its typical effect is under "
        f"{glossary.share(view.quiet_below)} of what is usual in its layer. Read what follows as "
        "noise."
    )


def body(page: Page, row: int) -> None:
    """The pictures of both ends beside the texts, intervals beside strengths, measures."""
    view = page.view
    clusters = grouping.concept_clusters(view, row)
    if not clusters:
        _measures(view, row)
        return
    left, right = st.columns(WIDTHS, gap="large")
    with left:
        _pictures(page, row, clusters)
    with right:
        _concepts(page, row, clusters)
    left, right = st.columns(WIDTHS, gap="large")
    with left:
        spread.examples(view, row)
        routes.section(view, row)
    with right:
        _norms(view, row)
    neuron_maps.try_a_picture(page, row)
    _measures(view, row)
    rebuild.downloads(view, row)


def _measures(view: View, row: int) -> None:
    frame.draw(
        "<h2>Measures</h2>"
        '<p class="caption">The bar shows the share of this bundle\'s neurons with at most this '
        "value.</p>",
        parts.measures(view, row),
    )


def _concepts(page: Page, row: int, clusters: list[Cluster]) -> None:
    view = page.view
    count, problems = rebuild.read_count(page, row)
    frame.show_problems(problems)
    clusters = rebuild.cut(view, row, clusters, count)
    texts = sum(len(cluster.concepts) for cluster in clusters)
    shown = min(BARS, texts)
    cosines = np.asarray(view.bundle.concept_cosines[row], dtype=np.float32)
    frame.draw(
        "<h2>What it stands for</h2>"
        f'<p class="caption">The {shown} heaviest of the {texts} texts whose weighted sum comes '
        "closest to the neuron's direction (cosine "
        f"{glossary.number(float(cosines[count - 1]))} with all of them): first what it points "
        "to, then, with bars to the left, what it points away from. Colours: clusters of related "
        "texts, with their share of the squared weight.</p>",
        parts.legend(clusters),
    )
    st.plotly_chart(
        charts.concept_bars(clusters, BARS), config=charts.CONFIG, key="concepts", width="stretch"
    )
    rebuild.slider(page, row, count)


def _pictures(page: Page, row: int, clusters: list[Cluster]) -> None:
    """Both ends, each for itself: strongest first or grouped, plain or under their maps."""
    view = page.view
    ends = [grouping.top_pictures(view, row, end, clusters) for end in ENDS]
    frame.draw("<h2>Pictures it responds to</h2>")
    with st.container(key="lens_how", horizontal=True, vertical_alignment="center", gap="medium"):
        grouped = _order(page, row)
        mapped = neuron_maps.toggle(page, row)
    sources = _sources(page, row, [*ends[0], *ends[1]]) if mapped else {}
    for end, pictures in zip(ENDS, ends, strict=True):
        if not pictures:
            continue
        heading = "<h2>Pictures at the other end</h2>" if end == grouping.NEGATIVE else ""
        said = END_SAID[end].format(len(pictures)) + (MAPS_SAID if sources else "")
        tiles = (
            parts.groups(view, grouping.picture_groups(view, row, end, pictures), sources)
            if grouped
            else parts.tiles(view, pictures, sources)
        )
        frame.draw(f'{heading}<p class="caption">{said}</p>{tiles}')


def _order(page: Page, row: int) -> bool:
    """Whether the pictures stand in groups; a choice that changes the address."""
    grouped = page.params.get(PICTURES) == GROUPED
    st.session_state["_pictures"] = GROUPED if grouped else STRONGEST
    st.segmented_control(
        "Order of the pictures",
        [STRONGEST, GROUPED],
        format_func=PICTURE_ORDERS.__getitem__,
        key="_pictures",
        label_visibility="collapsed",
        on_change=_ordered,
        args=(page, row),
    )
    return grouped


def _ordered(page: Page, row: int) -> None:
    layer, neuron = page.view.place(row)
    order = GROUPED if st.session_state["_pictures"] == GROUPED else ""
    frame.change(page, layer=layer, neuron=neuron, **{PICTURES: order})


def _sources(page: Page, row: int, pictures: list[Picture]) -> dict[int, str]:
    """The pictures under their maps, where the model can be loaded."""
    try:
        return neuron_maps.overlays(page.view, row, pictures)
    except InputError as error:
        frame.draw(parts.notice(str(error)))
        return {}


def _norms(view: View, row: int) -> None:
    record = view.neurons.iloc[row]
    counts = np.asarray(view.bundle.norm_histogram[row])
    frame.draw(
        "<h2>How strong, how often</h2>"
        f'<p class="caption">All {int(counts.sum()):,} pictures by the size of their effect; 1 is '
        f"the neuron's typical effect ({glossary.size(float(record['scale']))}). Right of "
        f"the dotted line lie the significant ones, the strongest {view.significant:,}, from which "
        f"its direction was computed: {glossary.size(float(record['threshold']))} and more.</p>"
    )
    scale = max(float(record["scale"]), float(np.finfo(np.float32).tiny))
    edges = np.asarray(view.bundle.norm_edges) * np.float32(record["histogram_unit"] / scale)
    figure = charts.norm_histogram(counts, edges, view.significant)
    st.plotly_chart(figure, config=charts.CONFIG, key="norms", width="stretch")


def similar(view: View, row: int) -> None:
    """The neurons nearest by direction."""
    rows = np.asarray(view.bundle.neighbours[row])
    cosines = np.asarray(view.bundle.neighbour_cosines[row], dtype=np.float32)
    pairs = [(int(r), float(c)) for r, c in zip(rows, cosines, strict=True) if r >= 0]
    if not pairs:
        return
    own = view.place(row)
    nearest = [own, *(view.place(other) for other, _ in pairs[: parts.MOST_PINS - 1])]
    actions = parts.link(
        "compare",
        f"Compare with the nearest {len(nearest) - 1}",
        css="button",
        bundle=view.key,
        pins=write_places(nearest),
    )
    actions += parts.link(
        "atlas", "Show on the atlas", css="button", bundle=view.key, at=write_places([own])
    )
    frame.draw(
        "<h2>Similar neurons</h2>"
        '<p class="caption">Neurons of any layer whose directions are nearest in the joint space '
        "of pictures and texts; the cosine says how near.</p>",
        f'<div class="actions">{actions}</div>',
        parts.cards(
            (
                parts.card(
                    view,
                    other,
                    note=f'<div class="match">cosine {glossary.number(cosine)}</div>',
                    small=True,
                )
                for other, cosine in pairs
            ),
            small=True,
        ),
    )

"""The sections of the Overview page."""

from __future__ import annotations

from html import escape

import streamlit as st

from explorer.evidence.stored import stored_evidence
from explorer.search.query import LONGEST
from explorer.ui.core import glossary
from explorer.ui.core.theme import PATH_DRAWING
from explorer.ui.data import highlights
from explorer.ui.data.highlights import Highlight
from explorer.ui.data.loaders import View
from explorer.ui.html import parts
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import save_finding

ROW = 4  # pictures side by side
GROUPED = ", grouped by likeness. Each group is named by a word that its pictures share"


def introduction(view: View) -> None:
    """Three sentences and the drawn path."""
    with st.container(key="lens_intro"):
        text, drawing = st.columns([1.25, 1], vertical_alignment="center", gap="large")
    with text:
        frame.draw(
            "<h1>What does a neuron of CLIP mean?</h1>"
            '<p class="lead">CLIP puts pictures and words into one space, so what a neuron adds '
            "there can be read in words. On its way it passes the attention heads of later layers: "
            "that is its second-order effect. Here you see this effect for every neuron, and "
            "which neurons stand for several unrelated things.</p>"
        )
        st.text_input(
            "Find neurons by words",
            key="_q",
            placeholder="a word, or two with +: bicycle, cup + trophy",
            max_chars=LONGEST,
            on_change=_asked,
            args=(view,),
        )
        frame.draw(
            '<div class="actions">'
            f"{parts.link('neurons', 'Browse all neurons', css='button first', bundle=view.key)}"
            f"{parts.link('atlas', 'See them on a map', css='button', bundle=view.key)}"
            f"{frame.random_link(view)}</div>"
        )
    with drawing:
        st.components.v2.component("lens_path", html=PATH_DRAWING, isolate_styles=False)(
            key="lens_path"
        )


def _asked(view: View) -> None:
    text = " ".join(st.session_state["_q"].split())
    st.session_state["_q"] = ""
    if text:
        frame.go("search", bundle=view.key, q=text)


def striking_neuron(view: View) -> None:
    """The most striking polysemantic neuron, its pictures grouped by meaning."""
    found = highlights.held(view)
    if not found:
        return
    best = found[0]
    layer, neuron = view.place(best.row)
    more = parts.link("neuron", "Open this neuron →", bundle=view.key, layer=layer, neuron=neuron)
    polysemy = glossary.number(float(view.neurons["polysemy"].iloc[best.row]))
    agreement = glossary.share(view.agreement(best.row))
    heading = (
        f"One neuron, several meanings: {_listed(best.words)}"
        if best.groups
        else f"One neuron, several meanings: {view.neurons['concepts'].iloc[best.row]}"
    )
    frame.draw(
        f'<div class="top"><h2>{escape(heading)}</h2>'
        f'<span class="muted">{glossary.neuron_name(layer, neuron)} · polysemy {polysemy} · '
        f"agreement {agreement} · {more}</span></div>",
        _meanings(view, best),
        '<p class="caption below">Of '
        f"{view.bundle.image_embeddings.shape[0]:,} pictures, those with the strongest effect of "
        f"this neuron{GROUPED if best.groups else ''}.</p>",
        css="panel",
    )


def _meanings(view: View, best: Highlight) -> str:
    """The pictures by meaning, or just the strongest where no meanings were told apart."""
    if not best.groups:
        return parts.strip(view, parts.strongest(view, best.row, 3 * ROW), wide=True)
    return parts.meanings(
        view,
        [
            (group.word, colour, _whole_rows([picture.image for picture in group.pictures]))
            for colour, group in enumerate(best.groups)
        ],
    )


def headline_figures(view: View) -> None:
    """How much there is in this bundle, and how good it is."""
    more = parts.link("evidence", "the paper’s claims, measured on it", bundle=view.key)
    frame.draw(
        parts.figures(_figures(view)),
        f'<p class="caption below">What is in this bundle; see also {more}.</p>',
    )


def _figures(view: View) -> list[tuple[str, str, str]]:
    neurons = view.neurons
    alive = neurons[~view.silent]
    items = [
        ("Neurons", f"{len(neurons):,}", f"in {len(view.layers)} layers"),
        ("Pictures", f"{view.bundle.image_embeddings.shape[0]:,}", "shown to every neuron"),
        ("Texts", f"{len(view.bundle.texts):,}", "to describe neurons with"),
        (
            "Explained variance",
            glossary.share(float(alive["explained_variance"].median())),
            "of strong effects by one direction, median",
        ),
    ]
    recall = stored_evidence(view.bundle).get("recall", {})
    if "recall@1" in recall:
        items.append(
            (
                "Model recall@1",
                glossary.share(recall["recall@1"]["value"]),
                f"unseen picture style, {int(recall.get('candidates', 0)):,} names",
            )
        )
    return items


def more_neurons(page: Page) -> None:
    """A strip of further striking neurons, and all of them to save."""
    view = page.view
    found = highlights.held(view)[1:]
    if not found:
        return
    every = parts.link("neurons", "all neurons by polysemy", bundle=view.key, sort="polysemy")
    frame.draw(
        "<h2>More neurons with several meanings</h2>"
        '<p class="caption">Chosen by polysemy, selectivity and how well their texts tell '
        "their pictures, and checked on the words of the pictures. "
        f"See {every}.</p>",
        parts.cards(
            parts.card(view, item.row, pictures=_mixed(item), title=_listed(item.words))
            if item.groups
            else parts.card(view, item.row)
            for item in found
        ),
    )
    save_finding.of_neurons(
        page, [item.row for item in highlights.held(view)], "Neurons with several meanings"
    )


def _whole_rows(images: list[int]) -> list[int]:
    """As many of a meaning's images as fill one or two rows."""
    return images[: 2 * ROW if len(images) >= 2 * ROW else ROW]


def _mixed(item: Highlight) -> list[int]:
    """Pictures of a card: a row of each of the first two meanings."""
    return [picture.image for group in item.groups[:2] for picture in group.pictures[:ROW]]


def _listed(words: list[str]) -> str:
    return words[0] if len(words) < 2 else f"{', '.join(words[:-1])} and {words[-1]}"

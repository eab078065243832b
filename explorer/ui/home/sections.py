"""The sections of the Overview page."""

from __future__ import annotations

import streamlit as st
from markupsafe import Markup

from explorer.evidence.stored import recall_of, stored_evidence
from explorer.search.query import LONGEST
from explorer.ui.core import glossary
from explorer.ui.core.theme import PATH_DRAWING
from explorer.ui.data import grouping, highlights
from explorer.ui.data.highlights import Highlight
from explorer.ui.data.loaders import View
from explorer.ui.html.cards import card, cards, match, named
from explorer.ui.html.elements import NOTHING, caption, figures, muted, tag
from explorer.ui.html.links import actions, link, neuron_link
from explorer.ui.html.pictures import meanings, strip
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import save_finding

ROW = 4  # pictures side by side
GROUPED = ", grouped by similarity. Each group is named by a word that its pictures share"


def introduction(view: View) -> None:
    """Draw three sentences and the path."""
    with st.container(key="lens_intro"):
        text, drawing = st.columns([1.25, 1], vertical_alignment="center", gap="large")
    with text:
        frame.draw(
            tag("h1", "What does a neuron of CLIP mean?"),
            tag(
                "p",
                "CLIP puts pictures and words into one space, so what a neuron adds there can be "
                "read in words. On its way it passes the attention heads of later layers: that is "
                "its second-order effect. Here you see this effect for every neuron, and which "
                "neurons stand for several unrelated things.",
                css="lead",
            ),
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
            actions(
                link("neurons", "Browse all neurons", css="button first", bundle=view.key),
                link("atlas", "See them on a map", css="button", bundle=view.key),
                frame.random_link(view),
            )
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
    """Draw the most striking polysemantic neuron, its pictures grouped by meaning."""
    found = highlights.held(view)
    if not found:
        return
    best = found[0]
    polysemy = glossary.number(float(view.neurons["polysemy"].iloc[best.row]))
    name = glossary.neuron_name(*view.place(best.row))
    title = view.title(best.row)
    pictures = f"{view.bundle.image_embeddings.shape[0]:,} pictures"
    frame.draw(
        tag(
            "div",
            tag("h2", "One neuron, several meanings") if best.groups else named(title, "h2"),
            muted(
                f"{name} · ",
                [named(title, "span"), " · "] if best.groups else NOTHING,
                f"polysemy {polysemy} · ",
                neuron_link(view, best.row, "Open this neuron →"),
            ),
            css="top",
        ),
        _meanings(view, best),
        caption(
            f"Of {pictures}, those with the strongest effect of this neuron"
            f"{GROUPED if best.groups else ''}.",
            css="below",
        ),
        css="panel",
    )


def _meanings(view: View, best: Highlight) -> Markup:
    """Show the pictures by meaning, or just the strongest where no meanings were told apart."""
    if not best.groups:
        return strip(view, grouping.strongest(view, best.row, 3 * ROW), wide=True)
    return meanings(
        view,
        [
            (group.word, colour, _whole_rows([picture.image for picture in group.pictures]))
            for colour, group in enumerate(best.groups)
        ],
    )


def headline_figures(view: View) -> None:
    """Draw how much there is in this bundle, and how good it is."""
    more = link("evidence", "the paper’s claims, measured on it", bundle=view.key)
    frame.draw(
        figures(headlines(view)),
        caption("What is in this bundle; see also ", more, ".", css="below"),
    )


def headlines(view: View) -> list[tuple[str, str, str]]:
    """Return the headline figures: name, value, one line below."""
    neurons = view.neurons
    items = [
        ("Neurons", f"{len(neurons):,}", f"in {len(view.layers)} layers"),
        ("Pictures", f"{view.bundle.image_embeddings.shape[0]:,}", "shown to every neuron"),
        ("Texts", f"{len(view.bundle.texts):,}", "to describe neurons with"),
    ]
    recall = recall_of(stored_evidence(view.bundle, "recall"))
    if recall and recall.top_1["value"] is not None:
        items.append(
            (
                "Model recall@1",
                glossary.share(recall.top_1["value"]),
                f"{recall.set}, {recall.pictures:,} pictures, {recall.candidates:,} names, "
                f"{recall.chance(1)}",
            )
        )
    return items


def more_neurons(page: Page) -> None:
    """Draw further striking neurons, and the button to save all of them."""
    view = page.view
    found = highlights.held(view)[1:]
    if not found:
        return
    every = link("neurons", "all neurons by polysemy", bundle=view.key, sort="polysemy")
    frame.draw(
        tag("h2", "More neurons with several meanings"),
        caption(
            "Chosen by polysemy, selectivity and how well their texts tell their pictures; each "
            "meaning is a word that its pictures carry",
            " more surely than chance" if view.bundle.tested else "",
            ". See ",
            every,
            ".",
        ),
        cards(
            card(view, item.row, match(f"groups: {', '.join(item.words)}"), _mixed(item))
            if item.groups
            else card(view, item.row)
            for item in found
        ),
    )
    save_finding.of_neurons(
        page, [item.row for item in highlights.held(view)], "Neurons with several meanings"
    )


def _whole_rows(images: list[int]) -> list[int]:
    """Return as many of a meaning's images as fill one or two rows."""
    return images[: 2 * ROW if len(images) >= 2 * ROW else ROW]


def _mixed(item: Highlight) -> list[int]:
    """Return the pictures of a card: a row of each of the first two meanings."""
    return [picture.image for group in item.groups[:2] for picture in group.pictures[:ROW]]

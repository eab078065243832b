"""The Adversarial page: a pair of classes, its spurious concepts, pictures, and why they fool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st
from markupsafe import Markup

from explorer.attack.audit import Audit
from explorer.attack.batch import Attack, pair_stem, zip_file
from explorer.errors import InputError
from explorer.findings.notes import literal
from explorer.pixels import NAMED
from explorer.ui.address.attack_query import MOST_PICTURES, SEEDS, AttackQuery, class_name
from explorer.ui.adversarial import batch, concepts, pairs, pictures, prompts
from explorer.ui.adversarial.explanation import explanation
from explorer.ui.data import attacks, own_pictures
from explorer.ui.data.classes import classes_of
from explorer.ui.data.loaders import View
from explorer.ui.html import shots
from explorer.ui.html.elements import NOTHING, caption, notice, tag
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import save_finding

TICK = 0.2  # seconds between two pictures of a batch


def body(page: Page, query: AttackQuery) -> None:
    """Draw the whole page."""
    frame.draw(
        tag("h1", "Adversarial pictures from polysemy"),
        tag(
            "p",
            "Neurons that tell two classes apart also stand for things that have nothing to do "
            "with either. Put those things beside the first, and the model may take it for the "
            "second.",
            css="lead",
        ),
        caption(
            "Such pictures are for auditing and defence: they show what a model confuses before "
            "anyone else finds out, and which neurons to fix."
        ),
        pairs.measured(page.view),
    )
    query = _choose(page, query)
    if not query.source or not query.target:
        return
    frame.title(f"{query.source} as {query.target}")
    try:
        attack = attacks.find_attack(page.view, query)
    except InputError as error:
        frame.show_problems([str(error)])
        return
    frame.draw(
        tag("h2", f"What suggests “{query.target}” but is neither class"),
        caption(
            "The neurons whose directions separate the two also carry these, which are close to "
            "neither: their sparse sets, weighted by separation and sign, give a shortlist of "
            f"{attack.ranking.tried}, each of which was tried beside the source in a few scenes. "
            "The bar is the gain: how much the picture's cosine with the target, minus that with "
            "the source, rose on average. What the sets say is in units of the model's output "
            "before normalisation."
        ),
        _stand_ins(page.view, query.source),
        concepts.ranked(page.view, attack.ranking),
        concepts.left_out(attack.ranking),
    )
    _save(page, query, attack)
    _batch(page, query, attack)
    _why(page, query)
    prompts.section(page, query, list(attack.ranking.shown))


def _stand_ins(view: View, source: str) -> Markup:
    """Say which pictures stand for a class that none is called."""
    if source in classes_of(view):
        return NOTHING
    return notice(
        f"No picture is called “{source}”: those that the model finds nearest to the text stand "
        "for it."
    )


def _save(page: Page, query: AttackQuery, attack: Attack) -> None:
    """Offer to save the neurons that carry the concepts; the finding opens this pair again."""
    carriers = [carrier for concept in attack.ranking.concepts for carrier in concept.carriers]
    rows = [page.view.bundle.row(c.layer, c.neuron) for c in carriers]
    chosen = replace(page, params=query.params())  # the pair may be a proposal
    save_finding.of_neurons(
        chosen, list(dict.fromkeys(rows)), f"{query.source} taken for {query.target}"
    )


def _choose(page: Page, query: AttackQuery) -> AttackQuery:
    """Draw widgets that write the address; take the first proposal where it names no pair."""
    view = page.view
    listed = attacks.measured_pairs(view)
    if not query.source and not query.target:
        listed = listed or _drawn(view, query)
        if listed:
            query = replace(query, source=listed[0].pair.source, target=listed[0].pair.target)
    state = st.session_state  # the address decides: widgets are set from it on every run
    state["_source"], state["_target"] = query.source or None, query.target or None
    state["_seed"], state["_count"] = query.seed, query.count
    labels = {*classes_of(view), query.source, query.target} - {""}
    with st.container(key="lens_tools"):
        columns = st.columns([2, 2, 1, 1], gap="small")
    change: dict[str, Any] = {"on_change": _changed, "args": (page, query)}
    typed: dict[str, Any] = {"placeholder": "a class, or any text", "accept_new_options": True}
    columns[0].selectbox("It shows", sorted(labels), key="_source", **typed, **change)
    columns[1].selectbox("Taken for", sorted(labels), key="_target", **typed, **change)
    columns[2].number_input("Pictures", 1, MOST_PICTURES, key="_count", **change)
    columns[3].number_input("Seed", 0, SEEDS, key="_seed", **change)
    _propose(page, query, listed)
    return query


def _drawn(view: View, query: AttackQuery) -> list[attacks.Proposal]:
    try:
        return attacks.proposals(view, query.seed)
    except InputError as error:
        frame.show_problems([str(error)])
        return []


@st.fragment
def _propose(page: Page, query: AttackQuery, listed: Sequence[attacks.Proposal]) -> None:
    """Show pairs to look at, and a button that draws others: only these lines run again."""
    if st.session_state.get("_attack_draw", False):
        listed = _drawn(page.view, query)
    frame.draw(pairs.proposals(page.view, listed, query.seed))
    st.button("Draw other pairs", key="_attack_draw", help="By the seed; takes a few seconds.")


def _changed(page: Page, before: AttackQuery) -> None:
    """Write the widgets' values into the address."""
    state = st.session_state
    query = AttackQuery(
        source=class_name(state["_source"] or ""),
        target=class_name(state["_target"] or ""),
        seed=int(state["_seed"]),
        count=int(state["_count"]),
    )
    frame.address(page, **query.params())


def _batch(page: Page, query: AttackQuery, attack: Attack) -> None:
    """Make pictures live; each tick of the fragment makes one."""
    made = batch.batch_of(page.view, query)
    frame.draw(
        tag("h2", "Pictures"),
        caption(
            "Each shows the source whole, larger than anything else, and up to three of the "
            "concepts; the target is in none of them. Scores are cosines of picture and text."
        ),
    )
    if made.running:
        st.button("Stop", on_click=batch.stop, args=(page.view, query), key="_attack_stop")
    else:
        text = f"Make {query.count} pictures" if not made.attempts else "Make them again"
        st.button(
            text, type="primary", on_click=batch.start, args=(page.view, query), key="_attack_start"
        )
    st.fragment(_live, run_every=TICK if made.running else None)(page, query)
    if made.attempts and not made.running:
        st.download_button(
            "Pictures and recipes (zip)",
            partial(zip_file, attack.ranking, made.attempts),
            f"{pair_stem(attack.ranking)}-{query.seed}.zip",
            "application/zip",
            on_click="ignore",
            key="_attack_zip",
        )


def _live(page: Page, query: AttackQuery) -> None:
    made = batch.batch_of(page.view, query)
    if made.running:
        try:
            made.advance()
        except InputError as error:
            made.coming = None
            frame.show_problems([str(error)])
            return
        if not made.running:
            st.rerun()
        done = len(made.attempts)
        st.progress(done / query.count, text=f"{done} of {query.count} pictures")
    if made.attempts:
        frame.draw(pictures.tally(made.attempts))
    shown = made.attempts or attacks.first_attempts(page.view, query)[: query.count]
    if not made.attempts:
        frame.draw(caption(f"{len(shown)} of the {query.count}, made ahead."))
    frame.draw(pictures.attempts(page.view, query, shown))


def _sent() -> None:
    own_pictures.sent("attack", "_attack_upload")


def _why(page: Page, query: AttackQuery) -> None:
    """Explain the reverse: what pushed a picture, and the prediction without it."""
    frame.draw(
        tag("h2", "The reverse: why was it misclassified?"),
        caption(
            "For a picture that is taken for the wrong class: the neurons that push it there, the "
            "concepts they carry, and the prediction with them held at their mean."
        ),
    )
    if query.why is not None:
        scene = attacks.scene_of(page.view, query, query.why)
        frame.draw(
            shots.grid([shots.shot(scene.image, f"Picture {query.why}", f"picture {query.why}")])
        )
        _explain(page, partial(attacks.explain, page.view, query, query.why))
    shown = st.file_uploader(
        f"A picture of “{literal(query.source)}” that is taken for “{literal(query.target)}”",
        type=list(NAMED),
        key="_attack_upload",
        on_change=_sent,
        help="It stays in this session, in memory only.",
    )
    own_pictures.clearing("attack", shown is not None)
    own = own_pictures.kept("attack")
    if own is not None:
        _explain(
            page,
            partial(attacks.explain_upload, page.view, own.data, query.source, query.target),
        )


def _explain(page: Page, make: partial[Audit]) -> None:
    try:
        found = make()
    except InputError as error:
        frame.show_problems([str(error)])
        return
    if found.before[0] >= found.before[1]:
        frame.draw(tag("p", f"The model does say “{found.right}” for this one. Even so:"))
    frame.draw(explanation(page.view, found))

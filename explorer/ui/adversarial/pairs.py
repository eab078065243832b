"""Pairs of classes to look at, and how often such pairs fool the model."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from explorer.evidence.stored import stored_evidence
from explorer.ui.core import glossary
from explorer.ui.data.attacks import Proposal
from explorer.ui.data.loaders import View
from explorer.ui.html.elements import NOTHING, Child, caption, joined, tag
from explorer.ui.html.links import chips, link


def measured(view: View) -> Markup:
    """Say how often such pictures fool this model; nothing where that was not measured."""
    found = stored_evidence(view.bundle, "attack").get("attack", {})
    rates = {name: row["two_way"]["value"] for name, row in found.get("methods", {}).items()}
    if not {"second-order", "random", "none"} <= rates.keys():
        return NOTHING
    return tag(
        "p",
        f"On {found['pairs']:,} pairs of this bundle's classes, {found['scenes']:,} pictures "
        "each, ",
        tag("b", glossary.share(rates["second-order"])),
        " were taken for the second class; with things drawn at random in their place "
        f"{glossary.share(rates['random'])}, with nothing {glossary.share(rates['none'])}. ",
        link("evidence", "How it was measured", bundle=view.key, claim="attack"),
    )


def proposals(view: View, listed: Sequence[Proposal], seed: int) -> Markup:
    """Show proposed pairs, each a link, and say where they come from."""
    if not listed:
        return NOTHING
    if listed[0].share is None:
        known = (
            "the model recognises both"
            if listed[0].pair.recognised
            else "the model recognises no such two, these neither"
        )
        where = (
            f"Pairs drawn by the seed: {known}, they are unlike, and the second is the likeliest "
            "such class for the first."
        )
    else:
        found = stored_evidence(view.bundle, "attack")["attack"]
        where = (
            f"Of the {found['pairs']:,} pairs that were measured, those most often taken for the "
            f"second class: the share of {found['scenes']:,} pictures."
        )
    return joined([caption(where), chips(_pair(view, proposal, seed) for proposal in listed)])


def _pair(view: View, proposal: Proposal, seed: int) -> Markup:
    pair, share = proposal.pair, proposal.share
    text: list[Child] = [f"{pair.source} → {pair.target}"]
    if share is not None:
        text += [" ", tag("span", glossary.share(share), css="num")]
    return link(
        "adversarial",
        text,
        css="chip",
        bundle=view.key,
        source=pair.source,
        target=pair.target,
        seed=seed or None,
    )

"""Pairs of classes to look at, and how often such pairs fool the model."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from explorer.evidence.claims.attack import OWN
from explorer.evidence.stored import stored_evidence
from explorer.ui.core import glossary
from explorer.ui.data.attacks import Proposal
from explorer.ui.data.loaders import View
from explorer.ui.html.elements import NOTHING, Child, caption, joined, tag
from explorer.ui.html.links import chips, link

# other ways to choose, tried as often: names in the evidence, and what they are
TRIED = {
    "indirect, tried": "what neurons' indirect effects name",
    "nearest, tried": "texts nearest to the target",
    "random, tried": "random things",
}


def measured(view: View) -> Markup:
    """Say how often such pictures fool this model, beside other things tried as often.

    Nothing where that was not measured, or not beside the others.
    """
    found = stored_evidence(view.bundle, "attack").get("attack", {})
    methods = found.get("methods", {})
    if not {OWN, "none", *TRIED} <= methods.keys():
        return NOTHING
    above, first = (
        {name: glossary.share(row[outcome]["value"]) for name, row in methods.items()}
        for outcome in ("two_way", "all_classes")
    )
    others = ", ".join(f"{what} {above[name]} ({first[name]})" for name, what in TRIED.items())
    return tag(
        "p",
        f"On {found['pairs']:,} pairs of this bundle's classes, {found['scenes']:,} pictures "
        "each: in ",
        tag("b", above[OWN]),
        f" the second class scored above the first ({first[OWN]}: above all "
        f"{found['classes']:,}). With the same trials: {others}. With nothing added: "
        f"{above['none']}. ",
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
            f"Of the {found['pairs']:,} pairs that were measured, those where the second class "
            f"most often scored above the first: the share of {found['scenes']:,} pictures."
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

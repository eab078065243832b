"""Pieces of HTML for the Adversarial page. Pure strings; every text is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from explorer.attack.audit import Audit
from explorer.attack.batch import Attempt
from explorer.attack.concepts import Ranking, SpuriousConcept, vocabulary
from explorer.evidence.stored import stored_evidence
from explorer.ui.address.attack_query import AttackQuery, write_scene
from explorer.ui.core import glossary
from explorer.ui.data.attacks import Proposal
from explorer.ui.data.loaders import View
from explorer.ui.html import parts, shots

CARRIERS = 3
SHOWN = 4  # pictures of a concept
LEFT_OUT = 12
NEURONS = 12


def measured(view: View) -> str:
    """How often such pictures fool this model, where that was measured."""
    found = stored_evidence(view.bundle).get("attack", {})
    rates = {name: row["two_way"]["value"] for name, row in found.get("methods", {}).items()}
    if not {"second-order", "random", "none"} <= rates.keys():
        return ""
    more = parts.link("evidence", "How it was measured", bundle=view.key, claim="attack")
    return (
        f"<p>On {found['pairs']:,} pairs of this bundle's classes, {found['scenes']:,} pictures "
        f"each, <b>{glossary.share(rates['second-order'])}</b> were taken for the second class; "
        f"with things drawn at random in their place {glossary.share(rates['random'])}, with "
        f"nothing {glossary.share(rates['none'])}. {more}</p>"
    )


def proposals(view: View, listed: Sequence[Proposal], seed: int) -> str:
    """Proposed pairs, each a link, with where they come from."""
    if not listed:
        return ""
    if listed[0].share is None:
        where = (
            "Pairs drawn by the seed: the model recognises both, they are unlike, and the second "
            "is the likeliest such class for the first."
        )
    else:
        found = view.bundle.manifest.evidence["attack"]
        where = (
            f"Of the {found['pairs']:,} pairs that were measured, those most often taken for the "
            f"second class: the share of {found['scenes']:,} pictures."
        )
    chips = "".join(_pair(view, proposal, seed) for proposal in listed)
    return f'<p class="caption">{where}</p><div class="chips">{chips}</div>'


def _pair(view: View, proposal: Proposal, seed: int) -> str:
    pair, share = proposal.pair, proposal.share
    measured = "" if share is None else f' <span class="num">{glossary.share(share)}</span>'
    return parts.link(
        "adversarial",
        f"{escape(pair.source)} → {escape(pair.target)}{measured}",
        css="chip",
        bundle=view.key,
        source=pair.source,
        target=pair.target,
        seed=seed or None,
    )


def concepts(view: View, ranking: Ranking) -> str:
    """The ranked concepts: score, pictures, and the neurons that carry each."""
    most = max([1e-9, *(concept.gain or 0.0 for concept in ranking.concepts)])
    rows = "".join(_concept(view, concept, most) for concept in ranking.concepts)
    return f'<ol class="concepts-found">{rows}</ol>'


def _concept(view: View, concept: SpuriousConcept, most: float) -> str:
    name = parts.link("concept", escape(concept.text), bundle=view.key, text=concept.text)
    carriers = " · ".join(
        parts.link(
            "neuron",
            f"{carrier.layer}.{carrier.neuron}",
            bundle=view.key,
            layer=carrier.layer,
            neuron=carrier.neuron,
        )
        + f" through “{escape(carrier.text)}”"
        for carrier in concept.carriers[:CARRIERS]
    )
    others = vocabulary(view.bundle).pictures[concept.text]
    gain = concept.gain or 0.0
    shown = [*concept.pictures, *(i for i in others if i not in concept.pictures)][:SHOWN]
    return (
        f'<li><div class="what">{name}<span class="num">'
        f"{glossary.signed(gain)}</span></div>"
        f'<div class="rank" role="presentation"><i style="width:'
        f'{max(0, 100 * gain / most):.0f}%"></i></div>{parts.strip(view, shown, wide=True)}'
        f'<div class="from">from {carriers}; the sets say {glossary.effect(concept.score)}. '
        f"Cosine with the source "
        f"{glossary.signed(concept.near_source)}, the target "
        f"{glossary.signed(concept.near_target)}</div></li>"
    )


def left_out(ranking: Ranking) -> str:
    """Texts that would have ranked as high but are close to a class, and why."""
    if not ranking.left_out:
        return ""
    rows = parts.table(
        ("Left out", "Too close to the"), [pair for pair in ranking.left_out[:LEFT_OUT]]
    )
    more = len(ranking.left_out) - LEFT_OUT
    rest = f'<p class="caption">and {more:,} more</p>' if more > 0 else ""
    return (
        f"<details><summary>Left out as too close to a class: {len(ranking.left_out):,}"
        f"</summary>{rows}{rest}</details>"
    )


def attempts(view: View, query: AttackQuery, made: Sequence[Attempt]) -> str:
    """The pictures made so far, each with its scores and the ways on."""
    return shots.grid(_attempt(view, query, attempt) for attempt in made)


def _attempt(view: View, query: AttackQuery, attempt: Attempt) -> str:
    number = attempt.scene.recipe.number
    names = ", ".join(dict.fromkeys(added.concept for added in attempt.scene.recipe.added))
    verdict = f"taken for {query.target}" if attempt.fooled else f"still {query.source}"
    under = parts.link(
        "image",
        "Under the lens",
        bundle=view.key,
        attack=write_scene(query, number),
        texts=",".join((query.source, query.target))[:120],
    )
    why = parts.link(
        "adversarial",
        "Why?",
        bundle=view.key,
        **({**query.params(), "why": str(number)}),
    )
    caption = (
        f"<b>{escape(verdict)}</b><br>{escape(query.source)} "
        f"{glossary.number(attempt.source_score)} · {escape(query.target)} "
        f"{glossary.number(attempt.target_score)}<br>"
        f'<span class="muted">with {escape(names) or "nothing"}; without it '
        f"{glossary.number(attempt.plain[0])} · {glossary.number(attempt.plain[1])}</span><br>"
        f"{under} · {why}"
    )
    return shots.shot(attempt.scene.image, f"{query.source}, with {names}; {verdict}", caption)


def tally(query: AttackQuery, made: Sequence[Attempt]) -> str:
    """How many pictures are taken for the target, with the additions and without."""
    fooled, before = sum(a.fooled for a in made), sum(a.fooled_before for a in made)
    total = len(made)
    return parts.figures(
        [
            ("Taken for the target", f"{fooled} of {total}", "its score is above the source's"),
            ("The same scenes, nothing added", f"{before} of {total}", "same source and ground"),
        ]
    )


def explanation(view: View, found: Audit) -> str:
    """What pushed a picture, and what the model says with those neurons at their mean."""
    said = "right" if found.corrected else "still wrong"
    scores = parts.table(
        ("", found.right, found.wrong, "prediction"),
        [
            ("as it is", *map(glossary.number, found.before), _named(found, found.before)),
            (
                f"{found.ablated} neurons at their mean",
                *map(glossary.number, found.after),
                _named(found, found.after),
            ),
        ],
        right=(1, 2),
    )
    named = " · ".join(
        f"{parts.link('concept', escape(text), bundle=view.key, text=text)} "
        f'<span class="muted">{glossary.effect(score)}</span>'
        for text, score in found.concepts
    )
    cards = parts.cards(
        (
            parts.card(
                view,
                view.bundle.row(pusher.layer, pusher.neuron),
                f'<div class="match">pushes by {glossary.effect(pusher.push)}</div>',
                small=True,
            )
            for pusher in found.neurons[:NEURONS]
        ),
        small=True,
    )
    return (
        f"{scores}<p>With the {found.ablated} neurons that push it most held at their mean, the "
        f"prediction is <b>{said}</b>.</p>"
        '<p class="caption">Cosines of picture and text. A neuron at its mean: its activations at '
        "every token replaced by their mean over a sample of the bundle's pictures, and all that "
        "follows computed anew.</p>"
        f"<h3>Concepts that those neurons' sets name</h3><p>{named or 'None with pictures.'}</p>"
        "<h3>The neurons</h3>"
        '<p class="caption">Push: the centred second-order effect on this picture along the '
        "difference of the two texts, in units of the output before normalisation; at most "
        f"{NEURONS} are shown.</p>{cards}"
    )


def _named(found: Audit, scores: tuple[float, float]) -> str:
    return found.right if scores[0] >= scores[1] else found.wrong

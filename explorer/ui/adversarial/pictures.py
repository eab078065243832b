"""A batch's pictures, each with its scores and the ways on from it."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from explorer.attack.batch import Attempt
from explorer.ui.address.attack_query import AttackQuery, write_scene
from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.html import shots
from explorer.ui.html.elements import figures, muted, tag
from explorer.ui.html.links import anchor, link


def tally(made: Sequence[Attempt]) -> Markup:
    """Say in how many pictures the target scores above the source, and above all classes."""
    fooled, before = sum(a.fooled for a in made), sum(a.fooled_before for a in made)
    total = len(made)
    return figures(
        [
            ("Target above source", f"{fooled} of {total}", "of the two classes alone"),
            (
                "Taken for the target",
                f"{sum(a.taken for a in made)} of {total}",
                "above all classes of the bundle",
            ),
            (
                "The same scenes, nothing added",
                f"{before} of {total}",
                "target above source; same source and ground",
            ),
        ]
    )


def attempts(view: View, query: AttackQuery, made: Sequence[Attempt]) -> Markup:
    """Lay out the pictures made so far."""
    return shots.grid(_attempt(view, query, attempt) for attempt in made)


def _attempt(view: View, query: AttackQuery, attempt: Attempt) -> Markup:
    number = attempt.scene.recipe.number
    names = ", ".join(dict.fromkeys(added.concept for added in attempt.scene.recipe.added))
    said = verdict(query, attempt)
    source, target = map(glossary.number, (attempt.source_score, attempt.target_score))
    before = " · ".join(map(glossary.number, attempt.plain))
    return shots.shot(
        attempt.scene.image,
        f"{query.source}, with {names}; {said}",
        [
            tag("b", said),
            tag("br"),
            f"{query.source} {source} · {query.target} {target}",
            tag("br"),
            muted(f"with {names or 'nothing'}; without it {before}"),
            tag("br"),
            link(
                "image",
                "Under the lens",
                bundle=view.key,
                attack=write_scene(query, number),
                texts=",".join((query.source, query.target))[:120],
            ),
            " · ",
            anchor(
                "adversarial",
                {"bundle": view.key, **query.params(), "why": str(number)},
                "Why?",
            ),
        ],
    )


def verdict(query: AttackQuery, attempt: Attempt) -> str:
    """Say which of the two classes scores higher, and whether the target is above all."""
    if attempt.taken:
        return f"taken for {query.target}"
    first, second = (query.target, query.source) if attempt.fooled else (query.source, query.target)
    return f"nearer to {first} than to {second}"

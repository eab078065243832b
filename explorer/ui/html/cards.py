"""A neuron in brief: cards, its leading measures, what its pictures share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from markupsafe import Markup

from explorer.bundle.meaning import Title
from explorer.bundle.measures import Measure, measures_of
from explorer.ui.core import glossary
from explorer.ui.data import grouping
from explorer.ui.data.grouping import Cluster
from explorer.ui.data.loaders import View
from explorer.ui.html.elements import NOTHING, Child, caption, muted, tag
from explorer.ui.html.links import neuron_link, pin_button
from explorer.ui.html.pictures import dot, strip

SMALL_CARD_PICTURES = 6
UNTESTED = "Heaviest texts; this bundle was not compared with chance"
OPPOSITE_WHY = "Pictures that move it against its direction; words of its direction are not theirs"
SHOWS_WHY = "Words of labels and keywords that its top pictures share, with the number of pictures"


def card(
    view: View,
    row: int,
    note: Child = NOTHING,
    pictures: Sequence[int] | None = None,
    small: bool = False,
    title: str = "",
    end: int = grouping.POSITIVE,
    own: bool = True,
) -> Markup:
    """Show a neuron in brief, all of it a link to its page.

    `pictures`: which images to show instead of the strongest ones of the `end`; `title`: instead of
    the neuron's own and of what the pictures share; `note`: how it was found, say. `own`: whether
    it is of the bundle that the page shows, to which the pins belong.
    """
    layer, neuron = view.place(row)
    if pictures is None:
        most = SMALL_CARD_PICTURES if small else grouping.STRONGEST
        pictures = grouping.strongest(view, row, most, end)
    silent = " · silent" if view.silent[row] else ""
    opposite = end == grouping.NEGATIVE
    sign = -1 if opposite else 1
    chip = [" ", tag("span", "opposite end", css="chip", title=OPPOSITE_WHY)] if opposite else ""
    body = (
        tag("div", f"{glossary.neuron_name(layer, neuron)}{silent}", chip, css="where"),
        strip(view, pictures),
        tag("div", title, css="concepts", title=title) if title else named(view.title(row, sign)),
        NOTHING if title else _shows(view, row, end),
        note,
        NOTHING if small else measures_line(view, row),
    )
    if not own:
        return tag("div", neuron_link(view, row, body, css="card", pins=""), css="cardbox")
    whole = neuron_link(view, row, body, css="card")
    return tag("div", whole, pin_button(layer, neuron), css="cardbox")


def named(title: Title, name: str = "div") -> Markup:
    """Show what a neuron may be called: in bold what is more than chance, anything else in grey."""
    if title.claims:
        return tag(name, title.text, css="concepts", title=title.text)
    said = f"{title.text}. {UNTESTED}" if title.basis == "untested" else title.text
    return tag(name, title.text, css="concepts unclaimed", title=said)


def _shows(view: View, row: int, end: int) -> Markup:
    """Say in one line of a card what the pictures share."""
    said = words_said(view, row, end) or "nothing in common"
    text = f"pictures: {said}"
    return tag("div", text, css="shows", title=text)


def match(*children: Child) -> Markup:
    """Say on a card how its neuron was found."""
    return tag("div", children, css="match")


def words_said(view: View, row: int, end: int = grouping.POSITIVE) -> str:
    """Say what the pictures of one end share, each word with its count."""
    return ", ".join(f"{word} {count}" for word, count in grouping.shared_words(view, row, end))


def shown_words(view: View, row: int) -> Markup:
    """Say in a sentence what the positive end's pictures share; nothing for a dead neuron."""
    count = sum(image >= 0 for image in view.bundle.top_images[row, grouping.POSITIVE])
    if not count:
        return NOTHING
    words = grouping.shared_words(view, row)
    if not words:
        return caption(f"Its {count} top pictures share no word.")
    said = ", ".join(f"{word} in {held}" for word, held in words)
    return caption(f"Of its {count} top pictures, {said}.")


def measures_line(view: View, row: int) -> Markup:
    """Show the leading measures in one line."""
    shown = (
        (measure, float(view.column(measure.key)[row]))
        for measure in measures_of("card")
        if measure.key in view.neurons
    )
    spans = (tag("span", tag("b", m.show(value)), f" {m.short}") for m, value in shown)
    return tag("div", spans, css="measures-line")


def cards(items: Iterable[Markup], small: bool = False) -> Markup:
    """Lay cards out."""
    return tag("div", items, css="cards small" if small else "cards")


def measures(view: View, row: int) -> Markup:
    """Show a neuron's measures: value, standing in the bundle, what it means."""
    record, ranks = view.neurons.iloc[row], view.ranks.iloc[row]
    shown = (
        _measure(view, measure, float(record[measure.key]), float(ranks[measure.key]))
        for measure in measures_of("page")
        if measure.key in ranks
    )
    return tag("div", shown, css="figures measures")


def _measure(view: View, measure: Measure, value: float, rank: float) -> Markup:
    """Show a measure; its bar is the neuron's rank in the bundle, the tick that of chance.

    A p-value has no bar, but the value up to which neurons pass.
    """
    chance = measure.chance_in(view.bundle)
    return tag(
        "div",
        tag("div", measure.name, css="name"),
        tag("div", measure.show(value), css="value"),
        _ranked(view, measure, rank),
        tag("div", chance.said if measure.passes else f"┃ {chance.said}", css="chance")
        if chance
        else _unmeasured(measure),
        tag("div", measure.meaning, css="why"),
    )


def measure_line(view: View, row: int, measure: Measure) -> Markup:
    """Show a measure in one line: name, value, its bar with the tick of chance, where that is."""
    value, rank = float(view.column(measure.key)[row]), float(view.ranks[measure.key].iloc[row])
    chance = measure.chance_in(view.bundle)
    return tag(
        "div",
        tag("span", measure.name, css="name", title=measure.meaning),
        tag("b", measure.show(value)),
        _ranked(view, measure, rank),
        tag("span", chance.said, css="chance") if chance else tag("span", _unmeasured(measure)),
    )


def _unmeasured(measure: Measure) -> Markup:
    """Say that a level is missing, of a measure that says nothing without one."""
    return muted("random weights: not measured") if measure.untrained else NOTHING


def _ranked(view: View, measure: Measure, rank: float) -> Markup:
    """Draw the bar of a neuron's rank, with the tick of chance; none of a p-value."""
    if measure.passes:
        return tag("span")
    standing = f"at or above {glossary.share(rank)} of neurons" if rank > 0 else "not measured"
    chance = measure.chance_in(view.bundle)
    tick = None if chance is None else view.share_up_to(measure.key, chance.value)
    if tick is not None and chance is not None:
        standing += f"; {chance.said}, at or above {glossary.share(tick)} of neurons"
    shown = max(rank, 0) if np.isfinite(rank) else 0
    return rank_bar(shown, tick, role="img", aria_label=standing, title=standing)


def rank_bar(share: float, tick: float | None = None, **attributes: str) -> Markup:
    """Draw a bar that is filled by a share of 1, with a tick at another where there is one."""
    mark = NOTHING if tick is None else tag("s", style=f"left:{100 * tick:.0f}%")
    filled = tag("i", style=f"width:{100 * share:.0f}%")
    return tag("div", filled, mark, css="rank", **attributes)


def legend(clusters: Sequence[Cluster]) -> Markup:
    """Say which colour stands for which concept cluster, with the share it carries."""
    coloured = [cluster for cluster in clusters if cluster.colour != grouping.REST]
    keys = [
        tag("span", dot(), f"{c.title(2)} {glossary.share(c.share)}", css=f"c{c.colour}")
        for c in coloured
    ]
    if len(coloured) < len(clusters):
        rest = sum(cluster.share for cluster in clusters) - sum(c.share for c in coloured)
        said = f"smaller clusters {glossary.share(rest)}"
        keys.append(tag("span", dot(), said, css=f"c{grouping.REST}"))
    return tag("div", keys, css="legend")

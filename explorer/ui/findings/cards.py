"""Findings and collections in brief: cards, and the lines below a title."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from explorer.findings import notes
from explorer.findings.model import Finding, SavedCollection, SavedFinding
from explorer.ui.core import glossary
from explorer.ui.data import findings_data
from explorer.ui.findings.pictures import CARD_PICTURES, images_of, own_picture, strip, strip_of
from explorer.ui.html import cards, pictures
from explorer.ui.html.elements import NOTHING, Child, caption, joined, tag
from explorer.ui.html.links import chips, link
from explorer.ui.shell.frame import NAVIGATION

SUMMARY = 160  # characters of a note on a card


def byline(saved: SavedFinding | SavedCollection) -> Markup:
    """Say who changed it last, when, and which version it is; of a finding also its bundle."""
    content = saved.content
    items: list[Child] = [["by ", tag("span", content.author)]] if content.author else []
    items.append(f"changed {moment(saved.changed)}")
    if saved.version > 1:
        items.append(f"version {saved.version}")
    if isinstance(content, Finding):
        items.append(f"bundle {content.bundle.name}")
    return caption(joined(items, " · "))


def moment(time: str) -> str:
    """Return a stored time to the minute."""
    return f"{time[:10]} {time[11:16]} UTC"


def tags(content: Finding, key: str) -> Markup:
    """Show a finding's tags, each a link to the findings that share it."""
    if not content.tags:
        return NOTHING
    return chips(link("findings", name, css="chip", bundle=key, tag=name) for name in content.tags)


def note(text: str) -> Markup:
    """Show a note, drawn from its Markdown."""
    return tag("div", notes.to_html(text), css="note") if text else NOTHING


def finding_cards(saved: Iterable[SavedFinding], key: str) -> Markup:
    """Lay findings out; `key` is the bundle of the page."""
    return cards.cards(_finding_card(item, key) for item in saved)


def _finding_card(saved: SavedFinding, key: str) -> Markup:
    """Show a finding in brief, all of it a link to its page."""
    content = saved.content
    view = findings_data.view_of(content.bundle)
    body = (
        strip_of(view, content),
        tag("div", subject(content), css="where"),
        tag("div", content.title, css="concepts"),
        tag("div", excerpt(content.note), css="excerpt"),
        tag("div", _foot(saved, content.tags), css="where"),
    )
    return link("finding", body, css="card", bundle=view.key if view else key, id=saved.id)


def collection_card(saved: SavedCollection, members: Sequence[SavedFinding], key: str) -> Markup:
    """Show a collection in brief, with a picture of each of its first findings."""
    images: list[Markup] = []
    views = {ref: findings_data.view_of(ref) for ref in {item.content.bundle for item in members}}
    for item in members[:CARD_PICTURES]:
        view = views[item.content.bundle]
        if item.content.copy:
            images.append(own_picture(item.content))
        elif view:
            images += [pictures.image(view, i) for i in images_of(view, item.content, 1)]
    count = len(saved.content.findings)
    body = (
        strip(images) if images else NOTHING,
        tag("div", f"{count} finding{'' if count == 1 else 's'}", css="where"),
        tag("div", saved.content.title, css="concepts"),
        tag("div", excerpt(saved.content.note), css="excerpt"),
        tag("div", _foot(saved), css="where"),
    )
    return link("collection", body, css="card", bundle=key, id=saved.id)


def _foot(saved: SavedFinding | SavedCollection, tags: Sequence[str] = ()) -> Markup:
    parts = (saved.content.author, moment(saved.changed))
    names = joined((tag("span", name) for name in tags), ", ")
    return joined(
        [*(tag("span", part) for part in parts if part), *([names] if names else [])], " · "
    )


def page_name(name: str) -> str:
    """Return what a page is called."""
    return NAVIGATION.get(name, name.capitalize())


def subject(content: Finding) -> str:
    """Say what a finding is about."""
    if content.kind == "view":
        return f"The page {page_name(content.origin)}"
    if content.image is not None:
        return f"Picture {content.image:,}"
    if content.copy:
        return "A picture of its own"
    first = content.neurons[0]
    more = f" and {len(content.neurons) - 1} more" if len(content.neurons) > 1 else ""
    return glossary.neuron_name(first.layer, first.neuron) + more


def excerpt(text: str) -> str:
    """Return a note's beginning on one line, without its markup."""
    line = notes.to_text(text)
    return line if len(line) <= SUMMARY else line[: SUMMARY - 1].rstrip() + "…"

"""Pieces of HTML that the findings pages share. Every text is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape

from explorer.errors import InputError
from explorer.findings import notes
from explorer.findings.copy import opened
from explorer.findings.model import Finding, SavedCollection, SavedFinding
from explorer.picture import painting
from explorer.ui.core import glossary
from explorer.ui.data import findings_data
from explorer.ui.data.loaders import View
from explorer.ui.html import parts
from explorer.ui.shell.frame import NAVIGATION

CARD_PICTURES = 8
THUMBNAIL = 112  # pixels of the long side of a finding's own picture
SUMMARY = 160  # characters of a note on a card


def byline(saved: SavedFinding | SavedCollection) -> str:
    """Who, when, which version; for a finding also of which bundle."""
    content = saved.content
    items = [f"by {escape(content.author)}"] if content.author else []
    items.append(f"changed {moment(saved.changed)}")
    if saved.version > 1:
        items.append(f"version {saved.version}")
    if isinstance(content, Finding):
        items.append(f"bundle {escape(content.bundle.name)}")
    return f'<p class="caption">{" · ".join(items)}</p>'


def moment(time: str) -> str:
    """A stored time to the minute."""
    return f"{time[:10]} {time[11:16]} UTC"


def tags(content: Finding, key: str) -> str:
    """A finding's tags, each a link to the findings that share it."""
    links = (
        parts.link("findings", escape(tag), css="chip", bundle=key, tag=tag) for tag in content.tags
    )
    return f'<div class="chips">{"".join(links)}</div>' if content.tags else ""


def note(text: str) -> str:
    """A note, drawn from its Markdown."""
    return f'<div class="note">{notes.to_html(text)}</div>' if text else ""


def cards(saved: Iterable[SavedFinding], key: str) -> str:
    """A grid of findings."""
    return parts.cards(card(item, key) for item in saved)


def card(saved: SavedFinding, key: str, extra: str = "") -> str:
    """A finding in brief, all of it a link to its page; ``extra`` is HTML."""
    content = saved.content
    view = findings_data.view_of(content.bundle)
    shown = strip_of(view, content)
    body = (
        f'{shown}<div class="where">{escape(subject(content))}</div>'
        f'<div class="concepts">{escape(content.title)}</div>'
        f'<div class="excerpt">{escape(excerpt(content.note))}</div>'
        f'<div class="where">{_foot(saved, ", ".join(content.tags))}</div>{extra}'
    )
    return parts.link("finding", body, css="card", bundle=view.key if view else key, id=saved.id)


def page_name(name: str) -> str:
    """What a page is called."""
    return NAVIGATION.get(name, name.capitalize())


def _foot(saved: SavedFinding | SavedCollection, more: str = "") -> str:
    items = (saved.content.author, moment(saved.changed), more)
    return escape(" · ".join(filter(None, items)))


def subject(content: Finding) -> str:
    """What a finding is about, in words."""
    if content.kind == "view":
        return f"The page {page_name(content.origin)}"
    if content.image is not None:
        return f"Picture {content.image:,}"
    if content.copy:
        return "A picture of its own"
    first = content.neurons[0]
    more = f" and {len(content.neurons) - 1} more" if len(content.neurons) > 1 else ""
    return glossary.neuron_name(first.layer, first.neuron) + more


def strip_of(view: View | None, content: Finding, most: int = CARD_PICTURES) -> str:
    """The pictures that stand for a finding, side by side; without its bundle only its own."""
    if content.copy:
        return strip(copy(content))
    return parts.strip(view, pictures(view, content, most)) if view else ""


def pictures(view: View, content: Finding, most: int = CARD_PICTURES) -> list[int]:
    """The pictures that stand for a finding: its own, or its first neurons' strongest."""
    if content.image is not None:
        return [content.image] if content.image < len(view.labels) else []
    rows = known_rows(view, content)
    if not rows:
        return []
    each = max(1, most // min(len(rows), 2))
    return [image for row in rows[:2] for image in parts.strongest(view, row, each)][:most]


def copy(content: Finding, longest: int = THUMBNAIL) -> str:
    """The finding's own picture, reduced; nothing where it has none or it is damaged."""
    try:
        file = _reduced(content.copy, longest) if content.copy else b""
    except InputError:
        return ""
    if not file:
        return ""
    said = escape(", ".join(content.texts) or content.title)
    return f'<img src="{parts.picture_source(file)}" alt="{said}" title="{said}">'


def strip(*images: str) -> str:
    """Pictures side by side; ``images`` are HTML."""
    cells = (f'<span class="cell">{image}</span>' for image in images)
    return f'<div class="strip">{"".join(cells)}</div>'


@lru_cache(maxsize=256)
def _reduced(data: bytes, longest: int) -> bytes:
    picture = opened(data)
    picture.thumbnail((longest, longest))
    return painting.encode(picture, "WEBP")


def known_rows(view: View, content: Finding) -> list[int]:
    """The rows of a finding's neurons, those aside that the bundle does not have."""
    places = ((ref.layer, ref.neuron) for ref in content.neurons)
    return [view.bundle.row(*place) for place in places if view.has(*place)]


def excerpt(text: str) -> str:
    """A note's beginning on one line, without its markup."""
    line = notes.to_text(text)
    return line if len(line) <= SUMMARY else line[: SUMMARY - 1].rstrip() + "…"


def collection_card(saved: SavedCollection, members: Sequence[SavedFinding], key: str) -> str:
    """A collection in brief, with a picture of each of its first findings."""
    cells: list[str] = []
    views = {ref: findings_data.view_of(ref) for ref in {item.content.bundle for item in members}}
    for item in members[:CARD_PICTURES]:
        view = views[item.content.bundle]
        if item.content.copy:
            cells.append(copy(item.content))
        elif view:
            cells += [parts.image(view, i) for i in pictures(view, item.content, 1)]
    shown = strip(*cells) if cells else ""
    count = len(saved.content.findings)
    body = (
        f'{shown}<div class="where">{count} finding{"" if count == 1 else "s"}</div>'
        f'<div class="concepts">{escape(saved.content.title)}</div>'
        f'<div class="excerpt">{escape(excerpt(saved.content.note))}</div>'
        f'<div class="where">{_foot(saved)}</div>'
    )
    return parts.link("collection", body, css="card", bundle=key, id=saved.id)

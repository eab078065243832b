"""Pieces of HTML: pictures, cards, figures. Pure strings; every text is escaped here.

They are shown through `st.html`, which cleans them a second time.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from explorer.ui.address.address import PINS, Place, here, href, read_places, write_places
from explorer.ui.core import glossary
from explorer.ui.data import grouping
from explorer.ui.data.grouping import Cluster, Picture, PictureGroup
from explorer.ui.data.loaders import View
from explorer.ui.server import files

CARD_PICTURES = 8
MOST_PINS = 4
SMALL_CARD_PICTURES = 6
SHOWS_WHY = "Words of labels and keywords that its top pictures share, with the number of pictures"


def picture_source(data: bytes) -> str:
    """An encoded picture that no file holds, one just painted say, as a data address."""
    kind = files.picture_kind(data)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def picture_mark(svg: str) -> str:
    """A drawing of the app's own, decorative."""
    source = base64.b64encode(svg.encode()).decode("ascii")
    return f'<img src="data:image/svg+xml;base64,{source}" alt="">'


def image(view: View, number: int, source: str | None = None) -> str:
    """One picture, or another in its place, its label as alternative text."""
    label = escape(view.labels[number])
    source = source or files.picture_address(view, number)
    return f'<img src="{source}" alt="{label}" title="{label}" loading="lazy" decoding="async">'


def link(
    page: str, text: str, /, css: str = "", rel: str = "", marks: str = "", **params: object
) -> str:
    """A link to a page that the router follows without a reload; `text` and `marks` are HTML."""
    return _anchor(page, params, text, css, rel, marks)


def _anchor(
    page: str,
    params: Mapping[str, object],
    text: str,
    css: str = "",
    rel: str = "",
    marks: str = "",
) -> str:
    marks += (f' class="{css}"' if css else "") + (f' rel="{rel}"' if rel else "")
    return f'<a href="{escape(href(page, **params))}" data-page="{page}"{marks}>{text}</a>'


def pin_link(place: Place, pinned: Sequence[Place], text: str, say: str, css: str = "") -> str:
    """A link to the page as it is with other pins, without a jump to its top.

    `place` is what it pins or unpins, `pinned` all pins it leads to; `text` is HTML, `say` what a
    screen reader says.
    """
    where, name = here(), escape(say)
    marks = f' data-stay="" data-pin="{write_places([place])}" aria-label="{name}" title="{name}"'
    params = {**where.params, PINS: write_places(pinned)}
    return _anchor(where.page, params, text, css, marks=marks)


def choices(
    page: str, name: str, options: Mapping[str, str], current: str, key: str, /, **params: object
) -> str:
    """Views of one page side by side, each a link that sets the parameter `key`."""
    items = (
        _anchor(
            page,
            params | {key: option},
            escape(text),
            marks=' aria-current="true"' if option == current else "",
        )
        for option, text in options.items()
    )
    return f'<nav class="choices" aria-label="{escape(name)}">{"".join(items)}</nav>'


def pager(page: str, number: int, pages: int, /, **params: object) -> str:
    """The way to the pages of results before and after; nothing where there is only one."""
    if pages == 1:
        return ""

    def step(to: int, text: str, rel: str) -> str:
        if not 1 <= to <= pages:
            return f'<span class="button">{text}</span>'
        return _anchor(page, params | {"page": to if to > 1 else None}, text, "button", rel)

    return (
        '<nav class="pager" aria-label="Pages of results">'
        f"{step(number - 1, '← Previous', 'prev')}"
        f'<span class="muted num">page {number:,} of {pages:,}</span>'
        f"{step(number + 1, 'Next →', 'next')}</nav>"
    )


def pin_button(layer: int, neuron: int, wide: bool = False) -> str:
    """Pin a neuron to compare it, or unpin it; nothing where all pins are taken."""
    pinned, _ = read_places(here().params.get(PINS, ""))
    name = glossary.neuron_name(layer, neuron)
    if (layer, neuron) in pinned:
        left = [place for place in pinned if place != (layer, neuron)]
        say, short, long = f"Unpin {name}", "✓", "✓ Pinned"
        css = "pin on"
    elif len(pinned) < MOST_PINS:
        left = [*pinned, (layer, neuron)]
        say, short, long = f"Pin {name} to compare", "+", "+ Pin to compare"
        css = "pin"
    else:
        return ""
    text, css = (long, "button") if wide else (short, css)
    return pin_link((layer, neuron), left, text, say, css)


def copy_button(text: str, address: str) -> str:
    """A button that copies what the server answers at an address; see router.js."""
    return f'<button type="button" class="button" data-copy="{escape(address)}">{text}</button>'


def block(*parts: str, css: str = "") -> str:
    """Everything drawn stands in such a block, which carries the app's typography."""
    return f'<div class="lens {css}">{"".join(parts)}</div>'


def notice(sentence: str) -> str:
    """One sentence about something that isn't as asked."""
    return f'<p class="notice" role="status">{escape(sentence)}</p>'


def text_chips(view: View, near: Iterable[tuple[int, float]]) -> str:
    """Texts by their row, each with its cosine and a link to its concept page."""
    return "".join(
        link(
            "concept",
            f"{escape(view.bundle.texts[row])} "
            f'<span class="muted num">{glossary.number(cosine)}</span>',
            css="chip",
            bundle=view.key,
            text=view.bundle.texts[row],
        )
        for row, cosine in near
    )


def tiles(view: View, pictures: Sequence[Picture], sources: Mapping[int, str] | None = None) -> str:
    """A grid of pictures, each with label, effect, its cluster's colour and a link to its page.

    ``sources`` are drawn in place of the pictures, by their number.
    """
    cells = (_tile(view, picture, (sources or {}).get(picture.image)) for picture in pictures)
    return f'<div class="pics">{"".join(cells)}</div>'


def _tile(view: View, picture: Picture, source: str | None) -> str:
    colour = f" c{picture.colour}" if picture.colour != grouping.REST else ""
    shown = image(view, picture.image, source)
    opened = link("image", shown, bundle=view.key, image=picture.image)
    return (
        f'<figure class="tile{colour}"><div class="frame">{opened}</div>'
        f'<figcaption><span class="label">{escape(view.labels[picture.image])}</span>'
        f'<span class="effect">{glossary.effect(picture.effect)}</span></figcaption></figure>'
    )


def groups(
    view: View, found: Sequence[PictureGroup], sources: Mapping[int, str] | None = None
) -> str:
    """Groups of pictures, small ones beside each other; ``sources`` as in `tiles`."""
    blocks = (
        f'<section class="group" style="--count: {len(group.pictures)}">{group_heading(group)}'
        f"{tiles(view, group.pictures, sources)}</section>"
        for group in found
    )
    return f'<div class="groups">{"".join(blocks)}</div>'


def group_heading(group: PictureGroup) -> str:
    """What a group of pictures shares, and in how many of them."""
    if group.word:
        count = f"{group.agreeing} of {len(group.pictures)}"
        return f'<h3>{escape(group.word)} <span class="muted">{count}</span></h3>'
    name = "alike, without a common word" if group.alike else "alone"
    return f'<h3><span class="muted">{name}, {len(group.pictures)}</span></h3>'


def strip(view: View, images: Iterable[int], wide: bool = False) -> str:
    """Pictures side by side, without captions; `wide`: as many in a row as there is room for."""
    cells = (f'<span class="cell">{image(view, int(number))}</span>' for number in images)
    return f'<div class="strip{" pics" if wide else ""}">{"".join(cells)}</div>'


def meanings(view: View, groups: Sequence[tuple[str, int, Sequence[int]]]) -> str:
    """Groups of pictures side by side: name, colour, images."""
    parts = []
    for name, colour, images in groups:
        shown = escape(name)
        parts.append(
            f'<div class="meaning c{colour}"><div class="name"><span class="dot"></span>'
            f'<span class="text" title="{shown}">{shown}</span></div>'
            f"{strip(view, images)}</div>"
        )
    return f'<div class="meanings">{"".join(parts)}</div>'


def card(
    view: View,
    row: int,
    note: str = "",
    pictures: Sequence[int] | None = None,
    small: bool = False,
    title: str = "",
    end: int = grouping.POSITIVE,
) -> str:
    """A neuron in brief, all of it a link to its page; `note` is HTML.

    `pictures`: which images to show instead of the strongest ones of the `end`; `title`: instead of
    concepts and of what the pictures share.
    """
    layer, neuron = view.place(row)
    if pictures is None:
        pictures = strongest(view, row, SMALL_CARD_PICTURES if small else CARD_PICTURES, end)
    shows = "" if title else _shows(view, row, end)
    concepts = escape(title or str(view.column("concepts")[row])) or "no concepts"
    silent = " · silent" if view.silent[row] else ""
    body = (
        f"{strip(view, pictures)}"
        f'<div class="where">{glossary.neuron_name(layer, neuron)}{silent}</div>'
        f'<div class="concepts">{concepts}</div>{shows}{note}'
        f"{'' if small else facts(view, row)}"
    )
    whole = link("neuron", body, css="card", bundle=view.key, layer=layer, neuron=neuron)
    return f'<div class="cardbox">{whole}{pin_button(layer, neuron)}</div>'


def _shows(view: View, row: int, end: int) -> str:
    """What the pictures share, in one line of a card."""
    said = words_said(view, row, end) or "nothing in common"
    return f'<div class="shows" title="{SHOWS_WHY}">pictures: {said}</div>'


def words_said(view: View, row: int, end: int = grouping.POSITIVE) -> str:
    """What the pictures of one end share, each word with its count."""
    words = grouping.shared_words(view, row, end)
    return ", ".join(f"{escape(word)} {count}" for word, count in words)


def shown_words(view: View, row: int) -> str:
    """What the pictures of the positive end share, in a sentence; nothing for a dead neuron."""
    count = sum(image >= 0 for image in view.bundle.top_images[row, grouping.POSITIVE])
    if not count:
        return ""
    words = grouping.shared_words(view, row)
    said = ", ".join(f"<b>{escape(word)}</b> in {held}" for word, held in words)
    return (
        f'<p class="caption">Of its {count} top pictures, {said}.</p>'
        if words
        else f'<p class="caption">Its {count} top pictures share no word.</p>'
    )


def facts(view: View, row: int) -> str:
    """The leading measures in one line."""
    shown = (
        (glossary.MEASURES[key], float(view.column(key)[row])) for key in glossary.CARD_MEASURES
    )
    spans = (f"<span><b>{m.show(value)}</b> {m.short}</span>" for m, value in shown)
    return f'<div class="facts">{"".join(spans)}</div>'


def strongest(
    view: View, row: int, most: int = CARD_PICTURES, end: int = grouping.POSITIVE
) -> list[int]:
    """The images with the strongest effect at one end, the positive one unless told."""
    return [int(image) for image in view.bundle.top_images[row, end, :most] if image >= 0]


def cards(items: Iterable[str], small: bool = False) -> str:
    """A grid of cards."""
    return f'<div class="cards{" small" if small else ""}">{"".join(items)}</div>'


def figures(items: Iterable[tuple[str, str, str]]) -> str:
    """Headline figures: name, value, one line below."""
    parts = (
        f'<div><div class="name">{escape(name)}</div><div class="value">{escape(value)}</div>'
        f'<div class="why">{escape(why)}</div></div>'
        for name, value, why in items
    )
    return f'<div class="figures">{"".join(parts)}</div>'


def measures(view: View, row: int, keys: Sequence[str] = glossary.PAGE_MEASURES) -> str:
    """A neuron's measures: value, standing in the bundle, what it means."""
    record, ranks = view.neurons.iloc[row], view.ranks.iloc[row]
    parts = []
    for key in (key for key in keys if key in ranks):
        measure, rank = glossary.MEASURES[key], float(ranks[key])
        standing = f"at or above {glossary.share(rank)} of neurons" if rank > 0 else "not measured"
        parts.append(
            f'<div><div class="name">{measure.name}</div>'
            f'<div class="value">{measure.show(float(record[key]))}</div>'
            f'<div class="rank" role="img" aria-label="{standing}" title="{standing}">'
            f'<i style="width:{100 * rank if rank > 0 else 0:.0f}%"></i></div>'
            f'<div class="why">{measure.meaning}</div></div>'
        )
    return f'<div class="figures measures">{"".join(parts)}</div>'


def legend(clusters: Sequence[Cluster]) -> str:
    """Which colour stands for which concept cluster, with the share it carries."""
    coloured = [cluster for cluster in clusters if cluster.colour != grouping.REST]
    parts = [
        f'<span class="c{cluster.colour}"><span class="dot"></span>{escape(cluster.title(2))} '
        f"{glossary.share(cluster.share)}</span>"
        for cluster in coloured
    ]
    if len(coloured) < len(clusters):
        rest = sum(cluster.share for cluster in clusters) - sum(c.share for c in coloured)
        parts.append(
            f'<span class="c{grouping.REST}"><span class="dot"></span>'
            f"smaller clusters {glossary.share(rest)}</span>"
        )
    return f'<div class="legend">{"".join(parts)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A plain table that scrolls by itself where it is too wide; columns in `right` are numbers."""

    def cell(tag: str, column: int, text: str) -> str:
        css = ' class="right"' if column in right else ""
        return f"<{tag}{css}>{escape(text)}</{tag}>"

    top = "".join(cell("th", i, text) for i, text in enumerate(head))
    body = "".join(
        f"<tr>{''.join(cell('td', i, text) for i, text in enumerate(row))}</tr>" for row in rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )

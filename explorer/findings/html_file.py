"""One finding or collection as a single HTML file that opens anywhere, without a server.

Pictures are inlined, charts are SVG, there is no script. Every text is escaped; should one slip
through all the same, the content security policy of the file lets nothing run and nothing load.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from explorer.findings import notes
from explorer.findings.model import ORIGIN, SavedCollection, SavedFinding
from explorer.findings.snapshot import NeuronShot, Shot, Snapshot
from explorer.palette import CLUSTER_COLOURS

Address = Callable[[str, dict[str, object]], str]
"""A page's name and parameters -> its whole address on the server that exports; "" without one."""

STYLE = (Path(__file__).parent / "html_file.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; img-src data:; style-src 'sha256-{_STYLE_HASH}'; "
    "base-uri 'none'; form-action 'none'"
)
BAR, LINE, TEXTS, WIDTH = 13, 20, 170, 440  # of the chart, pixels


def finding_file(snapshot: Snapshot, address: Address | None = None) -> str:
    """Return a finding's HTML file; ``address`` makes its links back to the server."""
    saved = snapshot.saved
    back = _back(
        address,
        "finding",
        {"id": saved.id, "digest": saved.content.bundle.digest},
        "Open in the explorer",
    )
    body = f"<h1>{escape(saved.content.title)}</h1>{_byline(saved)}{back}"
    return _page(saved.content.title, body + _content(snapshot, address))


def collection_file(
    collection: SavedCollection, snapshots: Sequence[Snapshot], address: Address | None = None
) -> str:
    """Return a collection's HTML file, its findings in their order below a table of contents."""
    content = collection.content
    listed = "".join(
        f'<li><a href="#f{number}">{escape(shot.saved.content.title)}</a></li>'
        for number, shot in enumerate(snapshots, 1)
    )
    articles = "".join(
        f'<article id="f{number}"><h2>{escape(shot.saved.content.title)}</h2>'
        f"{_byline(shot.saved)}{_content(shot, address)}</article>"
        for number, shot in enumerate(snapshots, 1)
    )
    back = _back(address, "collection", {"id": collection.id}, "Open in the explorer")
    return _page(
        content.title,
        f"<h1>{escape(content.title)}</h1>{_by(content.author, collection.changed)}"
        f'<div class="note">{notes.to_html(content.note)}</div>{back}<ol>{listed}</ol>{articles}',
    )


def concept_chart(shot: NeuronShot) -> str:
    """The concepts as signed bars in SVG, the text of each beside its bar."""
    if not shot.bars:
        return "<p>This neuron has no concepts.</p>"
    reach = max(abs(bar.weight) for bar in shot.bars)
    left = reach if any(bar.weight < 0 for bar in shot.bars) else 0.0
    room = WIDTH - TEXTS - 60
    unit = room / (left + reach)
    zero = TEXTS + left * unit
    lines = []
    for number, bar in enumerate(shot.bars):
        top = number * LINE
        length = abs(bar.weight) * unit
        start = zero if bar.weight > 0 else zero - length
        end = zero + max(bar.weight, 0) * unit
        lines.append(
            f'<text class="name" x="{TEXTS - 8}" y="{top + 11}">{escape(_short(bar.text))}</text>'
            f'<rect x="{start:.1f}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2" '
            f'fill="{CLUSTER_COLOURS[bar.colour]}"/>'
            f'<text class="value" x="{end + 5:.1f}" y="{top + 11}">{signed(bar.weight)}</text>'
        )
    height = LINE * len(shot.bars)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height + 2}" role="img" '
        f'aria-label="Concepts and their weights">{"".join(lines)}'
        f'<path class="axis" d="M{zero:.1f} 0V{height - LINE + BAR}"/></svg>'
    )


def signed(value: float) -> str:
    """A signed weight with two decimals and a true minus."""
    return f"{value:+.2f}".replace("-", "−")


def _short(text: str, most: int = 24) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _page(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _byline(saved: SavedFinding) -> str:
    content = saved.content
    tags = "".join(f'<span class="tag">{escape(tag)}</span>' for tag in content.tags)
    bundle = f"bundle {content.bundle.name}, digest {content.bundle.digest[:12]}…"
    return _by(content.author, saved.changed, bundle) + (f'<p class="tags">{tags}</p>' * bool(tags))


def _by(author: str, changed: str, more: str = "") -> str:
    parts = [f"by {author}" if author else "", f"changed {changed[:10]}", more]
    return f'<p class="muted">{escape(" · ".join(part for part in parts if part))}</p>'


def _back(
    address: Address | None, page: str, params: dict[str, object], text: str, css: str = "back"
) -> str:
    to = address(page, params) if address else ""
    if not to:
        return ""
    return (
        f'<p class="{css}"><a href="{escape(to)}" rel="noopener noreferrer">{escape(text)}</a></p>'
    )


def _content(snapshot: Snapshot, address: Address | None) -> str:
    content = snapshot.saved.content
    parts = [f'<div class="note">{notes.to_html(content.note)}</div>']
    if snapshot.missing:
        parts.append(f'<p class="missing">{escape(snapshot.missing)}</p>')
    if content.texts:
        quoted = ", ".join(f"“{escape(text)}”" for text in content.texts)
        parts.append(f"<p>Texts: {quoted}</p>")
    if snapshot.pictures:
        parts.append(f'<div class="pictures large">{_pictures(snapshot.pictures)}</div>')
    parts += _links(snapshot.saved, address) if snapshot.bundled else []
    parts += [_neuron(shot, snapshot.saved, address) for shot in snapshot.neurons]
    return "".join(parts)


def _links(saved: SavedFinding, address: Address | None) -> list[str]:
    """The ways back to the view that it was found in, and to its picture."""
    content = saved.content
    links = []
    if content.origin:
        view = {key: value for key, value in content.settings.items() if key != ORIGIN}
        where = {**view, "digest": content.bundle.digest}
        links.append(_back(address, content.origin, where, "Open the view it was found in"))
    if content.kind in {"image", "copy"}:
        named = {"image": content.image} if content.kind == "image" else {"finding": saved.id}
        texts = {"texts": ",".join(content.texts)} if content.texts else {}
        picture = {**content.own_settings, "digest": content.bundle.digest, **named, **texts}
        links.append(_back(address, "image", picture, "Open this picture in the explorer"))
    return links


def _neuron(shot: NeuronShot, saved: SavedFinding, address: Address | None) -> str:
    measures = " · ".join(
        f"{name.replace('_', ' ')} {value:.2f}" for name, value in shot.measures.items()
    )
    params: dict[str, object] = {"layer": shot.layer, "neuron": shot.neuron}
    back = _back(
        address,
        "neuron",
        {**saved.content.own_settings, "digest": saved.content.bundle.digest, **params},
        "Open this neuron in the explorer",
    )
    return (
        f"<section><h3>Layer {shot.layer} · Neuron {shot.neuron:,}</h3>"
        f'<p class="muted">{escape(measures)}</p>'
        '<div class="columns"><figure><figcaption>The texts whose weighted sum comes closest to '
        "the neuron’s direction (weights, no unit). Colours: clusters of related texts."
        f"</figcaption>{concept_chart(shot)}</figure>"
        "<figure><figcaption>The pictures whose second-order effect points most strongly along "
        "it (effect minus its mean, in units of the output before normalisation).</figcaption>"
        f'<div class="pictures">{_pictures(shot.pictures)}</div></figure></div>{back}</section>'
    )


def _pictures(shots: Sequence[Shot]) -> str:
    return "".join(
        f'<figure><img src="data:image/{shot.kind};base64,{base64.b64encode(shot.data).decode()}" '
        f'alt="{escape(shot.caption)}"><figcaption>{escape(shot.caption)}'
        f"{_effect(shot.effect)}</figcaption></figure>"
        for shot in shots
    )


def _effect(effect: float | None) -> str:
    shown = "" if effect is None else f"{effect:+#.3g}".rstrip(".").replace("-", "−")
    return f" <small>{shown}</small>" if shown else ""

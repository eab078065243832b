"""One finding or collection as a single HTML file that opens anywhere, without a server.

Pictures are inlined, charts are SVG, there is no script. The templates escape every text; should
one slip through all the same, the content security policy of the file lets nothing run and nothing
load.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from explorer import formats
from explorer.findings import captions, notes
from explorer.findings.chart import Chart, chart_of
from explorer.findings.model import ORIGIN, SavedCollection, SavedFinding
from explorer.findings.snapshot import NeuronShot, Shot, Snapshot

Address = Callable[[str, Mapping[str, object]], str]
"""A page's name and parameters -> its whole address on the server that exports; "" without one."""

Place = tuple[str, Mapping[str, object], str]
"""A page, its parameters, and the words of a link to it."""

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Link:
    """A way back to the server."""

    address: str
    text: str


@dataclass(frozen=True)
class Neuron:
    """One of a finding's neurons as the templates draw it."""

    shot: NeuronShot
    chart: Chart
    further: Chart
    links: list[Link]


@dataclass(frozen=True)
class Article:
    """A finding as the templates draw it."""

    snapshot: Snapshot
    links: list[Link]
    neurons: list[Neuron]

    @property
    def saved(self) -> SavedFinding:
        """The finding itself."""
        return self.snapshot.saved


def finding_file(snapshot: Snapshot, address: Address | None = None) -> str:
    """Return a finding's HTML file; `address` makes its links back to the server."""
    saved = snapshot.saved
    where = {"id": saved.id, "digest": saved.content.bundle.digest}
    return _rendered(
        "finding.html",
        saved.content.title,
        shown=_article(snapshot, address),
        back=_links(address, ("finding", where, "Open in the explorer")),
    )


def collection_file(
    collection: SavedCollection, snapshots: Sequence[Snapshot], address: Address | None = None
) -> str:
    """Return a collection's HTML file, its findings in their order below a table of contents."""
    where = {"id": collection.id}
    return _rendered(
        "collection.html",
        collection.content.title,
        collection=collection,
        shown=[_article(snapshot, address) for snapshot in snapshots],
        back=_links(address, ("collection", where, "Open in the explorer")),
    )


def _rendered(name: str, title: str, **parts: object) -> str:
    style, policy = _style()
    template = _environment().get_template(name)
    return template.render(title=title, style=style, policy=policy, **parts)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "markdown": notes.to_html,
        "data_address": _data_address,
        "name": captions.neuron_name,
        "measures": lambda shot: " · ".join(captions.measures(shot)),
        "signed": formats.signed,
        "effect": formats.effect,
    }
    return environment


@cache
def _style() -> tuple[Markup, str]:
    """Return the file's style, and the policy that allows it and inlined pictures alone."""
    style = (TEMPLATES / "page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return Markup(style), policy  # noqa: S704  the app's own style sheet


def _data_address(shot: Shot) -> str:
    return f"data:image/{shot.kind};base64,{base64.b64encode(shot.data).decode()}"


def _article(snapshot: Snapshot, address: Address | None) -> Article:
    content = snapshot.saved.content
    digest = {"digest": content.bundle.digest}
    links = _links(address, *_places(snapshot.saved)) if snapshot.bundled else []
    neurons = []
    for shot in snapshot.neurons:
        where = {**content.own_settings, **digest, "layer": shot.layer, "neuron": shot.neuron}
        back = _links(address, ("neuron", where, "Open this neuron in the explorer"))
        neurons.append(Neuron(shot, chart_of(shot.bars), chart_of(shot.further), back))
    return Article(snapshot, links, neurons)


def _places(saved: SavedFinding) -> list[Place]:
    """Return the view that it was found in, and its picture."""
    content = saved.content
    digest = {"digest": content.bundle.digest}
    places: list[Place] = []
    if content.origin:
        view = {key: value for key, value in content.settings.items() if key != ORIGIN}
        places.append((content.origin, {**view, **digest}, "Open the view it was found in"))
    if content.kind in {"image", "copy"}:
        named = {"image": content.image} if content.kind == "image" else {"finding": saved.id}
        texts = {"texts": ",".join(content.texts)} if content.texts else {}
        picture = {**content.own_settings, **digest, **named, **texts}
        places.append(("image", picture, "Open this picture in the explorer"))
    return places


def _links(address: Address | None, *places: Place) -> list[Link]:
    """Return links to the places that have an address."""
    if address is None:
        return []
    found = [Link(address(page, params), text) for page, params, text in places]
    return [link for link in found if link.address]

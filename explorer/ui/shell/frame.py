"""What every page starts with: settings, style, navigation, the chosen bundle.

`with frame.page(NAME) as page:` holds the whole of each page. It is idempotent and needs nothing
from app.py, since a cold deep link may run a page's file alone. What cannot be read of the bundle
while the page is drawn ends it with one sentence. Links are plain addresses; a small script
follows them through the browser's history without a reload, as Streamlit follows its own back
button.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from markupsafe import Markup
from streamlit.delta_generator import DeltaGenerator

from explorer.errors import BundleError, ExplorerError, InputError
from explorer.places import CHECKOUT, WHERE_SHIPPED, bundles_folder
from explorer.ui.address.address import PINS, arrive, href, parse_jump
from explorer.ui.address.pin import pinned
from explorer.ui.core import command_line
from explorer.ui.core.theme import FAVICON, STYLE
from explorer.ui.data import loaders
from explorer.ui.data.loaders import View
from explorer.ui.html import links
from explorer.ui.html.elements import NOTHING, Child, block, command, notice, tag
from explorer.ui.html.pictures import picture_mark
from explorer.ui.shell import gate, pins, standing

APP = "Second-order explorer"
NAVIGATION = {
    "home": "Overview",
    "search": "Search",
    "neurons": "Neurons",
    "atlas": "Atlas",
    "image": "Image",
    "compare": "Compare",
    "adversarial": "Adversarial",
    "evidence": "Evidence",
    "findings": "Findings",
    "about": "About & credits",
}
UNDER = {  # pages without an entry of their own
    "neuron": "neurons",
    "concept": "search",
    "bundles": "compare",
    "finding": "findings",
    "collection": "findings",
}
COMPARISONS = {"compare": "Neurons", "bundles": "Bundles"}
"""Pages that compare: page -> what."""

_ROUTER = (Path(__file__).parent / "router.js").read_text("utf-8")


@dataclass
class Page:
    """A page under way: the bundle it shows and what could not be read from its address."""

    name: str
    view: View
    params: dict[str, str]
    problems: list[str] = field(default_factory=list)
    saves: list[str] = field(default_factory=list)  # buttons to save it that are drawn already
    head: DeltaGenerator = field(default_factory=partial(st.container, key="lens_page_head"))
    """The place of that button, the same on every page."""


@contextmanager
def page(name: str) -> Iterator[Page]:
    """Set a page up, open its bundle, and say in one sentence what keeps the page from being drawn.

    Without a bundle the empty state ends the page here.
    """
    opened = _begin(name)
    with told(opened.view):
        yield opened


@contextmanager
def told(view: View) -> Iterator[None]:
    """Show in one sentence what cannot be read or used of what is drawn here."""
    try:
        yield
    except BundleError as error:
        draw(_broken(view.key, view.bundle.path, str(error)))
    except ExplorerError as error:
        draw(notice(str(error)))


def _begin(name: str) -> Page:
    st.set_page_config(
        page_title=f"{NAVIGATION.get(UNDER.get(name, name), APP)} · {APP}",
        page_icon=FAVICON,
        layout="wide",
        initial_sidebar_state="auto",
    )
    st.html(f"<style>{STYLE}</style>")
    _mount_router()
    refusal = gate.passed()
    if refusal is not None:
        draw(refusal)
        st.stop()
    asked = st.query_params.to_dict()
    params = {key: unicodedata.normalize("NFC", value) for key, value in asked.items() if value}
    arrive(name, {})
    folder = bundles_folder()
    found = loaders.find_bundles(folder)
    if not found:
        _navigation(name, "")
        draw(_no_bundle(str(folder)))
        st.stop()
    key, problems = _choose(asked.get("bundle", ""), list(found))
    try:
        view = loaders.open_view(key, found[key])
        _ = view.neurons  # every page shows some
    except BundleError as error:
        _navigation(name, key)
        _switcher(list(found), key)
        draw(_broken(key, found[key], str(error)))
        st.stop()
    params, lost = pins.settle(view, params)
    arrive(name, params)
    opened = Page(name, view, params, problems + lost)
    _navigation(name, key, pins.bar(view) if pinned() and name != "compare" else NOTHING)
    _sidebar(opened, list(found))
    said = standing.sentence(view)
    if said:
        draw(said)
    return opened


def draw(*html: Markup, css: str = "") -> None:
    """Show HTML."""
    st.html(block(*html, css=css))


def show_problems(problems: Sequence[str]) -> None:
    """Show one line for each thing in the address that could not be read."""
    if problems:
        draw(*map(notice, problems))


def title(text: str) -> None:
    """Name the browser's tab."""
    st.set_page_config(page_title=f"{text} · {APP}")


def go(page: str, /, **params: object) -> None:
    """Visit an address, from a widget's callback."""
    params = {PINS: st.query_params.get(PINS), **params}
    st.session_state["_visit"] = {"href": href(page, **params), "turn": random.random()}


def address(page: Page, /, **params: Any) -> None:
    """Change the address of the page that is shown, from a widget's callback."""
    kept = {"bundle": page.view.key, PINS: st.query_params.get(PINS, ""), **params}
    st.query_params.from_dict({key: str(value) for key, value in kept.items() if value != ""})


def change(page: Page, /, **params: Any) -> None:
    """Change these parameters of the address and keep the others, from a widget's callback."""
    address(page, **(page.params | {"bundle": page.view.key} | params))


def _mount_router() -> None:
    router = st.components.v2.component("lens_router", js=_ROUTER)
    with st.sidebar:  # an element without size; here it takes no gap of the page
        router(key="lens_router", data=st.session_state.pop("_visit", None))


def _choose(asked: str, found: list[str]) -> tuple[str, list[str]]:
    if not asked or asked in found:
        return asked or found[0], []
    return found[0], [
        f"There is no bundle “{asked}” here, so “{found[0]}” is shown. "
        f"Bundles found: {', '.join(found)}."
    ]


def _links(name: str, key: str) -> list[Markup]:
    current = UNDER.get(name, name)
    return [
        links.link(
            page,
            label,
            marks={"aria_current": "page" if page == current else None},
            bundle=key,
        )
        for page, label in NAVIGATION.items()
    ]


def _navigation(name: str, key: str, below: Markup = NOTHING) -> None:
    """Draw the links in the sidebar, and above the page for phones; `below` them the pins.

    All in one element: if the pins came and went as one of their own, everything after them would
    be drawn anew and the page would lose its place.
    """
    pages = _links(name, key)
    brand = links.link("home", [picture_mark(FAVICON), tag("span", APP)], bundle=key)
    with st.sidebar:
        draw(
            tag("div", brand, css="lens-brand"),
            tag("nav", pages, css="lens-nav", aria_label="Pages"),
        )
    short = tag("nav", pages, css="lens-topnav", aria_label="Pages, short")
    draw(short, below, css="lens-top")


def _sidebar(page: Page, found: list[str]) -> None:
    view = page.view
    with st.sidebar:
        draw(tag("hr"), css="lens-side")
        st.text_input(
            "Jump to a neuron",
            key="_jump",
            placeholder=f"layer neuron, e.g. {view.layers[-1]} 120",
            on_change=_jump,
            args=(view,),
        )
        problem = st.session_state.pop("_jump_problem", "")
        if problem:
            draw(notice(problem))
        draw(random_link(view))
    _switcher(found, view.key)
    with st.sidebar:
        held = f": {len(view.neurons):,} neurons, layers {view.layers[0]}–{view.layers[-1]}"
        draw(tag("hr"), tag("span", "Bundle ", tag("b", view.key), held), css="lens-side")


def random_link(view: View, css: str = "button") -> Markup:
    """Link to a neuron drawn at random among those with an effect."""
    rows = np.flatnonzero(~view.silent)
    row = int(random.choice(rows)) if len(rows) else 0
    return links.neuron_link(view, row, "Random neuron", css=css)


def _jump(view: View) -> None:
    text = st.session_state["_jump"].strip()
    st.session_state["_jump"] = ""
    if not text:
        return
    try:
        layer, neuron = parse_jump(text)
        layer = view.layers[-1] if layer is None else layer
        view.bundle.row(layer, neuron)
    except InputError as error:
        st.session_state["_jump_problem"] = str(error)
        return
    go("neuron", bundle=view.key, layer=layer, neuron=neuron)


def _switcher(found: list[str], key: str) -> None:
    if len(found) < 2:
        return
    st.session_state["_bundle"] = key
    st.sidebar.selectbox("Bundle", found, key="_bundle", on_change=_switch)


def _switch() -> None:
    st.query_params.from_dict({"bundle": st.session_state["_bundle"]})


def _no_bundle(folder: str) -> Markup:
    return _empty(
        "No bundle yet",
        tag(
            "p",
            "A bundle holds everything the explorer shows of one model: its neurons, their "
            "effects, the texts and the pictures. None was found in ",
            tag("code", folder),
            ".",
        ),
        tag("p", WHERE_SHIPPED) if CHECKOUT is None else "",
        tag("p", "Build one from an open_clip model, a folder of pictures and a list of texts:"),
        command(BUILD_COMMAND),
        tag(
            "p",
            "Bundles elsewhere: set ",
            tag("code", loaders.FOLDER_VARIABLE),
            " to the folder that holds them, then reload this page.",
        ),
    )


def _broken(key: str, folder: Path, message: str) -> Markup:
    return _empty(
        f"Bundle “{key}” cannot be opened",
        tag("p", message),
        tag("p", "To see all that is wrong with it:"),
        command(command_line.explorer("verify", folder.resolve())),
    )


def _empty(title: str, *said: Child) -> Markup:
    return tag("div", tag("h1", title), said, css="empty")


BUILD_COMMAND = """python -m explorer build --model ViT-B-32 --pretrained openai \\
    --images my-pictures --texts corpus+common --layers 8,9,10 --out precomputed/my-bundle"""

"""What every page starts with: settings, style, navigation, the chosen bundle.

`begin` is the first line of each page. It is idempotent and needs nothing from app.py, since a
cold deep link may run a page's file alone. Links are plain addresses; a small script follows them
through the browser's history without a reload, as Streamlit follows its own back button.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from explorer.errors import BundleError, InputError
from explorer.ui.address.address import PINS, arrive, href, parse_jump
from explorer.ui.core.theme import FAVICON, STYLE
from explorer.ui.data import loaders
from explorer.ui.data.loaders import View
from explorer.ui.html import parts
from explorer.ui.shell import gate, pins

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
    "finding": "findings",
    "collection": "findings",
}

_ROUTER = (Path(__file__).parent / "router.js").read_text("utf-8")


@dataclass
class Page:
    """A page under way: the bundle it shows and what could not be read from its address."""

    name: str
    view: View
    params: dict[str, str]
    problems: list[str] = field(default_factory=list)
    saves: list[str] = field(default_factory=list)  # buttons to save it that are drawn already


def begin(name: str) -> Page:
    """Set the page up and open its bundle; without one the empty state ends the page here."""
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
    params = {key: value for key, value in st.query_params.to_dict().items() if value}
    arrive(name, {})
    folder = loaders.bundles_folder()
    found = loaders.find_bundles(folder)
    if not found:
        _navigation(name, "")
        draw(_no_bundle(str(folder)))
        st.stop()
    key, problems = _choose(params.get("bundle", ""), list(found))
    try:
        view = loaders.open_view(key, found[key])
    except BundleError as error:
        _navigation(name, key)
        _switcher(list(found), key)
        draw(_broken(key, str(error)))
        st.stop()
    params, lost = pins.settle(view, params)
    arrive(name, params)
    page = Page(name, view, params, problems + lost)
    _navigation(name, key, pins.bar(view) if pins.pinned() and name != "compare" else "")
    _sidebar(page, list(found))
    return page


def draw(*html: str, css: str = "") -> None:
    """Show HTML made by `parts`."""
    st.html(parts.block(*html, css=css))


def show_problems(problems: Sequence[str]) -> None:
    """One line for each thing the address asked for in vain."""
    if problems:
        draw(*(parts.notice(problem) for problem in problems))


def title(text: str) -> None:
    """Name the browser's tab."""
    st.set_page_config(page_title=f"{text} · {APP}")


def go(page: str, /, **params: object) -> None:
    """From a widget's callback: have the browser visit an address."""
    params = {PINS: st.query_params.get(PINS), **params}
    st.session_state["_visit"] = {"href": href(page, **params), "turn": random.random()}


def address(page: Page, /, **params: Any) -> None:
    """From a widget's callback: change the address of the page that is shown."""
    kept = {"bundle": page.view.key, PINS: st.query_params.get(PINS, ""), **params}
    st.query_params.from_dict({key: str(value) for key, value in kept.items() if value != ""})


def change(page: Page, /, **params: Any) -> None:
    """From a widget's callback: change these parameters of the address, keep its others."""
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


def _links(name: str, key: str) -> str:
    current = UNDER.get(name, name)
    items = []
    for page, label in NAVIGATION.items():
        anchor = parts.link(page, label, bundle=key)
        items.append(
            anchor.replace("<a ", '<a aria-current="page" ') if page == current else anchor
        )
    return "".join(items)


def _navigation(name: str, key: str, below: str = "") -> None:
    """The links in the sidebar, and above the page for phones; ``below`` them the pins.

    All in one element: if the pins came and went as one of their own, everything after them would
    be drawn anew and the page would lose its place.
    """
    links = _links(name, key)
    mark = parts.picture_mark(FAVICON)
    with st.sidebar:
        brand = parts.link("home", f"{mark}<span>{APP}</span>", bundle=key)
        draw(
            f'<div class="lens-brand">{brand}</div>',
            f'<nav class="lens-nav" aria-label="Pages">{links}</nav>',
        )
    short = f'<nav class="lens-topnav" aria-label="Pages, short">{links}</nav>'
    draw(short, below, css="lens-top")


def _sidebar(page: Page, found: list[str]) -> None:
    view = page.view
    with st.sidebar:
        draw("<hr>", css="lens-side")
        st.text_input(
            "Jump to a neuron",
            key="_jump",
            placeholder=f"layer neuron, e.g. {view.layers[-1]} 120",
            on_change=_jump,
            args=(view,),
        )
        problem = st.session_state.pop("_jump_problem", "")
        if problem:
            draw(parts.notice(problem))
        draw(random_link(view))
    _switcher(found, view.key)
    with st.sidebar:
        draw(
            f"<hr>Bundle <b>{escape(view.key)}</b>: {len(view.neurons):,} neurons, "
            f"layers {view.layers[0]}–{view.layers[-1]}",
            css="lens-side",
        )


def random_link(view: View, css: str = "button") -> str:
    """A link to a neuron drawn by chance among those with an effect."""
    rows = np.flatnonzero(~view.silent)
    layer, neuron = view.place(int(random.choice(rows)) if len(rows) else 0)
    return parts.link(
        "neuron", "Random neuron", css=css, bundle=view.key, layer=layer, neuron=neuron
    )


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


def _no_bundle(folder: str) -> str:
    return (
        '<div class="empty"><h1>No bundle yet</h1>'
        "<p>A bundle holds everything the explorer shows of one model: its neurons, their effects, "
        f"the texts and the pictures. None was found in <code>{escape(folder)}</code>.</p>"
        "<p>Build one from an open_clip model, a folder of pictures and a list of texts:</p>"
        f"<pre><code>{escape(BUILD_COMMAND)}</code></pre>"
        f"<p>Bundles elsewhere: set <code>{loaders.FOLDER_VARIABLE}</code> to the folder that "
        "holds them, then reload this page.</p></div>"
    )


def _broken(key: str, message: str) -> str:
    return (
        f'<div class="empty"><h1>Bundle “{escape(key)}” cannot be opened</h1>'
        f"<p>{escape(message)}</p><p>To see all that is wrong with it:</p>"
        f"<pre><code>python -m explorer verify precomputed/{escape(key)}</code></pre></div>"
    )


BUILD_COMMAND = """python -m explorer build --model ViT-B-32 --pretrained openai \\
    --images my-pictures --texts common --layers 8,9,10 --out precomputed/my-bundle"""

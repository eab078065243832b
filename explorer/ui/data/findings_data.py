"""The findings' store and the bundles that findings are about, opened once a process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import streamlit as st

from explorer.bundle import MANIFEST, Bundle, Manifest
from explorer.errors import BundleError, ExplorerError
from explorer.findings.database import database_url
from explorer.findings.model import ORIGIN, BundleRef, Finding, Saved, SavedFinding
from explorer.findings.store import Store
from explorer.places import bundles_folder
from explorer.ui.address.address import PAGES, href
from explorer.ui.address.findings_query import linkable
from explorer.ui.data import loaders
from explorer.ui.data.loaders import View

QUIET = 30.0  # seconds without a question after one that the database did not answer
T = TypeVar("T")
_silent: dict[str, float] = {}  # address of a database -> when it may be asked again


def store() -> Store:
    """Open the store that the environment names.

    Raises:
        InputError: when the address names no database.
        StoreError: when the database cannot be used.
    """
    return _store(database_url())


@st.cache_resource(max_entries=4, show_spinner=False)
def _store(url: str) -> Store:
    return Store(url)


def asked(question: Callable[[Store], T], otherwise: T) -> T:
    """Ask for what a page shows beside its own matter: it never waits for a lost database."""
    try:
        url = database_url()
        if time.monotonic() < _silent.get(url, 0.0):
            return otherwise
        return question(store())
    except ExplorerError:
        _silent[database_url()] = time.monotonic() + QUIET
        return otherwise


def attempt(action: Callable[[], object], then: Callable[[], object] = lambda: None) -> None:
    """Run an action and what follows, or keep the reason why not; for a widget's callback."""
    try:
        action()
    except ExplorerError as error:
        st.session_state["_problem"] = str(error)
    else:
        then()


def problems() -> list[str]:
    """Return why the last `attempt` failed, once."""
    found = st.session_state.pop("_problem", "")
    return [found] if found else []


def restore(saved: Saved) -> None:
    """Bring a deleted finding or collection back."""
    kept = store()
    again = kept.restore if isinstance(saved, SavedFinding) else kept.restore_collection
    again(saved.id)


def erase(saved: Saved) -> None:
    """Erase a deleted finding or collection for good."""
    kept = store()
    purge = kept.purge if isinstance(saved, SavedFinding) else kept.purge_collection
    purge(saved.id)


def reference(view: View) -> BundleRef:
    """Return how findings name a view's bundle."""
    return BundleRef(view.bundle.name, view.held("identity", lambda v: v.bundle.manifest.identity))


def view_of(ref: BundleRef) -> View | None:
    """Return the view of a finding's bundle; None where it is not here or cannot be opened."""
    found = loaders.find_bundles(bundles_folder())
    for key, path in found.items():
        if _identity(str(path), _stamp(path)) == ref.digest:
            try:
                return loaders.open_view(key, path)
            except BundleError:
                return None
    return None


def bundles() -> dict[str, Bundle]:
    """Return every bundle that can be opened, by its manifest's identity."""
    opened: dict[str, Bundle] = {}
    for key, path in loaders.find_bundles(bundles_folder()).items():
        try:
            view = loaders.open_view(key, path)
        except BundleError:
            continue
        opened[reference(view).digest] = view.bundle
    return opened


@st.cache_data(max_entries=64, show_spinner=False)
def _identity(path: str, _stamp: int) -> str:
    try:
        return Manifest.read(Path(path)).identity
    except BundleError:
        return ""


def _stamp(path: Path) -> int:
    manifest = path / MANIFEST
    return manifest.stat().st_mtime_ns if manifest.is_file() else 0


def subject_href(content: Finding, place: int = 0, identifier: str = "") -> str:
    """Return the address of what a finding is about, as saved; empty where there is none.

    `place` chooses among its neurons; a picture of its own is named by the finding's id.
    """
    view = view_of(content.bundle)
    page = "neuron" if content.neurons else "image"
    if view is None or content.kind == "view":
        return ""
    settings = linkable(content.own_settings)
    if content.neurons:
        ref = content.neurons[place]
        about: dict[str, object] = {"layer": ref.layer, "neuron": ref.neuron}
    else:
        about = {"finding": identifier} if content.copy else {"image": content.image}
        about |= {"texts": ",".join(content.texts)} if content.texts else {}
    return href(page, **(settings | {"bundle": view.key} | about))


def origin_href(content: Finding) -> str:
    """Return the address of the page it was saved from; empty for its subject's own page."""
    view, page = view_of(content.bundle), content.origin
    if view is None or page not in PAGES:
        return ""
    settings = {k: v for k, v in linkable(content.settings).items() if k != ORIGIN}
    return href(page, **(settings | {"bundle": view.key}))


def whole_address(page: str, params: Mapping[str, object], top: str | None = None) -> str:
    """Return a page's address with scheme and host, as this visitor's browser reaches it.

    `top` is `top_address` where it was asked for during the page's run: files are made after it.

    A parameter `digest` becomes the key of the bundle that has it here. Empty where there is no
    such page: an imported finding may have been saved from any.
    """
    if page not in PAGES:
        return ""
    given = linkable({key: value for key, value in params.items() if key != "digest"})
    digest = params.get("digest")
    if isinstance(digest, str):
        view = view_of(BundleRef("any", digest))
        given |= {"bundle": view.key} if view else {}
    return (top_address() if top is None else top) + href(page, **given)


def top_address() -> str:
    """Return the app's own address in the visitor's browser, with a slash at its end."""
    parts = urlsplit(str(st.context.url or ""))
    if parts.scheme not in {"http", "https"}:
        return ""
    path = parts.path.rstrip("/")
    folder, _, last = path.rpartition("/")
    top = folder if last in PAGES else path
    return urlunsplit((parts.scheme, parts.netloc, f"{top}/", "", ""))

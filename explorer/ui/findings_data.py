"""The findings' store and the bundles that findings are about, opened once a process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import streamlit as st

from explorer.bundle import MANIFEST, Bundle, Manifest
from explorer.errors import BundleError
from explorer.findings.database import database_url
from explorer.findings.model import ORIGIN, BundleRef, Finding
from explorer.findings.store import Store
from explorer.ui import loaders
from explorer.ui.address import PAGES, href
from explorer.ui.findings_query import linkable
from explorer.ui.loaders import View


def store() -> Store:
    """The store that the environment names; raises StoreError or InputError."""
    return _store(database_url())


@st.cache_resource(max_entries=4, show_spinner=False)
def _store(url: str) -> Store:
    return Store(url)


def reference(view: View) -> BundleRef:
    """How findings name a view's bundle."""
    return BundleRef(view.bundle.name, view.held("identity", lambda v: v.bundle.manifest.identity))


def view_of(ref: BundleRef) -> View | None:
    """The view of a finding's bundle; None where it is not here or cannot be opened."""
    found = loaders.find_bundles(loaders.bundles_folder())
    for key, path in found.items():
        if _identity(str(path), _stamp(path)) == ref.digest:
            try:
                return loaders.open_view(key, path)
            except BundleError:
                return None
    return None


def bundles() -> dict[str, Bundle]:
    """Every bundle that can be opened, by its manifest's identity."""
    opened: dict[str, Bundle] = {}
    for key, path in loaders.find_bundles(loaders.bundles_folder()).items():
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
    """The address of what a finding is about, as it was when saved; empty where there is none.

    ``place`` chooses among its neurons; a picture of its own is named by the finding's id.
    """
    view = view_of(content.bundle)
    page = "neuron" if content.neurons else "image"
    if view is None or page not in PAGES:
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
    """The address of the page it was saved from, as it was; empty for its subject's own page."""
    view, page = view_of(content.bundle), content.settings.get(ORIGIN)
    if view is None or not isinstance(page, str) or page not in PAGES:
        return ""
    settings = {k: v for k, v in linkable(content.settings).items() if k != ORIGIN}
    return href(page, **(settings | {"bundle": view.key}))


def whole_address(page: str, params: Mapping[str, object]) -> str:
    """A page's address with scheme and host, as this visitor's browser reaches the server.

    A parameter ``digest`` becomes the key of the bundle that has it here.
    """
    given = linkable({key: value for key, value in params.items() if key != "digest"})
    digest = params.get("digest")
    if isinstance(digest, str):
        view = view_of(BundleRef("any", digest))
        given |= {"bundle": view.key} if view else {}
    return top_address() + href(page, **given)


def top_address() -> str:
    """The app's own address in the visitor's browser, with a slash at its end."""
    parts = urlsplit(str(st.context.url or ""))
    if parts.scheme not in {"http", "https"}:
        return ""
    path = parts.path.rstrip("/")
    folder, _, last = path.rpartition("/")
    top = folder if last in PAGES else path
    return urlunsplit((parts.scheme, parts.netloc, f"{top}/", "", ""))

"""Passing findings on: their address, and files that need no server."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from explorer.findings import archive, html_file, neuron_table, poster
from explorer.findings.model import SavedCollection, SavedFinding
from explorer.findings.snapshot import Snapshot, take
from explorer.formats import file_stem
from explorer.ui.data import findings_data
from explorer.ui.findings import heatmaps
from explorer.ui.html.elements import caption, tag
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page

MOST_COPIED = archive.MOST_BYTES * 9 // 10  # beside them stand the texts


def section(page: Page, saved: SavedFinding) -> None:
    """Show a finding's address and files."""
    address = findings_data.whole_address("finding", {"bundle": page.view.key, "id": saved.id})
    name = file_stem(saved.content.title, "findings", 60)
    _address(address)
    with st.container(key="lens_downloads", horizontal=True):
        top = findings_data.top_address()
        _download("Web page (HTML)", lambda: html_of(saved, top), f"{name}.html", "text/html")
        _download("JSON and pictures", lambda: zip_of([saved]), f"{name}.zip", "application/zip")
        if saved.content.neurons:
            _download("Neurons (CSV)", lambda: csv_of([saved]), f"{name}.csv", "text/csv")
            _posters(saved, name)


def collection_section(page: Page, saved: SavedCollection) -> None:
    """Show a collection's address and files."""
    address = findings_data.whole_address("collection", {"bundle": page.view.key, "id": saved.id})
    name = file_stem(saved.content.title, "findings", 60)

    def members() -> list[SavedFinding]:
        return findings_data.store().members(saved)

    back = partial(findings_data.whole_address, top=findings_data.top_address())
    size = findings_data.store().copied_bytes(saved.id)
    _address(address)
    if size > MOST_COPIED:  # a file that is made after the page cannot say so
        frame.show_problems(
            [
                f"Its findings hold pictures of {size / 1e6:.1f} MB, too much for one file of JSON "
                f"and pictures ({MOST_COPIED / 1e6:.1f} MB): export them one by one or in smaller "
                "collections."
            ]
        )
    with st.container(key="lens_downloads", horizontal=True):
        _download(
            "Web page (HTML)",
            lambda: html_file.collection_file(saved, snapshots(members()), back),
            f"{name}.html",
            "text/html",
        )
        if size <= MOST_COPIED:
            _download(
                "JSON and pictures",
                lambda: zip_of(members(), [saved]),
                f"{name}.zip",
                "application/zip",
            )
        _download("Neurons (CSV)", lambda: csv_of(members()), f"{name}.csv", "text/csv")


def html_of(saved: SavedFinding, top: str) -> str:
    """Return a finding's HTML file; `top` is the app's own address."""
    back = partial(findings_data.whole_address, top=top)
    return html_file.finding_file(snapshots([saved])[0], back)


def zip_of(members: Sequence[SavedFinding], groups: Sequence[SavedCollection] = ()) -> bytes:
    """Return the zip of findings and of the collections that hold them."""
    return archive.write(snapshots(members), groups)


def csv_of(members: Sequence[SavedFinding]) -> str:
    """Return the table of findings' neurons."""
    return neuron_table.neurons_csv(snapshots(members))


def snapshots(members: Sequence[SavedFinding]) -> list[Snapshot]:
    """Return what files show of findings, from the bundles that are here."""
    found = []
    for saved in members:
        view = findings_data.view_of(saved.content.bundle)
        drawn = partial(heatmaps.captioned, view) if view else None
        found.append(take(saved, view.bundle if view else None, drawn))
    return found


def _address(address: str) -> None:
    frame.draw(
        tag("h2", "Share"),
        caption(
            "The address opens this page for everyone who can reach this server; the files need "
            "none."
        ),
    )
    st.code(address, language=None, wrap_lines=True)


def _posters(saved: SavedFinding, name: str) -> None:
    """Offer a slide of its neurons, where their bundle is here."""
    view = findings_data.view_of(saved.content.bundle)
    if view is None:
        return
    places = [(ref.layer, ref.neuron) for ref in saved.content.neurons]
    bundle, title = view.bundle, saved.content.title
    _download(
        "Slide (PNG)",
        lambda: poster.finding_poster(bundle, places, title),
        f"{name}.png",
        "image/png",
    )


def _download(label: str, make: object, name: str, kind: str) -> None:
    st.download_button(label, make, file_name=name, mime=kind, on_click="ignore")  # type: ignore[arg-type]

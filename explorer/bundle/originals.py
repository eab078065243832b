"""The files that a bundle's pictures were made of, where their folder is still there."""

from __future__ import annotations

from pathlib import Path

from explorer.bundle import Bundle


def original_file(bundle: Bundle, image: int) -> Path | None:
    """Return the file of a picture; None where it has none, or it is no longer there."""
    table = bundle.pictures.table
    held_out = table["split"].iloc[image] == "heldout"
    places = bundle.manifest.images
    folder = places.get("folder")
    if held_out:
        folder = places.get("held_out_folder", folder)
    if not folder:
        return None
    top = Path(folder).resolve()
    file = (top / str(table["name"].iloc[image])).resolve()
    return file if file.is_relative_to(top) and file.is_file() else None

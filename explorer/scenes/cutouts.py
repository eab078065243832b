"""Named pictures with exact outlines that scenes are composed of, for any bundle.

A bundle's own come first: its held-out pictures with alpha, photographs with alpha, or the
photographs of its folder that have a mask of the same name in the sub-folder `masks`. A bundle
without takes the shipped bundle's cut-outs. Where neither will do, a bundle's own pictures are set
into scenes of the first pool as they are, as rectangles.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from explorer.bundle import Bundle
from explorer.bundle.originals import masked_pictures, original_mask, whole_picture
from explorer.bundle.pictures import PictureStore
from explorer.bundle.shipped import SHIPPED, shipped_pictures
from explorer.errors import InputError
from explorer.kept import kept
from explorer.pixels import open_picture

POOLS = ("pictogram", "photographic")
FEWEST_NAMES = 4
"""Differently named pictures that scenes of several objects need."""


@dataclass(frozen=True, eq=False)
class Cutouts:
    """Pictures to compose scenes of."""

    of: str
    """Whose they are, as results say it."""
    labels: tuple[str, ...]
    """[picture]"""
    image: Callable[[int], Image.Image]
    """Place in `labels` -> RGBA."""

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.labels)


def enough(labels: Collection[str]) -> bool:
    """Return whether scenes can be made of pictures with these names."""
    return len(set(labels)) >= FEWEST_NAMES


def find_cutouts(bundle: Bundle, pool: str, told: bool = False) -> Cutouts:
    """Return the cut-outs that a bundle's scenes are made of; kept with the bundle.

    `told`: at least `FEWEST_NAMES` of their names must be texts of the bundle's dictionary.

    Raises:
        InputError: when too few pictures have names, the shipped ones included.
    """
    return kept(bundle, f"cut-outs {pool} {told}", lambda: _find(bundle, pool, told))


def has_alpha(store: PictureStore, image: int) -> bool:
    """Return whether a stored picture has transparent parts, read off its head alone."""
    return store.mode(image) in ("RGBA", "LA", "PA")


def _find(bundle: Bundle, pool: str, told: bool) -> Cutouts:
    texts = set(bundle.texts)
    own = _stored(bundle.pictures, pool, f"the bundle '{bundle.name}'")
    if enough(own.labels) and (not told or enough(texts & {*own.labels})):
        return own
    for made in (_masked, _shipped, _insets):
        found = made(bundle, pool)
        if told:
            found = _named(found, texts)
        if enough(found.labels):
            return found
    raise InputError(
        f"The bundle '{bundle.name}' has too few {pool} pictures to make scenes of: "
        f"{FEWEST_NAMES} differently named ones are needed"
        + (
            ", whose names its dictionary has: build it with --texts corpus+common."
            if told
            else "; build it from a folder with a sub-folder for each name."
        )
    )


def _stored(store: PictureStore, pool: str, of: str) -> Cutouts:
    """Return a store's own cut-outs: held-out ones, or photographs, that have alpha."""
    table = store.table
    usable = table["split"] == "heldout" if pool == POOLS[0] else table["kind"] == "photo"
    rows = [row for row in _labelled(table, usable) if has_alpha(store, row)]
    return _of_rows(store, rows, of)


def _shipped(bundle: Bundle, pool: str) -> Cutouts:
    store = shipped_pictures()
    return _stored(store, pool, f"the bundle '{SHIPPED.name}'") if store else _NONE


def _masked(bundle: Bundle, pool: str) -> Cutouts:
    """Return the photographs of the bundle's folder that have masks, held-out ones if they do."""
    if pool != POOLS[1]:
        return _NONE
    table = bundle.pictures.table
    named = set(_labelled(table, table["split"].notna()))
    rows = _held_out_first(table, [row for row in masked_pictures(bundle) if row in named])

    def image(place: int) -> Image.Image:
        mask = original_mask(bundle, rows[place])
        if mask is None:
            raise InputError(
                f"The mask of picture {rows[place]} is not what it was when '{bundle.name}' was "
                "built: restore it, or build the bundle again."
            )
        return cut_out(whole_picture(bundle, rows[place]), open_picture(io.BytesIO(mask)))

    labels = tuple(table["label"].iloc[rows].astype(str))
    return Cutouts(f"masks beside the pictures of '{bundle.name}'", labels, image)


def cut_out(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """Return a picture with a mask, light where the object is, as its alpha: RGBA."""
    found = picture.convert("RGBA")
    found.putalpha(mask.convert("L").resize(found.size, Image.Resampling.BILINEAR))
    return found


def _insets(bundle: Bundle, pool: str) -> Cutouts:
    """Return the bundle's own pictures as they are, held-out ones if those are enough."""
    if pool != POOLS[0]:
        return _NONE
    table = bundle.pictures.table
    rows = _held_out_first(table, _labelled(table, table["split"].notna()))
    labels = tuple(table["label"].iloc[rows].astype(str))

    def image(place: int) -> Image.Image:
        return whole_picture(bundle, rows[place]).convert("RGBA")

    return Cutouts(f"whole pictures of the bundle '{bundle.name}'", labels, image)


def _named(cutouts: Cutouts, texts: Collection[str]) -> Cutouts:
    """Return the cut-outs whose names are among some texts."""
    places = [place for place, label in enumerate(cutouts.labels) if label in texts]
    labels = tuple(cutouts.labels[place] for place in places)
    return Cutouts(cutouts.of, labels, lambda place: cutouts.image(places[place]))


def _held_out_first(table: pd.DataFrame, rows: list[int]) -> list[int]:
    """Return the held-out ones among rows where those are enough, else all."""
    held = [row for row in rows if table["split"].iloc[row] == "heldout"]
    return held if enough(table["label"].iloc[held]) else rows


def _nothing(place: int) -> Image.Image:
    raise IndexError(place)


_NONE = Cutouts("", (), _nothing)


def _of_rows(store: PictureStore, rows: list[int], of: str) -> Cutouts:
    labels = tuple(store.table["label"].iloc[rows].astype(str))
    return Cutouts(of, labels, lambda place: store.image(rows[place]))


def _labelled(table: pd.DataFrame, usable: pd.Series[bool]) -> list[int]:
    named: NDArray[np.bool_] = (usable & (table["label"].fillna("").str.strip() != "")).to_numpy()
    return [int(row) for row in np.flatnonzero(named)]

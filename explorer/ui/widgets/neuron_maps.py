"""Where in a picture one neuron's effect comes from: over its top pictures, and over any other."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from explorer.bundle import Bundle
from explorer.bundle.facts import relative_effects
from explorer.errors import InputError
from explorer.ui.address.address import Place
from explorer.ui.core import glossary
from explorer.ui.data import live
from explorer.ui.data.grouping import Picture
from explorer.ui.data.loaders import View
from explorer.ui.html import parts
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import picture_choice

if TYPE_CHECKING:
    from explorer.picture.maps import Reading

KEPT = ("pictures", "texts", "where")  # how the page is shown, beside its neuron
WHERE = "where"  # the address parameter: "1" lays each picture's map over it
SIDE = 112  # pixels of a small map's long side
LARGE = 336


def overlays(view: View, row: int, pictures: list[Picture]) -> dict[int, str]:
    """Image number -> a source of the picture with the neuron's map laid over it.

    Raises InputError if the model cannot be loaded.
    """
    images = tuple(picture.image for picture in pictures)
    signs = tuple(-1 if picture.effect < 0 else 1 for picture in pictures)
    with st.spinner("The model reads the pictures …"):
        files = _painted(*live.stamp(view), *view.place(row), images, signs, view.bundle)
    return dict(zip(images, map(parts.picture_source, files), strict=True))


@st.cache_data(max_entries=64, show_spinner=False)
def _painted(
    path: str,
    stamp: int,
    layer: int,
    neuron: int,
    images: tuple[int, ...],
    signs: tuple[int, ...],
    _bundle: Bundle,
) -> list[bytes]:
    pictures = [_bundle.pictures.rgb(image) for image in images]
    return _paint(path, stamp, layer, neuron, pictures, list(signs), SIDE, _bundle)


def _paint(
    path: str,
    stamp: int,
    layer: int,
    neuron: int,
    pictures: list[Image.Image],
    signs: list[int],
    side: int,
    bundle: Bundle,
) -> list[bytes]:
    """Each picture under its map, as a WebP file; positive shares of an effect of the sign."""
    from explorer.picture.maps import read

    reading = read(live.opened(path, stamp, bundle), pictures)
    return _painted_reading(reading, (layer, neuron), pictures, signs, side)


def on_one_picture(
    view: View, rows: Sequence[int], picture: Image.Image, effects: NDArray[np.float32]
) -> list[str]:
    """Sources of one picture under the map of each of some neurons; one reading serves all.

    effects: [neuron], of the picture. Raises InputError if the model cannot be loaded.
    """
    from explorer.picture.maps import read

    with st.spinner("The model reads the picture …"):
        reading = read(live.opened(*live.stamp(view), view.bundle), [picture])
        files = [
            _painted_reading(
                reading, view.place(row), [picture], [-1 if effects[row] < 0 else 1], LARGE
            )[0]
            for row in rows
        ]
    return [parts.picture_source(file) for file in files]


def _painted_reading(
    reading: Reading,
    place: Place,
    pictures: Sequence[Image.Image],
    signs: Sequence[int],
    side: int,
) -> list[bytes]:
    """One neuron's map over each picture of a reading, as WebP files."""
    from explorer.picture import painting
    from explorer.picture.framing import Framing
    from explorer.picture.maps import neuron_shares
    from explorer.picture.segment import scaled

    layer, neuron = place
    patches = neuron_shares(reading, layer, [neuron])[:, 0, 1:]
    grids = patches.unflatten(1, reading.lens_model.grid)
    files = []
    for picture, sign, grid in zip(pictures, signs, grids, strict=True):
        width, height = picture.size
        scale = side / max(width, height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        drawn = scaled(Framing.of(picture.size).to_picture(sign * grid[None, None], size))[0]
        shown = painting.paint(picture, drawn.numpy(), painting.colour_of(0))
        files.append(painting.encode(shown, "WEBP"))
    return files


def problems(page: Page) -> list[str]:
    """What the address says of maps in vain."""
    asked = page.params.get(WHERE, "")
    if asked in {"", "1"}:
        return []
    return [f"“{asked}” is no value for “{WHERE}”: write 1 or leave it out."]


def toggle(page: Page, row: int) -> bool:
    """Whether the pictures carry their maps; a switch that changes the address."""
    on = page.params.get(WHERE) == "1"
    st.session_state["_where"] = on
    st.toggle("Show where", key="_where", on_change=_switched, args=(page, row))
    return on


def _switched(page: Page, row: int) -> None:
    layer, neuron = page.view.place(row)
    frame.change(
        page, layer=layer, neuron=neuron, **{WHERE: "1" if st.session_state["_where"] else ""}
    )


def try_a_picture(page: Page, row: int) -> None:
    """One picture of the visitor's choice: how strongly it drives this neuron, and where."""
    view = page.view
    layer, neuron = view.place(row)
    frame.draw(
        "<h2>Try a picture</h2>"
        '<p class="caption">Choose a picture of the bundle or give one of your own: how strongly '
        "does it drive this neuron, and from where?</p>"
    )
    image, problems = picture_choice.read_image(page)
    frame.show_problems(problems)
    kept = {key: value for key, value in page.params.items() if key in KEPT}
    kept |= {"layer": str(layer), "neuron": str(neuron)}
    chosen = picture_choice.picker(page, image, kept)
    if chosen is None:
        return
    try:
        effects = chosen.effects(view)
        effect = float(effects[row])
        with st.spinner("The model reads the picture …"):
            file = _paint(
                *live.stamp(view),
                layer,
                neuron,
                [chosen.picture(view)],
                [-1 if effect < 0 else 1],
                LARGE,
                view.bundle,
            )[0]
    except InputError as error:
        frame.draw(parts.notice(str(error)))
        return
    relative = float(relative_effects(view.bundle, effects)[row])
    name = escape(chosen.name)
    frame.draw(
        f'<div class="tried"><figure class="shot"><img src="{parts.picture_source(file)}" '
        f'alt="Where {name} drives the neuron"></figure><div><h3>{name}</h3>'
        + parts.figures(
            [
                ("Effect", glossary.effect(effect), "minus its mean over all pictures"),
                (
                    "Of its typical effect",
                    f"{glossary.signed(relative)} ×",
                    _standing(view, row, effect),
                ),
            ]
        )
        + '<p class="caption">Colour: the patches from which the effect comes, relative to the '
        "strongest. Effects are in units of the output before normalisation.</p></div></div>"
    )


def _standing(view: View, row: int, effect: float) -> str:
    """How it stands among the bundle's random sample of pictures."""
    sample = np.abs(np.asarray(view.bundle.sample_effects[row], np.float32))
    weaker = int((sample < abs(effect)).sum())
    return f"stronger than {weaker} of {len(sample)} random pictures"

"""The pictures that attacks are composed of: a bundle's own, and behind them the shipped cut-outs.

A picture's number is its own in the bundle, or follows the bundle's last one. Shipped cut-outs help
out where a bundle has none of its own: they stand for texts of its dictionary that none of its
pictures shows. A bundle's photographs go into scenes as they are, as insets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from explorer.attack.vocabulary import vocabulary
from explorer.bundle import Bundle
from explorer.bundle.originals import whole_picture
from explorer.bundle.shipped import shipped_pictures
from explorer.search.texts import text_embeddings

NEAREST = 4
"""Pictures that stand for a class that none is called: the ones nearest to its text."""


def gallery_image(bundle: Bundle, number: int) -> Image.Image:
    """Return a picture of the gallery: RGBA."""
    own, store = len(bundle.pictures), shipped_pictures()
    if number < own or store is None:
        return whole_picture(bundle, number).convert("RGBA")
    return store.image(number - own)


def gallery_file(bundle: Bundle, number: int) -> bytes:
    """Return a picture of the gallery as it is stored."""
    own, store = len(bundle.pictures), shipped_pictures()
    if number < own or store is None:
        return bundle.pictures.encoded(number)
    return store.encoded(number - own)


def pictures_of(bundle: Bundle, text: str) -> Sequence[int]:
    """Return the pictures that show a class: held-out ones of its name, or the corpus's.

    A text that no picture is called has those that the model finds nearest to it.
    """
    words = vocabulary(bundle)
    named = words.held_out.get(text) or words.pictures.get(text)
    if named:
        return named
    (embedding,) = text_embeddings(bundle, [text])
    cosines = np.asarray(bundle.image_embeddings, np.float32) @ embedding
    return [int(image) for image in np.argsort(-cosines, kind="stable")[:NEAREST]]

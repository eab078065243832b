"""A text's embedding: the dictionary's where it has the text, else the model's own.

The model is loaded only for texts outside the dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from explorer.bundle import Bundle

Floats: TypeAlias = NDArray[np.float32]
Embed: TypeAlias = Callable[[list[str]], Floats]
"""Texts -> unit-norm embeddings [text, embed]."""


def outside_dictionary(bundle: Bundle, texts: Sequence[str]) -> list[str]:
    """Return the texts that the dictionary lacks, so that the model must embed them; each once."""
    return [text for text in dict.fromkeys(texts) if bundle.dictionary.row(text) is None]


def text_embeddings(bundle: Bundle, texts: Sequence[str], embed: Embed | None = None) -> Floats:
    """Return unit-norm embeddings: [text, embed].

    `embed` takes the place of the bundle's model.

    Raises:
        InputError: when a text is empty or too long, or the model cannot be loaded.
    """
    rows = [bundle.dictionary.row(text) for text in texts]
    places = [-1 if row is None else row for row in rows]
    embeddings = np.array(bundle.text_embeddings[places], np.float32)
    unknown = outside_dictionary(bundle, texts)
    if unknown:
        found = dict(zip(unknown, (embed or _live(bundle))(unknown), strict=True))
        for place, text in enumerate(texts):
            if text in found:
                embeddings[place] = found[text]
    return embeddings


def text_directions(bundle: Bundle, texts: Sequence[str], embed: Embed | None = None) -> Floats:
    """Return embeddings without what all texts share: [text, embed], unit norm.

    `embed` takes the place of the bundle's model.

    Raises:
        InputError: as `text_embeddings` does.
    """
    return bundle.dictionary.centre(text_embeddings(bundle, texts, embed))


def _live(bundle: Bundle) -> Embed:
    from explorer.lens.texts import embed_texts

    def embed(texts: list[str]) -> Floats:
        embeddings: Floats = embed_texts(bundle.model, texts).numpy()
        return embeddings

    return embed

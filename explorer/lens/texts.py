"""Texts as a model's text tower gives them, checked before and kept after."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Sequence

import torch
from torch import Tensor

from explorer.errors import InputError
from explorer.kept import kept
from explorer.lens.models import LoadedModel, encode_texts

LONGEST_TEXT = 200  # characters
MOST_TEXTS = 64
MOST_KEPT = 1024  # embeddings; the text tower costs as much as a picture


def check_texts(texts: Sequence[str]) -> list[str]:
    """Return the texts, white space inside them made single spaces, accents in one form (NFC).

    Raises:
        InputError: when there is no text, or one is empty or too long, or there are too many.
    """
    if isinstance(texts, str):
        raise InputError("One text was given where a list of texts is expected: put it in a list.")
    cleaned = [unicodedata.normalize("NFC", " ".join(text.split())) for text in texts]
    if not cleaned or not all(cleaned):
        raise InputError("Give at least one text to look for, and no empty one, such as 'dog'.")
    if len(cleaned) > MOST_TEXTS:
        raise InputError(f"{len(cleaned)} texts are too many at once: give {MOST_TEXTS} or fewer.")
    long = max(cleaned, key=len)
    if len(long) > LONGEST_TEXT:
        raise InputError(
            f"A text of {len(long)} characters is too long: give {LONGEST_TEXT} or fewer."
        )
    return cleaned


def embed_texts(loaded: LoadedModel, texts: Sequence[str]) -> Tensor:
    """Return unit-norm embeddings: [text, embed] float32 on the CPU; the last ones are kept.

    Raises:
        InputError: as `check_texts` does.
    """
    cleaned = check_texts(texts)
    held = kept(loaded, "texts", _Embeddings)
    with held.lock:
        new = [text for text in dict.fromkeys(cleaned) if text not in held.by_text]
        if new:
            held.by_text.update(zip(new, encode_texts(loaded, new), strict=True))
        embeddings = torch.stack([held.by_text[text] for text in cleaned])
        for text in list(held.by_text)[:-MOST_KEPT]:
            del held.by_text[text]
    return embeddings


class _Embeddings:
    """The embeddings that are kept with a model."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_text: dict[str, Tensor] = {}

"""The dictionary's texts, from wherever `--texts` says."""

from __future__ import annotations

import pandas as pd

from explorer.build.settings import BuildSettings
from explorer.build.unwanted import unwanted_words, without_unwanted
from explorer.bundle import Bundle
from explorer.bundle.pictures import PictureStore
from explorer.describe.dictionary import common_words, read_texts, unique_texts
from explorer.errors import InputError


def gather_texts(settings: BuildSettings, store: PictureStore) -> pd.DataFrame:
    """Return the dictionary's texts, once each: columns text, source.

    `--texts` is a file, "corpus" (labels, keywords and looks of the pictures), "common" (the
    most frequent English words), "corpus+common", or "bundle:PATH" (another bundle's texts).
    Texts with a word that `--leave-out` names stay out.

    Raises:
        InputError: when the file is missing, or there are too few texts.
    """
    origins = _origins(settings, store)
    kept = without_unwanted(unique_texts(origins), unwanted_words(settings.leave_out))
    if len(kept) < 2:
        raise InputError(
            f"'{settings.texts}' gives {len(kept)} texts; a dictionary needs at least two."
        )
    return pd.DataFrame({"text": kept, "source": [origins[text] for text in kept]})


def _origins(settings: BuildSettings, store: PictureStore) -> dict[str, str]:
    """Return every text with the first source that has it."""
    spec = settings.texts
    if spec.startswith("bundle:"):
        table = Bundle.open(spec.removeprefix("bundle:")).text_table
        return dict(zip(table["text"], table["source"], strict=True))
    rows: list[tuple[str, str]] = []
    parts = spec.split("+")
    if set(parts) <= {"corpus", "common"}:
        if "corpus" in parts:
            rows += _corpus_texts(store)
        if "common" in parts:
            rows += [(word, "common") for word in common_words(settings.words)]
    else:
        rows = [(text, "file") for text in read_texts(spec)]
    origins: dict[str, str] = {}
    for text, origin in rows:
        origins.setdefault(text.strip(), origin)
    return origins


def _corpus_texts(store: PictureStore) -> list[tuple[str, str]]:
    corpus = store.table[: store.corpus_size]
    rows = [(text, "label") for text in sorted({str(text) for text in corpus["label"]} - {""})]
    for column, origin in (("keywords", "keyword"), ("looks", "look")):
        lists = (str(row).split(",") for row in corpus[column])
        rows += [(t, origin) for t in sorted({w.strip() for row in lists for w in row} - {""})]
    return rows

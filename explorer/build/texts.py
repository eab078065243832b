"""The dictionary's texts, from wherever `--texts` says."""

from __future__ import annotations

import pandas as pd

from explorer.build.settings import BuildSettings
from explorer.bundle import Bundle
from explorer.bundle.pictures import PictureStore
from explorer.describe.dictionary import common_words, read_texts, unique_texts
from explorer.errors import InputError


def gather_texts(settings: BuildSettings, store: PictureStore) -> pd.DataFrame:
    """Return the dictionary's texts, once each: columns text, source.

    `--texts` is a file, "corpus" (labels, keywords and looks of the pictures), "common" (the
    most frequent English words), "corpus+common", or "bundle:PATH" (another bundle's texts).

    Raises:
        InputError: when the file is missing, or there are too few texts.
    """
    spec = settings.texts
    if spec.startswith("bundle:"):
        return Bundle.open(spec.removeprefix("bundle:")).text_table
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
    kept = unique_texts(origins)
    if len(kept) < 2:
        raise InputError(f"'{spec}' gives {len(kept)} texts; a dictionary needs at least two.")
    return pd.DataFrame({"text": kept, "source": [origins[text] for text in kept]})


def _corpus_texts(store: PictureStore) -> list[tuple[str, str]]:
    corpus = store.table[: store.corpus_size]
    rows = [(text, "label") for text in sorted({str(text) for text in corpus["label"]} - {""})]
    for column, origin in (("keywords", "keyword"), ("looks", "look")):
        lists = (str(row).split(",") for row in corpus[column])
        rows += [(t, origin) for t in sorted({w.strip() for row in lists for w in row} - {""})]
    return rows

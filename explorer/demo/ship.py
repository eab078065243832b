"""Choose and encode the pictures that ship with the demo bundle.

The corpus: every colour drawing, stamp and clip art, and of single-colour drawings the first
few of each concept, as 96-px WebP with transparency. Behind it the held-out style ``twemoji`` at
the model's input size, never used for statistics.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from wordfreq import zipf_frequency

from explorer.bundle.pictures import PictureStore

SHIPPED_STYLE = "twemoji"
MONO_A_CONCEPT = 6
RAREST = 1.5  # of a keyword's words, in zipf frequency (about one in 30 million)
COLUMNS = ("label", "concept", "keywords", "looks", "source", "name", "author", "licence", "kind")


def choose(table: pd.DataFrame) -> tuple[list[int], list[int]]:
    """Return the rows of (corpus, held-out pictures) to ship."""
    seen: Counter[str] = Counter()
    corpus = []
    for row, picture in enumerate(table.itertuples()):
        if picture.held_out:
            continue
        if picture.kind == "mono":
            seen[picture.concept] += 1
            if seen[picture.concept] > MONO_A_CONCEPT:
                continue
        corpus.append(row)
    held_out = table.index[table["source"] == SHIPPED_STYLE].tolist()
    return corpus, held_out


def sensible(keywords: Iterable[str]) -> list[str]:
    """Return the keywords made of English words; clip art also carries hashes and file names."""
    return [
        keyword
        for keyword in keywords
        if keyword and all(zipf_frequency(word, "en") >= RAREST for word in keyword.split())
    ]


def encode(pixels: np.ndarray, size: int, quality: int) -> bytes:
    """Return [row, column, 4] uint8 as a WebP of ``size`` pixels."""
    image = Image.fromarray(np.ascontiguousarray(pixels), "RGBA")
    if image.width != size:
        image = image.convert("RGBa").resize((size, size), Image.Resampling.LANCZOS).convert("RGBA")
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, alpha_quality=80, method=4)
    return buffer.getvalue()


def write_store(rendered: Path, out: Path, thumbnail: int = 96) -> int:
    """Write the shipped pictures of the rendered corpus to a picture store; return their number."""
    table = pd.read_parquet(rendered / "pictures.parquet")
    pixels = np.load(rendered / "pictures.npy", mmap_mode="r")
    corpus, held_out = choose(table)

    def rows() -> Iterator[tuple[dict[str, Any], bytes]]:
        plan = [(r, thumbnail, "corpus") for r in corpus]
        plan += [(r, pixels.shape[1], "heldout") for r in held_out]
        with ThreadPoolExecutor(2) as pool:
            encoded = pool.map(lambda job: encode(pixels[job[0]], job[1], 72), plan)
            for (row, _, split), data in zip(plan, encoded, strict=True):
                facts = {column: table[column].iloc[row] for column in COLUMNS}
                facts["keywords"] = ", ".join(sensible(facts["keywords"].split(", ")))
                yield {**facts, "split": split}, data

    PictureStore.write(out, rows())
    return len(corpus) + len(held_out)

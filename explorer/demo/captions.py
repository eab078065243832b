"""The demo's texts: labels, names of photographs, keywords, and what MiniLM makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from explorer.demo.features import MAX_OBJECTS, Corpus, View
from explorer.demo.looks import SYNONYMS
from explorer.demo.photographs import photo_label
from explorer.errors import ExplorerError

TEMPLATES = (
    "{}",
    "a {}",
    "an icon of {}",
    "a picture of a {}",
    "a photo of a {}",
    "a photo of the {}",
    "a drawing of a {}",
    "a pictogram of a {}",
    "an emoji of {}",
    "an image of {}",
)
LOOKS_AN_OBJECT = 4
SYNONYM_COSINE = 0.72  # labels nearer than this in MiniLM's space are no negatives of each other


@dataclass(frozen=True)
class Captions:
    """All texts a view can be told by.

    ``labels`` are concepts first, then photographs' names, then the labels of the other pictures.
    """

    labels: list[str]
    concepts: int  # how many of the labels are concepts
    photos: int  # how many of them name photographs
    keywords: list[str]
    looks: list[str]  # how things are drawn, and colours
    view_labels: np.ndarray  # [view, MAX_OBJECTS] int32 into labels, -1 where there is none
    view_keywords: np.ndarray  # [view, 2 * MAX_OBJECTS] int32 into keywords, -1 where there is none
    view_looks: np.ndarray  # [view, LOOKS_AN_OBJECT * MAX_OBJECTS] int32 into looks, -1 likewise
    is_photo: np.ndarray  # [view] bool


def caption_views(corpus: Corpus, views: list[View], seed: int = 0) -> Captions:
    """Index the texts of ``views``; every object brings up to two of its keywords."""
    pictures, photos = corpus.pictures, corpus.photos
    concepts = sorted({c for c in pictures["concept"] if c})
    named = sorted({photo_label(n) for n in photos["names"]} - set(concepts)) if len(photos) else []
    others = sorted(set(pictures["label"]) - set(concepts) - set(named))
    labels = [*concepts, *named, *others]
    place = {label: i for i, label in enumerate(labels)}
    words = [_split(k) for k in pictures["keywords"]]
    manner = [_split(k)[:LOOKS_AN_OBJECT] for k in pictures["looks"]]
    looks = sorted({*SYNONYMS["photograph"], *(w for row in manner for w in row)})
    look_place = {word: i for i, word in enumerate(looks)}
    keywords = sorted({w for row in words for w in row})
    word_place = {word: i for i, word in enumerate(keywords)}
    rng = np.random.default_rng(seed)
    view_labels = np.full((len(views), MAX_OBJECTS), -1, np.int32)
    view_keywords = np.full((len(views), 2 * MAX_OBJECTS), -1, np.int32)
    view_looks = np.full((len(views), LOOKS_AN_OBJECT * MAX_OBJECTS), -1, np.int32)
    photo_names = photos["names"].map(photo_label).tolist() if len(photos) else []
    picture_labels = pictures["label"].tolist()
    for row, view in enumerate(views):
        if view.photo >= 0:
            view_labels[row, 0] = place[photo_names[view.photo]]
            seen = [look_place[word] for word in SYNONYMS["photograph"]]
            view_looks[row, : len(seen)] = seen
            continue
        shown = sorted({look_place[w] for picture in view.pictures for w in manner[picture]})
        view_looks[row, : len(shown)] = shown
        for slot, picture in enumerate(view.pictures):
            view_labels[row, slot] = place[picture_labels[picture]]
            mine = words[picture]
            picked: np.ndarray | list[int] = (
                rng.choice(len(mine), min(2, len(mine)), replace=False) if mine else []
            )
            for extra, word in enumerate(picked):
                view_keywords[row, 2 * slot + extra] = word_place[mine[word]]
    is_photo = np.array([view.photo >= 0 for view in views])
    return Captions(
        labels,
        len(concepts),
        len(named),
        keywords,
        looks,
        view_labels,
        view_keywords,
        view_looks,
        is_photo,
    )


def _split(words: str) -> list[str]:
    return [word for word in str(words).split(", ") if word]


def name_variants(names: str) -> list[str]:
    """Return every way a photograph's class may be written: the whole string and each name."""
    whole = names.strip()
    return list(
        dict.fromkeys([whole, whole.lower(), *(n.strip().lower() for n in whole.split(","))])
    )


def label_texts(texts: Sequence[str], labels: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Return the label that each text names, [text] int64, -1 where it names none.

    names: the photographs' classes; each way of writing one names the class's label.
    """
    number = {label: row for row, label in enumerate(labels)}
    named = dict(number)
    for name in names:
        for variant in name_variants(name):
            named.setdefault(variant, number[photo_label(name)])
    return np.array([named.get(text, -1) for text in texts], np.int64)


def synonym_mask(embeddings: np.ndarray) -> torch.Tensor:
    """Return [text, text] bool: pairs too alike to be negatives (not the diagonal)."""
    vectors = torch.from_numpy(embeddings)
    near = vectors @ vectors.T > SYNONYM_COSINE
    near.fill_diagonal_(False)
    return near


def minilm_embed(folder: Path, texts: list[str], batch_size: int = 256) -> np.ndarray:
    """Return MiniLM's unit sentence embeddings [text, 384] float32 (mean over tokens).

    Raises:
        ExplorerError: ``transformers`` is missing.
    """
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise ExplorerError(
            "the text teacher needs transformers: pip install -r explorer/demo/requirements.txt"
        ) from error
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    model = AutoModel.from_pretrained(str(folder), local_files_only=True).eval()
    order = np.argsort([len(t) for t in texts], kind="stable")  # equal lengths pad least
    out = np.zeros((len(texts), model.config.hidden_size), np.float32)
    with torch.inference_mode():
        for start in range(0, len(texts), batch_size):
            rows = order[start : start + batch_size]
            batch = tokenizer(
                [texts[i] for i in rows],
                padding=True,
                truncation=True,
                max_length=32,
                return_tensors="pt",
            )
            hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None].float()
            pooled = (hidden * mask).sum(1) / mask.sum(1)
            out[rows] = torch.nn.functional.normalize(pooled, dim=-1).numpy()
    return out


def vocabulary(captions: Captions, corpus: Corpus, common: list[str]) -> pd.DataFrame:
    """Return every text the tower is taught, once: columns text and source.

    Sources are "label", "name", "look", "keyword" and "common", the first that has the text.
    """
    names = (
        [v for n in dict.fromkeys(corpus.photos["names"]) for v in name_variants(n)]
        if len(corpus.photos)
        else []
    )
    rows = [*((t, "label") for t in captions.labels), *((t, "name") for t in names)]
    rows += [(t, "look") for t in captions.looks]
    rows += [*((t, "keyword") for t in captions.keywords), *((t, "common") for t in common)]
    return pd.DataFrame(rows, columns=["text", "source"]).drop_duplicates("text", ignore_index=True)

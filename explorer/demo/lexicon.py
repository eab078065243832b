"""The texts of the second stage as fixed vectors, and which of them each picture is told by.

The text space is the first stage's and stays as it is: every label, keyword and word for looks is
embedded once by its text tower. Names left out of training are not among the labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.demo.captions import Captions, caption_views, synonym_mask
from explorer.demo.features import Corpus, View
from explorer.demo.photographs import Photographs
from explorer.lens.tokens import encode_tokens

CHOOSING_STYLE = "fxemoji"  # settings are chosen by it: the second stage does not train on it


@dataclass(frozen=True)
class Lexicon:
    """Texts as unit vectors [text, embed] and each picture's places among them."""

    captions: Captions  # one row a drawing, then one each photograph whose name is trained
    labels: Tensor
    keywords: Tensor
    looks: Tensor
    dictionary: Tensor  # [text, embed] unit: what the explorer describes neurons with
    words: list[str]  # the dictionary's texts
    near: Tensor  # [label, label] bool: no negatives of each other
    trained: np.ndarray  # [drawing] bool: not of a style that is held out
    photo_rows: np.ndarray  # [photograph] its row in ``captions``, -1 for names left out

    @property
    def mean(self) -> Tensor:
        """The dictionary's mean [embed], taken off before directions are compared."""
        return self.dictionary.mean(0)


def read_lexicon(
    corpus: Corpus,
    photographs: Photographs,
    first_stage: open_clip.CLIP,
    sentence_vectors: Callable[[list[str]], np.ndarray],
    common: Sequence[str],
) -> Lexicon:
    """Return the texts of all drawings and of the photographs whose names are trained.

    ``sentence_vectors`` gives MiniLM's [text, 384], by which synonyms are told.
    """
    named = np.flatnonzero(photographs.table["part"].isin(["train", "known"]))
    photo_rows = np.full(len(photographs.table), -1, np.int64)
    photo_rows[named] = len(corpus.pictures) + np.arange(len(named))
    spoken = photographs.table.iloc[named].reset_index(drop=True)
    views = [View(pictures=(row,)) for row in range(len(corpus.pictures))]
    views += [View(photo=row) for row in range(len(named))]
    captions = caption_views(Corpus(corpus.pictures, corpus.pixels, spoken), views)
    tokenize = open_clip.SimpleTokenizer(context_length=first_stage.context_length)
    words = list(dict.fromkeys([*captions.labels, *captions.keywords, *common]))
    words = [word for word in words if word]

    def embed(texts: Sequence[str]) -> Tensor:
        return embed_texts(first_stage, tokenize, texts)

    table = corpus.pictures
    return Lexicon(
        captions=captions,
        labels=embed(captions.labels),
        keywords=embed(captions.keywords),
        looks=embed(captions.looks),
        dictionary=embed(words),
        words=words,
        near=synonym_mask(sentence_vectors(captions.labels)),
        trained=~(table["held_out"] | (table["source"] == CHOOSING_STYLE)).to_numpy(bool),
        photo_rows=photo_rows,
    )


def cached_lexicon(file: Path, make: Callable[[], Lexicon]) -> Lexicon:
    """Return the lexicon that ``file`` holds, made once."""
    if not file.exists():
        torch.save(make(), file)
    lexicon: Lexicon = torch.load(file, weights_only=False)
    return lexicon


@torch.no_grad()
def embed_texts(
    model: open_clip.CLIP, tokenize: Callable[[list[str]], Tensor], texts: Sequence[str]
) -> Tensor:
    """Return unit text embeddings [text, embed] float32."""
    parts = [
        encode_tokens(model, tokenize(list(texts[start : start + 256])))
        for start in range(0, len(texts), 256)
    ]
    return F.normalize(torch.cat(parts), dim=-1)

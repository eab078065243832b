"""Pictures and texts by which settings of the second stage are chosen; no test is among them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from explorer.demo.features import Corpus
from explorer.demo.lexicon import CHOOSING_STYLE, Lexicon
from explorer.demo.measures import Probe, Quiz
from explorer.demo.photographs import CHOSEN_BY, Photographs, photo_squares

CORPUS_PICTURES = 1000


def make_probe(
    corpus: Corpus,
    photographs: Photographs,
    lexicon: Lexicon,
    embed: Callable[[list[str]], Tensor],
    size: int,
    photos_a_name: int = CHOSEN_BY,
) -> Probe:
    """Return the probe at ``size`` pixels; ``embed`` gives the texts' unit embeddings."""
    table = corpus.pictures
    style = np.flatnonzero(table["source"] == CHOOSING_STYLE)
    concepts = lexicon.captions.labels[: lexicon.captions.concepts]
    place = {concept: row for row, concept in enumerate(concepts)}
    style_pixels = drawings_on_white(corpus, style, size)
    answers = np.array([place[label] for label in table["label"].iloc[style]])
    quizzes = [Quiz("style", style_pixels, lexicon.labels[: len(concepts)], answers)]
    facts = photographs.table
    names = facts[facts["part"] != "train"].groupby(["source", "part", "label"])
    few = facts.loc[names.head(photos_a_name).index]
    for source, part, name in (
        ("tiny", "known", "photographs"),
        ("everyday", "known", "everyday"),
        ("samples", "unknown", "unknown names"),
    ):
        mine = few[(few["source"] == source) & (few["part"] == part)]
        if mine.empty:
            continue
        rivals = mine["label"] if part == "known" else facts["label"][facts["part"] == "unknown"]
        candidates = sorted(set(rivals))
        answers = np.array([candidates.index(label) for label in mine["label"]])
        pixels = photo_squares(photographs, mine.index.to_numpy(), size)
        quizzes.append(Quiz(name, pixels, embed(candidates), answers))
    trained = np.flatnonzero(lexicon.trained & (table["kind"] != "mono").to_numpy())
    chosen = np.random.default_rng(1).choice(
        trained, min(CORPUS_PICTURES, len(trained)), replace=False
    )
    dictionary = F.normalize(lexicon.dictionary - lexicon.mean, dim=-1)
    return Probe(quizzes, drawings_on_white(corpus, chosen, size), style_pixels, dictionary)


def drawings_on_white(corpus: Corpus, rows: np.ndarray, size: int) -> np.ndarray:
    """Return the drawings filling a white frame, [drawing, size, size, 3] uint8."""
    pixels = np.empty((len(rows), size, size, 3), np.uint8)
    for slot, row in enumerate(rows):
        picture = Image.fromarray(np.ascontiguousarray(corpus.pixels[row]), "RGBA")
        canvas = Image.new("RGB", picture.size, "white")
        canvas.paste(picture, (0, 0), picture)
        pixels[slot] = np.asarray(canvas.resize((size, size), Image.Resampling.BICUBIC))
    return pixels

"""Measure the finished model on what it never saw: styles, scenes, photographs, names."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from explorer.demo.features import Corpus, normalise
from explorer.demo.lexicon import embed_texts
from explorer.demo.photographs import CHOSEN_BY, Photographs, photo_squares
from explorer.demo.pictures import HELD_OUT_SETS
from explorer.evidence.evaluation import Judge
from explorer.scenes.compose import SceneObject, SceneSettings, compose

SCENE_SETTINGS = SceneSettings(smallest=0.40, largest=0.65, tilt=0.0, flip=0.0, jitter=0.0)
BATCH = 64


@dataclass(frozen=True)
class TestSet:
    """Pictures [image, row, column, 3] uint8, the candidates, and which of them is right."""

    name: str
    pixels: np.ndarray
    candidates: list[str]
    answers: np.ndarray  # [image] int into candidates


def held_out_style(corpus: Corpus, source: str, size: int, scenes: bool, seed: int = 1) -> TestSet:
    """Return the held-out pictures of ``source``, full-frame on white or one in each scene."""
    table = corpus.pictures
    rows = np.flatnonzero((table["source"] == source) & table["held_out"])
    candidates = sorted(set(table["label"].iloc[rows]))
    place = {label: i for i, label in enumerate(candidates)}
    pixels = np.empty((len(rows), size, size, 3), np.uint8)
    for slot, row in enumerate(rows):
        picture = Image.fromarray(np.ascontiguousarray(corpus.pixels[row]), "RGBA")
        if scenes:
            thing = SceneObject(picture, table["label"].iloc[row])
            rng = np.random.default_rng([seed, slot])
            pixels[slot] = np.asarray(
                compose(rng, [thing], replace(SCENE_SETTINGS, size=size)).image
            )
        else:
            canvas = Image.new("RGB", picture.size, "white")
            canvas.paste(picture, (0, 0), picture)
            pixels[slot] = np.asarray(canvas.resize((size, size), Image.Resampling.BICUBIC))
    answers = np.array([place[label] for label in table["label"].iloc[rows]])
    return TestSet(
        f"{source} {'in scenes' if scenes else 'full frame'}", pixels, candidates, answers
    )


def photograph_tests(photographs: Photographs, size: int) -> list[TestSet]:
    """Return the test photographs: of trained names, of everyday things, of names nothing shows.

    Candidates are the names of the set's own photographs, written as their source writes them;
    of everyday things all names of photographs that were trained on. Those of everyday things
    that settings are chosen by are left out.
    """
    table = photographs.table
    of, tested = table["source"], table["part"] == "test"
    place = table.groupby(["source", "part", "label"]).cumcount()
    everyday = (of == "everyday") & (table["part"] == "known") & (place >= CHOSEN_BY)
    trained = sorted(set(table["label"][table["part"] == "train"]))
    sets = (
        ("held-out photographs", (of == "tiny") & tested, "names", None),
        ("everyday photographs", everyday, "label", trained),
        ("names left out", (of == "samples") & tested, "names", None),
    )
    return [
        _named(photographs, np.flatnonzero(chosen), name, column, candidates, size)
        for name, chosen, column, candidates in sets
        if chosen.any()
    ]


def _named(
    photographs: Photographs,
    rows: np.ndarray,
    name: str,
    column: str,
    candidates: list[str] | None,
    size: int,
) -> TestSet:
    """Return photographs by a column that names them, among their own names unless told."""
    names = photographs.table[column].iloc[rows].tolist()
    candidates = candidates or sorted(set(names))
    place = {text: row for row, text in enumerate(candidates)}
    pixels = photo_squares(photographs, rows, size)
    return TestSet(name, pixels, candidates, np.array([place[text] for text in names]))


def all_test_sets(corpus: Corpus, photographs: Photographs, size: int) -> list[TestSet]:
    """Return every test set there are pictures for."""
    styles = [
        held_out_style(corpus, source, size, scenes)
        for source in HELD_OUT_SETS
        for scenes in (False, True)
        if (corpus.pictures["source"] == source).any()
    ]
    return [*styles, *photograph_tests(photographs, size)]


def recall(images: Tensor, texts: Tensor, answers: np.ndarray) -> dict[str, float]:
    """Return recall@1, @5 and @10 of unit embeddings.

    ``images`` is [image, embed], ``texts`` [text, embed], ``answers`` [image] into texts.
    """
    judge = Judge(texts.float(), np.asarray(answers, np.int64))
    rank = judge.ranks(images, slice(None))
    return {f"recall@{top}": float((rank < top).float().mean()) for top in (1, 5, 10)}


@torch.inference_mode()
def embed_pictures(model: open_clip.CLIP, pixels: np.ndarray) -> Tensor:
    """Return unit image embeddings [image, embed] of pictures at the model's size."""
    parts = [
        model.encode_image(normalise(pixels[start : start + BATCH]))
        for start in range(0, len(pixels), BATCH)
    ]
    return F.normalize(torch.cat(parts), dim=-1)


def measure_recall(
    model: open_clip.CLIP, tokenize: Callable[[list[str]], Tensor], tests: list[TestSet]
) -> dict[str, dict[str, Any]]:
    """Return each test set's recall, with the numbers of its candidates and pictures."""
    figures = {}
    for test in tests:
        texts = embed_texts(model, tokenize, test.candidates)
        found = recall(embed_pictures(model, test.pixels), texts, test.answers)
        print(json.dumps({"test": test.name, **found}), flush=True)
        counts = {"candidates": len(test.candidates), "pictures": len(test.answers)}
        figures[test.name] = {**found, **counts}
    return figures

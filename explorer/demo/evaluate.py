"""Measure the demo model on what it never saw: styles, scenes and photographs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.demo.features import Corpus, ViewMaker, normalise
from explorer.demo.pictures import HELD_OUT_SETS
from explorer.scenes.compose import SceneObject, SceneSettings, compose

SCENE_SETTINGS = SceneSettings(smallest=0.40, largest=0.65, tilt=0.0, flip=0.0, jitter=0.0)


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


def held_out_photographs(corpus: Corpus, size: int, a_class: int = 10) -> TestSet:
    """Return held-out Tiny ImageNet photographs with all classes' names as candidates."""
    photos = corpus.photos[corpus.photos["held_out"].astype(bool)]
    photos = photos[photos.groupby("wnid").cumcount() < a_class]
    candidates = sorted(set(photos["names"]))
    maker = ViewMaker(corpus, size)
    pixels = np.stack([maker.plain_photograph(int(row)) for row in photos.index])
    answers = np.array([candidates.index(names) for names in photos["names"]])
    return TestSet("held-out photographs", pixels, candidates, answers)


def all_test_sets(corpus: Corpus, size: int) -> list[TestSet]:
    """Return every test set the corpus has pictures for."""
    sets = [
        held_out_style(corpus, source, size, scenes)
        for source in HELD_OUT_SETS
        for scenes in (False, True)
        if (corpus.pictures["source"] == source).any()
    ]
    return [*sets, held_out_photographs(corpus, size)] if not corpus.photos.empty else sets


def recall(images: Tensor, texts: Tensor, answers: np.ndarray) -> dict[str, float]:
    """Return recall@1 and @10 of unit embeddings: images [image, embed], texts [text, embed]."""
    scores = images.float() @ texts.float().T
    right = torch.from_numpy(np.asarray(answers)).long()
    rank = (scores > scores.gather(1, right[:, None])).sum(1)
    return {
        "recall@1": float((rank < 1).float().mean()),
        "recall@10": float((rank < 10).float().mean()),
    }


def to_input(test: TestSet, rows: slice) -> Tensor:
    """Return the rows' pixels as the model takes them, [image, 3, row, column]."""
    return normalise(test.pixels[rows])

"""A toy corpus and a toy second stage for the recipe's tests."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.nn import functional

from explorer.demo.captions import caption_views
from explorer.demo.composer import Stock
from explorer.demo.features import Corpus, View
from explorer.demo.knowledge import Teachers
from explorer.demo.lexicon import Lexicon
from explorer.demo.objective import ObjectiveSettings
from explorer.demo.photographs import SIDES, Photographs
from explorer.demo.readable import ReadableRun, ReadableSettings
from tests.support.tiny import tiny_clip

SIZE = 28
TOWER = {
    "layers": 6, "width": 32, "heads": 2, "patch": 14, "image": SIZE, "embed": 16,
    "no_ln_pre": True, "layer_scale": True,
}  # fmt: skip


def encoded(colour: tuple[int, int, int], size: tuple[int, int] = (20, 16)) -> bytes:
    """Return a photograph of one colour as PNG bytes."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def toy_pictures() -> tuple[pd.DataFrame, np.ndarray]:
    """Return seven drawings: one held out, one of the style that settings are chosen by."""
    table = pd.DataFrame(
        {
            "label": ["dog", "car", "dog", "soup", "kangaroo", "dog", "car"],
            "concept": ["dog", "car", "dog", "", "", "dog", "car"],
            "keywords": ["pet, animal", "", "pet", "meal", "", "pet", ""],
            "looks": ["emoji, red", "emoji", "outline", "clip art", "photo", "emoji", "emoji"],
            "source": ["noto", "noto", "fluent", "openclipart", "tuxpaint", "twemoji", "fxemoji"],
            "held_out": [False] * 5 + [True, False],
            "kind": ["colour", "colour", "mono", "clipart", "photo", "colour", "colour"],
        }
    )
    pixels = np.random.default_rng(0).integers(0, 255, (7, SIZE, SIZE, 4), dtype=np.uint8)
    return table, pixels


def toy_photographs() -> Photographs:
    """Return eight photographs in memory: four to train on, two known, one unknown, one a test."""
    parts = ["train"] * 4 + ["known"] * 2 + ["unknown", "test"]
    table = pd.DataFrame(
        {
            "wnid": ["n0", "n1", "n0", "n1", "n0", "n1", "n2", "n3"],
            "names": ["Tabby, tabby cat", "car"] * 3 + ["lion", "ship"],
            "label": ["tabby", "car"] * 3 + ["lion", "ship"],
            "part": parts,
            "source": ["tiny"] * 5 + ["everyday", "samples", "samples"],
            "size": ["small"] * 6 + ["large"] * 2,
            "row": [0, 1, 2, 3, 4, 5, 0, 1],
        }
    )
    rng = np.random.default_rng(1)
    counts = {"small": 6, "large": 2}
    pixels = {
        size: rng.integers(0, 255, (counts[size], side, side, 3), dtype=np.uint8)
        for size, side in SIDES.items()
    }
    return Photographs(table, pixels)


def toy_lexicon(embed: int = 16) -> Lexicon:
    """Return the toy corpus's texts with random vectors."""
    table, pixels = toy_pictures()
    photographs = toy_photographs()
    named = np.flatnonzero(photographs.table["part"].isin(["train", "known"]))
    photo_rows = np.full(len(photographs.table), -1, np.int64)
    photo_rows[named] = len(table) + np.arange(len(named))
    views = [View(pictures=(row,)) for row in range(len(table))]
    views += [View(photo=row) for row in range(len(named))]
    spoken = photographs.table.iloc[named].reset_index(drop=True)
    captions = caption_views(Corpus(table, pixels, spoken), views)
    generator = torch.Generator().manual_seed(5)

    def vectors(count: int) -> torch.Tensor:
        return functional.normalize(torch.randn(count, embed, generator=generator), dim=-1)

    words = [f"word {number}" for number in range(20)]
    return Lexicon(
        captions=captions,
        labels=vectors(len(captions.labels)),
        keywords=vectors(len(captions.keywords)),
        looks=vectors(len(captions.looks)),
        dictionary=vectors(20),
        words=words,
        near=torch.zeros(len(captions.labels), len(captions.labels), dtype=torch.bool),
        trained=~(table["held_out"] | (table["source"] == "fxemoji")).to_numpy(bool),
        photo_rows=photo_rows,
    )


def toy_stock() -> Stock:
    """Return what toy views are made of."""
    table, pixels = toy_pictures()
    return Stock(pixels, (table["kind"] == "mono").to_numpy(), toy_photographs())


def toy_settings(**changes: object) -> ReadableSettings:
    """Return settings of a second stage of a few steps; ``changes`` override them."""
    objective = ObjectiveSettings(
        first_tuned=1, first_fresh=2, read=(2, 3, 4), frozen_steps=1, ramp_steps=2, asked=2,
        agreeing=8,
    )  # fmt: skip
    settings = {
        "image_size": SIZE, "drawings": 4, "photographs": 3, "steps": 4, "warm_steps": 1,
        "fade_steps": 2, "save_seconds": 1e9, "watch_steps": 2, "threads": (1,),
        "objective": objective,
    }  # fmt: skip
    return ReadableSettings(**(settings | changes))


def toy_run(**changes: object) -> ReadableRun:
    """Return a second stage of a toy tower, at step 0."""
    torch.manual_seed(0)
    model, dino = tiny_clip(**TOWER), tiny_clip(seed=9, **TOWER)
    teachers = Teachers(dino.visual, model.visual, 1, 3)
    return ReadableRun(model, toy_stock(), toy_lexicon(), teachers, toy_settings(**changes))

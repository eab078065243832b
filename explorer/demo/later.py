"""The second stage from files to a finished tower: later blocks trained to be read, size by size.

    readable-<n>.pt    the training run at n pixels
    watch.jsonl        what was measured on the way

Each size goes on from the tower that the size before it finished with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor

from explorer.demo.composer import Stock
from explorer.demo.features import Corpus
from explorer.demo.knowledge import Teachers
from explorer.demo.lexicon import Lexicon, embed_texts
from explorer.demo.measures import measure
from explorer.demo.photographs import Photographs
from explorer.demo.probe import make_probe
from explorer.demo.readable import ReadableRun, ReadableSettings, train_readable
from explorer.demo.tower import load_dino, make_model, resize_tower


def train_later_blocks(
    first: Path,
    dino: Path,
    corpus: Corpus,
    stock: Stock,
    lexicon: Lexicon,
    stages: Sequence[ReadableSettings],
    out: Path,
    earlier: Mapping[str, Tensor] | None = None,
    shared: int = 9,
) -> open_clip.CLIP:
    """Train size by size below ``out``; return the first stage's model with the finished tower.

    first: the first stage's folder; dino: DINOv2's ONNX file; earlier: a finished tower of an
    earlier run to go on from; shared: how many blocks of the first stage are DINOv2's own.
    """
    tower = earlier
    for settings in stages:
        torch.manual_seed(settings.seed)
        model = open_model(first)
        teachers = _teachers(dino, model, settings.objective.first_tuned, shared)
        resize_tower(model.visual, settings.image_size)
        run = ReadableRun(model, stock, lexicon, teachers, settings, tower)
        watch = _watcher(run, corpus, stock.photographs, lexicon, out / "watch.jsonl")
        tower = train_readable(run, out / f"readable-{settings.image_size}.pt", watch)
    model = open_model(first)
    resize_tower(model.visual, stages[-1].image_size)
    model.visual.load_state_dict(tower)
    return model.eval()


def open_model(folder: Path) -> open_clip.CLIP:
    """Return the model of a ``local-dir:`` folder in float32."""
    return open_clip.create_model(f"local-dir:{folder}").eval().float()


def _teachers(dino: Path, first: open_clip.CLIP, first_tuned: int, shared: int) -> Teachers:
    size = first.visual.image_size[0]
    whole = make_model(size)
    load_dino(whole.visual, dino, size)
    return Teachers(whole.visual, first.visual, first_tuned, shared)


def _watcher(
    run: ReadableRun,
    corpus: Corpus,
    photographs: Photographs,
    lexicon: Lexicon,
    log: Path,
) -> Callable[[dict[str, Tensor]], dict[str, Any]]:
    """Return a function that measures a finished tower and notes the figures in ``log``."""
    size, read = run.settings.image_size, run.settings.objective.read
    model = run.model
    tokenize = open_clip.SimpleTokenizer(context_length=model.context_length)
    probe = make_probe(
        corpus, photographs, lexicon, lambda texts: embed_texts(model, tokenize, texts), size
    )

    def watch(tower: dict[str, Tensor]) -> dict[str, Any]:
        trained = {n: w.detach().clone() for n, w in model.visual.state_dict().items()}
        model.visual.load_state_dict(tower)
        found = measure(model, probe, read)
        model.visual.load_state_dict(trained)
        note = {"size": size, "step": run.step, **found}
        with log.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(note) + "\n")
        return found

    return watch

"""Train the demo model: cached features, aligned last blocks, then the text tower.

Every step writes below one folder and is skipped or resumed when it is there:

    features/  the frozen blocks' output for every training view
    tests/     the same for the held-out pictures
    align.pt   the image side (explorer/demo/align.py)
    text.pt, finish.pt   the text side (explorer/demo/text.py)
    model/     the finished model as open_clip's ``local-dir:`` folder, with figures.json
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.demo.align import (
    AlignSettings,
    PolishSettings,
    Tail,
    Teacher,
    align,
    class_token_terms,
    polish,
)
from explorer.demo.captions import (
    Captions,
    caption_views,
    minilm_embed,
    name_variants,
    photo_label,
    synonym_mask,
    vocabulary,
)
from explorer.demo.evaluate import TestSet, all_test_sets, recall, to_input
from explorer.demo.export import export_model
from explorer.demo.features import (
    Corpus,
    ViewMaker,
    cache_features,
    embed_tokens,
    plan_views,
    read_corpus,
)
from explorer.demo.sources import Sources
from explorer.demo.text import (
    FinishSettings,
    Lessons,
    Pictures,
    TextSettings,
    encode_tokens,
    finish,
    seed_token_embeddings,
    teach,
)
from explorer.demo.tower import WIDTH, load_dino, make_model
from explorer.describe.dictionary import common_words


@dataclass(frozen=True)
class TrainSettings:
    """The whole recipe's settings."""

    image_size: int = 168
    first_tuned: int = 9  # blocks before it stay DINOv2's
    repeats: int = 1  # rounds of views of every picture
    views: int | None = None  # the first N of the shuffled views are used; None: all
    photos_a_class: int = 120
    words: int = 30_000
    seed: int = 0
    align: AlignSettings = field(default_factory=AlignSettings)
    polish: PolishSettings = field(default_factory=PolishSettings)
    text: TextSettings = field(default_factory=TextSettings)
    finish: FinishSettings = field(default_factory=FinishSettings)


def train(
    sources: Sources, pictures: Path, photos: Path | None, out: Path, settings: TrainSettings
) -> dict[str, Any]:
    """Run the recipe and return the finished model's figures (recall per test set).

    Raises:
        ExplorerError: a package of the recipe is missing.
    """
    torch.manual_seed(settings.seed)
    corpus = read_corpus(pictures, photos)
    model = make_model(settings.image_size)
    load_dino(model.visual, sources.dino, settings.image_size)
    torch.nn.init.normal_(model.visual.proj, std=WIDTH**-0.5)
    views = plan_views(corpus, settings.repeats, settings.photos_a_class, settings.seed)
    views = views[: settings.views]
    maker = ViewMaker(corpus, settings.image_size, settings.seed)
    cached = cache_features(model.visual, views, maker, settings.first_tuned, out / "features")
    model.visual.float()
    captions = caption_views(corpus, views[:cached], settings.seed)
    tests = all_test_sets(corpus, settings.image_size)
    streams = [_test_stream(model, test, settings.first_tuned, out / "tests") for test in tests]

    words = vocabulary(captions, corpus, common_words(settings.words))
    vectors = _cached(
        out / "minilm.npy", lambda: minilm_embed(sources.minilm, words["text"].tolist())
    )
    where = {text: row for row, text in enumerate(words["text"])}
    label_vectors = vectors[[where[t] for t in captions.labels]]
    teacher = Teacher(
        label_vectors,
        vectors[[where[t] for t in captions.keywords]],
        vectors[[where[t] for t in captions.looks]],
    )
    tokens = np.load(out / "features/tokens.npy", mmap_mode="r")
    align(model.visual, teacher, tokens, captions, settings.first_tuned, settings.align, out)
    terms = class_token_terms(
        model.visual, tokens, cached, settings.first_tuned, out / "class-tokens.npy"
    )
    polish(model.visual, teacher, terms, captions, settings.polish)
    embeddings = [_embed_streams(model, stream, settings.first_tuned) for stream in streams]
    lessons = make_lessons(teacher, captions, corpus, words["text"].tolist(), vectors)
    known = {text: target for text, target in zip(lessons.texts, lessons.targets, strict=True)}
    for test, images in zip(tests, embeddings, strict=True):
        texts = torch.stack([known[t] for t in test.candidates])
        print(json.dumps({"teacher": test.name, **recall(images, texts, test.answers)}), flush=True)

    tokenizer = open_clip.SimpleTokenizer(context_length=model.context_length)
    strings = [
        tokenizer.decoder[i].replace("</w>", "").strip() for i in range(tokenizer.vocab_size)
    ]
    token_vectors = _cached(
        out / "tokens-minilm.npy", lambda: minilm_embed(sources.minilm, strings)
    )
    seed_token_embeddings(model, token_vectors)
    teach(model, tokenizer, lessons, settings.text, out)
    shown = _read(model, terms)
    pictures_seen = Pictures(shown, captions, synonym_mask(label_vectors))
    finish(model, tokenizer, lessons, pictures_seen, settings.finish, out)
    with torch.no_grad():
        model.logit_scale.copy_(-teacher.log_temperature)
    figures = {
        t.name: _measure(model, tokenizer, t, e) for t, e in zip(tests, embeddings, strict=True)
    }
    export_model(model, settings.image_size, out / "model", figures)
    return figures


def make_lessons(
    teacher: Teacher, captions: Captions, corpus: Corpus, texts: list[str], vectors: np.ndarray
) -> Lessons:
    """Return every text with the teacher's embedding as its target; names share their label's."""
    with torch.no_grad():
        targets = teacher.embed(torch.from_numpy(vectors)).clone()
        labels = teacher.embed_labels()
    place = {text: row for row, text in enumerate(texts)}
    label_of = np.full(len(texts), -1, np.int64)
    for number, label in enumerate(captions.labels):
        label_of[place[label]] = number
    number_of = {label: number for number, label in enumerate(captions.labels)}
    for names in dict.fromkeys(corpus.photos["names"]):
        for variant in name_variants(names):
            if label_of[place[variant]] < 0:
                label_of[place[variant]] = number_of[photo_label(names)]
    known = np.flatnonzero(label_of >= 0)
    targets[known] = labels[label_of[known]]
    looks = np.array([place[text] for text in captions.looks])
    return Lessons(texts, targets, label_of, labels, looks)


def _test_stream(model: open_clip.CLIP, test: TestSet, first_tuned: int, out: Path) -> Tensor:
    """Return the cached stream [image, token, width] of a test set, computed once."""
    out.mkdir(parents=True, exist_ok=True)

    def compute() -> np.ndarray:
        parts = []
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            for start in range(0, len(test.pixels), 64):
                stream = embed_tokens(model.visual, to_input(test, slice(start, start + 64)))
                for block in model.visual.transformer.resblocks[:first_tuned]:
                    stream = block(stream)
                parts.append(stream.float().numpy().astype(np.float16))
        return np.concatenate(parts)

    return torch.from_numpy(_cached(out / f"{test.name.replace(' ', '-')}.npy", compute))


@torch.no_grad()
def _read(model: open_clip.CLIP, terms: np.ndarray) -> Tensor:
    """Return unit image embeddings [view, embed] of class tokens' terms [view, term, width]."""
    parts = []
    for start in range(0, len(terms), 1024):
        token = torch.from_numpy(terms[start : start + 1024]).float().sum(1)
        parts.append(F.normalize(model.visual.ln_post(token) @ model.visual.proj, dim=-1))
    return torch.cat(parts)


def _embed_streams(model: open_clip.CLIP, stream: Tensor, first_tuned: int) -> Tensor:
    """Return unit image embeddings [image, embed] from the cached stream."""
    tail = Tail(model.visual, first_tuned)
    with torch.inference_mode():
        parts = [tail(part.float()) for part in stream.split(64)]
    return F.normalize(torch.cat(parts), dim=-1)


def _measure(
    model: open_clip.CLIP, tokenizer: Callable[..., Tensor], test: TestSet, images: Tensor
) -> dict[str, Any]:
    with torch.inference_mode():
        texts = torch.cat(
            [
                encode_tokens(model, tokenizer(test.candidates[i : i + 256]))
                for i in range(0, len(test.candidates), 256)
            ]
        )
    found = recall(images, texts, test.answers)
    print(json.dumps({"test": test.name, **found}), flush=True)
    return {**found, "candidates": len(test.candidates), "pictures": len(test.answers)}


def _cached(file: Path, compute: Callable[[], np.ndarray]) -> np.ndarray:
    if file.exists():
        values: np.ndarray = np.load(file)
        return values
    values = compute()
    np.save(file, values)
    return values

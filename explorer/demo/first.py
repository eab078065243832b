"""The first stage: a tower of DINOv2's blocks aligned with texts, and the text tower.

It lays down the text space that the second stage's blocks learn to name pictures in, and it is
one of their two teachers. Every step writes below one folder and is skipped or resumed when it is
there:

    features/  the frozen blocks' output for every training view
    align.pt   the image side (explorer/demo/align.py)
    text.pt, finish.pt   the text side (explorer/demo/text.py)
    model/     the finished model as open_clip's ``local-dir:`` folder
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.demo.align import (
    AlignSettings,
    PolishSettings,
    Teacher,
    align,
    class_token_terms,
    polish,
)
from explorer.demo.captions import (
    Captions,
    caption_views,
    label_texts,
    minilm_embed,
    synonym_mask,
    vocabulary,
)
from explorer.demo.export import export_model
from explorer.demo.features import (
    Corpus,
    ViewMaker,
    cache_features,
    plan_views,
)
from explorer.demo.phrases import Phrasebook, read_emoji
from explorer.demo.sources import Sources
from explorer.demo.text import (
    FinishSettings,
    Lessons,
    Pictures,
    TextSettings,
    finish,
    seed_token_embeddings,
    teach,
)
from explorer.demo.tower import load_dino, make_model
from explorer.describe.dictionary import common_words


@dataclass(frozen=True)
class FirstSettings:
    """The first stage's settings."""

    image_size: int = 168
    first_tuned: int = 9  # blocks before it stay DINOv2's
    repeats: int = 1  # rounds of views of every picture
    views: int | None = None  # of the shuffled views, the first so many are used; None: all
    photos_a_class: int = 120
    words: int = 30_000
    seed: int = 0
    align: AlignSettings = field(default_factory=AlignSettings)
    polish: PolishSettings = field(default_factory=PolishSettings)
    text: TextSettings = field(default_factory=TextSettings)
    finish: FinishSettings = field(default_factory=FinishSettings)


def train_first(sources: Sources, corpus: Corpus, out: Path, settings: FirstSettings) -> Path:
    """Train the first stage below ``out`` and return the finished model's folder.

    Raises:
        ExplorerError: a package of the recipe is missing.
    """
    if (out / "model" / "open_clip_config.json").exists():
        return out / "model"
    torch.manual_seed(settings.seed)
    model = make_model(settings.image_size)
    load_dino(model.visual, sources.dino, settings.image_size)
    torch.nn.init.normal_(model.visual.proj, std=len(model.visual.proj) ** -0.5)
    views = plan_views(corpus, settings.repeats, settings.photos_a_class, settings.seed)
    views = views[: settings.views]
    maker = ViewMaker(corpus, settings.image_size, settings.seed)
    cached = cache_features(model.visual, views, maker, settings.first_tuned, out / "features")
    model.visual.float()
    captions = caption_views(corpus, views[:cached], settings.seed)
    lessons, terms, near = _align_images(model, sources, corpus, captions, out, settings)
    _teach_texts(
        model, sources, lessons, Pictures(_read(model, terms), captions, near), out, settings
    )
    export_model(model, settings.image_size, out / "model")
    return out / "model"


def _align_images(
    model: open_clip.CLIP,
    sources: Sources,
    corpus: Corpus,
    captions: Captions,
    out: Path,
    settings: FirstSettings,
) -> tuple[Lessons, np.ndarray, Tensor]:
    """Train the image side; return texts with targets, the views' terms and `synonym_mask`."""
    words = vocabulary(captions, corpus, common_words(settings.words))["text"].tolist()
    vectors = _cached(out / "minilm.npy", lambda: minilm_embed(sources.minilm, words))
    where = {text: row for row, text in enumerate(words)}
    told = (captions.labels, captions.keywords, captions.looks)
    teacher = Teacher(*(vectors[[where[t] for t in texts]] for texts in told))
    tokens = np.load(out / "features/tokens.npy", mmap_mode="r")
    align(model.visual, teacher, tokens, captions, settings.first_tuned, settings.align, out)
    cache, views = out / "class-tokens.npy", len(captions.view_labels)
    terms = class_token_terms(model.visual, tokens, views, settings.first_tuned, cache)
    polish(model.visual, teacher, terms, captions, settings.polish)
    with torch.no_grad():
        model.logit_scale.copy_(-teacher.log_temperature)
    emoji = read_emoji(sources.emojibase, captions.labels)
    lessons = make_lessons(teacher, captions, corpus, words, vectors, emoji)
    return lessons, terms, synonym_mask(teacher.labels.numpy())


def _teach_texts(
    model: open_clip.CLIP,
    sources: Sources,
    lessons: Lessons,
    pictures: Pictures,
    out: Path,
    settings: FirstSettings,
) -> None:
    """Train the text side, in place."""
    tokenizer = open_clip.SimpleTokenizer(context_length=model.context_length)
    strings = [
        tokenizer.decoder[i].replace("</w>", "").strip() for i in range(tokenizer.vocab_size)
    ]
    vectors = _cached(out / "tokens-minilm.npy", lambda: minilm_embed(sources.minilm, strings))
    seed_token_embeddings(model, vectors)
    teach(model, tokenizer, lessons, settings.text, out)
    finish(model, tokenizer, lessons, pictures, settings.finish, out)


def make_lessons(
    teacher: Teacher,
    captions: Captions,
    corpus: Corpus,
    texts: list[str],
    vectors: np.ndarray,
    emoji: Mapping[str, str],
) -> Lessons:
    """Return every text with the teacher's embedding as its target; names share their label's."""
    with torch.no_grad():
        targets = teacher.embed(torch.from_numpy(vectors)).clone()
        labels = teacher.embed_labels()
    names = list(dict.fromkeys(corpus.photos["names"]))
    label_of = label_texts(texts, captions.labels, names)
    known = np.flatnonzero(label_of >= 0)
    targets[known] = labels[label_of[known]]
    return Lessons(texts, targets, label_of, labels, Phrasebook(captions.looks, emoji))


@torch.no_grad()
def _read(model: open_clip.CLIP, terms: np.ndarray) -> Tensor:
    """Return unit image embeddings [view, embed] of class tokens' terms [view, term, width]."""
    parts = []
    for start in range(0, len(terms), 1024):
        token = torch.from_numpy(terms[start : start + 1024]).float().sum(1)
        parts.append(F.normalize(model.visual.ln_post(token) @ model.visual.proj, dim=-1))
    return torch.cat(parts)


def _cached(file: Path, compute: Callable[[], np.ndarray]) -> np.ndarray:
    if file.exists():
        values: np.ndarray = np.load(file)
        return values
    values = compute()
    np.save(file, values)
    return values

"""The third stage: the text tower meets the tower that is read, and learns phrases.

Texts keep the places the first stage gave them: each is imitated where it lay, said in many ways
(`phrases`). Beside it the text tower is fitted to what the new image tower makes of training
views, with the loss over labels of the first stage (`text.finish`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.demo.captions import Captions, label_texts, name_variants
from explorer.demo.composer import Composer, ComposerSettings, Stock
from explorer.demo.lexicon import Lexicon, embed_texts
from explorer.demo.photographs import Photographs, photo_label
from explorer.demo.phrases import Phrasebook
from explorer.demo.text import FinishSettings, Lessons, Pictures, finish


@dataclass(frozen=True)
class WordSettings:
    """How the text tower is fitted to the new image tower."""

    batches: int = 250  # of views
    half_batch: int = 48  # drawings, and as many photographs
    finish: FinishSettings = field(
        default_factory=lambda: FinishSettings(steps=220, texts=400, lessons=224)
    )
    views: ComposerSettings = field(default_factory=ComposerSettings)
    seed: int = 1


def train_words(
    model: open_clip.CLIP,
    stock: Stock,
    lexicon: Lexicon,
    emoji: dict[str, str],
    settings: WordSettings,
    out: Path,
) -> None:
    """Fit the text tower, in place; resumes from ``out/finish.pt``.

    model: the first stage's text tower beside the finished image tower.
    """
    tokenize = open_clip.SimpleTokenizer(context_length=model.context_length)
    pictures = look_at_views(model, stock, lexicon, settings, out / "views.npz")
    lessons = own_lessons(model, tokenize, lexicon, stock.photographs, emoji)
    finish(model, tokenize, lessons, pictures, settings.finish, out)


def own_lessons(
    model: open_clip.CLIP,
    tokenize: Callable[[list[str]], Tensor],
    lexicon: Lexicon,
    photographs: Photographs,
    emoji: Mapping[str, str],
) -> Lessons:
    """Return the dictionary and the looks, each with the text tower's own embedding as target."""
    captions, known = lexicon.captions, set(lexicon.words)
    texts = [*lexicon.words, *(look for look in captions.looks if look not in known)]
    labels = set(captions.labels)
    names = [n for n in dict.fromkeys(photographs.table["names"]) if photo_label(n) in labels]
    texts += [v for n in names for v in name_variants(n) if v not in known]
    texts = list(dict.fromkeys(texts))
    label_of = label_texts(texts, captions.labels, names)
    targets = embed_texts(model, tokenize, texts).float()
    named = np.flatnonzero(label_of >= 0)
    targets[named] = lexicon.labels[label_of[named]]
    return Lessons(texts, targets, label_of, lexicon.labels, Phrasebook(captions.looks, emoji))


@torch.no_grad()
def look_at_views(
    model: open_clip.CLIP, stock: Stock, lexicon: Lexicon, settings: WordSettings, file: Path
) -> Pictures:
    """Return training views with what the image tower makes of them; a cache."""
    if not file.exists():
        composer = Composer(stock, model.visual.image_size[0], settings.views)
        drawings = torch.from_numpy(lexicon.trained).nonzero()[:, 0]
        photos = torch.from_numpy(stock.photographs.rows("train"))
        embeddings, rows = [], []
        for number in range(settings.batches):
            generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + number)
            order = torch.randperm(len(drawings), generator=generator)[: settings.half_batch]
            place = torch.randint(len(photos), (settings.half_batch,), generator=generator)
            views = composer(drawings[order], photos[place], generator)
            with torch.autocast("cpu", torch.bfloat16):
                embeddings.append(F.normalize(model.visual(views.pixels).float(), dim=-1))
            named = torch.from_numpy(lexicon.photo_rows[photos[place].numpy()])
            alone = torch.stack([named, torch.full_like(named, -1)], 1)
            rows.append(torch.cat([views.drawings, alone]))
        np.savez(file, embeddings=torch.cat(embeddings).numpy(), rows=torch.cat(rows).numpy())
    saved = np.load(file)
    return Pictures(
        torch.from_numpy(saved["embeddings"]),
        _retold(lexicon.captions, saved["rows"]),
        lexicon.near,
    )


def _retold(captions: Captions, rows: np.ndarray) -> Captions:
    """Return the captions of views. rows: [view, 2] rows of ``captions``, -1 where empty."""
    labels = captions.view_labels[rows.clip(min=0)]
    labels = np.where((rows >= 0)[..., None], labels, -1).reshape(len(rows), -1)
    return replace(captions, view_labels=labels, is_photo=captions.is_photo[rows[:, 0]])

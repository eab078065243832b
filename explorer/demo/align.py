"""Align the image tower's last blocks with texts: the first half of the demo's training.

The text side is a *teacher*: MiniLM's frozen sentence embedding through a small head, plus a
learnt offset for every label seen with pictures,

    e(text) = normalise( head(minilm(text)) + offset[text] ).

The image side tunes the blocks after the cached ones, ``ln_post`` and ``proj``. Losses, all
softmax cross-entropies of cosine / temperature with several positives a view:

1. over all labels (synonyms of the positives are no negatives),
2. over the view's own domain (concepts, or photographs' names): what retrieval asks for,
3. over keywords.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.demo.captions import Captions, synonym_mask
from explorer.demo.tower import EMBED


@dataclass(frozen=True)
class AlignSettings:
    """How the image side is trained."""

    epochs: int = 3
    batch_size: int = 256
    block_rate: float = 6e-5
    head_rate: float = 1e-3
    weight_decay: float = 0.05
    frozen_steps: int = 100  # only the heads learn at first
    domain_weight: float = 1.0
    keyword_weight: float = 0.2
    smoothing: float = 0.05
    average: float = 0.998  # of the weights over steps
    seed: int = 0
    hours: float = 9.0  # stop at the end of this time whatever the epochs


class Teacher(nn.Module):
    """Text embeddings of labels and keywords from MiniLM's, [text, embed] unit norm."""

    def __init__(self, label_vectors: np.ndarray, keyword_vectors: np.ndarray) -> None:
        """Keep the frozen MiniLM vectors [text, 384] and start with zero offsets."""
        super().__init__()
        self.register_buffer("labels", torch.from_numpy(label_vectors))
        self.register_buffer("keywords", torch.from_numpy(keyword_vectors))
        width = label_vectors.shape[1]
        self.head = nn.Sequential(
            nn.Linear(width, 768), nn.GELU(), nn.Dropout(0.1), nn.Linear(768, EMBED)
        )
        self.offsets = nn.Parameter(torch.zeros(len(label_vectors), EMBED))
        self.log_temperature = nn.Parameter(torch.tensor(math.log(0.06)))

    def embed_labels(self) -> Tensor:
        """Return all labels' embeddings."""
        return F.normalize(self.head(self.labels) + self.offsets, dim=-1)

    def embed(self, vectors: Tensor) -> Tensor:
        """Return the embeddings of any MiniLM vectors [text, 384]."""
        return F.normalize(self.head(vectors), dim=-1)


class Tail(nn.Module):
    """The blocks after the cached ones; the last of them computes its class token only."""

    def __init__(self, visual: nn.Module, first_tuned: int) -> None:
        """Share the tower's modules from block ``first_tuned`` on."""
        super().__init__()
        self.blocks = visual.transformer.resblocks[first_tuned:]
        self.ln_post, self.proj = visual.ln_post, visual.proj

    def forward(self, stream: Tensor) -> Tensor:
        """[image, token, width] -> representation [image, embed], as the whole tower gives it."""
        for block in self.blocks[:-1]:
            stream = block(stream)
        last = self.blocks[-1]
        normed = last.ln_1(stream)
        attended = last.attn(normed[:, :1], normed, normed, need_weights=False)[0]
        token = stream[:, :1] + last.ls_1(attended)
        token = token + last.ls_2(last.mlp(last.ln_2(token)))
        return self.ln_post(token[:, 0]) @ self.proj


def multi_positive_loss(
    logits: Tensor, positives: Tensor, ignored: Tensor | None, smoothing: float
) -> Tensor:
    """Softmax cross-entropy with equal targets on all positives.

    logits [image, text]; positives [image, slot] int64, -1 where empty; ignored [image, text] bool
    texts leave the denominator. Rows without positives do not count.
    """
    has = positives >= 0
    rows = has.any(1)
    if not rows.any():
        return logits.sum() * 0
    target = torch.zeros_like(logits)
    target.scatter_add_(1, positives.clamp(min=0), has.to(logits.dtype))
    if ignored is not None:
        logits = logits.masked_fill(ignored & (target == 0), -1e4)
    target = target / target.sum(1, keepdim=True).clamp(min=1)
    log_chance = F.log_softmax(logits, dim=1)
    smooth = log_chance.clamp(min=-50).mean(1)
    loss = -(target * log_chance).sum(1) * (1 - smoothing) - smooth * smoothing
    return loss[rows].mean()


def align_loss(
    image: Tensor,
    teacher: Teacher,
    near: Tensor,
    batch: dict[str, Tensor],
    settings: AlignSettings,
    spans: tuple[int, int],
) -> Tensor:
    """Return the sum of the three losses for unit image embeddings [image, embed].

    ``near`` is `synonym_mask`; ``spans`` the numbers of concepts and of photographs' names.
    """
    scale = torch.exp(-teacher.log_temperature.clamp(min=math.log(0.01)))
    labels = batch["labels"]
    logits = scale * image @ teacher.embed_labels().T
    ignored = near[labels.clamp(min=0)].logical_and((labels >= 0)[..., None]).any(1)
    loss = multi_positive_loss(logits, labels, ignored, settings.smoothing)
    first, second = spans
    for start, stop, rows in ((0, first, ~batch["photo"]), (first, first + second, batch["photo"])):
        inside = torch.where((labels >= start) & (labels < stop), labels - start, -1)
        loss = loss + settings.domain_weight * rows.float().mean() * multi_positive_loss(
            logits[rows, start:stop], inside[rows], None, settings.smoothing
        )
    words = scale * image @ teacher.embed(teacher.keywords).T
    return loss + settings.keyword_weight * multi_positive_loss(words, batch["keywords"], None, 0.0)


def align(
    visual: nn.Module,
    teacher: Teacher,
    tokens: np.ndarray,
    captions: Captions,
    first_tuned: int,
    settings: AlignSettings,
    out: Path,
) -> None:
    """Train; the averaged weights end up in ``visual`` and ``teacher``. Resumes from ``out/align.pt``.

    tokens: the cached stream [view, token, width] float16 (memory-mapped).
    """
    torch.manual_seed(settings.seed)
    tail = Tail(visual, first_tuned).float()
    blocks = list(tail.blocks.parameters())
    heads = [*tail.ln_post.parameters(), tail.proj, *teacher.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": blocks, "rate": settings.block_rate}, {"params": heads, "rate": settings.head_rate}],
        lr=0.0, betas=(0.9, 0.98), weight_decay=settings.weight_decay,
    )  # fmt: skip
    modules = nn.ModuleDict({"tail": tail, "teacher": teacher})
    average = {name: p.detach().clone() for name, p in modules.named_parameters()}
    near = synonym_mask(teacher.labels.numpy())
    per_epoch = len(captions.view_labels) // settings.batch_size
    total = per_epoch * settings.epochs
    step, checkpoint = 0, out / "align.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        modules.load_state_dict(saved["modules"])
        optimizer.load_state_dict(saved["optimizer"])
        average, step = saved["average"], saved["step"]
    began, first_step, running = time.time(), step, 0.0
    while step < total and time.time() - began < settings.hours * 3600:
        rows = _batch_rows(step, per_epoch, len(captions.view_labels), settings)
        _set_rates(optimizer, step, total, settings)
        batch = {
            "labels": torch.from_numpy(captions.view_labels[rows]).long(),
            "keywords": torch.from_numpy(captions.view_keywords[rows]).long(),
            "photo": torch.from_numpy(captions.is_photo[rows]),
        }
        stream = torch.from_numpy(tokens[rows])
        tail.train(), teacher.train()
        frozen = step < settings.frozen_steps
        for parameter in blocks:
            parameter.requires_grad_(not frozen)
        with torch.autocast("cpu", torch.bfloat16):
            representation = tail(stream.to(torch.bfloat16))
        image = F.normalize(representation.float(), dim=-1)
        loss = align_loss(
            image, teacher, near, batch, settings, (captions.concepts, captions.photos)
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
        optimizer.step()
        step += 1
        keep = min(settings.average, step / (step + 10))
        with torch.no_grad():
            for name, parameter in modules.named_parameters():
                average[name].lerp_(parameter, 1 - keep)
        running += loss.item()
        if step % 25 == 0:
            rate = (step - first_step) * settings.batch_size / (time.time() - began)
            print(
                json.dumps(
                    {
                        "step": step,
                        "of": total,
                        "loss": round(running / 25, 4),
                        "views/s": round(rate),
                    }
                ),
                flush=True,
            )
            running = 0.0
        if step % 100 == 0 or step == total:
            state = {
                "modules": modules.state_dict(),
                "optimizer": optimizer.state_dict(),
                "average": average,
                "step": step,
            }
            torch.save(state, checkpoint.with_suffix(".new"))
            checkpoint.with_suffix(".new").replace(checkpoint)
    with torch.no_grad():
        for name, parameter in modules.named_parameters():
            parameter.copy_(average[name])
    modules.eval()


def _batch_rows(step: int, per_epoch: int, views: int, settings: AlignSettings) -> np.ndarray:
    order = np.random.default_rng([settings.seed, step // per_epoch]).permutation(views)
    start = (step % per_epoch) * settings.batch_size
    return np.sort(order[start : start + settings.batch_size])


def _set_rates(
    optimizer: torch.optim.Optimizer, step: int, total: int, settings: AlignSettings
) -> None:
    """Linear warm-up, then a cosine down to a fiftieth."""
    for group in optimizer.param_groups:
        since = step - settings.frozen_steps if group["rate"] == settings.block_rate else step
        warm = min(1.0, max(since, 0) / 100)
        fade = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / max(total, 1)))
        group["lr"] = group["rate"] * warm * fade

"""Align the image tower's last blocks with texts: the first half of the demo's training.

The text side is a *teacher*: MiniLM's frozen sentence embedding through a small head, plus a
learnt offset for every label seen with pictures,

    e(text) = normalise( head(minilm(text)) + offset[text] ).

The image side tunes the blocks after the cached ones, ``ln_post`` and ``proj``. Losses, all
softmax cross-entropies of cosine / temperature with several positives a view:

1. over all labels (synonyms of the positives are no negatives),
2. over the view's own domain (concepts, or photographs' names): what retrieval asks for,
3. over keywords,
4. over looks: how things are drawn, and colours.

*Readout dropout.* The class token that ``ln_post`` reads is a sum: what entered the tuned blocks,
plus what each of their attention layers and MLPs wrote. In training some of the terms are left
out at random, never the attention layers': so the later attention heads, the routes the
second-order lens reads, come to carry the meaning by themselves.
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
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from explorer.demo.captions import Captions, synonym_mask
from explorer.demo.tower import EMBED


@dataclass(frozen=True)
class AlignSettings:
    """How the image side is trained."""

    epochs: int = 3
    batch_size: int = 256
    block_rate: float = 1e-4
    head_rate: float = 1e-3
    weight_decay: float = 0.05
    frozen_steps: int = 100  # only the heads learn at first
    domain_weight: float = 1.0
    keyword_weight: float = 0.2
    look_weight: float = 0.2
    entering_dropout: float = 0.5  # of the class token that enters the tuned blocks
    mlp_dropout: float = 0.5  # of what a tuned block's MLP writes into it
    smoothing: float = 0.05
    average: float = 0.998  # of the weights over steps
    seed: int = 0
    hours: float = 9.0  # stop at the end of this time whatever the epochs


@dataclass(frozen=True)
class PolishSettings:
    """How projection and teacher are fitted on fixed class tokens."""

    epochs: int = 10
    batch_size: int = 512
    rate: float = 1e-3
    weight_decay: float = 0.05
    dropout: float = 0.1
    domain_weight: float = 1.0
    keyword_weight: float = 0.2
    look_weight: float = 0.2
    entering_dropout: float = 0.2
    mlp_dropout: float = 0.2
    smoothing: float = 0.05
    seed: int = 0


class Teacher(nn.Module):
    """Text embeddings of labels, keywords and looks from MiniLM's, [text, embed] unit norm."""

    labels: Tensor
    keywords: Tensor
    looks: Tensor

    def __init__(
        self, label_vectors: np.ndarray, keyword_vectors: np.ndarray, look_vectors: np.ndarray
    ) -> None:
        """Keep the frozen MiniLM vectors [text, 384] and start with zero offsets."""
        super().__init__()
        self.register_buffer("labels", torch.from_numpy(label_vectors))
        self.register_buffer("keywords", torch.from_numpy(keyword_vectors))
        self.register_buffer("looks", torch.from_numpy(look_vectors))
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

    def __init__(self, visual: VisionTransformer, first_tuned: int) -> None:
        """Share the tower's modules from block ``first_tuned`` on."""
        super().__init__()
        self.blocks = visual.transformer.resblocks[first_tuned:]
        self.ln_post, self.proj = visual.ln_post, visual.proj

    def forward(self, stream: Tensor) -> Tensor:
        """Return representations [image, embed] of [image, token, width], as the tower does."""
        return self.read(self.terms(stream).sum(1))

    def read(self, class_token: Tensor) -> Tensor:
        """Return representations [image, embed] of class tokens [image, width]."""
        representation: Tensor = self.ln_post(class_token) @ self.proj
        return representation

    def terms(self, stream: Tensor) -> Tensor:
        """Return the terms of the last class token, [image, term, width].

        Terms: what enters, then each block's attention and MLP in turn; they sum to the token.
        """
        terms = [stream[:, 0]]
        for block in self.blocks[:-1]:
            normed = block.ln_1(stream)
            attended = block.ls_1(block.attn(normed, normed, normed, need_weights=False)[0])
            stream = stream + attended
            written = block.ls_2(block.mlp(block.ln_2(stream)))
            stream = stream + written
            terms += [attended[:, 0], written[:, 0]]
        last = self.blocks[-1]
        normed = last.ln_1(stream)
        attended = last.ls_1(last.attn(normed[:, :1], normed, normed, need_weights=False)[0])
        written = last.ls_2(last.mlp(last.ln_2(stream[:, :1] + attended)))
        return torch.stack([*terms, attended[:, 0], written[:, 0]], 1)


def drop_terms(terms: Tensor, entering: float, mlp: float) -> Tensor:
    """Return the class tokens [image, width] without randomly chosen terms of each image.

    ``entering`` and ``mlp`` are the chances that the entering token and that an MLP's output is
    left out; attention layers' outputs always stay.
    """
    chance = torch.zeros(terms.shape[1])
    chance[0], chance[2::2] = entering, mlp
    keep = torch.rand(terms.shape[:2]) >= chance
    return (terms * keep[..., None].to(terms.dtype)).sum(1)


def multi_positive_loss(
    logits: Tensor, positives: Tensor, ignored: Tensor | None, smoothing: float
) -> Tensor:
    """Return the softmax cross-entropy with equal targets on all positives.

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


def label_loss(
    logits: Tensor,
    labels: Tensor,
    near: Tensor,
    photo: Tensor,
    spans: tuple[int, int],
    domain_weight: float,
    smoothing: float,
) -> Tensor:
    """Return the loss over all labels plus that over each view's own domain.

    logits [view, label]; labels [view, slot] int64, -1 where empty; ``near`` `synonym_mask`;
    photo [view] bool; ``spans`` the numbers of concepts and of photographs' names, which come
    first among the labels.
    """
    ignored = near[labels.clamp(min=0)].logical_and((labels >= 0)[..., None]).any(1)
    loss = multi_positive_loss(logits, labels, ignored, smoothing)
    first, second = spans
    for start, stop, rows in ((0, first, ~photo), (first, first + second, photo)):
        inside = torch.where((labels >= start) & (labels < stop), labels - start, -1)
        loss = loss + domain_weight * rows.float().mean() * multi_positive_loss(
            logits[rows, start:stop], inside[rows], None, smoothing
        )
    return loss


def align_loss(
    image: Tensor,
    teacher: Teacher,
    near: Tensor,
    batch: dict[str, Tensor],
    settings: AlignSettings | PolishSettings,
    spans: tuple[int, int],
) -> Tensor:
    """Return the sum of the four losses for unit image embeddings [image, embed].

    ``near`` is `synonym_mask`; ``spans`` the numbers of concepts and of photographs' names.
    """
    scale = torch.exp(-teacher.log_temperature.clamp(min=math.log(0.01)))
    logits = scale * image @ teacher.embed_labels().T
    weights = (settings.domain_weight, settings.smoothing)
    loss = label_loss(logits, batch["labels"], near, batch["photo"], spans, *weights)
    words = scale * image @ teacher.embed(teacher.keywords).T
    loss = loss + settings.keyword_weight * multi_positive_loss(words, batch["keywords"], None, 0.0)
    looks = scale * image @ teacher.embed(teacher.looks).T
    return loss + settings.look_weight * multi_positive_loss(looks, batch["looks"], None, 0.0)


class Run:
    """The state of a training run: modules, optimiser, averaged weights and the step reached."""

    def __init__(
        self, visual: VisionTransformer, teacher: Teacher, first_tuned: int, settings: AlignSettings
    ) -> None:
        """Start at step 0."""
        self.tail = Tail(visual, first_tuned).float()
        self.teacher = teacher
        self.blocks = list(self.tail.blocks.parameters())
        heads = [*self.tail.ln_post.parameters(), self.tail.proj, *teacher.parameters()]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": self.blocks, "rate": settings.block_rate},
                {"params": heads, "rate": settings.head_rate},
            ],
            lr=0.0,
            betas=(0.9, 0.98),
            weight_decay=settings.weight_decay,
        )
        self.modules = nn.ModuleDict({"tail": self.tail, "teacher": teacher})
        self.average = {n: p.detach().clone() for n, p in self.modules.named_parameters()}
        self.step = 0

    def load(self, checkpoint: Path) -> None:
        """Go on from ``checkpoint`` if it is there."""
        if checkpoint.exists():
            saved = torch.load(checkpoint, weights_only=True)
            self.modules.load_state_dict(saved["modules"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.average, self.step = saved["average"], saved["step"]

    def save(self, checkpoint: Path) -> None:
        """Write everything `load` needs, atomically."""
        state = {
            "modules": self.modules.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "step": self.step,
        }
        torch.save(state, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)

    def descend(self, loss: Tensor, keep: float) -> None:
        """Take one optimiser step and move the averaged weights along."""
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.modules.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(keep, self.step / (self.step + 10))
        with torch.no_grad():
            for name, parameter in self.modules.named_parameters():
                self.average[name].lerp_(parameter, 1 - keep)

    def finish(self) -> None:
        """Put the averaged weights in place."""
        with torch.no_grad():
            for name, parameter in self.modules.named_parameters():
                parameter.copy_(self.average[name])
        self.modules.eval()


def align(
    visual: VisionTransformer,
    teacher: Teacher,
    tokens: np.ndarray,
    captions: Captions,
    first_tuned: int,
    settings: AlignSettings,
    out: Path,
) -> None:
    """Train; averaged weights end up in ``visual`` and ``teacher``. Resumes from ``out/align.pt``.

    tokens: the cached stream [view, token, width] float16 (memory-mapped).
    """
    torch.manual_seed(settings.seed)
    run, checkpoint = Run(visual, teacher, first_tuned, settings), out / "align.pt"
    run.load(checkpoint)
    near = synonym_mask(teacher.labels.numpy())
    views = len(captions.view_labels)
    total = views // settings.batch_size * settings.epochs
    began, first_step, running = time.time(), run.step, 0.0
    run.modules.train()
    while run.step < total and time.time() - began < settings.hours * 3600:
        rows = _batch_rows(run.step, views, settings)
        _set_rates(run.optimizer, run.step, total, settings)
        for parameter in run.blocks:
            parameter.requires_grad_(run.step >= settings.frozen_steps)
        with torch.autocast("cpu", torch.bfloat16):
            terms = run.tail.terms(torch.from_numpy(tokens[rows]).to(torch.bfloat16))
        token = drop_terms(terms.float(), settings.entering_dropout, settings.mlp_dropout)
        image = F.normalize(run.tail.read(token), dim=-1)
        batch = _texts_of(captions, rows)
        loss = align_loss(
            image, teacher, near, batch, settings, (captions.concepts, captions.photos)
        )
        run.descend(loss, settings.average)
        running += loss.item()
        if run.step % 25 == 0:
            rate = (run.step - first_step) * settings.batch_size / (time.time() - began)
            note = {
                "step": run.step,
                "of": total,
                "loss": round(running / 25, 4),
                "views/s": round(rate),
            }
            print(json.dumps(note), flush=True)
            running = 0.0
        if run.step % 100 == 0 or run.step == total:
            run.save(checkpoint)
    run.finish()


@torch.no_grad()
def class_token_terms(
    visual: VisionTransformer, tokens: np.ndarray, views: int, first_tuned: int, file: Path
) -> np.ndarray:
    """Return the terms of the class tokens (`Tail.terms`), [view, term, width] float16; a cache.

    tokens: the cached stream [view, token, width] float16 (memory-mapped).
    """
    if file.exists():
        return _loaded(file)
    tail = Tail(visual, first_tuned).eval()
    parts = []
    for start in range(0, views, 256):
        stream = torch.from_numpy(np.array(tokens[start : min(start + 256, views)]))
        with torch.autocast("cpu", torch.bfloat16):
            parts.append(tail.terms(stream.to(torch.bfloat16)).half().numpy())
    np.save(file, np.concatenate(parts))
    return _loaded(file)


def _loaded(file: Path) -> np.ndarray:
    terms: np.ndarray = np.load(file)
    return terms


def polish(
    visual: VisionTransformer,
    teacher: Teacher,
    terms: np.ndarray,
    captions: Captions,
    settings: PolishSettings,
) -> None:
    """Fit ``ln_post``, ``proj`` and the teacher on fixed class tokens, in place.

    The same losses as `align`, on features that cost nothing: many more rounds than the blocks
    can be given. terms: `class_token_terms`, [view, term, width] float16.
    """
    torch.manual_seed(settings.seed)
    modules = nn.ModuleDict({"ln_post": visual.ln_post, "teacher": teacher})
    parameters = [*modules.parameters(), visual.proj]
    optimizer = torch.optim.AdamW(parameters, lr=0.0, weight_decay=settings.weight_decay)
    near = synonym_mask(teacher.labels.numpy())
    views = len(terms)
    total = views // settings.batch_size * settings.epochs
    teacher.train()
    for step in range(total):
        rows = _batch_rows(step, views, settings)
        for group in optimizer.param_groups:
            fade = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / total))
            group["lr"] = settings.rate * min(1.0, (step + 1) / 50) * fade
        fixed = torch.from_numpy(terms[rows]).float()
        normed = visual.ln_post(drop_terms(fixed, settings.entering_dropout, settings.mlp_dropout))
        image = F.normalize(F.dropout(normed, settings.dropout) @ visual.proj, dim=-1)
        spans = (captions.concepts, captions.photos)
        loss = align_loss(image, teacher, near, _texts_of(captions, rows), settings, spans)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 99:
            note = {"polish": step + 1, "of": total, "loss": round(loss.item(), 4)}
            print(json.dumps(note), flush=True)
    teacher.eval()


def _texts_of(captions: Captions, rows: np.ndarray) -> dict[str, Tensor]:
    return {
        "labels": torch.from_numpy(captions.view_labels[rows]).long(),
        "keywords": torch.from_numpy(captions.view_keywords[rows]).long(),
        "looks": torch.from_numpy(captions.view_looks[rows]).long(),
        "photo": torch.from_numpy(captions.is_photo[rows]),
    }


def _batch_rows(step: int, views: int, settings: AlignSettings | PolishSettings) -> np.ndarray:
    per_epoch = views // settings.batch_size
    order = np.random.default_rng([settings.seed, step // per_epoch]).permutation(views)
    start = (step % per_epoch) * settings.batch_size
    return np.sort(order[start : start + settings.batch_size])


def _set_rates(
    optimizer: torch.optim.Optimizer, step: int, total: int, settings: AlignSettings
) -> None:
    """Warm up linearly, then go down a cosine to a fiftieth."""
    for group in optimizer.param_groups:
        since = step - settings.frozen_steps if group["rate"] == settings.block_rate else step
        warm = min(1.0, max(since, 0) / 100)
        fade = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / max(total, 1)))
        group["lr"] = group["rate"] * warm * fade

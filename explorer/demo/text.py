"""Teach open_clip's text transformer the aligned text space: the second half of the training.

1. Token embeddings start as MiniLM's embedding of each token's own string, projected on their
   leading principal components: words the tower never saw still lie near their kin.
2. *Imitation*. Every text of the vocabulary has a target: the teacher's embedding. Other names of
   a class share the class's target, and what names a label is said in many ways (`phrases`): in
   templates, numbers, other spellings, as emoji; pairs, and names with a colour or a manner of
   drawing, aim between the two.
   Loss: 1 - cosine to the target, and for labels a softmax over all labels.
3. *Finishing*. The tower meets the pictures themselves: the loss of `align` over the labels,
   with the tower's own embeddings of them, on image embeddings that stay as they are;
   imitation goes on beside it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from open_clip import CLIP
from torch import Tensor

from explorer.demo.align import label_loss
from explorer.demo.captions import TEMPLATES, Captions
from explorer.demo.phrases import Phrasebook
from explorer.lens.tokens import encode_tokens


@dataclass(frozen=True)
class TextSettings:
    """How the text tower is taught."""

    steps: int = 600
    batch_size: int = 512
    rate: float = 1.2e-3
    temperature: float = 0.05
    label_share: float = 0.5  # of a batch; the rest is the vocabulary at large
    classify_weight: float = 0.3
    seed: int = 0


@dataclass(frozen=True)
class FinishSettings:
    """How the text tower is finished on the pictures."""

    steps: int = 300
    views: int = 512  # a step
    texts: int = 768  # labels a step: those of its views, and others drawn at random
    lessons: int = 192  # texts a step that go on imitating
    rate: float = 4e-4
    temperature: float = 0.05
    domain_weight: float = 1.0
    smoothing: float = 0.05
    imitation_weight: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Lessons:
    """What the tower is taught: texts [text] with unit targets [text, embed].

    ``label_of`` [text] is the label a text names, -1 for texts that name none.
    """

    texts: list[str]
    targets: Tensor
    label_of: np.ndarray
    labels: Tensor  # [label, embed] unit
    phrasebook: Phrasebook  # its looks must be among the texts

    @cached_property
    def place(self) -> dict[str, int]:
        """Each text's row."""
        return {text: row for row, text in enumerate(self.texts)}

    def texts_of_labels(self) -> list[list[str]]:
        """Return for each label every text that names it."""
        named: list[list[str]] = [[] for _ in self.labels]
        for row in np.flatnonzero(self.label_of >= 0):
            named[self.label_of[row]].append(self.texts[row])
        return named


@dataclass(frozen=True)
class Pictures:
    """What the tower is finished on: fixed unit image embeddings [view, embed] and their labels."""

    embeddings: Tensor
    captions: Captions
    near: Tensor  # `captions.synonym_mask` of the labels


def seed_token_embeddings(model: CLIP, token_vectors: np.ndarray, spread: float = 0.04) -> None:
    """Set the token embeddings to the principal components of ``token_vectors`` [token, 384]."""
    vectors = torch.from_numpy(token_vectors)
    centred = vectors - vectors.mean(0)
    width = model.token_embedding.weight.shape[1]
    _, components = torch.linalg.eigh(centred.T @ centred)  # the leading ones come last
    start = centred @ components[:, -width:].flip(1)
    with torch.no_grad():
        model.token_embedding.weight.copy_(start * spread / start.std())


class TextRun:
    """The state of one stage: the tower's parameters, their optimiser and the step reached."""

    def __init__(self, model: CLIP, stage: str, steps: int, rate: float, checkpoint: Path) -> None:
        """Start at step 0, or go on from ``checkpoint`` if it is there."""
        self.model, self.stage, self.steps, self.rate = model, stage, steps, rate
        self.checkpoint = checkpoint
        self.weights = {
            name: parameter
            for name, parameter in model.named_parameters()
            if not name.startswith(("visual.", "logit"))
        }
        self.optimizer = torch.optim.AdamW(
            self.weights.values(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.01
        )
        self.step = 0
        if checkpoint.exists():
            saved = torch.load(checkpoint, weights_only=True)
            model.load_state_dict(saved["model"], strict=False)
            self.optimizer.load_state_dict(saved["optimizer"])
            self.step = saved["step"]
        self._began, self._first, self._running = time.time(), self.step, 0.0

    def descend(self, loss: Tensor) -> None:
        """Take one step: warm-up, then a cosine down to a hundredth; log and save at times."""
        fade = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.step / self.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * min(1.0, (self.step + 1) / 100) * fade
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(self.weights.values()), 1.0)
        self.optimizer.step()
        self.step += 1
        self._running += loss.item()
        if self.step % 50 == 0:
            seconds = (time.time() - self._began) / (self.step - self._first)
            note = {
                self.stage: self.step,
                "of": self.steps,
                "loss": round(self._running / 50, 4),
                "s/step": round(seconds, 2),
            }
            print(json.dumps(note), flush=True)
            self._running = 0.0
        if self.step % 100 == 0 or self.step == self.steps:
            self._save()

    def _save(self) -> None:
        state = {
            "model": {name: parameter.detach() for name, parameter in self.weights.items()},
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        torch.save(state, self.checkpoint.with_suffix(".new"))
        self.checkpoint.with_suffix(".new").replace(self.checkpoint)


def teach(
    model: CLIP,
    tokenize: Callable[[list[str]], Tensor],
    lessons: Lessons,
    settings: TextSettings,
    out: Path,
) -> None:
    """Let the text tower imitate the teacher, in place; resumes from ``out/text.pt``."""
    run = TextRun(model, "imitation", settings.steps, settings.rate, out / "text.pt")
    model.train()
    while run.step < settings.steps:
        rng = np.random.default_rng([settings.seed, run.step])
        texts, targets, labels = _draw_lesson(rng, lessons, settings, settings.batch_size)
        with torch.autocast("cpu", torch.bfloat16):
            found = F.normalize(encode_tokens(model, tokenize(texts)), dim=-1)
        found = found.float()
        loss = (1 - (found * targets).sum(1)).mean()
        named = labels >= 0
        if named.any():
            logits = found[named] @ lessons.labels.T / settings.temperature
            loss = loss + settings.classify_weight * F.cross_entropy(logits, labels[named])
        run.descend(loss)
    model.eval()


def finish(
    model: CLIP,
    tokenize: Callable[[list[str]], Tensor],
    lessons: Lessons,
    pictures: Pictures,
    settings: FinishSettings,
    out: Path,
) -> None:
    """Fit the text tower to fixed image embeddings, in place; resumes from ``out/finish.pt``."""
    run = TextRun(model, "finish", settings.steps, settings.rate, out / "finish.pt")
    names, captions = lessons.texts_of_labels(), pictures.captions
    domains = np.array([captions.concepts, captions.concepts + captions.photos])
    model.train()
    while run.step < settings.steps:
        rng = np.random.default_rng([settings.seed, run.step])
        views = rng.choice(len(pictures.embeddings), min(settings.views, len(pictures.embeddings)))
        told, labels = _draw_labels(rng, captions.view_labels[views], len(names), settings.texts)
        texts = [_in_a_template(rng, str(rng.choice(names[label]))) for label in told]
        lesson, targets, _ = _draw_lesson(rng, lessons, TextSettings(), settings.lessons)
        with torch.autocast("cpu", torch.bfloat16):
            found = F.normalize(encode_tokens(model, tokenize(texts + lesson)), dim=-1)
        found = found.float()
        logits = pictures.embeddings[views] @ found[: len(told)].T / settings.temperature
        ends = np.searchsorted(told, domains)
        loss = label_loss(
            logits,
            torch.from_numpy(labels),
            pictures.near[told][:, told],
            torch.from_numpy(captions.is_photo[views]),
            (int(ends[0]), int(ends[1] - ends[0])),
            settings.domain_weight,
            settings.smoothing,
        )
        kept = torch.cat([lessons.labels[told], targets])
        imitation = (1 - (found * kept).sum(1)).mean()
        run.descend(loss + settings.imitation_weight * imitation)
    model.eval()


def _draw_labels(
    rng: np.random.Generator, view_labels: np.ndarray, count: int, wanted: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (sorted labels [text], the views' labels as places among them [view, slot])."""
    present = np.unique(view_labels[view_labels >= 0])
    others = np.setdiff1d(np.arange(count), present)
    room = min(max(wanted - len(present), 0), len(others))
    told = np.sort(np.concatenate([present, rng.choice(others, room, replace=False)])).astype(int)
    place = np.full(count + 1, -1, np.int64)  # the last entry answers for "no label" (-1)
    place[told] = np.arange(len(told))
    return told, place[view_labels]


def _draw_lesson(
    rng: np.random.Generator, lessons: Lessons, settings: TextSettings, size: int
) -> tuple[list[str], Tensor, Tensor]:
    """Return (texts, targets [text, embed], labels [text]) of one batch.

    What names a label is said in one of the phrasebook's ways, other texts in a template at most.
    """
    named = np.flatnonzero(lessons.label_of >= 0)
    from_labels = rng.random(size) < settings.label_share
    rows = np.where(
        from_labels, rng.choice(named, size), rng.integers(len(lessons.texts), size=size)
    )
    texts, targets = [], lessons.targets[rows].clone()
    labels = torch.from_numpy(lessons.label_of[rows].astype(np.int64))
    for place, row in enumerate(rows):
        if not from_labels[place]:
            texts.append(_in_a_template(rng, lessons.texts[row]))
            continue
        partner = lessons.texts[int(rng.choice(named))]
        phrase = lessons.phrasebook.say(rng, lessons.texts[row], partner)
        texts.append(phrase.text)
        for added in phrase.adds:
            other = lessons.targets[lessons.place[added]]
            targets[place] = F.normalize(targets[place] + other, dim=0)
            labels[place] = -1
    return texts, targets, labels


def _in_a_template(rng: np.random.Generator, text: str) -> str:
    return str(rng.choice(TEMPLATES)).format(text) if rng.random() < 0.5 else text

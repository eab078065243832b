"""Teach open_clip's text transformer the aligned text space: the second half of the training.

1. Token embeddings start as MiniLM's embedding of each token's own string, projected on their
   leading principal components: words the tower never saw still lie near their kin.
2. Every text of the vocabulary has a target: the teacher's embedding. Labels come with
   templates ("a photo of a ..."), other names of a class share the class's target, and pairs
   of labels aim between the two.
3. Loss: 1 - cosine to the target, and for labels a softmax over all labels.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from open_clip import CLIP
from torch import Tensor

from explorer.demo.captions import TEMPLATES


@dataclass(frozen=True)
class TextSettings:
    """How the text tower is taught."""

    steps: int = 500
    batch_size: int = 512
    rate: float = 1.2e-3
    temperature: float = 0.05
    label_share: float = 0.5  # of a batch; the rest is the vocabulary at large
    pair_share: float = 0.08
    classify_weight: float = 0.3
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


def seed_token_embeddings(model: CLIP, token_vectors: np.ndarray, spread: float = 0.04) -> None:
    """Set the token embeddings to the principal components of ``token_vectors`` [token, 384]."""
    vectors = torch.from_numpy(token_vectors)
    centred = vectors - vectors.mean(0)
    width = model.token_embedding.weight.shape[1]
    _, _, basis = torch.pca_lowrank(centred, q=width, center=False, niter=4)
    start = centred @ basis
    with torch.no_grad():
        model.token_embedding.weight.copy_(start * spread / start.std())


def encode_tokens(model: CLIP, tokens: Tensor) -> Tensor:
    """Return unit text embeddings [text, embed]; as ``encode_text``, on the used length only."""
    ends = tokens.argmax(1)
    length = int(ends.max()) + 1
    tokens = tokens[:, :length]
    stream = model.token_embedding(tokens) + model.positional_embedding[:length]
    stream = model.transformer(stream, attn_mask=model.attn_mask[:length, :length])
    stream = model.ln_final(stream)
    return F.normalize(stream[torch.arange(len(tokens)), ends] @ model.text_projection, dim=-1)


def teach(
    model: CLIP,
    tokenize: Callable[[list[str]], Tensor],
    lessons: Lessons,
    settings: TextSettings,
    out: Path,
) -> None:
    """Train the text tower of ``model`` in place; resumes from ``out/text.pt``."""
    parameters = [p for n, p in model.named_parameters() if not n.startswith(("visual.", "logit"))]
    names = [n for n, _ in model.named_parameters() if not n.startswith(("visual.", "logit"))]
    optimizer = torch.optim.AdamW(parameters, lr=0.0, betas=(0.9, 0.98), weight_decay=0.01)
    step, checkpoint = 0, out / "text.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"], strict=False)
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]
    began, first, running = time.time(), step, 0.0
    model.train()
    while step < settings.steps:
        rng = np.random.default_rng([settings.seed, step])
        texts, targets, labels = _draw_lesson(rng, lessons, settings)
        for group in optimizer.param_groups:
            warm = min(1.0, (step + 1) / 100)
            group["lr"] = (
                settings.rate
                * warm
                * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / settings.steps)))
            )
        with torch.autocast("cpu", torch.bfloat16):
            found = encode_tokens(model, tokenize(texts))
        found = found.float()
        loss = (1 - (found * targets).sum(1)).mean()
        named = labels >= 0
        if named.any():
            logits = found[named] @ lessons.labels.T / settings.temperature
            loss = loss + settings.classify_weight * F.cross_entropy(logits, labels[named])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        running += loss.item()
        if step % 50 == 0:
            rate = (step - first) * settings.batch_size / (time.time() - began)
            print(
                json.dumps(
                    {
                        "step": step,
                        "of": settings.steps,
                        "loss": round(running / 50, 4),
                        "texts/s": round(rate),
                    }
                ),
                flush=True,
            )
            running = 0.0
        if step % 200 == 0 or step == settings.steps:
            weights = {n: p for n, p in model.state_dict().items() if n in names}
            torch.save(
                {"model": weights, "optimizer": optimizer.state_dict(), "step": step},
                checkpoint.with_suffix(".new"),
            )
            checkpoint.with_suffix(".new").replace(checkpoint)
    model.eval()


def _draw_lesson(
    rng: np.random.Generator, lessons: Lessons, settings: TextSettings
) -> tuple[list[str], Tensor, Tensor]:
    """Return (texts, targets [text, embed], labels [text]) of one batch."""
    named = np.flatnonzero(lessons.label_of >= 0)
    from_labels = rng.random(settings.batch_size) < settings.label_share
    rows = np.where(
        from_labels,
        rng.choice(named, settings.batch_size),
        rng.integers(len(lessons.texts), size=settings.batch_size),
    )
    texts, targets = [], lessons.targets[rows].clone()
    labels = torch.from_numpy(lessons.label_of[rows].astype(np.int64))
    for place, row in enumerate(rows):
        text = lessons.texts[row]
        if from_labels[place] and rng.random() < settings.pair_share:
            other = int(rng.choice(named))
            text = f"a {text} and a {lessons.texts[other]}"
            targets[place] = F.normalize(targets[place] + lessons.targets[other], dim=0)
            labels[place] = -1
        elif rng.random() < 0.5:
            text = str(rng.choice(TEMPLATES)).format(text)
        texts.append(text)
    return texts, targets, labels

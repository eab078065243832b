"""The second stage: later blocks trained afresh so that their neurons are worth reading.

Early blocks stay DINOv2's; the last of them are tuned lightly; the later ones start from nothing,
with ReLU neurons (`fresh`). A batch is half drawings, half photographs (`composer`). The loss is

    naming         the class token names the picture (`align.label_loss`), with keywords and looks,
                   under readout dropout: terms of the class token are left out at random, never
                   the attention layers'
  + knowledge      photographs: regress what DINOv2 and the first stage make of them (`knowledge`)
  + ramp * (activity + selectivity)               neurons are quiet and answer to few pictures
  + sum over read layers of (second order + agreement)
                   a layer's second-order effects name the picture by themselves, also with half of
                   its neurons left out; each neuron's own effect points to what the picture shows

Texts stay where the first stage put them. Weights are averaged over steps; those are shipped.
Every step draws from a generator seeded with its number: a resumed run takes the same steps.
"""

from __future__ import annotations

import copy
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.demo import effects, reading_losses
from explorer.demo.align import label_loss, multi_positive_loss
from explorer.demo.composer import Composer, ComposerSettings, Stock, Views
from explorer.demo.features import embed_tokens
from explorer.demo.fresh import Pass, exchange_for_gelu, run_blocks, start_afresh
from explorer.demo.knowledge import Teachers
from explorer.demo.lexicon import Lexicon
from explorer.demo.threads import ThreadChooser
from explorer.demo.tower import WIDTH


@dataclass(frozen=True)
class Weights:
    """What each loss counts."""

    naming: float = 0.5
    keywords: float = 0.1
    looks: float = 0.1
    features: float = 1.0
    meanings: float = 1.0
    activity: float = 0.02
    selectivity: float = 1.0
    second_order: float = 0.4  # a layer
    agreement: float = 0.3  # a layer


@dataclass(frozen=True)
class ReadableSettings:
    """How the second stage is trained."""

    image_size: int = 112
    first_tuned: int = 5  # tuned lightly from here on
    first_fresh: int = 7  # started afresh from here on
    read: tuple[int, ...] = (7, 8, 9)  # layers whose neurons shall be read; ReLU while training
    drawings: int = 48  # a batch
    photographs: int = 48  # a batch
    asked: int = 32  # of the photographs, the teachers are asked about so many
    steps: int = 4000
    frozen_steps: int = 600  # the tuned blocks wait until the fresh ones have found their place
    warm_steps: int = 60
    fade_steps: int = 1000  # the rate falls to a twentieth over the last steps
    ramp_steps: int = 600  # selectivity and activity come in slowly
    fresh_rate: float = 6e-4
    tuned_rate: float = 1.2e-4
    weight_decay: float = 0.05
    entering_dropout: float = 0.5
    mlp_dropout: float = 0.5
    pure: float = 0.3  # of the views are told by attention layers alone
    untouched: float = 0.25  # of the views keep every term
    neuron_dropout: float = 0.5
    agreeing: int = 128  # neurons a layer and step whose own effects are looked at
    temperature: float = 0.06
    smoothing: float = 0.02
    average: float = 0.995
    save_seconds: float = 240.0
    threads: tuple[int, ...] = (1, 2)  # the faster of them is found out again and again
    seed: int = 0
    weights: Weights = field(default_factory=Weights)
    views: ComposerSettings = field(default_factory=ComposerSettings)


def rate_at(step: int, settings: ReadableSettings) -> float:
    """Return the share of the full rate at ``step``: warm-up, level, then a fall to a twentieth."""
    warm = min(1.0, (step + 1) / settings.warm_steps)
    left = (settings.steps - step) / settings.fade_steps
    return warm * max(0.05, min(1.0, left))


def keep_terms(count: int, terms: int, settings: ReadableSettings, g: torch.Generator) -> Tensor:
    """Return which terms of the class token are told, [image, term] in {0, 1}.

    Terms are the entering token, then attention and MLP of each block; attention always stays.
    """
    attention = torch.arange(terms) % 2 == 1
    chance = torch.full((terms,), settings.mlp_dropout)
    chance[0] = settings.entering_dropout
    keep = (torch.rand(count, terms, generator=g) >= chance) | attention
    kind = torch.rand(count, 1, generator=g)
    keep = torch.where(kind < settings.pure, attention[None], keep)
    return (keep | (kind > 1 - settings.untouched)).float()


class ReadableRun:
    """The state of the second stage and one step of it."""

    def __init__(
        self,
        model: open_clip.CLIP,
        stock: Stock,
        lexicon: Lexicon,
        teachers: Teachers,
        settings: ReadableSettings,
    ) -> None:
        """Start at step 0; the model's tower already has the settings' image size."""
        self.settings, self.lexicon, self.teachers = settings, lexicon, teachers
        self.visual = model.visual
        self.blocks = self.visual.transformer.resblocks
        start_afresh(
            self.blocks[settings.first_fresh :], torch.Generator().manual_seed(settings.seed)
        )
        self.composer = Composer(stock, settings.image_size, settings.views)
        self._trained_drawings = torch.from_numpy(trained_drawings(lexicon))
        self._trained_photos = torch.from_numpy(stock.photographs.rows("train"))
        self.feature_head = nn.Linear(WIDTH, 2 * WIDTH)
        self._frozen = copy.deepcopy(self.blocks[: settings.first_tuned]).to(torch.bfloat16)
        self.modules = self._trainable()
        self.optimizer = self._optimizer()
        self.average = {n: p.detach().clone() for n, p in self.modules.named_parameters()}
        self.feature_mean = self._mean_features()
        self.meanings = reading_losses.unit(lexicon.labels - lexicon.mean)
        self.step = 0

    def _mean_features(self, count: int = 384) -> Tensor:
        """Return the mean of DINOv2's features over some crops of photographs, [2 width]."""
        generator = torch.Generator().manual_seed(self.settings.seed)
        place = torch.randint(len(self._trained_photos), (count,), generator=generator)
        pixels = self.composer.photographs(self._trained_photos[place], generator)
        return self.teachers.ask(self._enter(pixels)).features.mean(0)

    @torch.no_grad()
    def _enter(self, pixels: Tensor) -> Tensor:
        """Return the stream entering the first tuned block, [image, token, width] bfloat16."""
        stream = embed_tokens(self.visual, pixels).to(torch.bfloat16)
        for block in self._frozen:
            stream = block(stream)
        return stream

    def _trainable(self) -> nn.ModuleDict:
        visual, first = self.visual, self.settings.first_tuned
        visual.requires_grad_(False)
        modules = nn.ModuleDict(
            {
                "blocks": self.blocks[first:],
                "ln_post": visual.ln_post,
                "feature_head": self.feature_head,
            }
        )
        modules.requires_grad_(True)
        visual.proj.requires_grad_(True)
        modules.register_parameter("proj", visual.proj)
        return modules

    def _optimizer(self) -> torch.optim.Optimizer:
        kept = self.settings.first_fresh - self.settings.first_tuned
        tuned = list(self.blocks[self.settings.first_tuned : self.settings.first_fresh].parameters())
        known = {id(p) for p in tuned}
        fresh = [p for p in self.modules.parameters() if id(p) not in known]
        groups = [{"params": fresh, "rate": self.settings.fresh_rate}]
        if kept:
            groups.append({"params": tuned, "rate": self.settings.tuned_rate})
        return torch.optim.AdamW(
            groups, 0.0, (0.9, 0.98), weight_decay=self.settings.weight_decay, fused=True
        )

    def load(self, checkpoint: Path) -> None:
        """Go on from ``checkpoint`` if it is there."""
        if checkpoint.exists():
            saved = torch.load(checkpoint, weights_only=True)
            self.modules.load_state_dict(saved["modules"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.average, self.step = saved["average"], saved["step"]
            self.feature_mean = saved["feature_mean"]

    def save(self, checkpoint: Path) -> None:
        """Write everything `load` needs, atomically."""
        state = {
            "modules": self.modules.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "feature_mean": self.feature_mean,
            "step": self.step,
        }
        torch.save(state, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)

    def take_step(self) -> dict[str, float]:
        """Draw a batch, take one optimiser step, move the average; return the losses."""
        settings = self.settings
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + self.step)
        drawings, photos = self._draw_rows(generator)
        views = self.composer(drawings, photos, generator)
        losses = self.losses(views, photos, generator)
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * rate_at(self.step, settings)
        self.optimizer.zero_grad()
        torch.stack([*losses.values()]).sum().backward()
        nn.utils.clip_grad_norm_(self.modules.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(settings.average, self.step / (self.step + 10))
        with torch.no_grad():
            ours = [self.average[name] for name, _ in self.modules.named_parameters()]
            torch._foreach_lerp_(ours, list(self.modules.parameters()), 1 - keep)
        return {name: loss.item() for name, loss in losses.items()}

    def _draw_rows(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        order = torch.randperm(len(self._trained_drawings), generator=generator)
        drawings = self._trained_drawings[order[: self.settings.drawings]]
        count = (self.settings.photographs,)
        place = torch.randint(len(self._trained_photos), count, generator=generator)
        return drawings, self._trained_photos[place]

    def losses(self, views: Views, photos: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return every loss, weighted, of one batch."""
        settings, weights = self.settings, self.settings.weights
        entering = self._enter(views.pixels)
        found = self.forward(entering)
        keep = keep_terms(*found.terms.shape[:2], settings, generator)
        token = self.visual.ln_post((found.terms * keep[..., None]).sum(1))
        image = F.normalize(token @ self.visual.proj, dim=-1)
        rows = self._caption_rows(views.drawings, photos)
        losses = self._text_losses(image, rows)
        losses |= self._knowledge_losses(found, image, entering)
        ramp = min(1.0, self.step / settings.ramp_steps)
        for layer in settings.read:
            hidden = found.hidden[layer]
            block = self.blocks[layer]
            write = block.ls_2(block.mlp.c_proj.weight.T).norm(dim=1)
            quiet = reading_losses.activity_loss(hidden, write, found.length[layer])
            picky = reading_losses.selectivity_loss(hidden) / len(settings.read)
            losses[f"activity {layer}"] = ramp * weights.activity * quiet
            losses[f"selectivity {layer}"] = ramp * weights.selectivity * picky
        return losses | self._effect_losses(found, views, rows[:, 0], generator)

    def forward(self, stream: Tensor) -> Pass:
        """Run the tuned blocks on the stream entering them, [image, token, width].

        In the first steps those that were not started afresh wait, without gradients.
        """
        settings = self.settings
        waiting = self.step < settings.frozen_steps
        start = settings.first_fresh if waiting else settings.first_tuned
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                for block in self.blocks[settings.first_tuned : start]:
                    stream = block(stream)
            read = range(min(settings.read), max(settings.read) + 1)
            return run_blocks(self.blocks[start:], start, read, stream.detach().float())

    def _caption_rows(self, drawings: Tensor, photos: Tensor) -> Tensor:
        """Return rows of the captions, [image, 2], -1 where there is no second drawing."""
        named = torch.from_numpy(self.lexicon.photo_rows[photos.numpy()])
        alone = torch.stack([named, torch.full_like(named, -1)], 1)
        return torch.cat([drawings, alone])

    def _text_losses(self, image: Tensor, rows: Tensor) -> dict[str, Tensor]:
        lexicon, settings = self.lexicon, self.settings
        captions = lexicon.captions
        labels, keywords, looks = (
            _told(table, rows)
            for table in (captions.view_labels, captions.view_keywords, captions.view_looks)
        )
        photo = torch.from_numpy(captions.is_photo)[rows[:, 0]]
        logits = image @ lexicon.labels.T / settings.temperature
        spans = (captions.concepts, captions.photos)
        naming = label_loss(logits, labels, lexicon.near, photo, spans, 1.0, settings.smoothing)
        weights = settings.weights
        words = image @ lexicon.keywords.T / settings.temperature
        manner = image @ lexicon.looks.T / settings.temperature
        return {
            "naming": weights.naming * naming,
            "keywords": weights.keywords * multi_positive_loss(words, keywords, None, 0.0),
            "looks": weights.looks * multi_positive_loss(manner, looks, None, 0.0),
        }

    def _knowledge_losses(self, found: Pass, image: Tensor, entering: Tensor) -> dict[str, Tensor]:
        """Return the losses of the photographs that the teachers are asked about."""
        weights = self.settings.weights
        asked = slice(self.settings.drawings, self.settings.drawings + self.settings.asked)
        known = self.teachers.ask(entering[asked])
        told = self.feature_head(F.layer_norm(found.terms[asked].sum(1), (WIDTH,)))
        wanted = known.features - self.feature_mean
        parts = zip(told.chunk(2, 1), wanted.chunk(2, 1), strict=True)
        near = torch.stack([F.cosine_similarity(ours, theirs) for ours, theirs in parts])
        same = (image[asked] * known.meanings).sum(1)
        return {
            "features": weights.features * (1 - near.mean()),
            "meanings": weights.meanings * (1 - same.mean()),
        }

    def _effect_losses(
        self, found: Pass, views: Views, rows: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        settings, weights = self.settings, self.settings.weights
        label = torch.from_numpy(self.lexicon.captions.view_labels[rows.numpy(), 0]).long()
        target = torch.zeros(len(label), len(self.meanings))
        target[torch.arange(len(label)), label] = 1
        ignored = self.lexicon.near[label]
        shown = self.meanings[label]
        output = effects.readout(self.visual.ln_post, self.visual.proj)
        losses = {}
        for layer in settings.read:
            with torch.autocast("cpu", torch.bfloat16):
                later = self.blocks[layer + 1 :]
                paths = effects.layer_paths(self.blocks[layer], later, output)
                found_here = effects.coefficients(found, layer, views.patches)
            neurons = found_here.shape[2]
            keep = torch.rand(neurons, generator=generator) >= settings.neuron_dropout
            summed = effects.summed_effects(found_here, paths, keep.float())
            losses[f"second order {layer}"] = weights.second_order * reading_losses.naming_loss(
                summed, self.meanings, target, ignored, settings.temperature
            )
            chosen = torch.randperm(neurons, generator=generator)[: settings.agreeing]
            single = effects.neuron_effects(found_here, paths, chosen)
            agreement = reading_losses.agreement_loss(single, shown)
            losses[f"agreement {layer}"] = weights.agreement * agreement
        return losses

    def finish(self) -> None:
        """Put the averaged weights in place, with GELU neurons."""
        with torch.no_grad():
            for name, parameter in self.modules.named_parameters():
                parameter.copy_(self.average[name])
        exchange_for_gelu(self.blocks[layer] for layer in self.settings.read)


def trained_drawings(lexicon: Lexicon) -> np.ndarray:
    """Return the rows of the drawings that may be trained on."""
    return np.flatnonzero(lexicon.trained)


def _told(table: np.ndarray, rows: Tensor) -> Tensor:
    """Return the texts of both drawings of a view, [image, 2 * slot] int64, -1 where empty."""
    texts = torch.from_numpy(table[rows.clamp(min=0).numpy()]).long()
    texts = torch.where((rows >= 0)[..., None], texts, -1)
    return texts.flatten(1)


def train_readable(run: ReadableRun, out: Path, watch: object = None) -> None:
    """Train to the last step, saving to ``out/readable.pt``; resumes from there."""
    checkpoint = out / "readable.pt"
    run.load(checkpoint)
    settings, saved, began, first = run.settings, time.time(), time.time(), run.step
    running: dict[str, float] = {}
    threads = ThreadChooser(settings.threads)
    while run.step < settings.steps:
        threads.choose(run.step)
        for name, value in run.take_step().items():
            running[name] = running.get(name, 0.0) + value / 20
        if run.step % 20 == 0:
            batch = settings.drawings + settings.photographs
            speed = (run.step - first) * batch / (time.time() - began)
            note = {"step": run.step, "of": settings.steps, "views/s": round(speed, 1)}
            print(json.dumps(note | {n: round(v, 4) for n, v in running.items()}), flush=True)
            running = {}
        if time.time() - saved > settings.save_seconds or run.step == settings.steps:
            run.save(checkpoint)
            saved = time.time()

"""What the second stage asks of the tower: every loss of one batch, weighted.

    naming         the class token names the picture, with keywords and looks, under readout
                   dropout: terms of the class token are left out at random, never the attention
                   layers'
  + knowledge      photographs: regress what DINOv2 and the first stage make of them (`knowledge`)
  + ramp * (activity + selectivity)               neurons are quiet and answer to few pictures
  + sum over read layers of (second order + agreement)
                   a layer's second-order effects name the picture by themselves, also with half of
                   its neurons left out; each neuron's own effect points to what the picture shows

Texts stay where the first stage put them (`lexicon`).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from explorer.demo import effects, reading_losses
from explorer.demo.align import label_loss, multi_positive_loss
from explorer.demo.composer import Views
from explorer.demo.features import embed_tokens
from explorer.demo.fresh import Pass, run_blocks
from explorer.demo.knowledge import Teachers
from explorer.demo.lexicon import Lexicon

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Weights:
    """What each loss counts."""

    naming: float = 1.0
    keywords: float = 0.1
    looks: float = 0.1
    features: float = 1.0
    meanings: float = 1.0
    activity: float = 0.02  # a read layer
    selectivity: float = 2.0  # the mean over read layers
    second_order: float = 0.4  # a read layer
    agreement: float = 0.5  # a read layer


@dataclass(frozen=True)
class ObjectiveSettings:
    """Which blocks learn, which are read, and how the losses look at them."""

    first_tuned: int = 5  # tuned lightly from here on; earlier blocks stay as they are
    first_fresh: int = 7  # started afresh from here on
    read: tuple[int, ...] = (7, 8, 9)  # layers whose neurons shall be read; ReLU while training
    frozen_steps: int = 600  # the tuned blocks wait until the fresh ones have found their place
    ramp_steps: int = 600  # selectivity and activity come in slowly
    asked: int = 32  # of a batch's photographs, the teachers are asked about so many
    entering_dropout: float = 0.5
    mlp_dropout: float = 0.5
    pure: float = 0.3  # of the views are told by attention layers alone
    untouched: float = 0.25  # of the views keep every term
    neuron_dropout: float = 0.5
    agreeing: int = 128  # neurons a layer and step whose own effects are looked at
    temperature: float = 0.06
    smoothing: float = 0.02
    weights: Weights = field(default_factory=Weights)

    @property
    def read_range(self) -> range:
        """The read layers as a range; every block in it is trained with ReLU."""
        return range(min(self.read), max(self.read) + 1)


def keep_terms(
    count: int, terms: int, settings: ObjectiveSettings, generator: torch.Generator
) -> Tensor:
    """Return which terms of the class token are told, [image, term] in {0, 1}.

    Terms are the entering token, then attention and MLP of each block; attention always stays.
    """
    attention = torch.arange(terms) % 2 == 1
    chance = torch.full((terms,), settings.mlp_dropout)
    chance[0] = settings.entering_dropout
    keep = (torch.rand(count, terms, generator=generator) >= chance) | attention
    kind = torch.rand(count, 1, generator=generator)
    keep = torch.where(kind < settings.pure, attention[None], keep)
    return (keep | (kind > 1 - settings.untouched)).float()


class Objective:
    """The losses of a tower in training.

    It holds a bfloat16 copy of the blocks that never change.
    """

    def __init__(
        self,
        visual: VisionTransformer,
        feature_head: nn.Module,
        lexicon: Lexicon,
        teachers: Teachers,
        settings: ObjectiveSettings,
    ) -> None:
        """Share the tower's modules; ``feature_head`` maps [image, width] to [image, 2 width]."""
        self.visual, self.feature_head = visual, feature_head
        self.lexicon, self.teachers, self.settings = lexicon, teachers, settings
        self.blocks = visual.transformer.resblocks
        self._frozen = copy.deepcopy(self.blocks[: settings.first_tuned]).to(torch.bfloat16)
        self._meanings = F.normalize(lexicon.labels - lexicon.mean, dim=-1)
        self.feature_mean = torch.zeros(2 * visual.proj.shape[0])

    @torch.no_grad()
    def enter(self, pixels: Tensor) -> Tensor:
        """Return the stream entering the first tuned block, [image, token, width] bfloat16."""
        stream = embed_tokens(self.visual, pixels).to(torch.bfloat16)
        for block in self._frozen:
            stream = block(stream)
        return stream

    def forward(self, stream: Tensor, step: int) -> Pass:
        """Run the tuned blocks on the stream entering them, [image, token, width].

        In the first steps those that were not started afresh wait, without gradients.
        """
        settings = self.settings
        waiting = step < settings.frozen_steps
        start = settings.first_fresh if waiting else settings.first_tuned
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                for block in self.blocks[settings.first_tuned : start]:
                    stream = block(stream)
            entering = stream.detach().float()
            return run_blocks(self.blocks[start:], start, settings.read_range, entering)

    def losses(self, views: Views, photos: Tensor, step: int, generator: torch.Generator) -> Losses:
        """Return every loss of one batch. photos: [photograph] rows of the photographs shown."""
        entering = self.enter(views.pixels)
        found = self.forward(entering, step)
        image = self._read_out(found, generator)
        rows = self._caption_rows(views.drawings, photos)
        return (
            self._text_losses(image, rows)
            | self._knowledge_losses(found, image, entering, len(views.drawings))
            | self._neuron_losses(found, min(1.0, step / max(self.settings.ramp_steps, 1)))
            | self._effect_losses(found, views.patches, rows[:, 0], generator)
        )

    def _read_out(self, found: Pass, generator: torch.Generator) -> Tensor:
        """Return unit embeddings [image, embed] of class tokens with terms left out."""
        count, terms = found.terms.shape[:2]
        keep = keep_terms(count, terms, self.settings, generator)
        token = self.visual.ln_post((found.terms * keep[..., None]).sum(1))
        return F.normalize(token @ self.visual.proj, dim=-1)

    def _caption_rows(self, drawings: Tensor, photos: Tensor) -> Tensor:
        """Return rows of the captions, [image, 2], -1 where there is no second drawing."""
        named = torch.from_numpy(self.lexicon.photo_rows[photos.numpy()])
        alone = torch.stack([named, torch.full_like(named, -1)], 1)
        return torch.cat([drawings, alone])

    def _text_losses(self, image: Tensor, rows: Tensor) -> Losses:
        lexicon, settings, captions = self.lexicon, self.settings, self.lexicon.captions
        labels, keywords, looks = (
            _told(table, rows)
            for table in (captions.view_labels, captions.view_keywords, captions.view_looks)
        )
        photo = torch.from_numpy(captions.is_photo)[rows[:, 0]]
        logits = image @ lexicon.labels.T / settings.temperature
        spans = (captions.concepts, captions.photos)
        naming = label_loss(logits, labels, lexicon.near, photo, spans, 1.0, settings.smoothing)
        words = image @ lexicon.keywords.T / settings.temperature
        manner = image @ lexicon.looks.T / settings.temperature
        weights = settings.weights
        return {
            "naming": weights.naming * naming,
            "keywords": weights.keywords * multi_positive_loss(words, keywords, None, 0.0),
            "looks": weights.looks * multi_positive_loss(manner, looks, None, 0.0),
        }

    def _knowledge_losses(
        self, found: Pass, image: Tensor, entering: Tensor, drawings: int
    ) -> Losses:
        """Return the losses of the photographs that the teachers are asked about."""
        weights = self.settings.weights
        asked = slice(drawings, drawings + self.settings.asked)
        known = self.teachers.ask(entering[asked])
        token = found.terms[asked].sum(1)
        told = self.feature_head(F.layer_norm(token, token.shape[1:]))
        wanted = known.features - self.feature_mean
        parts = zip(told.chunk(2, 1), wanted.chunk(2, 1), strict=True)
        near = torch.stack([F.cosine_similarity(ours, theirs) for ours, theirs in parts])
        same = (image[asked] * known.meanings).sum(1)
        return {
            "features": weights.features * (1 - near.mean()),
            "meanings": weights.meanings * (1 - same.mean()),
        }

    def _neuron_losses(self, found: Pass, ramp: float) -> Losses:
        weights, read = self.settings.weights, self.settings.read
        losses = {}
        for layer in read:
            hidden, block = found.hidden[layer], self.blocks[layer]
            write = block.ls_2(block.mlp.c_proj.weight.T).norm(dim=1)
            quiet = reading_losses.activity_loss(hidden, write, found.length[layer])
            picky = reading_losses.selectivity_loss(hidden) / len(read)
            losses[f"activity {layer}"] = ramp * weights.activity * quiet
            losses[f"selectivity {layer}"] = ramp * weights.selectivity * picky
        return losses

    def _effect_losses(
        self, found: Pass, patches: Tensor, rows: Tensor, generator: torch.Generator
    ) -> Losses:
        """Return what is asked of the read layers' effects on the first thing that is shown."""
        settings, weights = self.settings, self.settings.weights
        label = torch.from_numpy(self.lexicon.captions.view_labels[rows.numpy(), 0]).long()
        ignored, shown = self.lexicon.near[label], self._meanings[label]
        output = effects.readout(self.visual.ln_post, self.visual.proj)
        losses = {}
        for layer in settings.read:
            with torch.autocast("cpu", torch.bfloat16):
                later = self.blocks[layer + 1 :]
                paths = effects.layer_paths(self.blocks[layer], later, output)
                answers = effects.coefficients(found, layer, patches)
            neurons = answers.shape[2]
            keep = (torch.rand(neurons, generator=generator) >= settings.neuron_dropout).float()
            summed = effects.summed_effects(answers, paths, keep)
            told = reading_losses.naming_loss(
                summed, self._meanings, label, ignored, settings.temperature
            )
            chosen = torch.randperm(neurons, generator=generator)[: settings.agreeing]
            single = effects.neuron_effects(answers, paths, chosen)
            agreed = reading_losses.agreement_loss(single, shown)
            losses[f"second order {layer}"] = weights.second_order * told
            losses[f"agreement {layer}"] = weights.agreement * agreed
        return losses


def _told(table: np.ndarray, rows: Tensor) -> Tensor:
    """Return the texts of both drawings of a view, [image, 2 * slot] int64, -1 where empty."""
    texts = torch.from_numpy(table[rows.clamp(min=0).numpy()]).long()
    texts = torch.where((rows >= 0)[..., None], texts, -1)
    return texts.flatten(1)

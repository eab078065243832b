"""The second stage's training run: batches, steps, averaged weights, checkpoints.

Early blocks stay DINOv2's; the last of them are tuned lightly; the later ones start from nothing
(`fresh`) and learn what `objective` asks. A batch is half drawings, half photographs (`composer`).

Every step draws from a generator seeded with its number, so a run that was cut short and goes on
takes the same steps as one that was not. The weights' average over steps is what is shipped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor, nn

from explorer.demo.composer import Composer, ComposerSettings, Stock
from explorer.demo.fresh import exchange_for_gelu, go_on_from, start_afresh
from explorer.demo.knowledge import Teachers
from explorer.demo.lexicon import Lexicon
from explorer.demo.objective import Objective, ObjectiveSettings
from explorer.demo.threads import ThreadChooser

LOG_EVERY = 20  # steps
MEAN_CROPS = 384  # photographs whose features' mean is taken off


@dataclass(frozen=True)
class ReadableSettings:
    """How the second stage is trained at one size."""

    image_size: int = 112
    drawings: int = 48  # a batch
    photographs: int = 48  # a batch
    steps: int = 6000
    warm_steps: int = 60
    fade_steps: int = 1500  # the rate falls to a twentieth over the last steps
    fresh_rate: float = 6e-4
    tuned_rate: float = 1.2e-4
    weight_decay: float = 0.05
    average: float = 0.995
    again: tuple[int, ...] = ()  # blocks that start afresh though an earlier run's are given
    save_seconds: float = 240.0
    watch_steps: int = 500  # between two measures
    threads: tuple[int, ...] = (1, 2)  # the fastest of them is found out again and again
    seed: int = 0
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    views: ComposerSettings = field(default_factory=ComposerSettings)


def rate_at(step: int, settings: ReadableSettings) -> float:
    """Return the share of the full rate at ``step``: warm-up, level, then a fall to a twentieth."""
    warm = min(1.0, (step + 1) / settings.warm_steps)
    left = (settings.steps - step) / settings.fade_steps
    return warm * max(0.05, min(1.0, left))


class ReadableRun:
    """The state of the second stage: tower, optimiser, averaged weights and the step reached."""

    def __init__(
        self,
        model: open_clip.CLIP,
        stock: Stock,
        lexicon: Lexicon,
        teachers: Teachers,
        settings: ReadableSettings,
        earlier: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Start at step 0, in place; ``model`` already takes the settings' image size.

        ``earlier`` is the finished tower of an earlier run: its blocks are gone on from, but for
        those in ``settings.again``.
        """
        self.settings, self.model = settings, model
        self._start(earlier)
        width, objective = model.visual.proj.shape[0], settings.objective
        head = nn.Linear(width, 2 * width)
        self.objective = Objective(model.visual, head, lexicon, teachers, objective)
        self.composer = Composer(stock, settings.image_size, settings.views)
        self._drawings = torch.from_numpy(lexicon.trained).nonzero()[:, 0]
        self._photos = torch.from_numpy(stock.photographs.rows("train"))
        self.modules = self._trainable(head)
        self.optimizer = self._optimizer()
        self.average = {n: p.detach().clone() for n, p in self.modules.named_parameters()}
        self.objective.feature_mean = self._mean_features()
        self.step = 0

    def _start(self, earlier: Mapping[str, Tensor] | None) -> None:
        wanted, blocks = self.settings.objective, self.model.visual.transformer.resblocks
        generator = torch.Generator().manual_seed(self.settings.seed)
        start_afresh(blocks[wanted.first_fresh :], generator)
        if earlier is not None:
            numbers = set(range(wanted.first_tuned, len(blocks))) - set(self.settings.again)
            go_on_from(self.model.visual, earlier, sorted(numbers), wanted.read_range)

    def _trainable(self, head: nn.Module) -> nn.ModuleDict:
        visual, first = self.model.visual, self.settings.objective.first_tuned
        visual.requires_grad_(False)
        blocks = visual.transformer.resblocks[first:]
        modules = nn.ModuleDict({"blocks": blocks, "ln_post": visual.ln_post, "feature_head": head})
        modules.requires_grad_(True)
        modules.register_parameter("proj", visual.proj.requires_grad_(True))
        return modules

    def _optimizer(self) -> torch.optim.Optimizer:
        settings, wanted = self.settings, self.settings.objective
        blocks = self.model.visual.transformer.resblocks
        tuned = list(blocks[wanted.first_tuned : wanted.first_fresh].parameters())
        known = {id(parameter) for parameter in tuned}
        fresh = [p for p in self.modules.parameters() if id(p) not in known]
        groups = [
            {"params": fresh, "rate": settings.fresh_rate},
            {"params": tuned, "rate": settings.tuned_rate},
        ]
        return torch.optim.AdamW(
            groups, 0.0, (0.9, 0.98), weight_decay=settings.weight_decay, fused=True
        )

    def _mean_features(self) -> Tensor:
        """Return the mean of DINOv2's features over some crops of photographs, [2 width]."""
        generator = torch.Generator().manual_seed(self.settings.seed)
        place = torch.randint(len(self._photos), (MEAN_CROPS,), generator=generator)
        pixels = self.composer.photographs(self._photos[place], generator)
        entering = self.objective.enter(pixels)
        return self.objective.teachers.ask(entering).features.mean(0)

    def load(self, checkpoint: Path) -> None:
        """Go on from ``checkpoint`` if it is there."""
        if checkpoint.exists():
            saved = torch.load(checkpoint, weights_only=True)
            self.modules.load_state_dict(saved["modules"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.average, self.step = saved["average"], saved["step"]
            self.objective.feature_mean = saved["feature_mean"]

    def save(self, checkpoint: Path) -> None:
        """Write everything `load` needs, atomically."""
        state = {
            "modules": self.modules.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "feature_mean": self.objective.feature_mean,
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
        losses = self.objective.losses(views, photos, self.step, generator)
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * rate_at(self.step, settings)
        self.optimizer.zero_grad()
        torch.stack([*losses.values()]).sum().backward()
        nn.utils.clip_grad_norm_(self.modules.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self._move_average(min(settings.average, self.step / (self.step + 10)))
        return {name: loss.item() for name, loss in losses.items()}

    def _draw_rows(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        order = torch.randperm(len(self._drawings), generator=generator)
        drawings = self._drawings[order[: self.settings.drawings]]
        count = (self.settings.photographs,)
        place = torch.randint(len(self._photos), count, generator=generator)
        return drawings, self._photos[place]

    @torch.no_grad()
    def _move_average(self, keep: float) -> None:
        for name, parameter in self.modules.named_parameters():
            self.average[name].lerp_(parameter, 1 - keep)

    @torch.no_grad()
    def finished_tower(self) -> dict[str, Tensor]:
        """Return the tower of the averaged weights with GELU neurons, as open_clip's state dict.

        The run itself stays as it is.
        """
        kept = {n: p.detach().clone() for n, p in self.modules.named_parameters()}
        blocks = self.model.visual.transformer.resblocks
        read = [blocks[layer] for layer in self.settings.objective.read_range]
        self.modules.load_state_dict(self.average, strict=False)
        exchange_for_gelu(read)
        finished = {n: w.detach().clone() for n, w in self.model.visual.state_dict().items()}
        self.modules.load_state_dict(kept, strict=False)
        return finished


def train_readable(
    run: ReadableRun,
    checkpoint: Path,
    watch: Callable[[dict[str, Tensor]], dict[str, Any]] | None = None,
) -> dict[str, Tensor]:
    """Train to the last step and return the finished tower; resumes from ``checkpoint``.

    ``watch`` measures a finished tower; what it returns is logged.
    """
    run.load(checkpoint)
    settings, began, first, saved = run.settings, time.time(), run.step, time.time()
    recent: list[dict[str, float]] = []
    threads = ThreadChooser(settings.threads)
    while run.step < settings.steps:
        threads.choose(run.step)
        recent.append(run.take_step())
        if run.step % LOG_EVERY == 0:
            views = (run.step - first) * (settings.drawings + settings.photographs)
            speed = round(views / (time.time() - began), 1)
            note = {"step": run.step, "of": settings.steps, "views/s": speed}
            print(json.dumps(note | _mean_losses(recent)), flush=True)
            recent = []
        if time.time() - saved > settings.save_seconds or run.step == settings.steps:
            run.save(checkpoint)
            saved = time.time()
        due = run.step % settings.watch_steps == 0 or run.step == settings.steps
        if watch is not None and due:
            print(json.dumps({"watch": run.step, **watch(run.finished_tower())}), flush=True)
    return run.finished_tower()


def _mean_losses(steps: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(sum(s[name] for s in steps) / len(steps), 4) for name in steps[0]}

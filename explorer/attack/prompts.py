"""Adversarial pictures by text-to-image, for whoever has a model: prompts, and their pictures.

Prompts are written from a template over the concepts and can be copied into any tool. With the
optional package `diffusers` and a model that whoever runs the program names, pictures are
generated here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from math import comb
from typing import Any

import numpy as np
from PIL import Image

from explorer.describe.plurals import with_article
from explorer.errors import InputError

TEMPLATE = "a photo of {source} in the foreground, large and whole, with {concepts} behind it"
CONCEPTS = 3
NO_DIFFUSERS = (
    "Generating pictures from prompts needs the optional package diffusers: install it with "
    "'pip install diffusers', or copy the prompts into another tool."
)


def prompts(
    source: str,
    concepts: Sequence[str],
    count: int,
    *,
    seed: int = 0,
    template: str = TEMPLATE,
) -> list[str]:
    """Return up to `count` seeded prompts, each with another set of up to three concepts.

    Raises:
        InputError: when there is no concept, or the template lacks {source} or {concepts}.
    """
    if not concepts:
        raise InputError("Prompts need at least one concept.")
    if "{source}" not in template or "{concepts}" not in template:
        raise InputError("A prompt's template needs {source} and {concepts} in it.")
    shown = min(CONCEPTS, len(concepts))
    wanted = min(count, comb(len(concepts), shown))
    sets: dict[frozenset[int], list[int]] = {}  # what is shown -> the order it was drawn in
    for number in itertools.count():
        if len(sets) == wanted:
            break
        rng = np.random.default_rng([seed, number, 5])
        drawn = rng.choice(len(concepts), shown, replace=False).tolist()
        sets.setdefault(frozenset(drawn), drawn)
    return [
        template.format(source=with_article(source), concepts=_listed([concepts[i] for i in drawn]))
        for drawn in sets.values()
    ]


def _listed(concepts: Sequence[str]) -> str:
    """Return "a compass, an owl and a euro banknote" for three concepts."""
    *before, last = map(with_article, concepts)
    return f"{', '.join(before)} and {last}" if before else last


def load_pipeline(model: str, device: str = "cpu") -> Any:
    """Open a text-to-image pipeline: a folder or a name that diffusers knows.

    Weights are read from safetensors alone, since opening any other file can run code. A name may
    be downloaded: it must not come from a visitor.

    Raises:
        InputError: when diffusers is missing or the model cannot be opened.
    """
    try:
        import diffusers
    except ImportError as error:
        raise InputError(NO_DIFFUSERS) from error
    try:
        pipeline: Any = diffusers.DiffusionPipeline
        return pipeline.from_pretrained(model, use_safetensors=True).to(device)
    except Exception as error:  # whatever a missing or damaged model leads to
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"The text-to-image model '{model}' cannot be opened ({reason}): name a folder that "
            "diffusers saved, or a model it can reach, with its weights as safetensors."
        ) from error


def generate(
    pipeline: Any,
    texts: Sequence[str],
    *,
    seed: int = 0,
    steps: int = 30,
    progress: Callable[[float], object] | None = None,
    stopped: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> Iterator[Image.Image]:
    """Yield one picture a prompt; the same seed gives the same pixels.

    `progress` gets the share done; where `stopped` says so, the picture under way is dropped
    and nothing more comes. Further settings go to the pipeline.
    """
    import torch

    for number, text in enumerate(texts):
        if stopped():
            return
        halted = False

        def after_step(
            pipe: Any, step: int, timestep: Any, kwargs: dict[str, Any], done: int = number
        ) -> dict[str, Any]:
            nonlocal halted
            if progress:
                progress((done + (step + 1) / steps) / len(texts))
            if stopped():
                halted = True
                pipe._interrupt = True  # diffusers' own way to stop between steps
            return kwargs

        pipeline._interrupt = False
        made = pipeline(
            text,
            num_inference_steps=steps,
            generator=torch.Generator().manual_seed(seed + number),
            callback_on_step_end=after_step,
            **settings,
        ).images[0]
        if halted:
            return
        yield made

"""Train the demo model, all stages in turn; what is done already is skipped or resumed.

first/       the text space and a tower aligned with it (explorer/demo/first.py)
photographs/ the photographs decoded once
later/       later blocks trained to be read (explorer/demo/later.py); texts.pt holds the texts
words-<n>/   the text tower fitted to the new tower, with phrases (explorer/demo/words.py)
model/       the finished model as open_clip's ``local-dir:`` folder, with figures.json
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import open_clip
from safetensors.torch import load_file

from explorer.bundle import MODEL_FOLDER, Bundle, seal_files
from explorer.demo.captions import minilm_embed
from explorer.demo.composer import Stock
from explorer.demo.evaluate import all_test_sets, measure_recall
from explorer.demo.export import CARD_FILES, export_model, write_card
from explorer.demo.features import Corpus, read_corpus
from explorer.demo.first import FirstSettings, train_first
from explorer.demo.later import open_model, train_later_blocks
from explorer.demo.lexicon import cached_lexicon, read_lexicon
from explorer.demo.objective import ObjectiveSettings
from explorer.demo.photographs import Photographs, pack_photographs
from explorer.demo.phrases import read_emoji
from explorer.demo.readable import ReadableSettings
from explorer.demo.sources import Sources
from explorer.demo.words import WordSettings, train_words
from explorer.describe.dictionary import common_words
from explorer.errors import ExplorerError

SMALL = ReadableSettings()
LARGE = ReadableSettings(
    image_size=168,
    steps=600,
    warm_steps=40,
    fade_steps=350,
    fresh_rate=2e-4,
    tuned_rate=5e-5,
    average=0.99,
    threads=(2,),
    objective=ObjectiveSettings(frozen_steps=0, ramp_steps=0),
)


@dataclass(frozen=True)
class TrainSettings:
    """The whole recipe's settings."""

    first: FirstSettings = field(default_factory=FirstSettings)
    stages: tuple[ReadableSettings, ...] = (SMALL, LARGE)
    going_on: tuple[ReadableSettings, ...] = (LARGE,)  # from a tower that has done the first
    words: WordSettings = field(default_factory=WordSettings)
    common: int = 6_000  # words of the dictionary that neurons are described with on the way


def train(
    sources: Sources,
    pictures: Path,
    photos: Path | None,
    out: Path,
    settings: TrainSettings,
    first: Path | None = None,
    earlier: Path | None = None,
    until: int | None = None,
) -> dict[str, Any]:
    """Run the recipe and return the finished model's figures (recall per test set).

    ``first`` is a finished first stage to start from instead of training one; ``earlier`` the
    weights (safetensors) of an earlier second stage to go on from; ``until`` the size in pixels
    after which the second stage ends, None for the last.

    Raises:
        ExplorerError: a package of the recipe is missing, or there are no photographs.
    """
    photos = _given(photos)
    corpus = read_corpus(pictures, photos)
    photographs = pack_photographs(photos, out / "photographs")
    if first is None:
        first = train_first(sources, corpus, _made(out / "first"), settings.first)
    stock = Stock(corpus.pixels, (corpus.pictures["kind"] == "mono").to_numpy(), photographs)
    lexicon = cached_lexicon(
        _made(out / "later") / "texts.pt",
        lambda: read_lexicon(
            corpus,
            photographs,
            open_model(first),
            lambda texts: minilm_embed(sources.minilm, texts),
            common_words(settings.common),
        ),
    )
    stages = _until(settings.going_on if earlier else settings.stages, until)
    weights = load_file(earlier) if earlier else None
    later = out / "later"
    shared = settings.first.first_tuned
    model = train_later_blocks(
        first, sources.dino, corpus, stock, lexicon, stages, later, weights, shared
    )
    emoji = read_emoji(sources.emojibase, lexicon.captions.labels)
    size = model.visual.image_size[0]
    train_words(model, stock, lexicon, emoji, settings.words, _made(out / f"words-{size}"))
    figures = _measured(model, corpus, photographs)
    export_model(model, size, out / "model")
    write_card(out / "model", size, figures, stages[-1].objective.read, earlier is not None)
    return figures


def renew_card(
    bundle: Bundle, pictures: Path, photos: Path | None, work: Path, went_on: bool
) -> dict[str, Any]:
    """Measure a bundle's own model on all that was held out; write its card and figures anew.

    ``work``: the recipe's folder, where the photographs are decoded once; ``went_on``: whether the
    second stage went on from an earlier run's tower. Returns the figures (recall per test set).

    Raises:
        ExplorerError: the bundle has no model of its own, or there are no photographs.
    """
    folder = bundle.path / MODEL_FOLDER
    if not folder.is_dir():
        raise ExplorerError(f"{bundle.path} has no model of its own whose card could be written.")
    model, photos = open_model(folder), _given(photos)
    photographs = pack_photographs(photos, work / "photographs")
    figures = _measured(model, read_corpus(pictures, photos), photographs)
    size = model.visual.image_size[0]
    write_card(folder, size, figures, LARGE.objective.read, went_on)
    seal_files(bundle, [f"{MODEL_FOLDER}/{name}" for name in CARD_FILES])
    return figures


def _given(photos: Path | None) -> Path:
    """Return the folder of photographs.

    Raises:
        ExplorerError: there is none.
    """
    if photos is None:
        raise ExplorerError(
            "the model is trained and measured on photographs too: name their folder with --photos."
        )
    return photos


def _measured(model: open_clip.CLIP, corpus: Corpus, photographs: Photographs) -> dict[str, Any]:
    tokenize = open_clip.SimpleTokenizer(context_length=model.context_length)
    tests = all_test_sets(corpus, photographs, model.visual.image_size[0])
    return measure_recall(model, tokenize, tests)


def _until(stages: Sequence[ReadableSettings], size: int | None) -> Sequence[ReadableSettings]:
    """Return the stages up to the one at ``size`` pixels.

    Raises:
        ExplorerError: no stage has this size.
    """
    sizes = [stage.image_size for stage in stages]
    if size is not None and size not in sizes:
        raise ExplorerError(f"--until {size}: the second stage's sizes are {sizes}.")
    return stages if size is None else stages[: sizes.index(size) + 1]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder

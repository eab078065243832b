"""The steps of a build, in order; see `explorer.build`."""

from __future__ import annotations

import datetime
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from explorer.build.batch import RECORD as BATCH
from explorer.build.batch import with_batch
from explorer.build.chance import SecondLook, drawings, look_again
from explorer.build.corpus import Corpus
from explorer.build.corpus_pass import PASSES, run_pass
from explorer.build.describe import describe_directions, write_texts
from explorer.build.engine import Engine, open_engine
from explorer.build.finished import differences
from explorer.build.gathering import NAME, PassResult
from explorer.build.listed import READING, Reading
from explorer.build.lock import clear, held, tidy
from explorer.build.pairs import write_pairs
from explorer.build.room import needing_room
from explorer.build.settings import READ_WITH, RECORDED, BuildSettings, parse_layers, whole_path
from explorer.build.sources import ImageSource, open_source
from explorer.build.texts import (
    Vocabulary,
    check_different,
    check_given,
    gather_texts,
    make_vocabulary,
)
from explorer.build.views import KeptViews, Viewer
from explorer.bundle import MANIFEST, MODEL_FOLDER, WORK, Bundle, seal
from explorer.bundle.pictures import PictureStore
from explorer.bundle.shipped import SHIPPED
from explorer.bundle.writer import ArrayWriter
from explorer.describe.dictionary import TextDictionary
from explorer.describe.prediction import split_halves
from explorer.describe.sample import draw_sample
from explorer.errors import InputError
from explorer.lens import MultiLayerLens
from explorer.lens.models import load_model
from explorer.lens.origin import HUB, LOCAL, model_files
from explorer.resumable import Interrupted, Say, save_text

PICTURES = "pictures.json"
"""File of a build's working folder: what could not be read, written when all else is."""


def build(settings: BuildSettings, progress: Say | None = None) -> Path:
    """Build the bundle at `settings.out` and return its path.

    `progress` gets one line now and then; by default it goes to the error stream.

    Raises:
        InputError: when a setting, picture or text cannot be used, another build works in the
            folder, or its disk is full; then the same call continues.
        UnsupportedModelError: when the lens cannot compute the model's effects.
        BundleError: when a bundle named as a source cannot be read.
        Interrupted: after Ctrl-C; the same call continues.
    """
    say = progress or to_console
    try:
        if _finished(settings, say):
            return settings.out
        _check_ready(settings)
        with needing_room(settings.out), held(settings.out):
            if (settings.out / MANIFEST).is_file():  # another build has finished it meanwhile
                return settings.out
            with open_engine(settings, say) as engine:
                return _build(settings, engine, say)
    except Interrupted:
        raise
    except KeyboardInterrupt as stop:
        raise Interrupted("stopped; run the same command to go on") from stop


def to_console(line: str) -> None:
    """Print a line on the error stream; on a terminal a stream's lines overwrite each other."""
    terminal = sys.stderr.isatty()
    end = "" if terminal and line.startswith((NAME, READING)) else "\n"
    print(("\r\033[K" if terminal else "") + line, file=sys.stderr, end=end, flush=True)


def _finished(settings: BuildSettings, say: Say) -> bool:
    """Return whether the bundle is there already, and say how it differs from what is asked for."""
    if (differing := differences(settings)) is None:
        return False
    tidy(settings.out)
    say(f"{settings.out} is built already" + "".join(f"; {line}" for line in differing))
    return True


def _check_ready(settings: BuildSettings) -> None:
    """Check what can be checked before anything is read or written."""
    if settings.pretrained is None and not settings.model.startswith((LOCAL, HUB)):
        raise InputError(
            f"{settings.model} without --pretrained has random weights; name a tag or a weights "
            f"file, or give a folder as --model {LOCAL}FOLDER."
        )
    out, folder = settings.out, settings.model.removeprefix(LOCAL)
    if folder != settings.model and out.resolve().is_relative_to(Path(folder).resolve()):
        raise InputError(f"{out} lies in the model's folder {folder}; name another --out.")
    if out.exists() and any(out.iterdir()) and not (out / WORK).is_dir():
        raise InputError(f"{out} is not empty; remove it or name another --out.")
    check_given(settings)


def _build(settings: BuildSettings, engine: Engine, say: Say) -> Path:
    source = open_source(
        settings.images,
        SHIPPED,
        hold_out=settings.hold_out,
        held_out=settings.held_out,
        seed=settings.seed,
    )
    loaded = load_model(
        settings.model,
        pretrained=settings.pretrained,
        pretrained_text=settings.pretrained_text,
        device=settings.device,
        dtype=settings.dtype,
    )
    for line in loaded.warnings:
        say(line)
    layers = parse_layers(settings.layers, loaded.layers)
    work = _open_work(settings)
    views = KeptViews(work, loaded.image_size)
    reading = Reading(settings.workers, views, Viewer.of(loaded), say, work)
    store = _pictures(source, reading, settings, say)
    _check_different(source, store)
    texts = gather_texts(settings, store)
    check_different(texts["text"].tolist(), loaded)
    halves = split_halves(drawings(store, np.arange(store.corpus_size)), settings.seed)
    corpus = Corpus(loaded, layers, source, store.corpus_size, halves, views.open())
    settings = with_batch(settings, loaded, layers, store.corpus_size, work)
    found = run_pass(corpus, settings, work, say, engine)
    writer = ArrayWriter(settings.out)
    _write_means(writer, found)
    say("sample: looking again with the final directions")
    look = look_again(corpus, found, settings)
    drawn = draw_sample(corpus.images, settings.sample, settings.seed)
    writer.write("sample_images", drawn)
    sampled = look.along[:, np.searchsorted(look.images, drawn)]
    writer.write("sample_effects", sampled.astype(np.float16))
    say("describing: texts")
    vocabulary = make_vocabulary(texts, loaded, found.image_embeddings, store, settings, say)
    write_texts(writer, vocabulary.dictionary, vocabulary.table)
    dictionary = vocabulary.dictionary
    describe_directions(writer, found, look, dictionary, store, settings, engine, say)
    _write_pairs(writer, corpus, found, look, dictionary, settings, say)
    _copy_model(settings)
    manifest = seal(settings.out, **_manifest_content(settings, corpus, store, vocabulary))
    shutil.rmtree(work)
    say(f"done: {manifest.counts['neurons']:,} neurons in {settings.out}")
    Bundle.open(settings.out)
    return settings.out


def _open_work(settings: BuildSettings) -> Path:
    """Return the working folder, new or of an interrupted build.

    The settings may be others as long as nothing was done with those before.
    """
    out, work = settings.out, settings.out / WORK
    record, asked = work / "settings.json", settings.identity()
    before = json.loads(record.read_text("utf-8")) if record.is_file() else None
    if before == asked:
        return work
    if before is None:
        if any(file.name != WORK for file in out.iterdir()):
            raise InputError(f"{out} is not empty; remove it or name another --out.")
    elif (work / PASSES).is_file() or (_is_read(out) and _reads_otherwise(before, asked)):
        raise InputError(
            f"{out} holds an interrupted build with other settings; run it with the same ones, "
            f"or remove {out}."
        )
    elif _is_read(out):
        (work / BATCH).unlink(missing_ok=True)
    else:
        clear(work)
    save_text(record, json.dumps(asked))
    return work


def _is_read(out: Path) -> bool:
    """Return whether all pictures of an interrupted build are in its folder."""
    return (out / WORK / PICTURES).is_file()


def _reads_otherwise(before: dict[str, Any], asked: dict[str, Any]) -> bool:
    return any(before.get(name) != asked[name] for name in READ_WITH)


def _pictures(
    source: ImageSource, reading: Reading, settings: BuildSettings, say: Say
) -> PictureStore:
    """Write the bundle's picture store, or take up the one already written."""
    done = settings.out / WORK / PICTURES
    if _is_read(settings.out):
        store = PictureStore.open(settings.out)
        source.skipped = json.loads(done.read_text("utf-8"))
        source.resume(store.table)
        return store
    say("pictures: reading")
    store = PictureStore.write(settings.out, source.rows(settings.thumbnail, reading))
    save_text(done, json.dumps(source.skipped))
    for line in source.skipped:
        say(f"skipped {line}")
    if held := len(store) - store.corpus_size:
        say(
            f"holding out {held:,} of {len(store):,} pictures, to measure on; --hold-out 0 keeps "
            "a folder's in the build"
        )
    return store


def _check_different(source: ImageSource, store: PictureStore) -> None:
    """Refuse fewer than two pictures, and copies of one, on which no neuron's effect differs.

    Raises:
        InputError: when the corpus holds nothing else.
    """
    if store.corpus_size < 2:
        raise InputError(
            f"A build needs at least two pictures; {source.name} has {store.corpus_size}."
        )
    first = store.encoded(0)
    if all(store.encoded(image) == first for image in range(store.corpus_size)):
        raise InputError(
            f"The {store.corpus_size:,} pictures of {source.name} are copies of one picture, on "
            "which no neuron's effect differs: name a folder with different ones."
        )


def _write_means(writer: ArrayWriter, found: PassResult) -> None:
    writer.write("image_embeddings", found.image_embeddings)
    writer.write("mean_representation", found.mean_representation)
    for number, layer in found.directions.items():
        writer.write_layer(number, layer.mean_coefficients.astype(np.float32))


def _write_pairs(
    writer: ArrayWriter,
    corpus: Corpus,
    found: PassResult,
    look: SecondLook,
    dictionary: TextDictionary,
    settings: BuildSettings,
    say: Say,
) -> None:
    embeddings = found.image_embeddings.astype(np.float32)
    write_pairs(
        writer,
        found.pairs,
        look.pairs,
        MultiLayerLens(corpus.loaded.model, corpus.layers),
        embeddings[look.images] - embeddings.mean(0),
        dictionary.atoms(),
        settings.pursuit,
        settings.seed,
        say,
    )


def _copy_model(settings: BuildSettings) -> None:
    if not settings.model.startswith(LOCAL):
        return
    origin = Path(settings.model.removeprefix(LOCAL))
    copy = settings.out / MODEL_FOLDER
    for file in model_files(origin):
        target = copy / file.relative_to(origin)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def _manifest_content(
    settings: BuildSettings, corpus: Corpus, store: PictureStore, vocabulary: Vocabulary
) -> dict[str, Any]:
    loaded, source = corpus.loaded, corpus.source
    neurons, texts = loaded.neurons * len(corpus.layers), len(vocabulary.dictionary)
    local = settings.model.startswith(LOCAL)
    return {
        "name": settings.name or settings.out.name,
        "created": datetime.date.today().isoformat(),
        "model": {
            "source": MODEL_FOLDER if local else settings.model,
            "pretrained": whole_path(settings.pretrained),
            "pretrained_text": whole_path(settings.pretrained_text),
            "warnings": list(loaded.warnings),
            "embed": loaded.embed,
            "width": loaded.width,
            "image_size": loaded.image_size,
            "blocks": loaded.layers,
            "heads": loaded.heads,
        },
        "layers": corpus.layers,
        "centre": True,
        "settings": {name: getattr(settings, name) for name in RECORDED},
        "images": {
            "source": source.name,
            "count": store.corpus_size,
            "held_out": len(store) - store.corpus_size,
            "skipped": source.skipped,
            **source.places,
        },
        "texts": {
            "source": settings.texts.split(":")[0],
            "count": texts,
            "left_out": vocabulary.left_out,
            **({} if vocabulary.told is None else {"told": vocabulary.told}),
        },
        "counts": {"neurons": neurons, "images": store.corpus_size, "texts": texts},
    }

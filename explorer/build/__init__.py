"""Build a bundle: images + texts + model -> directions, sparse sets, top images.

1. Pictures: copied or shrunk into the bundle's store, which fixes each image's number.
2. Pass: one forward pass over the images in a seeded random order. Every layer's statistics are
   streamed in path coordinates (explorer/directions.py), so memory does not grow with the images.
   The state is saved now and then and on Ctrl-C; the same command goes on from there and ends with
   the same arrays.
3. Texts: embedded, centred, indexed.
4. Description: orthogonal matching pursuit of every direction, polysemy, neighbours.
5. Seal: hashes and the manifest, last, so that an unfinished folder never opens as a bundle.

On one machine the same settings and inputs give the same arrays, bit for bit.
"""

from __future__ import annotations

import datetime
import json
import shutil
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from explorer.build.describe import describe_directions, write_texts
from explorer.build.sources import FolderSource, ImageSource, open_source
from explorer.bundle import MODEL_FOLDER, WORK, Bundle, seal
from explorer.bundle.pictures import PictureStore
from explorer.describe.dictionary import TextDictionary, common_words, read_texts, unique_texts
from explorer.describe.directions import LayerDirections, LayerStatistics, StatisticsSettings
from explorer.describe.sample import draw_sample, effects_along_directions
from explorer.errors import InputError
from explorer.lens import MultiLayerLens
from explorer.lens.models import LoadedModel, encode_texts, load_model, to_rgb

SHIPPED = Path(__file__).resolve().parents[2] / "precomputed" / "picto"
LOCAL = "local-dir:"
REPORT_SECONDS = 2.0  # time between two lines of progress
Progress = Callable[[str], None]


@dataclass(frozen=True)
class BuildSettings:
    """What to build and from what; see ``python -m explorer build --help``."""

    model: str
    out: Path
    pretrained: str | None = None
    images: str = "bundle-images"
    texts: str = "corpus"
    layers: str = "all"
    name: str = ""
    significant: float = 0.02
    significant_cap: int = 400
    nonzero: int = 64
    words: int = 30_000
    sample: int = 192
    warm_up: int = 256
    batch_size: int = 32
    thumbnail: int = 96
    device: str = "cpu"
    dtype: str = "float32"
    seed: int = 0
    save_minutes: float = 3.0

    def __post_init__(self) -> None:
        """Refuse numbers no build can use.

        Raises:
            InputError: a setting is out of range.
        """
        if not 0 < self.significant <= 0.5:
            raise InputError(
                f"--significant is a share above 0 and up to 0.5; got {self.significant}."
            )
        for name in (
            "significant_cap",
            "nonzero",
            "words",
            "warm_up",
            "batch_size",
            "thumbnail",
            "sample",
        ):
            if getattr(self, name) < 1:
                raise InputError(
                    f"--{name.replace('_', '-')} must be at least 1; got {getattr(self, name)}."
                )

    def identity(self) -> dict:
        """Return what a resumed build must share with the interrupted one."""
        kept = {k: v for k, v in asdict(self).items() if k not in ("out", "save_minutes")}
        return {**kept, "name": self.name or self.out.name}


class Interrupted(KeyboardInterrupt):
    """Ctrl-C was pressed and the state is saved."""


def build(settings: BuildSettings, progress: Progress | None = None) -> Path:
    """Build the bundle at ``settings.out`` and return its path.

    ``progress`` gets one line now and then; by default it goes to the error stream.

    Raises:
        InputError, UnsupportedModelError, BundleError: an input cannot be used.
        Interrupted: after Ctrl-C; the same call goes on.
    """
    try:
        return _build(settings, progress or to_console)
    except Interrupted:
        raise
    except KeyboardInterrupt as stop:
        raise Interrupted("stopped; run the same command to go on") from stop


def _build(settings: BuildSettings, say: Progress) -> Path:
    if settings.pretrained is None and not settings.model.startswith(LOCAL):
        raise InputError(
            f"{settings.model} without --pretrained has random weights; name a tag or a weights "
            f"file, or give a folder as --model {LOCAL}FOLDER."
        )
    source = open_source(settings.images, SHIPPED)
    loaded = load_model(
        settings.model, pretrained=settings.pretrained, device=settings.device, dtype=settings.dtype
    )
    layers = parse_layers(settings.layers, loaded.layers)
    work = _open_work(settings)
    store = _pictures(source, settings, say)
    texts = gather_texts(settings, store)
    state = run_pass(loaded, layers, source, store.corpus_size, settings, work, say)
    say("sample: looking again with the final directions")
    _write_sample(loaded, layers, source, state, settings)
    say("describing: texts")
    dictionary = _embed_dictionary(loaded, texts)
    write_texts(settings.out, dictionary, texts)
    _write_means(settings.out, state)
    describe_directions(settings.out, state.directions, dictionary, store, settings.nonzero, say)
    _copy_model(settings)
    manifest = seal(
        settings.out, **_manifest_facts(settings, loaded, layers, source, store, dictionary)
    )
    shutil.rmtree(work)
    say(f"done: {manifest.counts['neurons']:,} neurons in {settings.out}")
    Bundle.open(settings.out)
    return settings.out


def to_console(line: str) -> None:
    """Print a line on the error stream; on a terminal the pass's lines overwrite each other."""
    terminal = sys.stderr.isatty()
    end = "" if terminal and line.startswith("pass") else "\n"
    print(("\r\033[K" if terminal else "") + line, file=sys.stderr, end=end, flush=True)


def parse_layers(spec: str, blocks: int) -> list[int]:
    """Return the layers named by ``--layers``: "all", or numbers with commas.

    Raises:
        InputError: a layer is no number or has no later attention block.
    """
    if spec == "all":
        return list(range(blocks - 1))
    try:
        layers = sorted({int(part) for part in spec.split(",")})
    except ValueError as error:
        raise InputError(
            f"--layers takes 'all' or numbers such as 8,9,10; got '{spec}'."
        ) from error
    if not layers or not 0 <= layers[0] <= layers[-1] <= blocks - 2:
        raise InputError(
            f"This model's layers with later attention are 0 to {blocks - 2}; got '{spec}'."
        )
    return layers


def gather_texts(settings: BuildSettings, store: PictureStore) -> pd.DataFrame:
    """Return the dictionary's texts, once each: columns text, source.

    ``--texts`` is a file, "corpus" (labels, keywords and looks of the pictures), "common" (the
    most frequent English words), "corpus+common", or "bundle:PATH" (another bundle's texts).

    Raises:
        InputError: the file is missing, or there are too few texts.
    """
    spec = settings.texts
    if spec.startswith("bundle:"):
        return Bundle.open(spec.removeprefix("bundle:")).text_table
    rows: list[tuple[str, str]] = []
    parts = spec.split("+")
    if set(parts) <= {"corpus", "common"}:
        if "corpus" in parts:
            rows += _corpus_texts(store)
        if "common" in parts:
            rows += [(word, "common") for word in common_words(settings.words)]
    else:
        rows = [(text, "file") for text in read_texts(spec)]
    origins: dict[str, str] = {}
    for text, origin in rows:
        origins.setdefault(text.strip(), origin)
    kept = unique_texts(origins)
    if len(kept) < 2:
        raise InputError(f"'{spec}' gives {len(kept)} texts; a dictionary needs at least two.")
    return pd.DataFrame({"text": kept, "source": [origins[text] for text in kept]})


def _corpus_texts(store: PictureStore) -> list[tuple[str, str]]:
    corpus = store.table[: store.corpus_size]
    rows = [(text, "label") for text in sorted({str(text) for text in corpus["label"]} - {""})]
    for column, origin in (("keywords", "keyword"), ("looks", "look")):
        lists = (str(row).split(",") for row in corpus[column])
        rows += [(t, origin) for t in sorted({w.strip() for row in lists for w in row} - {""})]
    return rows


def _open_work(settings: BuildSettings) -> Path:
    """Return the working folder, new or of the same interrupted build."""
    out, work = settings.out, settings.out / WORK
    record = work / "settings.json"
    if record.is_file():
        if json.loads(record.read_text("utf-8")) != settings.identity():
            raise InputError(
                f"{out} holds an interrupted build with other settings; run it with the same ones, "
                f"or remove {out}."
            )
        return work
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty; remove it or name another --out.")
    work.mkdir(parents=True)
    record.write_text(json.dumps(settings.identity()), "utf-8")
    return work


def _pictures(source: ImageSource, settings: BuildSettings, say: Progress) -> PictureStore:
    """Write the bundle's picture store, or take up the one already written."""
    done = settings.out / WORK / "pictures.json"
    if done.is_file():
        store = PictureStore.open(settings.out)
        source.skipped = json.loads(done.read_text("utf-8"))
        if isinstance(source, FolderSource):
            source.resume(store.table["name"].tolist())
        return store
    say("pictures: reading")
    store = PictureStore.write(settings.out, source.rows(settings.thumbnail))
    done.write_text(json.dumps(source.skipped), "utf-8")
    for line in source.skipped:
        say(f"skipped {line}")
    return store


@dataclass
class PassState:
    """What the pass over the images gathers."""

    directions: dict[int, LayerDirections]
    image_embeddings: np.ndarray  # [image, embed] float16 unit
    mean_representation: np.ndarray  # [embed] float32


def run_pass(
    loaded: LoadedModel,
    layers: list[int],
    source: ImageSource,
    images: int,
    settings: BuildSettings,
    work: Path,
    say: Progress,
) -> PassState:
    """Stream every image through the lens; see the module's steps.

    Raises:
        InputError: there are fewer than two images.
        Interrupted: after Ctrl-C, with the state saved.
    """
    if images < 2:
        raise InputError(f"A build needs at least two pictures; {source.name} has {images}.")
    gather = Gathering(loaded, layers, images, settings)
    order = np.random.default_rng(settings.seed).permutation(images)
    gather.load(work)
    report, saved = _Reporter(say, images, gather.done), time.monotonic()
    with _held_back() as stopped:
        for ids, pixels in _batches(loaded, source, order, gather.done, settings.batch_size):
            gather.take(ids, pixels)
            report(gather.done)
            if stopped():
                gather.save(work)
                raise Interrupted(
                    f"stopped after {gather.done:,} of {images:,} images; run the same command to "
                    "go on"
                )
            if time.monotonic() - saved > settings.save_minutes * 60:
                gather.save(work)
                saved = time.monotonic()
        gather.save(work)
    return gather.finish()


class _Reporter:
    """Say how far the pass is and how long it will take, every few seconds and at the end."""

    def __init__(self, say: Progress, images: int, done: int) -> None:
        self.say, self.images, self.first = say, images, done
        self.began = time.monotonic()
        self.last = -REPORT_SECONDS

    def __call__(self, done: int) -> None:
        seconds = time.monotonic() - self.began
        if seconds - self.last < REPORT_SECONDS and done < self.images:
            return
        self.last = seconds
        rate = (done - self.first) / max(seconds, 1e-9)
        minutes, left = divmod(round((self.images - done) / max(rate, 1e-9)), 60)
        filled = 20 * done // self.images
        self.say(
            f"pass [{'#' * filled}{'.' * (20 - filled)}] {done:,} of {self.images:,} images, "
            f"{rate:.1f}/s, {minutes}:{left:02d} left"
        )


@contextmanager
def _held_back() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C into a flag, so that no batch is left half taken; a second one stops at once.

    Yields a function that says whether it was pressed. Outside the main thread, where no signals
    arrive, it never was.
    """
    pressed = threading.Event()

    def press(_number: int, _frame: object) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


class Gathering:
    """The statistics of all layers, with save and load."""

    def __init__(
        self, loaded: LoadedModel, layers: list[int], images: int, settings: BuildSettings
    ) -> None:
        """Start empty."""
        self.lens = MultiLayerLens(loaded.model, layers)
        self.settings, self.images, self.done = settings, images, 0
        wanted = StatisticsSettings(
            images=images,
            significant=settings.significant,
            significant_cap=settings.significant_cap,
        )
        self.layers = {n: LayerStatistics(self.lens.paths[n].cpu(), wanted) for n in layers}
        self.embeddings = np.zeros((images, loaded.embed), np.float16)
        self.total = np.zeros(loaded.embed)
        self._held: list[tuple[Tensor, dict[int, Tensor]]] = []
        self._warm = False

    def take(self, ids: np.ndarray, pixels: Tensor) -> None:
        """Take one batch: ids [image], preprocessed pixels [image, 3, row, column]."""
        output = self.lens.run(pixels)
        representation = output.representation.cpu().double().numpy()
        norms = np.linalg.norm(representation, axis=1, keepdims=True)
        self.embeddings[ids] = representation / np.maximum(norms, 1e-12)
        self.total += representation.sum(0)
        self._held.append(
            (torch.from_numpy(ids), {n: c.cpu() for n, c in output.coefficients.items()})
        )
        self.done += len(ids)
        held = sum(len(part) for part, _ in self._held)
        if self._warm or held >= min(self.settings.warm_up, self.images):
            self._flush()

    def _flush(self) -> None:
        for number, statistics in self.layers.items():
            if not self._warm:
                statistics.warm_up(torch.cat([c[number] for _, c in self._held]))
            for ids, coefficients in self._held:
                statistics.update(ids, coefficients[number])
        self._warm = True
        self._held = []

    def save(self, work: Path) -> None:
        """Write the state; before the warm-up is over there is nothing worth keeping.

        One folder a state, which gets its name when complete; then older ones go.
        """
        place = work / f"pass-{self.done:09d}"
        if not self._warm or place.is_dir():
            return
        unfinished = work / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        np.savez(unfinished / "images.npz", embeddings=self.embeddings, total=self.total)
        for number, statistics in self.layers.items():
            arrays = statistics.state()
            np.savez(unfinished / f"layer_{number:02d}.npz", allow_pickle=False, **arrays)
        older = _states(work)
        unfinished.replace(place)
        for folder in older:
            shutil.rmtree(folder)

    def load(self, work: Path) -> None:
        """Go on from the latest saved state if there is one.

        Raises:
            InputError: it is damaged.
        """
        if not (states := _states(work)):
            return
        try:
            images = _read_arrays(states[-1] / "images.npz")
            self.embeddings, self.total = images["embeddings"], images["total"]
            for number, statistics in self.layers.items():
                statistics.restore(_read_arrays(states[-1] / f"layer_{number:02d}.npz"))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise InputError(
                f"The saved state {states[-1]} is damaged ({error}); remove that folder and run "
                "the same command again."
            ) from error
        self.done = int(states[-1].name.removeprefix("pass-"))
        self._warm = True

    def finish(self) -> PassState:
        """Return directions and means."""
        directions = {number: statistics.finish() for number, statistics in self.layers.items()}
        return PassState(directions, self.embeddings, (self.total / self.images).astype(np.float32))


def _states(work: Path) -> list[Path]:
    """Return the complete saved states, the latest last."""
    return sorted(work.glob("pass-*"))


def _read_arrays(file: Path) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as saved:
        return {name: saved[name] for name in saved.files}


def _batches(
    loaded: LoadedModel, source: ImageSource, order: np.ndarray, done: int, size: int
) -> Iterator[tuple[np.ndarray, Tensor]]:
    for start in range(done, len(order), size):
        ids = order[start : start + size].astype(np.int64)
        pixels = [loaded.preprocess(_picture(source, int(i))) for i in ids]
        yield ids, torch.stack(pixels).to(loaded.device, loaded.dtype)


def _picture(source: ImageSource, image: int) -> Image.Image:
    """Return a picture as RGB on white; InputError if it has gone since it was counted."""
    try:
        return to_rgb(source.picture(image))
    except OSError as error:
        raise InputError(
            f"A picture of {source.name} cannot be read any more ({error}); restore it and run the "
            "same command, or build anew into another folder."
        ) from error


def _embed_dictionary(loaded: LoadedModel, texts: pd.DataFrame) -> TextDictionary:
    embeddings = encode_texts(loaded, texts["text"].tolist()).numpy()
    return TextDictionary.from_embeddings(texts["text"].tolist(), embeddings, np.float16)


def _write_means(out: Path, state: PassState) -> None:
    np.save(out / "image_embeddings.npy", state.image_embeddings)
    np.save(out / "mean_representation.npy", state.mean_representation)
    folder = out / "mean_coefficients"
    folder.mkdir(exist_ok=True)
    for number, found in state.directions.items():
        np.save(folder / f"layer_{number:02d}.npy", found.mean_coefficients.astype(np.float32))


def _write_sample(
    loaded: LoadedModel,
    layers: list[int],
    source: ImageSource,
    state: PassState,
    settings: BuildSettings,
) -> None:
    drawn = draw_sample(len(state.image_embeddings), settings.sample, settings.seed)
    batches = (pixels for _, pixels in _batches(loaded, source, drawn, 0, settings.batch_size))
    lens = MultiLayerLens(loaded.model, layers)
    effects = effects_along_directions(lens, state.directions, batches)
    np.save(settings.out / "sample_images.npy", drawn)
    stacked = np.concatenate([effects[layer] for layer in layers])
    np.save(settings.out / "sample_effects.npy", stacked.astype(np.float16))


def _copy_model(settings: BuildSettings) -> None:
    if not settings.model.startswith(LOCAL):
        return
    origin = Path(settings.model.removeprefix(LOCAL))
    shutil.copytree(origin, settings.out / MODEL_FOLDER, dirs_exist_ok=True)


def _manifest_facts(
    settings: BuildSettings,
    loaded: LoadedModel,
    layers: list[int],
    source: ImageSource,
    store: PictureStore,
    dictionary: TextDictionary,
) -> dict:
    kept = (
        "significant",
        "significant_cap",
        "nonzero",
        "warm_up",
        "batch_size",
        "dtype",
        "seed",
        "texts",
        "sample",
    )
    neurons = loaded.neurons * len(layers)
    local = settings.model.startswith(LOCAL)
    return {
        "name": settings.name or settings.out.name,
        "created": datetime.date.today().isoformat(),
        "model": {
            "source": MODEL_FOLDER if local else settings.model,
            "pretrained": settings.pretrained,
            "embed": loaded.embed,
            "width": loaded.width,
            "image_size": loaded.image_size,
            "blocks": loaded.layers,
            "heads": loaded.heads,
        },
        "layers": layers,
        "centre": True,
        "settings": {name: getattr(settings, name) for name in kept},
        "images": {
            "source": source.name,
            "count": store.corpus_size,
            "held_out": len(store) - store.corpus_size,
            "skipped": source.skipped,
        },
        "texts": {"source": settings.texts.split(":")[0], "count": len(dictionary)},
        "counts": {"neurons": neurons, "images": store.corpus_size, "texts": len(dictionary)},
    }

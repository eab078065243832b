"""Training views and the cached features of the frozen blocks.

1. *Plan*: a shuffled list of views: every picture full-frame, alone in a scene, and together
   with others in a scene; every training photograph cropped at random. The first n of them are
   a fair sample, so that an interrupted run can be trained on.
2. *Cache*: the residual stream entering the first tuned block, [view, token, width] float16.

Views are seeded one by one: a resumed run caches the same numbers.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from open_clip.transformer import VisionTransformer
from PIL import Image
from torch import Tensor

from explorer.demo.photographs import EVERYDAY, SAMPLES, TINY, assign_parts
from explorer.demo.pixels import standardise, to_float
from explorer.resumable import run_batches
from explorer.scenes.compose import SceneObject, SceneSettings, compose, draw_background

MAX_OBJECTS = 4


@dataclass(frozen=True)
class Corpus:
    """What views are made of."""

    pictures: pd.DataFrame
    pixels: np.ndarray  # [picture, row, column, 4] uint8, memory-mapped
    photos: pd.DataFrame  # columns image (bytes), wnid, names, held_out


def read_corpus(pictures: Path, photos: Path | None) -> Corpus:
    """Open the rendered pictures and, if a folder is given, the photographs.

    Photographs that are not for training (`photographs.assign_parts`) are held out, and those of
    names that are left out of training are not there at all.
    """
    frame = pd.read_parquet(pictures / "pictures.parquet")
    pixels = np.load(pictures / "pictures.npy", mmap_mode="r")
    if photos is None:
        return Corpus(frame, pixels, pd.DataFrame(columns=["image", "wnid", "names", "held_out"]))
    files = [pd.read_parquet(photos / name) for name in (TINY, SAMPLES, EVERYDAY)]
    table = assign_parts(*files).assign(image=[data for file in files for data in file["image"]])
    trained = table["label"].isin(table["label"][table["part"] == "train"])
    table = table.assign(held_out=table["part"] != "train")[trained].reset_index(drop=True)
    return Corpus(frame, pixels, table)


@dataclass(frozen=True)
class View:
    """One training view: a photograph, or pictures in a scene (one alone may fill the frame)."""

    photo: int = -1
    pictures: tuple[int, ...] = ()
    full: bool = False


def plan_views(corpus: Corpus, repeats: int, photos_a_class: int, seed: int = 0) -> list[View]:
    """Return the shuffled views; each round shows every training picture in all three ways."""
    rng = np.random.default_rng(seed)
    usable = np.flatnonzero(~corpus.pictures["held_out"].to_numpy(bool))
    views = []
    for _ in range(repeats):
        views += [View(pictures=(int(p),), full=True) for p in usable]
        views += [View(pictures=(int(p),)) for p in usable]
        order, start = rng.permutation(usable), 0
        while start < len(order):
            count = int(rng.choice([2, 2, 3, 4]))
            views.append(View(pictures=tuple(int(p) for p in order[start : start + count])))
            start += count
    if len(corpus.photos):
        chosen = corpus.photos[~corpus.photos["held_out"].astype(bool)]
        chosen = chosen[chosen.groupby("wnid").cumcount() < photos_a_class]
        views += [View(photo=int(row)) for row in chosen.index]
    return [views[i] for i in rng.permutation(len(views))]


class ViewMaker:
    """Draws a view as an RGB array, seeded by its number."""

    def __init__(self, corpus: Corpus, size: int, seed: int = 0) -> None:
        """Keep the corpus and 2,000 training photographs as further backgrounds."""
        self.corpus, self.size, self.seed = corpus, size, seed
        usable = (
            corpus.photos[~corpus.photos["held_out"].astype(bool)]
            if len(corpus.photos)
            else corpus.photos
        )
        self._backgrounds = [self._photo(row) for row in usable.index[-2000:]]
        self._settings = SceneSettings(size=size)
        self._crowded = SceneSettings(size=size, smallest=0.45, largest=0.8)

    def __call__(self, number: int, view: View) -> np.ndarray:
        """Return [row, column, 3] uint8."""
        rng = np.random.default_rng([self.seed, number])
        if view.photo >= 0:
            return np.asarray(self._crop(rng, self._photo(view.photo)))
        objects = [self._object(rng, p) for p in view.pictures]
        if view.full:
            return np.asarray(self._full_frame(rng, objects[0]))
        settings = self._settings if len(objects) == 1 else self._crowded
        return np.asarray(compose(rng, objects, settings, self._backgrounds).image)

    def _photo(self, row: int) -> Image.Image:
        return Image.open(io.BytesIO(self.corpus.photos["image"].iloc[row])).convert("RGB")

    def _object(self, rng: np.random.Generator, row: int) -> SceneObject:
        image = Image.fromarray(np.ascontiguousarray(self.corpus.pixels[row]), "RGBA")
        if rng.random() < 0.3:  # as if drawn at a lower resolution
            image = image.reduce(int(rng.integers(2, 4)))
        return SceneObject(
            image,
            self.corpus.pictures["label"].iloc[row],
            self.corpus.pictures["kind"].iloc[row] == "mono",
        )

    def _full_frame(self, rng: np.random.Generator, thing: SceneObject) -> Image.Image:
        side = round(self.size * rng.uniform(0.8, 1.0))
        sprite = thing.image.resize((side, side), Image.Resampling.BICUBIC)
        if rng.random() < 0.25:
            sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        canvas = Image.new("RGB", (self.size, self.size), "white")
        if rng.random() < 0.25 and not thing.mono:
            canvas = draw_background(rng, "plain", self.size)
        room = self.size - side
        corner = (int(rng.integers(room + 1)), int(rng.integers(room + 1)))
        canvas.paste(sprite, corner, sprite)
        return canvas

    def _crop(self, rng: np.random.Generator, photo: Image.Image) -> Image.Image:
        if rng.random() < 0.5:
            photo = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        # half of them as the shipped preprocessing shows them
        scale = 1.0 if rng.random() < 0.5 else rng.uniform(0.6, 1.0)
        side = round(min(photo.size) * scale)
        left = int(rng.integers(photo.width - side + 1)) if scale < 1 else (photo.width - side) // 2
        top = (
            int(rng.integers(photo.height - side + 1)) if scale < 1 else (photo.height - side) // 2
        )
        box = (left, top, left + side, top + side)
        return photo.resize((self.size, self.size), Image.Resampling.BICUBIC, box)


def normalise(pixels: np.ndarray) -> Tensor:
    """[image, row, column, 3] uint8 -> [image, 3, row, column] float32 as the model expects it."""
    return standardise(to_float(pixels))


def embed_tokens(visual: VisionTransformer, pixels: Tensor) -> Tensor:
    """Return the residual stream entering block 0, [image, token, width]."""
    patches = visual.conv1(pixels).flatten(2).transpose(1, 2)
    class_token = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
    positions: Tensor = visual.positional_embedding.to(patches.dtype)
    return torch.cat([class_token, patches], 1) + positions


def cache_features(
    visual: VisionTransformer,
    views: Sequence[View],
    maker: Callable[[int, View], np.ndarray],
    first_tuned: int,
    out: Path,
    batch_size: int = 64,
) -> int:
    """Run the frozen blocks over ``views`` and write their output; resumes where it stopped.

    Writes ``tokens.npy`` [view, token, width] float16, ``progress.json`` {"views": n}.
    Returns the number of cached views.

    Raises:
        Interrupted: after Ctrl-C, with the progress written.
    """
    out.mkdir(parents=True, exist_ok=True)
    file, progress = out / "tokens.npy", out / "progress.json"
    tokens, width = visual.positional_embedding.shape
    done = json.loads(progress.read_text())["views"] if progress.exists() else 0
    mode = "r+" if done else "w+"
    cache = np.lib.format.open_memmap(file, mode, np.float16, (len(views), tokens, width))
    visual = visual.to(torch.bfloat16)

    def draw(start: int) -> Tensor:
        stop = min(start + batch_size, len(views))
        return normalise(np.stack([maker(i, views[i]) for i in range(start, stop)]))

    def absorb(places: range, stream: np.ndarray) -> None:
        cache[places.start : places.stop] = stream

    def save(done: int) -> None:
        cache.flush()
        progress.write_text(json.dumps({"views": done}))

    with ThreadPoolExecutor(1) as pool:  # the next batch is drawn while this one is in the model
        upcoming = {done: pool.submit(draw, done)} if done < len(views) else {}

        def compute(places: range) -> np.ndarray:
            pixels = upcoming.pop(places.start).result()
            if places.stop < len(views):
                upcoming[places.stop] = pool.submit(draw, places.stop)
            return _entering(visual, first_tuned, pixels)

        run_batches("features", len(views), batch_size, compute, absorb, save, _say, done=done)
    return len(views)


@torch.inference_mode()
def _entering(visual: VisionTransformer, first_tuned: int, pixels: Tensor) -> np.ndarray:
    """Return the stream entering a block, [view, token, width] float16."""
    stream = embed_tokens(visual, pixels.to(torch.bfloat16))
    for block in visual.transformer.resblocks[:first_tuned]:
        stream = block(stream)
    return stream.float().numpy().astype(np.float16)


def _say(line: str) -> None:
    print(line, flush=True)

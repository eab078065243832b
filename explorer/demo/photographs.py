"""The training photographs as arrays, each with the part it plays.

Three parquet files (columns ``image``, ``wnid``, ``names``) become two memory-mapped arrays of
squares, so that a photograph is decoded once: ``small`` for what has at most 64 pixels a side,
``large`` for the rest. A row plays one of four parts:

``train``        a name and pixels to learn from
``known``        pictures of trained names, to choose settings by
``unknown``      names left out of training, to choose settings by
``test``         never looked at while choosing: the last Tiny ImageNet photographs of every
                 class, and `TEST_NAMES` names of the ImageNet sample that nothing else shows
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

TINY, SAMPLES, EVERYDAY = (
    "tiny_imagenet_train_40k.parquet",
    "imagenet_samples_500.parquet",
    "everyday_10k.parquet",
)
SIDES = {"small": 64, "large": 192}
TESTED_A_CLASS, KNOWN_A_CLASS = 10, 10  # of Tiny ImageNet, from the end of each class
KNOWN_A_THING = 40  # of each everyday name
CHOSEN_BY = 3  # of each name's photographs kept aside, settings are chosen by the first ones
TEST_NAMES = 300


@dataclass(frozen=True)
class Photographs:
    """All photographs: ``table`` has columns label, names, part, size and row, one row each.

    ``pixels[size][row]`` is [row, column, 3] uint8, a centred square of the photograph.
    """

    table: pd.DataFrame
    pixels: dict[str, np.ndarray]

    def rows(self, part: str) -> np.ndarray:
        """Return the table's rows that play ``part``."""
        return np.flatnonzero(self.table["part"].to_numpy() == part)


def photo_label(names: str) -> str:
    """Return the first of a class's names, in lower case: "tabby, tabby cat" -> "tabby"."""
    return names.split(",", maxsplit=1)[0].strip().lower()


def assign_parts(tiny: pd.DataFrame, samples: pd.DataFrame, everyday: pd.DataFrame) -> pd.DataFrame:
    """Return the three tables one below the other with columns label and part, without pixels.

    Which names are tested follows from their order alone: no seed, no look at the pictures.
    """
    place = tiny.groupby("wnid").cumcount(ascending=False).to_numpy()
    tiny_part = np.select(
        [place < KNOWN_A_CLASS, place < KNOWN_A_CLASS + TESTED_A_CLASS], ["known", "test"], "train"
    )
    thing_place = everyday.groupby("wnid").cumcount(ascending=False)
    everyday_part = np.where(thing_place < KNOWN_A_THING, "known", "train")
    shown = {*tiny["wnid"], *everyday["wnid"]}
    spoken = {photo_label(n) for n in (*tiny["names"], *everyday["names"])}
    new = [
        wnid
        for wnid, names in zip(samples["wnid"], samples["names"], strict=True)
        if wnid not in shown and photo_label(names) not in spoken
    ]
    tested_names = set(_spread(sorted(new), TEST_NAMES))
    left_out = set(new) - tested_names
    sample_part = [
        "test" if w in tested_names else "unknown" if w in left_out else "train"
        for w in samples["wnid"]
    ]
    frames = [
        frame.drop(columns="image").assign(part=part, source=source)
        for frame, part, source in (
            (tiny, tiny_part, "tiny"),
            (samples, sample_part, "samples"),
            (everyday, everyday_part, "everyday"),
        )
    ]
    table = pd.concat(frames, ignore_index=True)
    return table.assign(label=table["names"].map(photo_label))


def _spread(items: list[str], count: int) -> list[str]:
    """Return ``count`` of the items at even distances; all of them if there are fewer."""
    if len(items) <= count:
        return items
    return [items[i * len(items) // count] for i in range(count)]


def pack_photographs(folder: Path, out: Path) -> Photographs:
    """Decode the photographs of ``folder`` into ``out`` once; return them memory-mapped."""
    table_file = out / "photographs.parquet"
    if not table_file.exists():
        out.mkdir(parents=True, exist_ok=True)
        parts = [pd.read_parquet(folder / name) for name in (TINY, SAMPLES, EVERYDAY)]
        table = assign_parts(*parts)
        _decode(table, [data for part in parts for data in part["image"]], out).to_parquet(
            table_file
        )
    pixels = {size: np.load(out / f"{size}.npy", mmap_mode="r") for size in SIDES}
    return Photographs(pd.read_parquet(table_file), pixels)


def _decode(table: pd.DataFrame, encoded: list[bytes], out: Path) -> pd.DataFrame:
    """Write the two arrays; return ``table`` with columns size and row."""
    widths = [min(Image.open(io.BytesIO(data)).size) for data in encoded]
    sizes = np.array(["small" if width <= SIDES["small"] else "large" for width in widths])
    rows = np.zeros(len(table), np.int64)
    for size, side in SIDES.items():
        chosen = np.flatnonzero(sizes == size)
        rows[chosen] = np.arange(len(chosen))
        shape = (len(chosen), side, side, 3)
        array = np.lib.format.open_memmap(out / f"{size}.npy", "w+", np.uint8, shape)
        for row, number in enumerate(chosen):
            array[row] = centred_square(encoded[number], side)
        array.flush()
    return table.assign(size=sizes, row=rows)


def centred_square(encoded: bytes, side: int) -> np.ndarray:
    """Return the photograph's centred square, [side, side, 3] uint8, as preprocessing cuts it."""
    photo = Image.open(io.BytesIO(encoded)).convert("RGB")
    shorter = min(photo.size)
    left, top = (photo.width - shorter) // 2, (photo.height - shorter) // 2
    box = (left, top, left + shorter, top + shorter)
    return np.asarray(photo.resize((side, side), Image.Resampling.BICUBIC, box))


def photo_squares(photographs: Photographs, rows: np.ndarray, size: int) -> np.ndarray:
    """Return the photographs' squares, [photo, size, size, 3] uint8."""
    pixels = np.empty((len(rows), size, size, 3), np.uint8)
    for slot, row in enumerate(rows):
        facts = photographs.table.iloc[row]
        square = Image.fromarray(photographs.pixels[facts["size"]][facts["row"]])
        pixels[slot] = np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))
    return pixels

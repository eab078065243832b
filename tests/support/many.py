"""Pictures enough for several blocks of the statistics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from explorer.bundle.pictures import PictureStore
from tests.conftest import COLOURS, SHAPES, draw, facts_of, png

MANY = 700


def many_rows(count: int) -> Iterator[tuple[dict, bytes]]:
    """Yield drawn pictures that differ in colour, shape, size, place or shade."""
    for number in range(count):
        colour, shape = COLOURS[number % 6], SHAPES[number // 6 % 3]
        picture = draw(colour, shape, 6 + number // 18 % 16, number // 7)
        picture.putpixel((0, 0), (number % 256, number // 256, 90, 255))
        yield facts_of(colour, shape, number), png(picture)


def write_many(folder: Path, count: int = MANY) -> Path:
    """Write a picture store of so many."""
    PictureStore.write(folder, many_rows(count))
    return folder


def write_files(store: Path, folder: Path) -> Path:
    """Write a store's pictures as files, a sub-folder for each label."""
    pictures = PictureStore.open(store)
    for number, label in enumerate(pictures.table["label"]):
        file = folder / label / f"{number:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pictures.encoded(number))
    return folder

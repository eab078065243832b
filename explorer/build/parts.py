"""A part of a pass: some images in whole blocks, and what they come to, wherever they are seen.

1. Images come in the pass's order. Parts begin at multiples of a block and of a batch, so that all
   forward passes are those of one stream.
2. The first images, which set the warm-up, are seen where the parts are merged. What the warm-up
   set goes to every part (`Job`).
3. `PartGatherer` sees a part's images and returns the state of a `Gathering`. It reads pictures
   from the build's own source. Where that is out of reach, or holds another picture by the name of
   the part's first one, it says so and gets what the model sees of them.
"""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.build.corpus import Corpus
from explorer.build.gathering import Gathering, batches_of
from explorer.build.settings import BuildSettings
from explorer.describe.directions import BLOCK
from explorer.errors import InputError
from explorer.resumable import Arrays

FEWEST = 1024
"""Images of a part, at least, unless asked for fewer."""
PARTS = 64
"""Parts of a pass, about: a worker that dies loses one, and every part is merged."""

Views = NDArray[Any]
"""[image, ...]: what the model sees of some images."""


@dataclass(frozen=True, eq=False)
class Job:
    """What all parts of a pass share."""

    corpus: Corpus
    settings: BuildSettings
    beginning: Mapping[str, Arrays]
    """What the warm-up set; see `Gathering.begin`."""
    largest: int
    """Images of the largest part."""


def grid(settings: BuildSettings) -> int:
    """Return the images of the smallest part: whole blocks, and whole batches."""
    return math.lcm(BLOCK, settings.batch_size)


def part_size(settings: BuildSettings, images: int) -> int:
    """Return how many images a part has, but for the last one."""
    wanted = settings.ray_part or max(FEWEST, math.ceil(images / PARTS))
    return _whole(wanted, grid(settings))


def head_size(gather: Gathering, settings: BuildSettings, images: int) -> int:
    """Return how many images are seen before the first part: the warm-up's, and to a whole block.

    `gather` may have seen some already.
    """
    return min(images, _whole(max(gather.done, gather.warm_up), grid(settings)))


def digest(views: Views) -> str:
    """Return what tells pictures from others as the model sees them."""
    return hashlib.sha256(np.ascontiguousarray(views).tobytes()).hexdigest()


class PartGatherer:
    """Gathers parts of a pass, one after the other, with one model."""

    def __init__(self, job: Job) -> None:
        """Make room for the largest part."""
        self.job = job
        self._folder = tempfile.TemporaryDirectory(prefix="explorer-part-")
        self._gather = Gathering(job.corpus, job.settings, Path(self._folder.name), job.largest)

    def gather(
        self, numbers: NDArray[np.int64], first: str, views: Iterable[Views] | None = None
    ) -> dict[str, Arrays] | None:
        """Return the state of a part by name, or None when its pictures cannot be read here.

        `numbers` [image] are its images, `first` the `digest` of what the model sees of the first
        one. `views` are those of each batch, for a part that could not be read. The arrays change
        with the next part.

        Raises:
            InputError: when a picture behind the first one cannot be read.
        """
        batches = list(batches_of(numbers, 0, self.job.settings))
        if views is None:
            if (look := self._reader(numbers[:1], first)) is None:
                return None
            views = map(look, batches)
        gather, viewer = self._gather, self.job.corpus.viewer
        gather.begin(self.job.beginning)
        for batch, seen in zip(batches, views, strict=True):
            gather.take(batch, gather.lens.run(viewer.tensor(np.array(seen))))
        gather.close()
        return dict(gather.state())

    def _reader(
        self, number: NDArray[np.int64], first: str
    ) -> Callable[[NDArray[np.integer]], Views] | None:
        """Return what reads pictures as the build does: from what it kept, or from its source."""
        for corpus in (self.job.corpus, replace(self.job.corpus, views=None)):
            try:
                if digest(corpus.seen(number)) == first:
                    return corpus.seen
            except (InputError, OSError):
                continue
        return None


def places_of(first: int, images: int, size: int) -> Iterator[range]:
    """Yield the places of each part, from the place `first` on."""
    for start in range(first, images, size):
        yield range(start, min(start + size, images))


def _whole(count: int, step: int) -> int:
    """Return the least multiple of `step` that is no less."""
    return step * math.ceil(count / step)

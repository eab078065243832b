"""The pictures to classify, and the judge of a classification.

The pictures are the bundle's held-out ones, a style the corpus statistics never saw, or those of a
folder with a sub-folder a class. Candidates are the distinct labels, embedded as bare names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.build.listed import ListedSource
from explorer.build.listings import FolderListing
from explorer.bundle import Bundle
from explorer.bundle.originals import whole_picture
from explorer.errors import InputError
from explorer.evidence.settings import EvidenceSettings
from explorer.lens.models import LoadedModel, encode_texts
from explorer.pixels import to_rgb

PROMPT = "{}"  # candidates are embedded as their bare names
THUMBNAIL = 8  # a folder's pictures are opened once to see that they can be read


class Pictures(Protocol):
    """Anything with numbered pictures."""

    def picture(self, image: int, /) -> Image.Image:
        """Return a picture."""


@dataclass(frozen=True)
class EvaluationSet:
    """Labelled pictures: `numbers` of `source`, in that order."""

    source: Pictures
    name: str
    sources: list[str]
    numbers: tuple[int, ...]
    labels: tuple[str, ...]
    of: int
    """Pictures there were to draw from."""

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.numbers)

    @cached_property
    def candidates(self) -> list[str]:
        """The distinct labels in alphabetical order."""
        return sorted(set(self.labels))

    @cached_property
    def answers(self) -> np.ndarray:
        """[image] int64: the candidate that is each picture's label."""
        places = {label: place for place, label in enumerate(self.candidates)}
        return np.array([places[label] for label in self.labels], dtype=np.int64)

    def image(self, place: int) -> Image.Image:
        """Return the picture at a place as RGB on white."""
        return to_rgb(self.source.picture(self.numbers[place]))

    def pixels(self, loaded: LoadedModel, places: range | np.ndarray) -> Tensor:
        """Return preprocessed pictures, [image, 3, height, width] on the model's device."""
        stacked = torch.stack([loaded.preprocess(self.image(int(place))) for place in places])
        return stacked.to(loaded.device, loaded.dtype)

    def conditions(self) -> dict[str, Any]:
        """Return what a result says of the pictures it is measured on."""
        return {
            "set": self.name,
            "pictures": len(self),
            "of": self.of,
            "candidates": len(self.candidates),
            "prompt": PROMPT,
        }


@dataclass(frozen=True)
class _Stored:
    bundle: Bundle

    def picture(self, image: int, /) -> Image.Image:
        return whole_picture(self.bundle, image)


def open_evaluation(bundle: Bundle, settings: EvidenceSettings) -> EvaluationSet:
    """Return the pictures to classify.

    Raises:
        InputError: when the bundle ships no held-out pictures and no folder is given, the folder
            holds none, or all have one label.
    """
    source: Pictures
    if settings.images is None:
        table = bundle.pictures.table
        rows = np.flatnonzero(table["split"] == "heldout")
        if not len(rows):
            raise InputError(
                f"The bundle '{bundle.name}' has no held-out pictures to measure on: build it with "
                "--hold-out 0.1, or give a folder with a sub-folder a class as --images FOLDER."
            )
        labels = table["label"].iloc[rows].astype(str).tolist()
        sources = sorted(set(table["source"].iloc[rows].astype(str)))
        name = "held out: " + ", ".join(sources)
        source = _Stored(bundle)
    else:
        if not settings.images.is_dir():
            raise InputError(
                f"There is no folder {settings.images}: give one with a sub-folder a class."
            )
        folder = ListedSource(FolderListing(settings.images))
        labels = [record["label"] for record, _ in folder.rows(THUMBNAIL)]
        rows, name, source = np.arange(len(labels)), folder.name, folder
        sources = [folder.name]
    kept = np.arange(len(rows))
    if len(kept) > settings.pictures:
        rng = np.random.default_rng([settings.seed, 2])
        kept = np.sort(rng.choice(len(rows), settings.pictures, replace=False))
    found = EvaluationSet(
        source,
        name,
        sources,
        tuple(int(rows[place]) for place in kept),
        tuple(labels[place] for place in kept),
        len(rows),
    )
    if len(found.candidates) < 2:
        raise InputError(
            f"All {len(found)} pictures of {name} have the label '{found.candidates[0]}': "
            "classification needs at least two classes."
        )
    return found


class Judge:
    """Ranks a picture's own label among all candidates."""

    def __init__(self, texts: Tensor, answers: np.ndarray) -> None:
        """Keep `texts` [candidate, embed] (unit norm) and `answers` [image]."""
        self.texts = texts
        self.answers = torch.from_numpy(answers)
        self.groups = torch.unique(texts, dim=0, return_inverse=True)[1]
        """[candidate]: the same number for those of one embedding, such as "Apple" and "apple"."""

    @classmethod
    def of(cls, loaded: LoadedModel, evaluation: EvaluationSet, prompt: str = PROMPT) -> Judge:
        """Embed the candidates of an evaluation set, each written into the prompt."""
        names = [prompt.format(name) for name in evaluation.candidates]
        return cls(encode_texts(loaded, names), evaluation.answers)

    def ranks(self, representations: Tensor, images: slice) -> Tensor:
        """Return how many candidates the right one does not beat: [..., image] int32.

        `representations` is [..., image, embed] of the pictures `images`, of any length: the
        order of cosines does not depend on it. Candidates with the right one's embedding do not
        count. A representation of zeros or NaN tells nothing apart, and ranks last.
        """
        scores = representations.float().cpu() @ self.texts.T
        right = self.answers[images]
        own = scores.gather(-1, right.expand(scores.shape[:-1])[..., None])
        others = self.groups != self.groups[right][:, None]
        ranks: Tensor = (~(scores < own) & others).sum(dim=-1, dtype=torch.int32)
        return ranks

    def contrasts(self, images: slice) -> Tensor:
        """Return each picture's own text minus the mean candidate: [image, embed]."""
        return self.texts[self.answers[images]] - self.texts.mean(dim=0)

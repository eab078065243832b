"""How surely a text is in a picture: both what its patches say and what the whole output says.

Any text has a map, also one that isn't there. Two things tell them apart, each as the share of the
dictionary's texts that a text is ahead of:

- `patches`: the text's strongest patches, as far as it wins them from the dictionary's others
  (`explorer.picture.competition.named_shares`), which find a small object among others;
- `whole`: the cosine with the model's whole output, which knows photographs better than the
  second-order effects alone.

The confidence is 1 minus the geometric mean of the two shares that it is behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from explorer.bundle import Bundle
from explorer.kept import kept
from explorer.picture.competition import named_shares
from explorer.picture.discover import join_near
from explorer.picture.maps import strongest_patches
from explorer.picture.reading import Reading

DOUBTFUL = 0.85  # below it a text is said to be doubtful
UNUSUAL = 0.05  # of the bundle's pictures are as far from every text as an unfamiliar one
SAMPLED = 1000  # of them are looked at


@dataclass(frozen=True, eq=False)
class Presence:
    """How surely texts are in the picture of a reading, whose images are its windows.

    The best of the windows counts.
    """

    reading: Reading

    @cached_property
    def _dictionary(self) -> tuple[Tensor, Tensor]:
        return self._strengths(self.reading.lens_model.dictionary)

    @cached_property
    def _sorted(self) -> tuple[Tensor, Tensor]:
        patches, whole = self._dictionary
        return patches.sort().values, whole.sort().values

    def confidence(self, directions: Tensor) -> Tensor:
        """Return a share from 0 to 1 for directions [text, embed]; 1 without a dictionary: [text].

        Directions are those of `LensModel.text_directions`.
        """
        if not len(self.reading.lens_model.dictionary):
            return torch.ones(len(directions))
        return self._standing(self._strengths(directions))

    def likely(self, top: int) -> list[int]:
        """Return the dictionary's places of the `top` most confident texts; near ones count once.

        Fewer where the dictionary has fewer.
        """
        atoms = self.reading.lens_model.dictionary
        if not len(atoms):
            return []
        scores = self._standing(self._dictionary).numpy()
        return [place for place, _ in join_near(atoms.numpy(), scores, top)]

    def unfamiliar(self, bundle: Bundle) -> bool:
        """Tell whether no text is as near to the output as is usual among the bundle's pictures.

        What is then read off the picture is right less often: the evidence on discovery says how
        often.
        """
        _, whole = self._sorted
        return bool(len(whole)) and float(whole[-1]) < least_nearness(bundle)

    def _standing(self, strengths: tuple[Tensor, Tensor]) -> Tensor:
        behind = torch.ones(len(strengths[0]))
        for own, others in zip(strengths, self._sorted, strict=True):
            behind = behind * (1 - torch.searchsorted(others, own, side="left") / len(others))
        return 1 - behind.sqrt()

    @torch.no_grad()
    def _strengths(self, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the strongest patches' mean and the whole output's cosine: [text] each."""
        windows = range(len(self.reading.images))
        patches = [
            strongest_patches(named_shares(self.reading, directions, window)) for window in windows
        ]
        output = functional.normalize(self.reading.trace.representation.float().cpu(), dim=1)
        whole = directions.float().cpu() @ output.T
        return torch.stack(patches).amax(dim=0), whole.amax(dim=1)


def least_nearness(bundle: Bundle) -> float:
    """Return the nearest text's cosine that all but `UNUSUAL` of the bundle's pictures reach.

    Kept with the bundle.
    """

    def measure() -> float:
        step = max(1, len(bundle.image_embeddings) // SAMPLED)
        pictures = torch.from_numpy(np.array(bundle.image_embeddings[::step], np.float32))
        texts = torch.from_numpy(bundle.dictionary.atoms())
        nearest = (functional.normalize(pictures, dim=1) @ texts.T).amax(dim=1)
        return float(nearest.quantile(UNUSUAL))

    return kept(bundle, "least nearness", measure)

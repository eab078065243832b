"""How surely a text is in a picture: both what its patches say and what the whole output says.

Any text has a map, also one that isn't there. Two things tell them apart, each as the share of the
dictionary's texts that a text is ahead of:

- `patches`: the text's strongest patches (`explorer.heatmaps.strongest_patches`), which find a
  small object among others;
- `whole`: the cosine with the model's whole output, which knows photographs better than the
  second-order effects alone.

The confidence is 1 less the geometric mean of the two shares that it is behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from explorer.heatmaps import Reading, concept_maps, strongest_patches

DOUBTFUL = 0.85  # below it a text is said to be doubtful


@dataclass(frozen=True, eq=False)
class Presence:
    """How surely texts are in the picture of a reading, whose images are its windows.

    The best of the windows counts.
    """

    reading: Reading

    @cached_property
    def _dictionary(self) -> tuple[Tensor, Tensor]:
        patches, whole = self._strengths(self.reading.lens_model.dictionary)
        return patches.sort().values, whole.sort().values

    def confidence(self, directions: Tensor) -> Tensor:
        """Return a share from 0 to 1 for directions [text, embed]; 1 without a dictionary: [text].

        Directions are those of `LensModel.text_directions`.
        """
        if not len(self.reading.lens_model.dictionary):
            return torch.ones(len(directions))
        behind = torch.ones(len(directions))
        for own, others in zip(self._strengths(directions), self._dictionary, strict=True):
            ahead = torch.searchsorted(others, own, side="left")
            behind = behind * (1 - ahead / len(others))
        return 1 - behind.sqrt()

    @torch.no_grad()
    def _strengths(self, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the strongest patches' mean and the whole output's cosine: [text] each."""
        windows = range(len(self.reading.images))
        patches = [
            strongest_patches(concept_maps(self.reading, directions, window)) for window in windows
        ]
        output = functional.normalize(self.reading.trace.representation.float().cpu(), dim=1)
        whole = directions.float().cpu() @ output.T
        return torch.stack(patches).amax(dim=0), whole.amax(dim=1)

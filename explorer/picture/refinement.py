"""What makes an exact map readable: shares spread over what looks alike, and doubt shown as doubt.

A refinement is made from one picture's second-order vectors (`Reading.token_vectors`),
and any method's maps can be refined with it. With `A` the affinity of patches, `v` the vectors,
`d` a text's direction, and `m` a map over its patches, spread and divided by its peak:

    spread     A m                            A: near patches that look alike, two steps of a walk
    presence   n = |A v| / max |A v|          what the neurons add at a patch in any direction
    sureness   c = cos(A v, d) at the peak of (A v) . d
    refined    peak ((m+ + FLOOR n) / (1 + FLOOR)) ^ g,      g = SURE / c, from 1 to SHARPEST

1. Attention goes to single patches, so exact maps are spiky. `A` is doubly stochastic: this step
   keeps the sum over patches.
2. Negative values speak against the text, and all count as 0. There the floor orders patches: where
   the neurons add nothing at all is background rather than an object that was not recognised.
3. A text that hardly agrees with its own peak is probably not there. Spread over a whole object, a
   wrong peak does the most harm, so an unsure map is drawn to its peak. The exponent leaves the
   order of patches as it is.

Constants were chosen on calibration scenes (`explorer.scenes.seeded`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 0.4  # of the likeness between patches, a cosine
REACH = 0.15  # standard deviation of a step in space, in sides of the grid
STEPS = 2
BALANCING_STEPS = 20
FLOOR = 0.2
SURE = 0.35  # cosine
SHARPEST = 5.0


@dataclass(frozen=True, eq=False)
class Refinement:
    """How the maps of some texts on some pictures are refined; see the module's text."""

    affinity: Tensor
    """[image, patch, patch]"""
    presence: Tensor
    """[image, patch], from 0 to 1."""
    exponents: Tensor
    """[image, text]"""

    @classmethod
    def of(cls, vectors: Tensor, affinity: Tensor, directions: Tensor) -> Refinement:
        """Take the measure of vectors [image, patch, embed] along directions [text, embed]."""
        spread = affinity @ vectors
        norms = spread.norm(dim=2)
        along = spread @ directions.to(spread).T  # [image, patch, text]
        peak, place = along.max(dim=1)
        least = torch.finfo(norms.dtype).tiny
        sure = peak / norms.gather(1, place).clamp(min=least)
        return cls(
            affinity,
            norms / norms.amax(dim=1, keepdim=True).clamp(min=least),
            (SURE / sure.clamp(min=SURE / SHARPEST)).clamp(min=1),
        )

    def apply(self, patches: Tensor) -> Tensor:
        """Return [image, text, patch] refined, nowhere negative; its peak stays about the same.

        A map without a positive value becomes 0.
        """
        spread = diffuse(patches, self.affinity).clamp(min=0)
        peak = spread.amax(dim=2, keepdim=True)
        scaled = spread / peak.clamp(min=torch.finfo(spread.dtype).tiny)
        raised = (scaled + FLOOR * self.presence[:, None]) / (1 + FLOOR)
        refined: Tensor = peak * raised ** self.exponents[..., None]
        return refined


@torch.no_grad()
def affinity_of(features: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return how shares spread: [image, patch, patch], symmetric, rows and columns sum to 1.

    `features` is [image, patch, width]. Patches are alike by the cosine of their features minus
    the mean over the picture; nearness falls off as a Gaussian.
    """
    centred = functional.normalize(features - features.mean(dim=1, keepdim=True), dim=2)
    likeness = centred @ centred.transpose(1, 2) / TEMPERATURE
    rows, columns = grid
    places = torch.cartesian_prod(torch.arange(rows) / rows, torch.arange(columns) / columns)
    apart = torch.cdist(places, places).to(likeness) / REACH
    kernel = balance(torch.exp(likeness - apart.square() / 2))
    spread: Tensor = torch.linalg.matrix_power(kernel, STEPS)
    return spread


def balance(kernel: Tensor, steps: int = BALANCING_STEPS) -> Tensor:
    """Scale symmetric positive [image, patch, patch] until rows and columns sum to 1.

    Sinkhorn and Knopp's iteration in its symmetric form. A last step puts what a row still lacks on
    the diagonal, so that sums are kept to rounding.
    """
    for _ in range(steps):
        scale = kernel.sum(dim=2).rsqrt()
        kernel = kernel * scale[:, :, None] * scale[:, None, :]
    return kernel + torch.diag_embed(1 - kernel.sum(dim=2))


def diffuse(patches: Tensor, affinity: Tensor) -> Tensor:
    """Return [image, text, patch] spread over alike patches; its sums stay."""
    return patches.to(affinity) @ affinity

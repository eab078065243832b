"""Streaming statistics of neuron-head pairs: what each carries, and which few carry most.

For one layer let `c[i]` in R^path be a neuron's coefficients on image `i` (see `explorer.lens`),
`C` their covariance over the images and `G = U U^T` with `U` = `paths[n]`. The neuron's centred
effect has the mean square

    total = sum over k, l of E[k, l],      E = C * G  (entry by entry)

and everything about its pairs follows from `E` without another look at an image:

    share[k]   = sum over l of E[k, l] / total        they add up to 1; below 0 where a pair works
                                                      against the rest
    scale[k]^2 = E[k, k]                              mean square of the pair's own effect
    held(S)    = 1 - sum over k, l not in S of E[k, l] / total
                                                      what is left is what the others add

The pairs that *matter* are chosen one by one, each the one that leaves least, until they hold
`HELD` of the total, or there are `MOST`.

All of this is exact, to the rounding of float32 coefficients, and so are the pictures: a pair's
direction is fixed, so its effect rises with `c`, whatever the mean, and the largest coefficients
are its strongest pictures. They are those where the neuron fires for that head; a pair's direction
is `u` itself, never turned round. Results depend on the batches by rounding alone.

Statistics of some batches, with one reference, merge exactly in any order (`absorb`): sums are
rounded to a unit that the first batch sets (`explorer.describe.exact`), and pictures have one
order, by coefficient and then by number. Only a coefficient whose variance is above 2^`HEADROOM`
times that of the first batch is summed as floats are.

Memory is neurons x paths^2 x 8 bytes for the moments and neurons x paths x places x 8 for the
pictures; it does not grow with the images.

Axes: image, path, neuron, pair, place, embed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explorer.describe.exact import BoundedSum, ranked
from explorer.errors import InputError

HELD = 0.9
"""Share of a neuron's squared effect that the pairs which matter hold."""
MOST = 6
"""Pairs of a neuron at most."""
PLACES = 10
"""Pictures of a pair."""
CHUNK = 64
"""Neurons that are finished at once."""
HEADROOM = 16
"""Powers of two that a mean square may be above that of the first batch."""
LEAST = 2.0**-6
"""Of a coefficient's mean, its deviation that is reckoned with at least."""
SMALLEST = 2.0**-100
"""The same of a coefficient that is 0."""
DEAD = 1e-12
"""Of the squared size of the mean effect: below, an effect is constant to float32 rounding."""


@dataclass(frozen=True, eq=False)
class LayerPairs:
    """What the statistics of one layer come to: arrays with the neuron axis first.

    Effects are in units of the representation before its L2 normalisation. A dead neuron, one whose
    effect is the same for every image, has zeros everywhere and no pair.
    """

    shares: NDArray[np.float32]
    """[neuron, path]: share of the neuron's squared centred effect."""
    sizes: NDArray[np.float32]
    """[neuron, path]: norm of `u`, the effect of a coefficient of 1."""
    means: NDArray[np.float32]
    """[neuron, path]: mean coefficient."""
    deviations: NDArray[np.float32]
    """[neuron, path]: standard deviation of the coefficient."""
    kept: NDArray[np.int16]
    """[neuron, pair]: path of each pair that matters, -1 for none."""
    held: NDArray[np.float32]
    """[neuron, pair]: share that the first 1, 2, ... of them hold together, 0 for none."""
    images: NDArray[np.int32]
    """[neuron, pair, place]: images with the largest coefficient, largest first; -1 for none."""
    effects: NDArray[np.float32]
    """[neuron, pair, place]: their centred effect along the pair's direction, 0 for none."""


class PairStatistics:
    """The statistics of one layer's pairs over a stream of images; see the module."""

    def __init__(self, paths: Tensor, images: int, places: int = PLACES) -> None:
        """Keep `paths`, [neuron, path, embed] float32; nothing of `images` in all has been seen."""
        self.paths, self.seen = paths.detach().cpu(), 0
        neurons, heads = paths.shape[:2]
        room = 2.0 ** math.ceil(math.log2(max(images, 1)))
        self._reference = torch.zeros(heads, neurons)
        self._sizes = torch.zeros(neurons, heads, dtype=torch.float64)
        self._sums = BoundedSum(
            (neurons, heads), lambda rows: self._sizes[rows] * room * 2.0 ** (HEADROOM // 2)
        )
        self._moments = BoundedSum(
            (neurons, heads, heads),
            lambda rows: (
                self._sizes[rows, :, None] * self._sizes[rows, None] * room * 2.0**HEADROOM
            ),
        )
        self._scores = torch.full((heads, neurons, places), -torch.inf)
        self._ids = torch.full((heads, neurons, places), -1, dtype=torch.int32)

    def beginning(self) -> dict[str, NDArray[np.generic]]:
        """Return what statistics of other images need, so that both merge: see `begin`."""
        return {"reference": self._reference.numpy().copy(), "sizes": self._sizes.numpy().copy()}

    def begin(self, beginning: dict[str, NDArray[np.generic]]) -> None:
        """Start anew, with the reference of other statistics of the same paths."""
        self._reference.copy_(torch.from_numpy(beginning["reference"]))
        self._sizes.copy_(torch.from_numpy(beginning["sizes"]))
        self._sums.clear()
        self._moments.clear()
        self._scores.fill_(-torch.inf)
        self._ids.fill_(-1)
        self.seen = 0

    def update(self, image_ids: NDArray[np.integer], coefficients: Tensor) -> None:
        """Take in images: their numbers [image], and [image, path, neuron] float32.

        The first ones give the reference that sums are about, and the unit of their rounding.

        Raises:
            InputError: when a shape is wrong.
        """
        coefficients = coefficients.detach().float().cpu()
        wanted = (len(image_ids), *self._reference.shape)
        if tuple(coefficients.shape) != wanted:
            raise InputError(
                f"Coefficients have shape {list(coefficients.shape)}: pass [image, path, neuron], "
                f"{list(wanted)}."
            )
        if not self._sizes.any():
            self.begin(_beginning(coefficients))
        deltas = (coefficients - self._reference).permute(2, 1, 0).contiguous()
        self._sums.add(deltas.sum(dim=2), slice(None))
        for part in self._moments.parts():
            rows = deltas[part]
            self._moments.add(torch.bmm(rows, rows.mT), part)
        ids = torch.from_numpy(np.asarray(image_ids, np.int32))
        self._merge(coefficients.permute(1, 2, 0), ids)
        self.seen += len(coefficients)

    def absorb(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Take in what statistics of other images hold, as their `state` says.

        Raises:
            InputError: when they are of other neurons or paths, or began otherwise.
        """
        theirs = self._fitting(state)
        for name in ("reference", "sizes"):
            if not torch.equal(theirs[name], self._tensors()[name]):
                raise InputError("Pairs were seen about another reference: give all parts one.")
        self._sums.merge(theirs["sums"])
        self._moments.merge(theirs["moments"])
        self._merge(theirs["scores"], theirs["ids"])
        self.seen += int(state["seen"])

    def _merge(self, scores: Tensor, ids: Tensor) -> None:
        """Let images in that score higher than what is held; of equal scores, the lower id.

        `scores` is [path, neuron, image], `ids` the same or [image].
        """
        beyond = (scores.amax(dim=2) >= self._scores[..., -1]).nonzero(as_tuple=True)
        both = torch.cat([self._scores[beyond], scores[beyond]], dim=1)
        numbers = torch.cat([self._ids[beyond], ids.expand(scores.shape)[beyond]], dim=1)
        best = ranked(both, numbers.long()).topk(self._scores.shape[2], dim=1).indices
        self._scores[beyond] = both.gather(1, best)
        self._ids[beyond] = numbers.gather(1, best)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return everything that `restore` needs, but for the paths."""
        return {name: value.numpy() for name, value in self._tensors().items()} | {
            "seen": np.array(self.seen)
        }

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` returned.

        Raises:
            InputError: when it is of other neurons or paths.
        """
        theirs = self._fitting(state)
        for name, held in self._tensors().items():
            held.copy_(theirs[name])
        self.seen = int(state["seen"])

    def _fitting(self, state: dict[str, NDArray[np.generic]]) -> dict[str, Tensor]:
        """Return the tensors of a state.

        Raises:
            InputError: when one has another shape.
        """
        found = {name: torch.from_numpy(state[name]) for name in self._tensors()}
        for name, held in self._tensors().items():
            if found[name].shape != held.shape:
                raise InputError(f"The saved pairs hold {name} of another shape: start anew.")
        return found

    def _tensors(self) -> dict[str, Tensor]:
        return {
            "reference": self._reference,
            "sizes": self._sizes,
            "sums": self._sums.held,
            "moments": self._moments.held,
            "scores": self._scores,
            "ids": self._ids,
        }

    def finish(self) -> LayerPairs:
        """Return the statistics of all images seen.

        Raises:
            InputError: when no image came.
        """
        if not self.seen:
            raise InputError("The statistics of pairs saw no image: pass some to update.")
        neurons = len(self.paths)
        starts = range(0, neurons, CHUNK)
        parts = [self._finish(slice(at, min(at + CHUNK, neurons))) for at in starts]
        return LayerPairs(
            **{f.name: np.concatenate([vars(p)[f.name] for p in parts]) for f in fields(LayerPairs)}
        )

    def _finish(self, part: slice) -> LayerPairs:
        """Return the statistics of some neurons: in float64 they take much memory."""
        paths = self.paths[part].double()
        shift = self._sums.value(part) / self.seen
        covariance = self._moments.value(part) / self.seen - shift[:, :, None] * shift[:, None]
        energies = covariance * (paths @ paths.mT)
        means = self._reference.T[part].double() + shift
        sizes = paths.norm(dim=2)
        total = energies.sum(dim=(1, 2))
        alive = total > DEAD * (means.abs() * sizes).sum(dim=1).square().clamp(min=1e-30)
        energies = torch.where(alive[:, None, None], energies, 0.0)
        total = torch.where(alive, total, 1.0)
        kept, held = matter(energies / total[:, None, None])
        deviations = covariance.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
        there, places = kept >= 0, kept.clamp(min=0)
        neurons = torch.arange(len(self.paths))[part, None]
        scores = self._scores[places, neurons].double()
        ids = self._ids[places, neurons]
        shown = there[..., None] & (ids >= 0)
        moved = (scores - means.gather(1, places)[..., None]) * sizes.gather(1, places)[..., None]
        return LayerPairs(
            shares=(energies.sum(dim=2) / total[:, None]).float().numpy(),
            sizes=sizes.float().numpy(),
            means=means.float().numpy(),
            deviations=(deviations * alive[:, None]).float().numpy(),
            kept=kept.to(torch.int16).numpy(),
            held=held.float().numpy(),
            images=torch.where(shown, ids, -1).numpy(),
            effects=torch.where(shown, moved, 0.0).float().numpy(),
        )


def _beginning(coefficients: Tensor) -> dict[str, NDArray[np.generic]]:
    """Return the mean of [image, path, neuron], and powers of two above the deviations."""
    wide = coefficients.double()
    mean = wide.mean(dim=0)
    squares = (wide - mean).square().mean(dim=0) + (LEAST * mean).square()
    roots = squares.sqrt().clamp(min=SMALLEST)
    return {
        "reference": coefficients.mean(dim=0).numpy(),
        "sizes": torch.exp2(roots.log2().ceil()).T.contiguous().numpy(),
    }


def matter(energies: Tensor, held: float = HELD, most: int = MOST) -> tuple[Tensor, Tensor]:
    """Return the pairs that matter, [neuron, pair], -1 for none, and what the first ones hold.

    `energies` [neuron, path, path] is `E` over its sum, zeros for a dead neuron; see the module.
    """
    neurons, paths = energies.shape[:2]
    count = min(most, paths)
    left = torch.ones(neurons, paths, dtype=energies.dtype)
    kept = torch.full((neurons, most), -1, dtype=torch.int64)
    shares = torch.zeros(neurons, most, dtype=energies.dtype)
    own = energies.diagonal(dim1=1, dim2=2)
    now = torch.zeros(neurons, dtype=energies.dtype)
    open_ = energies.sum(dim=(1, 2)) > 0
    rows = torch.arange(neurons)
    for place in range(count):
        gains = 2 * (energies @ left[..., None])[..., 0] - own
        best = gains.masked_fill(left == 0, -torch.inf).argmax(dim=1)
        kept[open_, place] = best[open_]
        left[rows[open_], best[open_]] = 0
        rest = torch.einsum("nk,nkl,nl->n", left, energies, left)
        now = torch.where(open_, 1 - rest, now)
        shares[open_, place] = now[open_]
        open_ = open_ & (now < held)
    return kept, shares

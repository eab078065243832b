"""Streaming statistics of second-order effects: one direction per neuron, without the effects.

For one layer, image `i` and neuron `n` let `c[i]` be the coefficients in R^path (see
`explorer.lens`) and `U` = `paths[n]`, [path, embed], so that the effect is `U^T c[i]`. Everything
is computed in path coordinates; [image, neuron, embed] is never formed.

    G = U U^T = F F^T                    F triangular (Cholesky)
    delta[i] = c[i] - mean(c)            centred coefficients
    z[i] = F^T delta[i]                  |z[i]| is the norm of the centred effect, as a plain sum
                                         of squares: no cancellation
    S                                    the significant images: the largest |z[i]|
    W = sum over S of z z^T,  W y = lambda y        the first eigenvector, [path]
    d = U^T (sum over S of delta delta^T) F y / lambda

`d` is the first right singular vector of the centred effects of S, since `z . y` is the projection
`d . U^T delta`. Its sign makes most significant effects project positively; in a tie, the sum of
their projections. The eigenvalues over the trace of W are the explained variances. Selectivity is
the share of `sum over all images of |z|^2` that S carries.

Images come once, in random order, so the statistics need a start: the first few give a *warm-up*
mean, scale and direction for every neuron. Then each image updates
- sums about the warm-up mean (which avoids cancellation), exact sums of each block's
  (`explorer.describe.exact`);
- the histogram of the norms;
- the candidates: the largest norms, and both ends of the projections, each with a margin. Their
  coefficients are kept, and `finish` ranks them again with the final mean and direction.

Exact, to the rounding of float32 coefficients: mean coefficients, scale, the total that selectivity
divides by, the norms and projections of the candidates, their ranks among each other, and the
direction given the significant set.

What the warm-up costs: candidates are chosen about the warm-up mean and along the warm-up
direction. An image that belongs to S or to an end only with the final mean and direction is found
if it is within the margin (by default, twice as many candidates as wanted; the ends are also
searched for among the candidates by norm). The histogram is of norms about the warm-up mean, in
units of the warm-up scale.

Images are handled in blocks of a fixed count, whatever the sizes of the batches that bring them:
results do not depend on the batches or on stops between them, to the bit (on one machine with one
number of threads). Nor do they on how blocks are shared out: statistics of some blocks, with one
warm-up, merge exactly in any order (`LayerStatistics.absorb`), for sums are exact and candidates
have one order, by score and then by id. Memory is bounded by the settings and does not grow with
the images. Everything lives on the device of `paths`.

Axes: image, path, neuron, embed; `slot` counts candidates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.describe.exact import ExactSum, ranked
from explorer.errors import InputError
from explorer.threads import one_thread

BLOCK = 128
"""Images that are handled at once."""
WARM_UP_SIGNIFICANT = 16
"""Images, at least, that give the warm-up direction."""
DEAD = 1e-6
"""Spread over size of the effects below which a neuron is constant to float32 rounding."""
RANKS = 3
"""Explained variances that are kept."""
BEGINNING = ("warm_mean", "warm_scale", "warm_direction")
"""What the warm-up sets."""

_NEURON_CHUNK = 64  # neurons in float64, or in the cache, at once
_RIDGE = 1e-13  # of a Gram matrix, in units of its trace
_DECADES = 2  # the histogram runs from 10^-2 to 10^2 warm-up scales


@dataclass(frozen=True)
class StatisticsSettings:
    """How much of a set of images the statistics keep.

    Raises:
        InputError: when a value is impossible.
    """

    images: int
    """Images that will come, in all."""
    significant: float = 0.02
    """Share of the images that count as significant."""
    significant_cap: int = 400
    """At most N significant images per neuron; bounds memory."""
    extremes: int = 25
    """Images kept at either end of the projections."""
    margin: float = 2.0
    """Candidates kept per wanted image."""
    bins: int = 48
    """Bins of the histogram of norms."""

    def __post_init__(self) -> None:
        """Check the values."""
        _require(self.images >= 1, f"The statistics need images and got {self.images}.")
        _require(
            0 < self.significant <= 1,
            f"The significant share is {self.significant}: choose one above 0 and at most 1.",
        )
        _require(
            self.significant_cap >= 2,
            f"The cap on significant images is {self.significant_cap}: choose 2 or more.",
        )
        _require(self.extremes >= 1, f"Extremes are {self.extremes}: choose 1 or more.")
        _require(self.margin >= 1, f"The margin is {self.margin}: choose 1 or more.")
        _require(self.bins >= 2, f"The histogram has {self.bins} bins: choose 2 or more.")

    @property
    def significant_count(self) -> int:
        """Significant images per neuron: the share, at least 2 and at most the cap."""
        return min(self.significant_cap, max(2, _share(self.significant, self.images)))

    @property
    def norm_slots(self) -> int:
        """Candidates by norm, per neuron."""
        return math.ceil(self.margin * self.significant_count)

    @property
    def end_slots(self) -> int:
        """Candidates at each end of the projections, per neuron."""
        return math.ceil(self.margin * self.extremes)

    @property
    def norm_edges(self) -> np.ndarray:
        """Edges of the histogram in warm-up scales: [bins + 1] float32, evenly spaced in log10."""
        return np.logspace(-_DECADES, _DECADES, self.bins + 1).astype(np.float32)


@dataclass(frozen=True)
class LayerDirections:
    """What the statistics of one layer come to: arrays with the neuron axis first.

    Norms and effects are in units of the representation before its L2 normalisation. A dead neuron,
    one whose effect is the same for every image, has zeros everywhere and -1 for ids.
    """

    directions: np.ndarray
    """[neuron, embed] float32, unit."""
    explained_variance: np.ndarray
    """[neuron, 3] float32: share of the significant centred effects' squares, ranks 1 to 3."""
    mean_coefficients: np.ndarray
    """[path, neuron] float32: over all images."""
    significant_ids: np.ndarray
    """[neuron, slot] int64: strongest first, -1 where fewer images came."""
    significant_norms: np.ndarray
    """[neuron, slot] float32: norms of their centred effects, 0 where fewer images came."""
    threshold: np.ndarray
    """[neuron] float32: norm of the weakest significant image."""
    max_norm: np.ndarray
    """[neuron] float32: norm of the strongest image."""
    scale: np.ndarray
    """[neuron] float32: root mean square of the centred norm over all images."""
    selectivity: np.ndarray
    """[neuron] float32 in [0, 1]: share of all squared centred norms that is significant."""
    positive_share: np.ndarray
    """[neuron] float32: share of the significant effects that project positively."""
    top_ids: np.ndarray
    """[neuron, end, extremes] int64; end 0: largest projections first, end 1: most negative first;
    -1 where no more images are on that side."""
    top_effects: np.ndarray
    """[neuron, end, extremes] float32: centred effect projected on the direction, else 0."""
    norm_histogram: np.ndarray
    """[neuron, bins] int64: norms about the warm-up mean; end bins hold what is outside."""
    norm_edges: np.ndarray
    """[bins + 1] float32: in units of the warm-up scale."""
    histogram_unit: np.ndarray
    """[neuron] float32: the warm-up scale, so that a norm at an edge is edge * unit."""
    path_shares: np.ndarray
    """[neuron, path] float32: how much of the significant centred effects along the direction each
    path carries; sums to 1, may be negative where a path works against the rest."""


class LayerStatistics:
    """The statistics of one layer over a stream of images; see the module.

    `paths` is [neuron, path, embed] float32 and is kept, not copied. Call `warm_up` once, `update`
    with every image, then `finish`.
    """

    def __init__(self, paths: Tensor, settings: StatisticsSettings) -> None:
        """Compute `F` of the module's equations; nothing has been seen yet."""
        _require(
            paths.ndim == 3 and paths.numel() > 0,
            f"Paths have shape {list(paths.shape)}: pass [neuron, path, embed].",
        )
        paths = paths.detach()
        self.paths = paths
        self.settings = settings
        neurons, n_paths = paths.shape[:2]
        device = paths.device
        # F, and in the last column F y for the warm-up direction y
        self._factor = torch.zeros(neurons, n_paths, n_paths + 1, device=device)
        for part in _chunks(neurons):
            self._factor[part, :, :-1] = _gram_factor(paths[part].double()).float()
        self._warm = False
        self._make_room()

    def _make_room(self) -> None:
        """Hold nothing but the paths, `F` and settings."""
        neurons, n_paths = self.paths.shape[:2]
        device, settings = self.paths.device, self.settings
        self._pending = torch.empty(neurons, BLOCK, n_paths, device=device)
        self._pending_ids = torch.empty(BLOCK, dtype=torch.int64, device=device)
        self._waiting = 0
        self._images = 0
        self._warm_mean = torch.zeros(n_paths, neurons, device=device)
        self._warm_scale = torch.zeros(neurons, device=device)
        self._sums = ExactSum((neurons, n_paths), device)
        self._squares = ExactSum((neurons,), device)
        self._histogram = torch.zeros(neurons, settings.bins, dtype=torch.int64, device=device)
        self._candidates = {
            "norm": _Candidates(neurons, settings.norm_slots, n_paths, device),
            "positive": _Candidates(neurons, settings.end_slots, n_paths, device),
            "negative": _Candidates(neurons, settings.end_slots, n_paths, device),
        }

    @property
    def images(self) -> int:
        """Images seen, without those of the warm-up."""
        return self._images + self._waiting

    def warm_up(self, coefficients: Tensor) -> None:
        """Set the warm-up mean, scale and direction from [image, path, neuron]; counts no image.

        Raises:
            InputError: at a second call, or when a shape is wrong, no image came, or a number is
                not finite.
        """
        _require(not self._warm, "The statistics are warmed up already: call warm_up once.")
        coefficients = self._checked(coefficients)
        _require(len(coefficients) > 0, "The warm-up got no image: pass the first images.")
        self._warm_mean = coefficients.mean(dim=0, dtype=torch.float64).float()
        count = max(WARM_UP_SIGNIFICANT, _share(self.settings.significant, len(coefficients)))
        for part in _chunks(len(self.paths)):
            deltas = (coefficients[..., part] - self._warm_mean[:, part]).permute(2, 0, 1)
            factor = self._factor[part, :, :-1]
            whitened = (deltas @ factor).double()
            norms = whitened.norm(dim=2)
            self._warm_scale[part] = norms.square().mean(dim=1).sqrt().float()
            strongest = norms.topk(min(count, norms.shape[1]), dim=1).indices
            _, vectors = _principal(_take(whitened, strongest))
            self._factor[part, :, -1:] = factor @ vectors[..., -1:].float()
        self._warm = True

    def beginning(self) -> dict[str, np.ndarray]:
        """Return what statistics of other images need, so that both merge: see `begin`.

        Raises:
            InputError: before `warm_up`.
        """
        self._check_warm()
        tensors = self._state_tensors()
        return {name: tensors[name].cpu().numpy().copy() for name in BEGINNING}

    def begin(self, beginning: dict[str, np.ndarray]) -> None:
        """Start anew, with the warm-up of other statistics of the same paths and settings.

        Raises:
            InputError: when the arrays do not fit.
        """
        self._make_room()
        tensors = self._state_tensors()
        for name in BEGINNING:
            _require(
                beginning[name].shape == tuple(tensors[name].shape),
                f"The warm-up is of other neurons or paths ({name}): give that of this layer.",
            )
            tensors[name].copy_(torch.from_numpy(beginning[name]))
        self._warm = True

    def update(self, image_ids: Tensor, coefficients: Tensor) -> None:
        """Take in images: ids [image] int64, each 0 or more and new; [image, path, neuron] float32.

        Raises:
            InputError: before `warm_up`, or when a shape is wrong or a number is not finite; then
                nothing has been taken in.
        """
        self._check_warm()
        coefficients = self._checked(coefficients)
        image_ids = image_ids.to(device=self.paths.device, dtype=torch.int64)
        _require(
            image_ids.shape == coefficients.shape[:1],
            f"There are {list(image_ids.shape)} image ids for {len(coefficients)} images: pass one "
            "id an image.",
        )
        start = 0
        while start < len(coefficients):
            taken = min(BLOCK - self._waiting, len(coefficients) - start)
            target = slice(self._waiting, self._waiting + taken)
            self._pending[:, target] = coefficients[start : start + taken].permute(2, 0, 1)
            self._pending_ids[target] = image_ids[start : start + taken]
            self._waiting += taken
            start += taken
            if self._waiting == BLOCK:
                self._flush()

    def state(self, *, copies: bool = True) -> dict[str, np.ndarray]:
        """Return everything that `restore` needs, but for paths and settings.

        Copies are as large as the statistics themselves. Without them, on the CPU, the arrays
        change with the next image: write them before it comes.

        Raises:
            InputError: before `warm_up`.
        """
        self._check_warm()
        tensors = self._state_tensors()
        tensors["pending"] = self._pending[:, : self._waiting]
        tensors["pending_ids"] = self._pending_ids[: self._waiting]
        arrays = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
        if copies:
            arrays = {name: array.copy() for name, array in arrays.items()}
        arrays["images"] = np.array(self._images, dtype=np.int64)
        return arrays

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Continue from `state` of statistics with the same paths and settings, bit for bit.

        Raises:
            InputError: when the arrays do not fit; then nothing has changed.
        """
        tensors = self._state_tensors()
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        waiting = len(state["pending_ids"]) if "pending_ids" in state else 0
        shapes["pending"] = (len(self.paths), waiting, self.paths.shape[1])
        shapes["pending_ids"] = (waiting,)
        shapes["images"] = ()
        for name, shape in shapes.items():
            _require(
                name in state and state[name].shape == shape and waiting < BLOCK,
                f"The saved statistics do not fit ({name}): they were made with another model or "
                "other settings. Delete them and start again.",
            )
        for name, tensor in tensors.items():
            tensor.copy_(torch.from_numpy(state[name]))
        self._pending[:, :waiting] = torch.from_numpy(state["pending"])
        self._pending_ids[:waiting] = torch.from_numpy(state["pending_ids"])
        self._waiting = waiting
        self._images = int(state["images"])
        self._warm = True

    def close(self) -> None:
        """Handle the images that wait, as a block of their own; see `absorb`."""
        self._check_warm()
        self._flush()

    def absorb(self, state: dict[str, np.ndarray]) -> None:
        """Take in what statistics of other images hold, after `close`, as their `state` says.

        Exact: in whatever order and grouping parts are absorbed, the result is to the bit that of
        one stream of the same blocks of images.

        Raises:
            InputError: when the arrays do not fit, or were made with another warm-up.
        """
        self._check_warm()
        _require(
            self._waiting == 0 and not len(state["pending_ids"]),
            "Parts are merged when no image waits: close both first.",
        )
        other = LayerStatistics.__new__(LayerStatistics)
        other.__dict__.update(self.__dict__)
        other._factor = torch.empty_like(self._factor[..., -1:])  # `restore` writes its last column
        other._make_room()
        other.restore(state)
        own, given = self._state_tensors(), other._state_tensors()
        for name in BEGINNING:
            _require(
                torch.equal(own[name], given[name]),
                "Parts were made with another warm-up: give all of them the same one.",
            )
        self._sums.digits += other._sums.digits
        self._squares.digits += other._squares.digits
        self._histogram += other._histogram
        self._images += other._images
        for name, candidates in self._candidates.items():
            theirs = other._candidates[name]
            candidates.merge(theirs.scores, theirs.ids, theirs.deltas)

    def finish(self) -> LayerDirections:
        """Rank the candidates with the final mean and return the directions.

        The last call: images that come later would be handled in other blocks.

        Raises:
            InputError: when no image came.
        """
        self._check_warm()
        self._flush()
        _require(self._images > 0, "The statistics saw no image: pass some to update.")
        parts = [self._finish(part) for part in _chunks(len(self.paths))]
        arrays = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        mean = self._warm_mean.double() + (self._sums.value() / self._images).T
        return LayerDirections(
            mean_coefficients=mean.float().cpu().numpy(),
            norm_histogram=self._histogram.cpu().numpy().copy(),
            norm_edges=self.settings.norm_edges,
            histogram_unit=self._warm_scale.cpu().numpy().copy(),
            **{name: _narrow(tensor) for name, tensor in arrays.items()},
        )

    def _checked(self, coefficients: Tensor) -> Tensor:
        """Return `coefficients` in float32 on the device of `paths`.

        Raises:
            InputError: when their shape is another, or one is not finite.
        """
        shape = tuple(self._warm_mean.shape)
        _require(
            coefficients.ndim == 3 and tuple(coefficients.shape[1:]) == shape,
            f"Coefficients have shape {list(coefficients.shape)}: pass [image, path, neuron] with "
            f"{shape[0]} paths and {shape[1]} neurons.",
        )
        coefficients = coefficients.detach().to(device=self.paths.device, dtype=torch.float32)
        # A sum shows any infinity or NaN at a fraction of the cost of asking every number.
        finite = coefficients.sum(dim=(1, 2)).isfinite()
        _require(
            bool(finite.all()),
            "Some coefficients are not finite: the model overflows on an image. Run it in a wider "
            "dtype, such as float32.",
        )
        return coefficients

    def _check_warm(self) -> None:
        _require(self._warm, "The statistics need warm_up with the first images before this call.")

    def _state_tensors(self) -> dict[str, Tensor]:
        """Return the tensors that change with the images, except for those that wait."""
        tensors = {
            "warm_mean": self._warm_mean,
            "warm_scale": self._warm_scale,
            "warm_direction": self._factor[..., -1],
            "sums": self._sums.digits,
            "squares": self._squares.digits,
            "histogram": self._histogram,
        }
        for name, candidates in self._candidates.items():
            tensors[f"{name}_scores"] = candidates.scores
            tensors[f"{name}_ids"] = candidates.ids
            tensors[f"{name}_deltas"] = candidates.deltas
        return tensors

    def _flush(self) -> None:
        """Handle the images that wait."""
        if not self._waiting:
            return
        ids = self._pending_ids[: self._waiting]
        deltas = self._pending[:, : self._waiting]
        deltas -= self._warm_mean.T[:, None]
        norms, projections = self._measure(deltas)
        self._sums.add(deltas.sum(dim=1).double())
        self._squares.add(norms.double().square().sum(dim=1))
        self._histogram.scatter_add_(
            1, self._bins(norms), torch.ones_like(norms, dtype=torch.int64)
        )
        self._candidates["norm"].merge(norms, ids, deltas)
        self._candidates["positive"].merge(projections, ids, deltas)
        self._candidates["negative"].merge(-projections, ids, deltas)
        self._images += self._waiting
        self._waiting = 0

    def _measure(self, deltas: Tensor) -> tuple[Tensor, Tensor]:
        """Return norms and projections on the warm-up direction: [neuron, image] each."""
        norms = deltas.new_empty(deltas.shape[:2])
        projections = torch.empty_like(norms)
        for part in _chunks(len(deltas)):
            whitened = torch.bmm(deltas[part], self._factor[part])
            norms[part] = torch.linalg.vector_norm(whitened[..., :-1], dim=2)
            projections[part] = whitened[..., -1]
        return norms, projections

    def _bins(self, norms: Tensor) -> Tensor:
        """Return the histogram's bin of each norm: [neuron, image] int64."""
        tiny = torch.finfo(norms.dtype).tiny
        ratios = norms / self._warm_scale.clamp(min=tiny)[:, None]
        logs = ratios.clamp(10.0**-_DECADES, 10.0**_DECADES).log10()
        bins = ((logs + _DECADES) * (self.settings.bins / (2 * _DECADES))).long()
        return bins.clamp(0, self.settings.bins - 1)

    def _finish(self, part: slice) -> dict[str, Tensor]:
        """Return the fields of LayerDirections for some neurons, in float64 and int64."""
        paths = self.paths[part].double()
        factor = _gram_factor(paths)
        mean = self._sums.value()[part] / self._images
        ids, deltas = self._distinct_candidates(part)
        deltas = deltas.double() - mean[:, None]
        whitened = deltas @ factor
        offset = (mean[:, None] @ factor)[:, 0]
        total = self._squares.value()[part] - self._images * offset.square().sum(dim=1)
        scale = (total.clamp(min=0) / self._images).sqrt()
        alive = scale > DEAD * self._sizes(part, paths, mean)
        ids = ids.masked_fill(~alive[:, None], -1)
        norms = whitened.norm(dim=2).masked_fill(ids < 0, -1)

        strongest, order = _strongest(norms, self.settings.significant_count)
        present = strongest >= 0
        strongest = strongest.clamp(min=0)
        chosen = _take(whitened, order) * present[..., None]
        moved = _take(deltas, order) * present[..., None]
        values, first, directions = _direction(chosen, moved, paths)
        along = moved * (paths @ directions[..., None])[:, None, :, 0]  # [neuron, slot, path]
        onto = along.sum(dim=2, keepdim=True)
        squared = onto.square().sum(dim=(1, 2)).clamp(min=torch.finfo(onto.dtype).tiny)
        shares = (along * onto).sum(dim=1) / squared[:, None]
        projections = (whitened @ first[..., None])[..., 0]
        positive = ((chosen @ first[..., None])[..., 0] > 0).sum(dim=1)
        ends = [_end(ids, sign * projections, self.settings.extremes, sign) for sign in (1.0, -1.0)]
        count = present.sum(dim=1).clamp(min=1)
        weakest = strongest.gather(1, count[:, None] - 1)[:, 0]
        squares = strongest.square().sum(dim=1)
        return {
            "directions": directions * alive[:, None],
            "path_shares": shares * alive[:, None],
            "explained_variance": _explained(values) * alive[:, None],
            "significant_ids": ids.gather(1, order).masked_fill(~present, -1),
            "significant_norms": strongest,
            "threshold": weakest,
            "max_norm": strongest[:, 0],
            "scale": scale * alive,
            "selectivity": torch.where(alive, squares / total, 0.0).clamp(0, 1),
            "positive_share": positive / count,
            "top_ids": torch.stack([end[0] for end in ends], dim=1),
            "top_effects": torch.stack([end[1] for end in ends], dim=1),
        }

    def half_directions(self, halves: np.ndarray) -> np.ndarray:
        """Return each half's own directions: [half, neuron, embed] float32, unit, zeros if dead.

        `halves` is [image], 0 or 1 for each image id. A half's significant images are the share of
        its own images with the largest centred norms, as far as they are among the candidates: the
        overall mean and candidates serve both halves. Call it after `finish`.
        """
        sides = torch.from_numpy(np.ascontiguousarray(halves, np.int64)).to(self.paths.device)
        counts = [
            min(self.settings.significant_cap, max(2, _share(self.settings.significant, images)))
            for images in torch.bincount(sides, minlength=2).tolist()
        ]
        parts = [self._half_directions(part, sides, counts) for part in _chunks(len(self.paths))]
        return _narrow(torch.cat(parts, dim=1))

    def _half_directions(self, part: slice, sides: Tensor, counts: list[int]) -> Tensor:
        paths = self.paths[part].double()
        mean = self._sums.value()[part] / self._images
        ids, deltas = self._distinct_candidates(part)
        deltas = deltas.double() - mean[:, None]
        whitened = deltas @ _gram_factor(paths)
        norms = whitened.norm(dim=2)
        owners = torch.where(ids >= 0, sides[ids.clamp(min=0)], -1)
        found = []
        for half, count in enumerate(counts):
            strongest, order = _strongest(norms.masked_fill(owners != half, -1), count)
            present = (strongest >= 0)[..., None]
            rows = _take(whitened, order) * present
            _, _, directions = _direction(rows, _take(deltas, order) * present, paths)
            found.append(directions)
        return torch.stack(found)

    def _distinct_candidates(self, part: slice) -> tuple[Tensor, Tensor]:
        """Return all candidates, by id: ids [neuron, slot], -1 for repeats and empty slots; deltas.

        Deltas are [neuron, slot, path], about the warm-up mean.
        """
        ids = torch.cat([group.ids[part] for group in self._candidates.values()], dim=1)
        deltas = torch.cat([group.deltas[part] for group in self._candidates.values()], dim=1)
        ids, order = ids.sort(dim=1, stable=True)
        repeated = torch.zeros_like(ids, dtype=torch.bool)
        repeated[:, 1:] = ids[:, 1:] == ids[:, :-1]
        return ids.masked_fill(repeated, -1), _take(deltas, order)

    def _sizes(self, part: slice, paths: Tensor, mean: Tensor) -> Tensor:
        """Return how large the mean effect is before its terms cancel: [neuron]."""
        coefficients = self._warm_mean[:, part].double().T + mean
        sizes: Tensor = (coefficients.abs() * paths.norm(dim=2)).sum(dim=1)
        return sizes


class _Candidates:
    """The best images of each neuron by some score, in no order."""

    def __init__(self, neurons: int, slots: int, paths: int, device: torch.device) -> None:
        self.scores = torch.full((neurons, slots), -torch.inf, device=device)
        self.ids = torch.full((neurons, slots), -1, dtype=torch.int64, device=device)
        self.deltas = torch.zeros(neurons, slots, paths, device=device)

    def merge(self, scores: Tensor, ids: Tensor, deltas: Tensor) -> None:
        """Let images in that score higher than what is held; of equal scores, the lower id.

        `scores` is [neuron, image], `ids` [image] or [neuron, image], `deltas` [neuron, image,
        path]. As many enter as leave, so both lists, in order of neurons, pair up.
        """
        slots = self.scores.shape[1]
        ids = ids.expand(scores.shape)
        both = torch.cat([ranked(self.scores, self.ids), ranked(scores, ids)], dim=1)
        best = both.topk(slots, dim=1, sorted=False).indices
        kept = torch.zeros_like(both, dtype=torch.bool).scatter_(1, best, True)
        leaving = (~kept[:, :slots]).flatten().nonzero()[:, 0]
        entering = kept[:, slots:].flatten().nonzero()[:, 0]
        self.scores.view(-1)[leaving] = scores.flatten()[entering]
        self.ids.view(-1)[leaving] = ids.flatten()[entering]
        rows = deltas.flatten(0, 1).index_select(0, entering)
        self.deltas.flatten(0, 1).index_copy_(0, leaving, rows)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


def _share(share: float, images: int) -> int:
    """Return how many of `images` are `share`, rounded up but for float noise."""
    return math.ceil(round(share * images, 6))


def _chunks(neurons: int) -> Iterator[slice]:
    for start in range(0, neurons, _NEURON_CHUNK):
        yield slice(start, min(start + _NEURON_CHUNK, neurons))


def _gram_factor(paths: Tensor) -> Tensor:
    """Return F of the module's equations for float64 paths: [neuron, path, path]."""
    gram = paths @ paths.mT
    diagonal = gram.diagonal(dim1=1, dim2=2)
    # Paths may be linearly dependent: a ridge far below float32 keeps the matrix definite.
    ridge = diagonal.sum(dim=1, keepdim=True) * _RIDGE
    diagonal += ridge.clamp(min=torch.finfo(gram.dtype).tiny)
    with one_thread():  # LAPACK's threads would only wait for each other
        factor: Tensor = torch.linalg.cholesky(gram)
    return factor


def _principal(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues, rising, and eigenvectors of rows^T rows for [neuron, slot, path]."""
    with one_thread():
        values, vectors = torch.linalg.eigh(rows.mT @ rows)
    return values, vectors


def _direction(whitened: Tensor, deltas: Tensor, paths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return eigenvalues and first eigenvector, [neuron, path] both, and direction [neuron, embed].

    `whitened` and `deltas` are z and delta of the significant images, [neuron, slot, path].
    """
    values, vectors = _principal(whitened)
    first = _oriented(vectors[..., -1], whitened)
    # U^T (sum of delta delta^T) F y, from right to left
    effects = (whitened @ first[..., None]).mT @ deltas @ paths
    return values, first, torch.nn.functional.normalize(effects[:, 0], dim=1)


def _take(rows: Tensor, order: Tensor) -> Tensor:
    """Return the rows [neuron, slot, path] named by `order` [neuron, n]."""
    return rows.gather(1, order[..., None].expand(-1, -1, rows.shape[2]))


def _strongest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` largest scores of [neuron, slot], first come first in ties, and slots.

    Scores are -1 where there are fewer slots.
    """
    ordered, order = scores.sort(dim=1, descending=True, stable=True)
    return ordered[:, :count], order[:, :count]


def _oriented(vectors: Tensor, rows: Tensor) -> Tensor:
    """Return `vectors` [neuron, path] with the sign that the module states for `rows`."""
    projections = (rows @ vectors[..., None])[..., 0]
    votes = projections.sign().sum(dim=1)
    votes = torch.where(votes == 0, projections.sum(dim=1), votes)
    return torch.where(votes < 0, -1.0, 1.0)[:, None] * vectors


def _explained(values: Tensor) -> Tensor:
    """Return cumulative shares [neuron, RANKS] of eigenvalues [neuron, path] in rising order."""
    values = values.clamp(min=0)
    total = values.sum(dim=1, keepdim=True)
    largest = values.flip(1)[:, :RANKS]
    padded = torch.nn.functional.pad(largest, (0, RANKS - largest.shape[1]))
    return torch.where(total > 0, padded.cumsum(dim=1) / total, 0.0).clamp(max=1)


def _end(ids: Tensor, scores: Tensor, count: int, sign: float) -> tuple[Tensor, Tensor]:
    """Return ids and `sign * scores` of the `count` largest positive scores: [neuron, count]."""
    scores = scores.masked_fill(ids < 0, 0)
    best, order = _strongest(scores, count)
    found = best > 0
    return ids.gather(1, order).masked_fill(~found, -1), sign * best * found


def _narrow(tensor: Tensor) -> np.ndarray:
    """Return an array for LayerDirections: float32, or int64 for ids."""
    return (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()

"""Ways to choose m texts for a direction, and the direction that each choice reconstructs.

- `omp`: orthogonal matching pursuit, signed weights (paper, section 4.2); its first text alone is
  the nearest single text.
- `random`: texts drawn at random, weights by least squares.
- `nonnegative`: matching pursuit that only adds, weights by non-negative least squares
  (Bruckstein, Elad and Zibulevsky 2008).
- `lasso`: the first m texts of the lasso's path with its own weights (LARS, scikit-learn), which
  are shrunken; brought to unit length like all. `Lasso.certified` says for how many targets the
  optimality conditions over the whole dictionary confirm it.

Atoms have unit norm, and so have reconstructions: a projection on a shrunken vector would punish
few texts twice. (The scripts released with the paper divide atoms per dimension, and project on
what comes out as it is.)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from explorer.decompose import sparse_codes
from explorer.describe.pursuits import nonnegative_pursuit, nonnegative_sums

SIZES = (2, 4, 8, 16, 32, 64, 128)
SCREENED = 2048  # texts that the lasso's path is first computed over
ROUNDS = 6  # of adding texts to them
NEARLY = 0.9  # of the largest slope: such texts come along, to save rounds
STEPS = 2  # of the lasso's path for each text: some are dropped on the way
RIDGE = 1e-9
METHODS = ("omp", "random", "nonnegative", "lasso")
Notify = Callable[[int], object]


class Lasso(NamedTuple):
    """Reconstructions of the lasso."""

    reconstructions: Tensor
    """[size, target, embed] unit norm, or zero."""
    certified: list[float]
    """[size]: share of targets whose path is proved to be the whole dictionary's."""


def sizes_for(texts: int, embed: int) -> list[int]:
    """Return the numbers of texts that are possible, at least one of them."""
    return [m for m in SIZES if m <= min(texts, embed)] or [min(texts, embed)]


def least_squares(targets: Tensor, atoms: Tensor, ids: Tensor) -> Tensor:
    """Return unit-norm reconstructions from given texts: [target, embed].

    `ids` is [target, m], -1 for none.
    """
    chosen = atoms[ids.clamp(min=0)].double() * (ids >= 0)[..., None]
    gram = chosen @ chosen.mT
    gram.diagonal(dim1=1, dim2=2).add_(RIDGE + (ids < 0).double())
    weights = torch.linalg.solve(gram, (chosen @ targets.double()[..., None]))
    return _unit((chosen * weights).sum(dim=1))


def omp(targets: Tensor, atoms: Tensor, sizes: Sequence[int], notify: Notify) -> Tensor:
    """Return reconstructions of the pursuit's prefixes: [size, target, embed]."""
    ids = sparse_codes(targets, atoms, max(sizes), progress=notify).ids
    return prefixes(targets, atoms, ids, sizes)


def prefixes(targets: Tensor, atoms: Tensor, ids: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return reconstructions of the first m `ids`, refitted: [size, target, embed]."""
    return torch.stack([_chunked(targets, atoms, ids[:, :m]) for m in sizes])


def random_texts(targets: Tensor, atoms: Tensor, sizes: Sequence[int], seed: int) -> Tensor:
    """Return reconstructions from texts drawn at random for each target: [size, target, embed]."""
    rng = np.random.default_rng([seed, 5])
    usable = torch.nonzero(atoms.norm(dim=1) > 0)[:, 0].numpy()
    drawn = np.stack([rng.choice(usable, max(sizes), replace=False) for _ in targets])
    return prefixes(targets, atoms, torch.from_numpy(drawn), sizes)


def nonnegative(targets: Tensor, atoms: Tensor, sizes: Sequence[int], notify: Notify) -> Tensor:
    """Return reconstructions with weights of at least 0: [size, target, embed].

    Of the first texts of `explorer.describe.pursuits.nonnegative_pursuit`, fitted for each number.
    """
    goals, units = targets.double().numpy(), atoms.double().numpy()
    ids = nonnegative_pursuit(goals, units, max(sizes), notify).ids
    sums = [torch.from_numpy(nonnegative_sums(goals, units, ids[:, :m])) for m in sizes]
    return torch.stack([_unit(found) for found in sums])


def lasso(targets: Tensor, atoms: Tensor, sizes: Sequence[int], notify: Notify) -> Lasso:
    """Return the lasso's reconstructions at each number of texts."""
    from threadpoolctl import threadpool_limits

    units, exact = atoms.double(), targets.double()
    totals = torch.zeros(len(sizes), *targets.shape, dtype=torch.float64)
    proved = torch.zeros(len(sizes), dtype=torch.int64)
    with threadpool_limits(1):  # threads would wait for each other
        for row, target in enumerate(exact):
            totals[:, row], optimal = lasso_path(target, units, sizes)
            proved += optimal
            if row % 32 == 31 or row + 1 == len(exact):
                notify(row + 1)
    return Lasso(_unit(totals), [round(int(n) / len(exact), 4) for n in proved])


def lasso_path(target: Tensor, atoms: Tensor, sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return one target's sums of texts [size, embed] and which are proved optimal [size] bool.

    `target` [embed] and `atoms` [text, embed] in float64. The path is computed over a part of
    the dictionary, to which every text that violates its optimality conditions is added until none
    does: by convexity it is then the path of the whole dictionary.
    """
    inside = (atoms @ target).abs().topk(min(SCREENED, len(atoms))).indices
    totals, optimal = target.new_zeros(len(sizes), len(target)), torch.zeros(len(sizes)).bool()
    for _ in range(ROUNDS):
        totals, limits = _path_over(target, atoms[inside], sizes)
        slopes = ((target - totals) @ atoms.T).abs()  # [size, text]
        missing = slopes > limits[:, None] * (1 + 1e-9) + 1e-9
        missing[:, inside] = False
        optimal = ~missing.any(dim=1)
        if bool(optimal.all()):
            break
        near = (slopes > NEARLY * limits[:, None]).any(dim=0)
        near[inside] = False
        inside = torch.cat([inside, torch.nonzero(near)[:, 0]])
    return totals, optimal


def _path_over(target: Tensor, atoms: Tensor, sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return sums at the first steps with enough texts [size, embed], and the largest slopes."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import lars_path

    design = atoms.T.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        steps = STEPS * max(sizes)
        _, _, path = lars_path(design, target.numpy(), method="lasso", max_iter=steps)
    counts = (path != 0).sum(axis=0)
    places = [int(np.flatnonzero(counts >= m)[0]) if (counts >= m).any() else -1 for m in sizes]
    totals = torch.from_numpy(design @ path[:, places]).T
    limits = ((target - totals) @ atoms.T).abs().amax(dim=1)
    return totals, limits


def _chunked(targets: Tensor, atoms: Tensor, ids: Tensor) -> Tensor:
    parts = [
        least_squares(targets[start : start + 512], atoms, ids[start : start + 512])
        for start in range(0, len(targets), 512)
    ]
    return torch.cat(parts)


def _unit(vectors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors, dim=-1).float()

"""Orthogonal matching pursuit for many targets at once (Pati et al. 1993; paper, section 4.2).

Describe a target `y` [embed] as a signed sum of few unit-norm atoms `d_j` [embed]:

    r_0 = y;   j_k = argmax_j |<d_j, r_{k-1}>|;   r_k = y - (projection of y on d_{j_1} .. d_{j_k})

1. *Screen*: `|<d_j, r>|` for all atoms in float32, one matrix product for a chunk of targets. A
   rounding bound turns each row's maximum into the set of atoms that may be the true maximum.
2. *Decide*: those few atoms (one, nearly always) again in float64; so the support is the one of an
   all-float64 run. Atoms equal to within 1e-14 go to the lower id. A row left with many of them
   (an atom with many copies, or a residual orthogonal to nearly every atom) is decided by float64
   products with the whole dictionary, a slice at a time.
3. *Extend*: an orthonormal basis of the chosen atoms per target in float64 (Gram-Schmidt, twice
   where digits were lost), which is the incremental QR factorisation `D_S = Q R`.
4. *Solve*: the weights once at the end, from `R w = Q^T y`.

Memory: one float32 copy of the dictionary, and per chunk in work one [chunk, texts] float32 buffer
and one [chunk, m, embed] float64 basis. The Gram matrix of the dictionary is never formed.
Measured with `benchmarks.omp` against scikit-learn's `orthogonal_mp` in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explorer.errors import InputError
from explorer.threads import one_thread_each

Array: TypeAlias = NDArray[Any] | Tensor
A = TypeVar("A", NDArray[Any], Tensor)

CHUNK = 128
_BLOCK = 256  # atoms whose screening maximum is taken together
_ROWS = 4096  # dictionary rows converted to float64 at a time
_CROWD = 64  # candidates of one target beyond which all atoms are compared in float64 instead
_TIE = 1e-14
_lock = Lock()
_SHORT = 0.5  # length of a unit atom's new part below which Gram-Schmidt is repeated
# Relative rounding of a matrix product's inputs under torch's three float32 settings.
_INPUT_ROUNDING = {"highest": 2.0**-24, "high": 2.0**-11, "medium": 2.0**-8}


@dataclass(frozen=True)
class SparseCode(Generic[A]):
    """Sparse codes of several targets, in the order in which the atoms were chosen.

    ids: [target, m] int64, row of the dictionary; -1 where the pursuit had stopped.
    weights: [target, m], weights of the unit-norm atoms with all of them in use; 0 where id is -1.
    cosines: [target, m], cosine of the target with its reconstruction from the first 1 .. m atoms,
        each time with the weights refitted; it never falls, and stays once the pursuit has stopped.
    Weights and cosines are float64 for float64 targets, else float32.
    """

    ids: A
    weights: A
    cosines: A


def batch_omp(targets: A, dictionary: Array, n_nonzero: int) -> tuple[A, A]:
    """Return ids and weights of `sparse_codes`, [target, m] each.

    `targets` is [target, embed], `dictionary` [text, embed], `n_nonzero` m. Equal to
    scikit-learn's `orthogonal_mp` in float64 on the same unit-norm data.

    Raises:
        InputError: as `sparse_codes` does.
    """
    code = sparse_codes(targets, dictionary, n_nonzero)
    return code.ids, code.weights


@torch.no_grad()
def sparse_codes(
    targets: A,
    dictionary: Array,
    n_nonzero: int,
    *,
    chunk: int = CHUNK,
    progress: Callable[[int], object] | None = None,
) -> SparseCode[A]:
    """Describe each target by at most `n_nonzero` atoms, chosen greedily.

    targets: [target, embed], dictionary: [text, embed]; floating, each a numpy array or a tensor.
    The result is of the targets' kind (and device); the work runs on the dictionary's device.
    Atoms are normalised inside, weights belong to the unit-norm atoms; a zero atom is never chosen.

    A pursuit stops early, with ids -1 and weights 0 from there on, when no atom's correlation with
    the residual exceeds 1e-10 of the target's norm (1e-6 if targets or dictionary are less precise
    than float64: what remains is their rounding). That is the case once the residual vanishes or
    is orthogonal to every atom; a zero target stops at once.

    chunk: targets worked on together (fewer where that keeps every core busy); the result does not
        depend on it beyond float64 rounding.
    progress: called with the number of finished targets after each chunk.

    Raises:
        InputError: when shapes do not fit, a number is NaN or infinite, or `n_nonzero` is not in
            1 .. min(texts, embed): more atoms than that are never independent.
    """
    like = targets
    y_all, atoms = _checked(targets, "targets"), _checked(dictionary, "dictionary")
    _check_shapes(y_all, atoms)
    n_targets, embed = y_all.shape
    if not 1 <= n_nonzero <= min(atoms.shape):
        raise InputError(
            f"Cannot choose {n_nonzero} atoms from a dictionary of {atoms.shape[0]} texts in "
            f"{embed} dimensions: ask for 1 to {min(atoms.shape)}, or use a larger dictionary."
        )
    if chunk < 1:
        raise InputError(f"A chunk holds at least one target, got {chunk}.")
    exact = y_all.dtype == atoms.dtype == torch.float64
    tolerance = 1e-10 if exact else 1e-6
    screen = _Screen(atoms)

    ids = torch.full((n_targets, n_nonzero), -1, dtype=torch.int64)
    weights = torch.zeros((n_targets, n_nonzero), dtype=torch.float64)
    cosines = torch.zeros_like(weights)

    def pursue(rows: slice) -> slice:
        y = y_all[rows].to(atoms.device, torch.float64)
        ids[rows], weights[rows], cosines[rows] = _pursue(y, screen, n_nonzero, tolerance)
        return rows

    for rows in _in_parallel(pursue, n_targets, chunk, atoms.device):
        if progress is not None:
            progress(rows.stop)
    return SparseCode(_like(ids, like), _like(weights, like), _like(cosines, like))


def reconstruct(dictionary: A, ids: Array, weights: Array) -> A:
    """Sum the weighted unit-norm atoms: [text, embed], [target, m] twice -> [target, embed].

    Computed in float64, returned as the dictionary's kind.

    Raises:
        InputError: when ids are out of range or shapes do not agree.
    """
    atoms, w = _checked(dictionary, "dictionary"), _checked(weights, "weights")
    chosen = _chosen_atoms(atoms, _checked_ids(ids, w.shape[0], atoms.shape[0]))
    if chosen.shape[:2] != w.shape:
        raise InputError(
            f"Ids {list(chosen.shape[:2])} and weights {list(w.shape)} must have one shape: "
            "pass both as one pursuit returned them."
        )
    total = torch.einsum("tm,tme->te", w.to(atoms.device, torch.float64), chosen)
    return _like(total, dictionary)


def _in_parallel(
    work: Callable[[slice], slice], n_targets: int, chunk: int, device: torch.device
) -> Iterator[slice]:
    """Run `work` on chunks of targets and yield them in order as they are done.

    On the CPU each of torch's threads works on a chunk of its own with single-threaded operations:
    the steps are too short to share (on busy cores threads that wait for each other at every
    operation take 2.5 times as long); see `explorer.threads`.
    """
    if device.type != "cpu":
        for start in range(0, n_targets, chunk):
            yield work(slice(start, min(start + chunk, n_targets)))
        return
    with _lock, one_thread_each() as (pool, workers):  # a second call needs the same cores
        chunk = max(1, min(chunk, -(-n_targets // workers)))
        pieces = [slice(i, min(i + chunk, n_targets)) for i in range(0, n_targets, chunk)]
        yield from pool.map(work, pieces)


class _Screen:
    """The dictionary, ready to find each residual's best atom.

    Holds the atoms as given, their norms [text] float64, and unit-norm float32 copies padded with
    zero rows to whole blocks.
    """

    def __init__(self, atoms: Tensor) -> None:
        texts, embed = atoms.shape
        padded = -(-texts // _BLOCK) * _BLOCK
        self.atoms = atoms
        self.norms = torch.empty(texts, dtype=torch.float64, device=atoms.device)
        self.units = torch.zeros(padded, embed, dtype=torch.float32, device=atoms.device)
        for start in range(0, texts, _ROWS):
            rows = slice(start, min(start + _ROWS, texts))
            exact = atoms[rows].to(torch.float64)
            norms = torch.linalg.vector_norm(exact, dim=1)
            self.norms[rows] = norms
            self.units[rows] = (exact / _nonzero(norms)[:, None]).to(torch.float32)
        # |float32 product - true product| of unit vectors: input rounding and accumulation.
        rounding = _INPUT_ROUNDING[torch.get_float32_matmul_precision()]
        self.slack = 2 * rounding + (embed + 2) * 2.0**-24

    def gather(self, ids: Tensor) -> Tensor:
        """Return unit-norm atoms in float64: [...] -> [..., embed]."""
        return self.atoms[ids].to(torch.float64) / _nonzero(self.norms[ids])[..., None]

    def buffer(self, n: int) -> Tensor:
        """Return uninitialised room for the products of `n` residuals with all atoms."""
        return self.units.new_empty(n, len(self.units))

    def best(self, residuals: Tensor, active: Tensor, products: Tensor) -> Tensor:
        """Return each active row's best atom, [target] int64; any id for the other rows.

        residuals: [target, embed] float64; active: [target] bool, at least one of them true;
        products: from `buffer`. Returns [target] int64. An atom in use is never best by more than
        rounding, since the residual is orthogonal to it.
        """
        n, texts = residuals.shape[0], self.atoms.shape[0]
        norms = torch.linalg.vector_norm(residuals, dim=1)
        scaled = (residuals / _nonzero(norms)[:, None]).to(torch.float32)
        torch.mm(scaled, self.units.T, out=products)
        products.abs_()

        # Blocks, then atoms, that come within the rounding of the row's maximum.
        blocks = products.view(n, -1, _BLOCK)
        peaks = blocks.amax(dim=2)
        limit = torch.where(active, peaks.amax(dim=1) - 2 * self.slack, torch.inf)
        block_rows, block_ids = torch.nonzero(peaks >= limit[:, None], as_tuple=True)
        hits, offsets = torch.nonzero(
            blocks[block_rows, block_ids] >= limit[block_rows, None], as_tuple=True
        )
        rows, ids = block_rows[hits], block_ids[hits] * _BLOCK + offsets
        # Padding comes this near only where no atom is left that matters.
        ids.clamp_max_(texts - 1)
        best = torch.zeros(n, dtype=torch.int64, device=residuals.device)
        best[rows] = ids
        counts = torch.bincount(rows, minlength=n)
        crowded = torch.nonzero(counts > _CROWD)[:, 0]
        if len(crowded):
            best[crowded] = self._best_of_all(residuals[crowded])
        several = ((counts > 1) & (counts <= _CROWD))[rows]
        if bool(several.any()):
            rows, ids = rows[several], ids[several]
            exact = torch.einsum("ce,ce->c", self.gather(ids), residuals[rows]).abs()
            top = torch.zeros_like(norms).scatter_reduce_(0, rows, exact, "amax")
            tied = exact >= (top - _TIE * norms)[rows]
            rows, ids = rows[tied], ids[tied]
            best[rows] = texts
            best.scatter_reduce_(0, rows, ids, "amin")
        return best

    def _best_of_all(self, residuals: Tensor) -> Tensor:
        """Find the best atom in float64 alone, in bounded memory: [target, embed] -> [target]."""
        margin = _TIE * torch.linalg.vector_norm(residuals, dim=1)
        best = torch.zeros(len(residuals), dtype=torch.int64, device=residuals.device)
        top = torch.full_like(margin, -torch.inf)
        for start in range(0, len(self.atoms), _ROWS):
            ids = torch.arange(start, min(start + _ROWS, len(self.atoms)), device=best.device)
            exact = (residuals @ self.gather(ids).T).abs_()
            peak = exact.amax(dim=1)
            first = (exact >= (peak - margin)[:, None]).to(torch.uint8).argmax(dim=1)
            better = peak > top + margin
            best = torch.where(better, first + start, best)
            top = torch.where(better, peak, top)
        return best


@torch.no_grad()
def _pursue(
    y: Tensor, screen: _Screen, n_nonzero: int, tolerance: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Pursue a chunk, [target, embed] float64: ids, weights and cosines, [target, m] each."""
    n, embed = y.shape
    ids = torch.full((n, n_nonzero), -1, dtype=torch.int64, device=y.device)
    basis = y.new_zeros(n, n_nonzero, embed)
    # R of D_S = Q R; the identity stands in for atoms never chosen, so that it stays solvable.
    factor = torch.eye(n_nonzero, dtype=y.dtype, device=y.device).repeat(n, 1, 1)
    shares = y.new_zeros(n, n_nonzero)  # Q^T y
    norms = torch.linalg.vector_norm(y, dim=1)
    residual = y.clone()
    products = screen.buffer(n)
    active = norms > 0
    for k in range(n_nonzero):
        if not bool(active.any()):
            break
        picked = screen.best(residual, active, products)
        atom = screen.gather(picked)
        product = torch.einsum("te,te->t", atom, residual).abs()
        active &= product > tolerance * norms
        atom = torch.where(active[:, None], atom, 0.0)  # so that a stopped row adds nothing
        ids[:, k] = torch.where(active, picked, -1)
        direction, overlap = _orthogonalised(atom, basis[:, :k])
        length = torch.linalg.vector_norm(direction, dim=1)
        direction /= _nonzero(length)[:, None]
        basis[:, k] = direction
        factor[:, :k, k] = overlap
        factor[:, k, k] = _nonzero(length)
        share = torch.einsum("te,te->t", direction, residual)
        shares[:, k] = share
        residual -= share[:, None] * direction
    weights = torch.linalg.solve_triangular(factor, shares[:, :, None], upper=True)[:, :, 0]
    cosines = shares.square().cumsum(1).sqrt() / _nonzero(norms)[:, None]
    return ids.cpu(), weights.cpu(), cosines.clamp_max(1.0).cpu()


def _orthogonalised(atom: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """Return the part of each unit atom orthogonal to its basis, and the overlaps with the basis.

    atom: [target, embed], basis: [target, k, embed] -> [target, embed], [target, k]. Gram-Schmidt,
    applied a second time to rows that lost most of their length (twice is enough: Giraud 2005).
    """
    overlap = basis @ atom[:, :, None]
    rest = atom - (basis.mT @ overlap)[:, :, 0]
    overlap = overlap[:, :, 0]
    short = torch.nonzero(torch.linalg.vector_norm(rest, dim=1) < _SHORT)[:, 0]
    if len(short):
        near = basis[short]
        again = near @ rest[short][:, :, None]
        rest[short] -= (near.mT @ again)[:, :, 0]
        overlap[short] += again[:, :, 0]
    return rest, overlap


def _checked(array: Array, name: str) -> Tensor:
    """Return a finite floating tensor [row, column] that shares the array's memory.

    Raises:
        InputError: when the array is none such.
    """
    if isinstance(array, Tensor):
        tensor = array.detach()
    else:
        plain = _writable(array)
        if plain.dtype.kind != "f" or plain.dtype.itemsize > 8:
            raise InputError(
                f"The {name} must be floating point, got {plain.dtype}: convert to float32."
            )
        tensor = torch.from_numpy(plain)
    if tensor.ndim != 2 or not tensor.is_floating_point():
        raise InputError(
            f"The {name} must be a floating-point table of rows and columns, got shape "
            f"{list(tensor.shape)} of {tensor.dtype}: pass one vector per row."
        )
    if not bool(torch.isfinite(tensor).all()):
        raise InputError(f"The {name} hold NaN or infinite numbers: remove those rows first.")
    return tensor


def _writable(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array, copied only if torch cannot wrap it: read-only maps and odd strides."""
    return np.require(array, requirements=["C", "W"])


def _check_shapes(targets: Tensor, atoms: Tensor) -> None:
    if targets.shape[1] != atoms.shape[1]:
        raise InputError(
            f"Targets of {targets.shape[1]} dimensions cannot be described by atoms of "
            f"{atoms.shape[1]}: embed the texts with the model that the targets come from."
        )


def _checked_ids(ids: Array, n_targets: int, n_texts: int) -> Tensor:
    given = ids if isinstance(ids, Tensor) else torch.from_numpy(_writable(ids))
    tensor = given.to(torch.int64)
    if tensor.ndim != 2 or tensor.shape[0] != n_targets:
        raise InputError(f"Ids must be [{n_targets} targets, m], got shape {list(tensor.shape)}.")
    if tensor.numel() and not -1 <= int(tensor.min()) <= int(tensor.max()) < n_texts:
        raise InputError(
            f"Ids must lie in -1 .. {n_texts - 1}, got {int(tensor.min())} .. "
            f"{int(tensor.max())}: use the dictionary that the ids were made with."
        )
    return tensor


def _chosen_atoms(atoms: Tensor, ids: Tensor) -> Tensor:
    """Return unit-norm float64 atoms [target, m, embed]; zero where the id is -1."""
    ids = ids.to(atoms.device)
    chosen = atoms[ids.clamp_min(0)].to(torch.float64)
    norms = torch.linalg.vector_norm(chosen, dim=2)
    return torch.where((ids >= 0)[..., None], chosen / _nonzero(norms)[..., None], 0.0)


def _nonzero(norms: Tensor) -> Tensor:
    return torch.where(norms > 0, norms, 1.0)


def _like(result: Tensor, like: A) -> A:
    """Return the result in the kind, device and (where floating) precision of an array."""
    if result.is_floating_point() and str(like.dtype).rpartition(".")[2] != "float64":
        result = result.to(torch.float32)
    if isinstance(like, Tensor):
        return result.to(like.device)
    return result.cpu().numpy()

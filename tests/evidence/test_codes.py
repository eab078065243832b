"""Ways to choose texts, against scikit-learn, SciPy and plain least squares."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from sklearn.linear_model import OrthogonalMatchingPursuit, lars_path

from explorer.bundle import Bundle
from explorer.evidence.measures import codes, texts
from tests.support.evidence import context_of

TARGETS, ATOMS, EMBED = 12, 90, 20


@pytest.fixture(scope="module")
def atoms() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.nn.functional.normalize(torch.randn(ATOMS, EMBED, generator=generator), dim=1)


@pytest.fixture(scope="module")
def targets() -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.nn.functional.normalize(torch.randn(TARGETS, EMBED, generator=generator), dim=1)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def quiet(done: int) -> None:
    """Hear nothing."""


@pytest.mark.parametrize(
    ("texts_there", "embed", "sizes"),
    [(500, 256, [2, 4, 8, 16, 32, 64, 128]), (30, 24, [2, 4, 8, 16]), (1, 24, [1])],
)
def test_numbers_of_texts_are_possible_ones(texts_there: int, embed: int, sizes: list) -> None:
    assert codes.sizes_for(texts_there, embed) == sizes


def test_matching_pursuit_is_scikit_learns(atoms: torch.Tensor, targets: torch.Tensor) -> None:
    sizes = [2, 4, 8]
    found = codes.omp(targets, atoms, sizes, quiet)
    for place, m in enumerate(sizes):
        model = OrthogonalMatchingPursuit(n_nonzero_coefs=m, fit_intercept=False)
        for row, target in enumerate(targets):
            model.fit(atoms.T.numpy(), target.numpy())
            wanted = unit(atoms.T.numpy() @ model.coef_)
            np.testing.assert_allclose(found[place, row], wanted, atol=1e-4)


def test_least_squares_ignores_absent_texts(atoms: torch.Tensor, targets: torch.Tensor) -> None:
    ids = torch.tensor([[3, 7, -1]] * TARGETS)
    found = codes.least_squares(targets, atoms, ids)
    for row, target in enumerate(targets):
        design = atoms[[3, 7]].T.numpy()
        weights = np.linalg.lstsq(design, target.numpy(), rcond=None)[0]
        np.testing.assert_allclose(found[row], unit(design @ weights), atol=1e-5)
    assert not codes.least_squares(targets, atoms, torch.full((TARGETS, 2), -1)).any()


def test_random_texts_differ_between_targets_and_not_between_runs(
    atoms: torch.Tensor, targets: torch.Tensor
) -> None:
    same = targets[:1].expand(5, -1)
    one = codes.random_texts(same, atoms, [2, 8], seed=0)
    assert torch.equal(one, codes.random_texts(same, atoms, [2, 8], seed=0))
    assert not torch.equal(one, codes.random_texts(same, atoms, [2, 8], seed=1))
    assert (one[0, 0] - one[0, 1]).abs().max() > 0.01
    gained = (one * targets[0]).sum(2)
    assert bool((gained[1] > gained[0]).all())  # the second set holds the first


def test_random_texts_leave_texts_without_meaning_out(targets: torch.Tensor) -> None:
    atoms = torch.zeros(50, EMBED)
    atoms[10], atoms[20] = targets[0], targets[1]
    found = codes.random_texts(targets[:3], atoms, [2], seed=0)
    plane = torch.linalg.qr(atoms[[10, 20]].T)[0]
    np.testing.assert_allclose((found[0] @ plane).norm(dim=1), 1, atol=1e-4)


def test_adding_only_refits_non_negative_weights(
    atoms: torch.Tensor, targets: torch.Tensor
) -> None:
    """Its weights are SciPy's non-negative least squares on the texts that were chosen."""
    found = codes.nonnegative(targets, atoms, [1, 4, 8], quiet)
    for row, target in enumerate(targets.double()):
        chosen: list[int] = []
        residual = target.clone()
        for step in range(8):
            scores = residual @ atoms.double().T
            scores[chosen] = -1
            chosen.append(int(scores.argmax()))
            design = atoms[chosen].double().T.numpy()
            weights, _ = nnls(design, target.numpy())
            total = design @ weights
            residual = target - torch.from_numpy(total)
            if step + 1 in (1, 4, 8):
                place = (1, 4, 8).index(step + 1)
                np.testing.assert_allclose(found[place, row], unit(total), atol=1e-5)


def test_adding_only_has_nothing_for_what_no_text_points_to() -> None:
    atoms = torch.eye(3)
    found = codes.nonnegative(-torch.ones(1, 3), atoms, [2], quiet)
    assert not found.any()


def test_lasso_is_the_whole_dictionarys_where_it_says_so(
    atoms: torch.Tensor, targets: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = codes.lasso(targets, atoms, [2, 4, 8], quiet)
    assert whole.certified == [1.0, 1.0, 1.0]
    for row, target in enumerate(targets):
        _, _, path = lars_path(
            atoms.T.double().numpy(), target.double().numpy(), method="lasso", max_iter=30
        )
        for place, m in enumerate((2, 4, 8)):
            step = int(np.flatnonzero((path != 0).sum(0) >= m)[0])
            wanted = unit(atoms.T.double().numpy() @ path[:, step])
            np.testing.assert_allclose(whole.reconstructions[place, row], wanted, atol=1e-4)
    monkeypatch.setattr(codes, "SCREENED", 6)  # too few: more must be added
    added = codes.lasso(targets, atoms, [2, 4, 8], quiet)
    assert added.certified == [1.0, 1.0, 1.0]
    torch.testing.assert_close(added.reconstructions, whole.reconstructions)
    monkeypatch.setattr(codes, "ROUNDS", 1)  # none is added: the proof must fail somewhere
    narrow = codes.lasso(targets, atoms, [2, 4], quiet)
    assert min(narrow.certified) < 1
    same = (narrow.reconstructions[1] - whole.reconstructions[1]).abs().amax(1) < 1e-4
    assert same.double().mean() >= narrow.certified[1] - 1e-9


def test_a_path_that_ends_early_gives_its_last_step() -> None:
    atoms = torch.eye(4)
    target = torch.nn.functional.normalize(torch.tensor([[3.0, 1, 0, 0]]), dim=1)
    found = codes.lasso(target, atoms, [4], quiet)
    np.testing.assert_allclose(found.reconstructions[0], target, atol=1e-5)


def test_own_prefixes_have_the_builds_cosines(tiny_bundle: object) -> None:
    """The bundle's own reconstruction cosines were written by the build."""
    context = context_of(tiny_bundle)  # type: ignore[arg-type]
    bundle = Bundle.open(tiny_bundle)  # type: ignore[arg-type]
    own = texts.own_vectors(context)
    assert texts.own_sizes(context) == [2, 4, 8]
    stored = np.asarray(bundle.concept_cosines, np.float32)
    for place, m in enumerate([1, 2, 4, 8], start=1):
        cosines = (own[place] * own[0]).sum(1)
        usable = np.asarray(bundle.concept_ids)[:, m - 1] >= 0
        np.testing.assert_allclose(cosines.numpy()[usable], stored[usable, m - 1], atol=4e-3)


def test_the_strongest_neurons_are_chosen_and_dead_ones_are_not(
    tiny_bundle: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = context_of(tiny_bundle)  # type: ignore[arg-type]
    scale = context.bundle.neurons["scale"].to_numpy()
    dead = int(np.argmax(scale))
    alive = np.ones(len(scale), bool)
    alive[dead] = False
    monkeypatch.setattr(context, "alive", alive)
    chosen = texts.strongest(context)
    assert len(chosen) == 30
    assert list(chosen) == sorted(chosen)
    assert dead not in chosen
    others = np.setdiff1d(np.flatnonzero(alive), chosen)
    assert scale[chosen].min() >= scale[others].max()

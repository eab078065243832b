"""Batched pursuit against scikit-learn's and against plain least squares."""

import threading
import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import orthogonal_mp

from benchmarks.omp import text_like_vectors
from explorer import decompose
from explorer.decompose import (
    SparseCode,
    batch_omp,
    reconstruct,
    sparse_codes,
)
from explorer.errors import InputError


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def data():
    words, aims = text_like_vectors(texts=1500, targets=23, embed=48, seed=1)
    return aims, words


def sklearn_path(aims, words, m):
    """Ids in the order of choice and final weights, by scikit-learn, one target after another."""
    ids, weights = [], []
    for y in aims:
        path = orthogonal_mp(words.T, y, n_nonzero_coefs=m, precompute=False, return_path=True)
        order = []
        for column in path.T:
            order += [j for j in np.flatnonzero(column) if j not in order]
        ids.append(order)
        weights.append(path[order, -1])
    return np.array(ids), np.array(weights)


def test_equals_scikit_learn_in_order(data):
    aims, words = data
    ids, weights = batch_omp(aims, words, 30)
    their_ids, their_weights = sklearn_path(aims, words, 30)
    np.testing.assert_array_equal(ids, their_ids)
    np.testing.assert_allclose(weights, their_weights, atol=1e-10)


def test_float32_input_equals_scikit_learn_in_float64(data):
    aims, words = (x.astype(np.float32) for x in data)
    ids, weights = batch_omp(aims, words, 30)
    their_ids, their_weights = sklearn_path(
        *(unit(x.astype(np.float64)) for x in (aims, words)), 30
    )
    np.testing.assert_array_equal(ids, their_ids)
    np.testing.assert_allclose(weights, their_weights, atol=1e-5)
    assert weights.dtype == np.float32


def test_near_ties_are_decided_in_float64():
    # Two atoms whose products with the target differ by less than float32 can tell.
    rng = np.random.default_rng(0)
    embed = 64
    y = unit(rng.normal(size=embed))
    aside = unit(rng.normal(size=(40, embed)))
    aside = unit(aside - (aside @ y)[:, None] * y)
    angle = np.arccos(0.8 + 1e-9 * rng.permutation(40))
    words = np.cos(angle)[:, None] * y + np.sin(angle)[:, None] * aside
    best = int(np.argmax(words @ y))
    assert batch_omp(y[None], words, 1)[0].item() == best
    order = rng.permutation(40)
    assert order[batch_omp(y[None], words[order], 1)[0].item()] == best


@pytest.mark.parametrize(("precision", "bits"), [("highest", 24), ("high", 11), ("medium", 8)])
def test_supports_hold_under_a_coarser_matmul_setting(data, precision, bits, monkeypatch):
    """Products as coarse as the hardware may make them under torch's setting."""
    aims, words = data
    expected = batch_omp(aims, words, 12)[0]
    product = torch.mm

    def coarse(one, other, *, out):
        return product(*(torch.ldexp(*rounded(x)) for x in (one, other)), out=out)

    def rounded(x):
        mantissa, exponent = torch.frexp(x)
        return (mantissa * 2**bits).round() / 2**bits, exponent

    monkeypatch.setattr(torch, "mm", coarse)
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: precision)
    np.testing.assert_array_equal(batch_omp(aims, words, 12)[0], expected)


def test_weights_are_least_squares_and_residuals_fall(data):
    aims, words = data
    code = sparse_codes(aims, words, 20)
    assert isinstance(code, SparseCode)
    for y, ids, weights, cosines in zip(aims, code.ids, code.weights, code.cosines, strict=True):
        chosen = words[ids]
        solution = np.linalg.lstsq(chosen.T, y, rcond=None)[0]
        np.testing.assert_allclose(weights, solution, atol=1e-10)
        residual = y - weights @ chosen
        assert np.abs(chosen @ residual).max() < 1e-12
        for k in range(1, 21):
            part = np.linalg.lstsq(words[ids[:k]].T, y, rcond=None)[0] @ words[ids[:k]]
            cosine = part @ y / np.linalg.norm(part) / np.linalg.norm(y)
            assert cosines[k - 1] == pytest.approx(cosine, abs=1e-12)
        assert (np.diff(cosines) > 0).all()


def test_prefix_of_a_pursuit_is_the_shorter_pursuit(data):
    aims, words = data
    code = sparse_codes(aims, words, 20)
    short = sparse_codes(aims, words, 7)
    np.testing.assert_array_equal(code.ids[:, :7], short.ids)
    np.testing.assert_allclose(code.cosines[:, :7], short.cosines, atol=1e-12)


def test_independent_of_chunk_and_order(data):
    aims, words = data
    ids, weights = batch_omp(aims, words, 15)
    done = []
    for chunk in (1, 5, 1000):
        code = sparse_codes(aims, words, 15, chunk=chunk, progress=done.append)
        np.testing.assert_array_equal(code.ids, ids)
        np.testing.assert_allclose(code.weights, weights, atol=1e-12)
        assert done == sorted(done)
        assert done[-1] == len(aims)
        done.clear()
    order = np.random.default_rng(0).permutation(len(aims))
    np.testing.assert_array_equal(batch_omp(aims[order], words, 15)[0], ids[order])
    texts = np.random.default_rng(1).permutation(len(words))
    np.testing.assert_array_equal(texts[batch_omp(aims, words[texts], 15)[0]], ids)


def test_scale_of_atoms_does_not_matter_and_scale_of_targets_does(data):
    aims, words = data
    ids, weights = batch_omp(aims, words, 10)
    lengths = np.random.default_rng(0).uniform(1e-6, 1e6, size=(len(words), 1))
    for scale in (1e-90, 1e90):  # beyond float32's range
        again_ids, again = batch_omp(aims * scale, words * lengths, 10)
        np.testing.assert_array_equal(again_ids, ids)
        np.testing.assert_allclose(again, weights * scale, rtol=1e-6)


def test_kinds_of_arrays(data):
    aims, words = data
    ids, weights = batch_omp(aims, words, 5)
    tensor_ids, tensor_weights = batch_omp(torch.from_numpy(aims), words, 5)
    assert isinstance(tensor_ids, torch.Tensor)
    assert tensor_weights.dtype == torch.float64
    np.testing.assert_array_equal(tensor_ids.numpy(), ids)
    array_ids, _ = batch_omp(aims, torch.from_numpy(words), 5)
    assert isinstance(array_ids, np.ndarray)
    frozen = words.copy(order="F")
    frozen.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(batch_omp(aims, frozen, 5)[0], ids)
        ids.flags.writeable = False
        reconstruct(frozen, ids, weights)
    half = batch_omp(torch.from_numpy(aims).to(torch.bfloat16), words, 5)
    assert half[1].dtype == torch.float32
    tracked = torch.from_numpy(words).requires_grad_()
    assert not batch_omp(torch.from_numpy(aims), tracked, 5)[1].requires_grad


def test_stops_when_nothing_is_left():
    # Targets that are sums of 0, 1, 2 and 3 atoms, beside one that no pursuit of 6 exhausts.
    rng = np.random.default_rng(0)
    words = np.linalg.qr(rng.normal(size=(32, 32)))[0][:20]
    aims = np.stack(
        [np.zeros(32), 2 * words[4], words[1] - 3 * words[9], words[:3].sum(0), words.sum(0)]
    )
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-6)):
        code = sparse_codes(aims.astype(dtype), words.astype(dtype), 6)
        assert (code.ids >= 0).sum(1).tolist() == [0, 1, 2, 3, 6]
        assert code.ids[2, :3].tolist() == [9, 1, -1]
        assert (code.weights[code.ids < 0] == 0).all()
        np.testing.assert_allclose(code.weights[2], [-3, 1, 0, 0, 0, 0], atol=tolerance)
        np.testing.assert_allclose(code.cosines[1:4, -1], 1, atol=tolerance)
        assert (code.cosines[0] == 0).all()
    assert sorted(code.ids[3, :3].tolist()) == [0, 1, 2]


def test_stops_when_the_rest_is_orthogonal_to_every_atom():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(30, 10)) * (np.arange(10) < 4)  # rank 4
    y = rng.normal(size=(3, 10))
    code = sparse_codes(y, flat, 10)
    assert ((code.ids >= 0).sum(1) == 4).all()
    full = np.linalg.norm(y[:, :4], axis=1) / np.linalg.norm(y, axis=1)
    np.testing.assert_allclose(code.cosines[:, -1], full, atol=1e-12)
    assert (batch_omp(np.eye(10)[9:], flat, 3)[0] == -1).all()


def test_complete_basis_uses_every_dimension():
    rng = np.random.default_rng(0)
    words, y = rng.normal(size=(40, 12)), rng.normal(size=(5, 12))
    code = sparse_codes(y, words, 12)
    assert (code.ids >= 0).all()
    np.testing.assert_allclose(code.cosines[:, -1], 1, atol=1e-12)
    np.testing.assert_allclose(reconstruct(words, code.ids, code.weights), y, atol=1e-9)


def test_duplicates_and_zero_atoms():
    rng = np.random.default_rng(0)
    words = rng.normal(size=(30, 16))
    y = rng.normal(size=(4, 16))
    plain = batch_omp(y, words, 8)
    doubled = np.concatenate([np.zeros((3, 16)), words, 2 * words, -words])
    ids, weights = batch_omp(y, doubled, 8)
    np.testing.assert_array_equal(ids - 3, plain[0])  # of equal atoms the first, never two of them
    np.testing.assert_allclose(weights, plain[1], atol=1e-12)
    nothing = sparse_codes(y, np.zeros((9, 16)), 4)
    assert (nothing.ids == -1).all()
    assert (nothing.cosines == 0).all()


def widest_gather(monkeypatch):
    """Rows of the largest float64 copy of atoms made from here on, as a list of one number."""
    widest, gather = [0], decompose._Screen.gather

    def watched(screen, ids):
        widest[0] = max(widest[0], ids.numel())
        return gather(screen, ids)

    monkeypatch.setattr(decompose._Screen, "gather", watched)
    return widest


def test_many_candidates_take_bounded_memory(monkeypatch):
    # Nothing left to find (the residual is orthogonal to all atoms), and an atom with many copies:
    # in both cases float32 tells thousands of atoms a target apart from none.
    rng = np.random.default_rng(0)
    monkeypatch.setattr(decompose, "_ROWS", 512)
    widest = widest_gather(monkeypatch)
    flat = rng.normal(size=(3000, 6)) @ rng.normal(size=(6, 40))
    y = rng.normal(size=(20, 40))
    code = sparse_codes(y, flat, 12)
    assert ((code.ids >= 0).sum(1) == 6).all()
    copies = np.concatenate([rng.normal(size=(700, 40)), np.repeat(flat[:1], 2000, axis=0)])
    near = unit(y) + 3 * unit(flat[:1])
    ids, weights = batch_omp(near, copies, 8)
    assert (ids[:, 0] == 700).all()  # the first of the copies, in the second slice
    assert (ids[:, 1:] < 700).all()
    distinct = batch_omp(near, copies[:701], 8)
    np.testing.assert_array_equal(ids, distinct[0])
    np.testing.assert_allclose(weights, distinct[1], atol=1e-12)
    assert 0 < widest[0] <= 1280  # 20 targets of 64 candidates, not 20 times 3,000


def test_nearly_dependent_atoms_keep_an_orthogonal_basis():
    # Pairs of atoms 1e-6 apart, both needed: Gram-Schmidt once would lose the digits that count.
    rng = np.random.default_rng(0)
    base, aside = np.linalg.qr(rng.normal(size=(40, 40)))[0].reshape(2, 20, 40)
    first = unit(base + 0.5 * rng.normal(size=40))
    words = np.concatenate([first, base, unit(first + 1e-6 * aside)])
    y = words[:20].sum(0) + rng.normal(size=(6, 20)) @ aside
    code = sparse_codes(y, words, 40)
    for target, ids, cosines in zip(y, code.ids, code.cosines, strict=True):
        assert len(set(ids)) == 40
        for k in (10, 25, 32, 40):
            basis = np.linalg.qr(words[ids[:k]].T)[0]
            share = np.linalg.norm(basis.T @ target) / np.linalg.norm(target)
            assert cosines[k - 1] == pytest.approx(share, abs=1e-8)
    np.testing.assert_allclose(reconstruct(words, code.ids, code.weights), y, atol=1e-8)


def test_no_targets():
    code = sparse_codes(np.zeros((0, 4)), np.eye(4), 2)
    assert code.ids.shape == code.weights.shape == code.cosines.shape == (0, 2)


def test_reconstruction_is_the_weighted_sum(data):
    aims, words = data
    code = sparse_codes(aims, words, 9)
    total = np.stack([w @ words[i] for w, i in zip(code.weights, code.ids, strict=True)])
    np.testing.assert_allclose(reconstruct(words, code.ids, code.weights), total, atol=1e-12)
    assert (reconstruct(words, np.full((23, 2), -1), np.ones((23, 2))) == 0).all()


def test_thread_count_is_restored_even_after_an_error(data, monkeypatch):
    aims, words = data
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        batch_omp(aims, words, 3)
        assert torch.get_num_threads() == 2
        monkeypatch.setattr(decompose, "_pursue", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            batch_omp(aims, words, 3)
        assert torch.get_num_threads() == 2
        monkeypatch.undo()
        results = []
        calls = [
            threading.Thread(target=lambda: results.append(batch_omp(aims, words, 3)[0]))
            for _ in range(4)
        ]
        for call in calls:
            call.start()
        for call in calls:
            call.join()
        assert torch.get_num_threads() == 2
        for ids in results:
            np.testing.assert_array_equal(ids, results[0])
        assert len(results) == 4
        with decompose._lock:  # a second call waits for the first, which uses all cores
            waiting = threading.Thread(target=batch_omp, args=(aims, words, 3))
            waiting.start()
            waiting.join(0.3)
            assert waiting.is_alive()
        waiting.join(30)
        assert not waiting.is_alive()
    finally:
        torch.set_num_threads(before)


def test_other_devices_take_the_plain_loop(data):
    done = list(decompose._in_parallel(lambda rows: rows, 7, 3, torch.device("meta")))
    assert done == [slice(0, 3), slice(3, 6), slice(6, 7)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu(data):
    aims, words = data
    ids, weights = batch_omp(aims, words, 20)
    cuda_ids, cuda_weights = batch_omp(torch.tensor(aims).cuda(), torch.tensor(words).cuda(), 20)
    assert cuda_ids.is_cuda
    np.testing.assert_array_equal(cuda_ids.cpu(), ids)
    np.testing.assert_allclose(cuda_weights.cpu(), weights, atol=1e-10)


EYE = np.eye(4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: batch_omp(EYE, EYE, 0), "ask for 1 to 4"),
        (lambda: batch_omp(EYE, np.ones((9, 4)), 5), "ask for 1 to 4"),
        (lambda: batch_omp(EYE, EYE[:2], 3), "ask for 1 to 2"),
        (lambda: sparse_codes(EYE, EYE, 2, chunk=0), "at least one target"),
        (lambda: batch_omp(EYE[0], EYE, 2), "one vector per row"),
        (lambda: batch_omp(EYE, EYE.astype(int), 2), "floating point"),
        (lambda: batch_omp(torch.ones(2, 2, dtype=torch.int64), EYE, 2), "floating-point"),
        (lambda: batch_omp(EYE * np.nan, EYE, 2), "targets hold NaN"),
        (lambda: batch_omp(EYE, EYE / 0.0, 2), "dictionary hold NaN"),
        (lambda: batch_omp(EYE[:, :3], EYE, 2), "embed the texts with the model"),
        (lambda: reconstruct(EYE, np.zeros((3, 1), int), EYE), "Ids must be"),
        (lambda: reconstruct(EYE, np.full((4, 1), 4), EYE[:, :1]), "Ids must lie"),
        (lambda: reconstruct(EYE, np.zeros((4, 2), int), EYE), "one shape"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_bad_input_says_what_to_do(call, message):
    with pytest.raises(InputError, match=message):
        call()

"""Text lists, dictionaries and the index against brute force."""

import sys

import numpy as np
import pytest

from benchmarks.omp import text_like_vectors
from explorer.decompose import batch_omp
from explorer.describe.dictionary import (
    TextDictionary,
    build_index,
    common_words,
    load_index,
    read_texts,
    save_index,
    search,
    unique_texts,
)
from explorer.errors import BundleError, InputError


@pytest.fixture(scope="module")
def rows():
    words, queries = text_like_vectors(texts=5000, targets=60, embed=64, seed=0)
    return words.astype(np.float32), queries.astype(np.float32)


@pytest.fixture
def small():
    rng = np.random.default_rng(0)
    texts = ["Turkey", "turkey", "a wild goose", "goose", "Mongoose", "gooseberry"]
    return TextDictionary.from_embeddings(texts, rng.normal(size=(6, 5)) + 1)


def test_read_texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_bytes("\ufeffdog \r\n\r\n  a black cat\ndog\nKäse\n \nDog".encode())
    assert read_texts(path) == ["dog", "a black cat", "Käse", "Dog"]
    assert unique_texts([" a", "b", "a "]) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"\x89PNG\r\n\xff\xfe", "byte 0 is not UTF-8"),
        (b"dog\0cat", "binary"),
        (b" \n\n", "holds no text"),
    ],
)
def test_unreadable_texts(tmp_path, content, message):
    path = tmp_path / "texts.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_texts(path)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_text_file(tmp_path):
    with pytest.raises(InputError, match="one text per line"):
        read_texts(tmp_path)


def fake_wordfreq(monkeypatch, words):
    module = type(sys)("wordfreq")
    module.iter_wordlist = lambda language: iter(words if language == "en" else [])
    monkeypatch.setitem(sys.modules, "wordfreq", module)


def test_common_words(monkeypatch):
    fake_wordfreq(monkeypatch, ["the", "a", "don't", "0000", "dog", "e-mail", "naïve", "cat"])
    assert common_words(3) == ["the", "dog", "naïve"]
    assert common_words(4)[-1] == "cat"
    with pytest.raises(InputError, match="knows 4 English words, not 5"):
        common_words(5)
    with pytest.raises(InputError, match="at least one"):
        common_words(0)


def test_common_words_of_the_real_list():
    pytest.importorskip("wordfreq", reason="an optional dependency")
    words = common_words(2000)
    assert words[0] == "the"
    assert len(set(words)) == 2000
    assert {"dog", "water", "red"} <= set(words)


def test_common_words_without_wordfreq(monkeypatch):
    monkeypatch.setitem(sys.modules, "wordfreq", None)
    with pytest.raises(InputError, match="pip install wordfreq"):
        common_words()


def test_atoms_are_centred_and_normalised():
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(7, 5)) * 3 + 2
    texts = [f"text {i}" for i in range(7)]
    for dtype, tolerance in ((np.float32, 1e-6), (np.float16, 1e-3)):
        made = TextDictionary.from_embeddings(texts, raw, dtype)
        assert made.embeddings.dtype == dtype
        assert len(made) == 7
        unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        np.testing.assert_allclose(made.embeddings, unit, atol=tolerance)
        np.testing.assert_allclose(made.mean, made.embeddings.astype(float).mean(0), atol=1e-6)
        centred = unit - unit.mean(0)
        atoms = made.atoms()
        assert atoms.dtype == np.float32
        expected = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        np.testing.assert_allclose(atoms, expected, atol=4 * tolerance)
        np.testing.assert_array_equal(made.centre(made.embeddings[2]), atoms[2])


def test_atoms_are_computed_once():
    made = TextDictionary.from_embeddings(["one", "other"], np.eye(2))
    assert made.atoms() is made.atoms()


def test_a_text_at_the_mean_is_never_chosen():
    angles = np.array([0.5, -0.5, 0.0])
    unit = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1).astype(np.float32)
    made = TextDictionary(["up", "down", "middle"], unit, unit[2])
    assert (made.atoms()[2] == 0).all()
    ids, _ = batch_omp(unit[2:].astype(np.float32), made.atoms(), 1)
    assert ids[0, 0] != 2
    same = TextDictionary.from_embeddings(["one", "other"], np.ones((2, 3)), np.float16)
    assert (same.atoms() == 0).all()
    near = unit[:1] + 1e-4 * np.array([[0, 0, 1], [0, 0, -1]], np.float32)
    assert (TextDictionary.from_embeddings(["one", "other"], near, np.float16).atoms() == 0).all()
    apart = TextDictionary.from_embeddings(["one", "other"], near).atoms()
    np.testing.assert_allclose(apart, [[0, 0, 1], [0, 0, -1]], atol=1e-3)


def test_index_of(small):
    assert small.index_of("turkey") == 1
    assert small.index_of("Turkey") == 0
    assert small.index_of(" TURKEY ") == 0
    assert small.index_of("mongoose") == 4
    with pytest.raises(InputError, match=r"did you mean 'goose', 'Mongoose'"):
        small.index_of("gooose")
    with pytest.raises(InputError, match="search for part"):
        small.index_of("zzzz")


def test_find(small):
    assert small.find("Goose") == [3, 5, 2, 4]
    assert small.find("goose", limit=2) == [3, 5]
    assert small.find("duck") == []


@pytest.mark.parametrize(
    ("texts", "embeddings", "mean", "message"),
    [
        (["a"], np.eye(2, dtype=np.float32), np.zeros(2), "1 texts, embeddings"),
        (["a", "b"], np.ones(2, np.float32), np.zeros(2), "make no dictionary"),
        (["a", "b"], np.eye(2, dtype=np.float32), np.zeros(3), "make no dictionary"),
        (["a", "a"], np.eye(2, dtype=np.float32), np.zeros(2), "only once"),
        ([], np.zeros((0, 2), np.float32), np.zeros(2), "needs texts"),
        (["a", "b"], np.eye(2), np.zeros(2), "float32 or float16"),
        (["a", "b"], np.diag([1, 2]).astype(np.float32), np.zeros(2), "'b' has norm 2"),
        (["a", "b"], np.diag([1, np.nan]).astype(np.float32), np.zeros(2), "'b' has norm nan"),
    ],
)
def test_parts_that_do_not_fit(texts, embeddings, mean, message):
    with pytest.raises(InputError, match=message):
        TextDictionary(texts, embeddings, mean.astype(np.float32))


def test_zero_embeddings_are_refused():
    with pytest.raises(InputError, match=r"'b' \(row 1\)"):
        TextDictionary.from_embeddings(["a", "b"], np.diag([1.0, 0.0]))
    with pytest.raises(InputError, match=r"row 1"):
        TextDictionary.from_embeddings(["a"], np.diag([1.0, np.inf]))


def recall(found, best):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, best, strict=True)])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_exact_index_equals_brute_force(rows, dtype):
    words, queries = rows[0].astype(dtype), rows[1]
    products = queries @ words.astype(np.float32).T
    order = np.argsort(-products, axis=1)[:, :10]
    index = build_index(words)
    assert not hasattr(index, "hnsw")
    ids, scores = search(index, queries, 10)
    assert ids.shape == scores.shape == (60, 10)
    np.testing.assert_allclose(scores, np.take_along_axis(products, order, 1), atol=1e-5)
    assert recall(ids, order) > 0.999


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_graph_recalls_what_brute_force_finds(rows, dtype):
    words, queries = rows[0].astype(dtype), rows[1]
    products = queries @ words.astype(np.float32).T
    order = np.argsort(-products, axis=1)[:, :10]
    index = build_index(words, exact_below=5000)
    assert hasattr(index, "hnsw")
    assert not hasattr(build_index(words, exact_below=5001), "hnsw")
    ids, scores = search(index, queries, 10)
    assert recall(ids, order) >= 0.99
    assert (np.diff(scores) <= 0).all()
    np.testing.assert_allclose(scores, np.take_along_axis(products, ids, 1), atol=1e-5)


def test_few_rows_and_single_queries():
    index = build_index(np.eye(3, dtype=np.float32))
    ids, scores = search(index, np.array([0.1, 3.0, 0.2]), 10)
    assert ids.tolist() == [[1, 2, 0]]
    np.testing.assert_allclose(scores, [[3.0, 0.2, 0.1]], rtol=1e-6)


def test_rows_not_found_have_no_score(monkeypatch):
    index = build_index(np.eye(3, dtype=np.float32))
    found = np.array([[1.0, -3.4e38]], np.float32), np.array([[2, -1]])
    monkeypatch.setattr(index, "search", lambda *_, **__: found)
    ids, scores = search(index, np.ones(3), 2)
    assert ids.tolist() == [[2, -1]]
    assert scores.tolist() == [[1.0, -np.inf]]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("exact_below", [1000, 100])
def test_saved_index_answers_alike(tmp_path, rows, dtype, exact_below):
    words = rows[0][:500].astype(dtype)
    index = build_index(words, exact_below)
    path = tmp_path / "texts.faiss"
    save_index(index, path)
    loaded = load_index(path, rows=500, embed=64)
    for one, other in zip(search(index, rows[1], 7), search(loaded, rows[1], 7), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [p.name for p in tmp_path.iterdir()] == ["texts.faiss"]
    if exact_below == 1000:  # two or four bytes a number and nothing more
        assert path.stat().st_size < words.nbytes + 200


def test_unusable_index_files(tmp_path, rows):
    path = tmp_path / "texts.faiss"
    with pytest.raises(BundleError, match="is missing"):
        load_index(path)
    save_index(build_index(rows[0][:100]), path)
    with pytest.raises(BundleError, match="100 rows instead of 99"):
        load_index(path, rows=99)
    with pytest.raises(BundleError, match="64 dimensions instead of 32"):
        load_index(path, embed=32)
    whole = path.read_bytes()
    for content in (whole[:-5], whole[:10], b"", b"none" + whole[4:]):
        path.write_bytes(content)
        with pytest.raises(BundleError, match=r"cannot be read.*build the bundle again") as caught:
            load_index(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(BundleError, match="Check that its folder"):
        save_index(build_index(rows[0][:100]), tmp_path / "none" / "texts.faiss")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("IndexFlatL2", "IndexFlatL2 instead of"),
        ("IndexLSH", "IndexLSH instead of"),
        ("IndexHNSWFlat", "another measure than the inner product"),
        ("IndexScalarQuantizer", "another measure than the inner product"),
        ("IndexHNSWPQ", "IndexHNSWPQ instead of"),
    ],
)
def test_indexes_that_would_answer_wrongly_are_refused(tmp_path, rows, kind, words):
    import faiss

    sizes = {
        "IndexLSH": (64, 64),
        "IndexHNSWFlat": (64, 8),
        "IndexHNSWPQ": (64, 4, 8),
        "IndexScalarQuantizer": (64, faiss.ScalarQuantizer.QT_fp16),
    }
    index = getattr(faiss, kind)(*sizes.get(kind, (64,)))
    index.train(rows[0][:500])
    index.add(rows[0][:500])
    path = tmp_path / "texts.faiss"
    save_index(index, path)
    with pytest.raises(BundleError, match=f"{words}.*build the bundle again") as caught:
        load_index(path, rows=500, embed=64)
    assert "\n" not in str(caught.value)


def test_a_graph_over_other_rows_is_refused(tmp_path, rows):
    import faiss

    index = build_index(rows[0][:500], exact_below=100)
    index.storage = faiss.IndexFlatL2(64)
    index.storage.add(rows[0][:500])
    path = tmp_path / "texts.faiss"
    save_index(index, path)
    with pytest.raises(BundleError, match="holds an IndexFlatL2 instead"):
        load_index(path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(3, np.float32), "one vector a row"),
        (np.ones((0, 3), np.float32), "one vector a row"),
        (np.ones((2, 3), int), "one vector a row"),
        (np.full((2, 3), np.nan), "NaN"),
    ],
)
def test_what_cannot_be_indexed(array, message):
    with pytest.raises(InputError, match=message):
        build_index(array)


def test_queries_that_do_not_fit():
    index = build_index(np.eye(3, dtype=np.float32))
    with pytest.raises(InputError, match="3 dimensions"):
        search(index, np.ones((2, 4)), 1)
    with pytest.raises(InputError, match="3 dimensions"):
        search(index, np.ones((2, 1, 3)), 1)
    with pytest.raises(InputError, match="at least one"):
        search(index, np.ones(3), 0)
    with pytest.raises(InputError, match="NaN"):
        search(index, np.full(3, np.nan), 1)


def test_a_foreign_error_is_told_in_one_line(tmp_path, monkeypatch):
    import faiss

    def fail(*_):
        raise MemoryError

    path = tmp_path / "texts.faiss"
    path.write_bytes(b"x")
    monkeypatch.setattr(faiss, "read_index", fail)
    with pytest.raises(BundleError, match="cannot be read: MemoryError"):
        load_index(path)

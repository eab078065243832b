"""Text dictionaries: which texts there are, their embeddings, and nearest-neighbour search.

The dictionary for the sparse descriptions is the mean-centred text embeddings (paper, section
4.2): what all texts have in common describes no neuron. Search goes through FAISS: every stored
vector is compared in small dictionaries, an HNSW graph (Malkov & Yashunin 2018) serves large ones.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.errors import BundleError, InputError

EXACT_BELOW = 50_000
CLOSE = 0.6  # of texts that are named in place of one that is missing, by edits a letter
HNSW_LINKS = 32  # neighbours a node keeps; 2 x as many on the ground level
HNSW_BUILD = 200  # candidates looked at when a vector is added
HNSW_SEARCH = 256  # candidates looked at in a search, at least
FLAT_KINDS = ("IndexFlatIP", "IndexScalarQuantizer")
"""FAISS's classes that compare every row; a graph holds its rows in one."""
KINDS = (*FLAT_KINDS, "IndexHNSWFlat", "IndexHNSWSQ")
"""FAISS's classes that `build_index` makes."""


def read_texts(path: str | Path) -> list[str]:
    """Return the lines of a UTF-8 file in order, stripped, without empty ones and repeats.

    Raises:
        InputError: when the file is missing, is not UTF-8 text or holds no text.
    """
    path = Path(path)
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"Cannot read texts from {path}: byte {error.start} is not UTF-8. Give a plain text "
            "file, one text per line, saved as UTF-8."
        ) from error
    except OSError as error:
        raise InputError(
            f"Cannot read texts from {path}: {error.strerror}. Give UTF-8, one text per line."
        ) from error
    if "\0" in content:
        raise InputError(f"{path} is a binary file: give a UTF-8 text file, one text per line.")
    texts = unique_texts(content.splitlines())
    if not texts:
        raise InputError(f"{path} holds no text: write one text per line.")
    return texts


def unique_texts(texts: Iterable[str]) -> list[str]:
    """Return texts in one form (`uniform`), in order, each once, none empty."""
    return list(dict.fromkeys(text for text in map(uniform, texts) if text))


def uniform(text: str) -> str:
    """Return a text stripped, with its accents in one form (NFC)."""
    return unicodedata.normalize("NFC", text.strip())


def common_words(n: int = 30_000) -> list[str]:
    """Return the `n` most frequent English words, most frequent first (Speer's `wordfreq`).

    Only words of letters and of at least two of them: numbers, and words with an apostrophe,
    hyphen or full stop, are left out.

    Raises:
        InputError: when `wordfreq` is not installed or has fewer words.
    """
    try:
        from wordfreq import iter_wordlist
    except ImportError as error:
        raise InputError(
            "The list of common words needs the package wordfreq: run `pip install wordfreq`, or "
            "give a text file, one text per line."
        ) from error
    if n < 1:
        raise InputError(f"Cannot take {n} common words: ask for at least one.")
    words: list[str] = []
    for word in iter_wordlist("en"):
        if len(word) > 1 and word.isalpha():
            words.append(word)
            if len(words) == n:
                return words
    raise InputError(f"wordfreq knows {len(words)} English words, not {n}: ask for fewer.")


@dataclass(frozen=True, eq=False)
class TextDictionary:
    """Texts and their embeddings.

    texts: [text], no repeats.
    embeddings: [text, embed] float32 or float16, unit-norm, as the model gives them (not centred).
    mean: [embed] float32, mean of the embeddings: what `atoms` and `centre` take off.

    Raises:
        InputError: when the three do not fit together or an embedding has no unit norm.
    """

    texts: list[str]
    embeddings: NDArray[np.floating[Any]]
    mean: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        shape = self.embeddings.shape
        if len(shape) != 2 or shape[0] != len(self.texts) or self.mean.shape != shape[1:]:
            raise InputError(
                f"{len(self.texts)} texts, embeddings {list(shape)} and a mean "
                f"{list(self.mean.shape)} make no dictionary: embed every text once, with one "
                "model."
            )
        if not self.texts or len(set(self.texts)) != len(self.texts):
            raise InputError(
                f"A dictionary needs texts and each only once, got {len(self.texts)} with "
                f"{len(set(self.texts))} different: pass them through unique_texts first."
            )
        if self.embeddings.dtype not in (np.float32, np.float16):
            raise InputError(
                f"Embeddings must be float32 or float16, got {self.embeddings.dtype}: convert them."
            )
        norms = _norms(self.embeddings)
        off = ~(np.abs(norms - 1) < 1e-2)
        if off.any():
            row = int(np.argmax(off))
            raise InputError(
                f"The embedding of {self.texts[row]!r} has norm {norms[row]:.4g} instead of 1: "
                "use TextDictionary.from_embeddings, which normalises."
            )

    @classmethod
    def from_embeddings(
        cls,
        texts: Sequence[str],
        embeddings: NDArray[np.floating[Any]],
        dtype: type[np.float16] | type[np.float32] = np.float32,
    ) -> TextDictionary:
        """Normalise a model's text embeddings [text, embed] and take their mean.

        The mean is taken of the embeddings as they are kept, so it can be recomputed from them.
        Raises:
            InputError: when an embedding is zero or not finite, or as the class raises it.
        """
        norms = _norms(embeddings)
        bad = ~(np.isfinite(norms) & (norms > 0))
        if bad.any():
            row = int(np.argmax(bad))
            text = texts[row] if row < len(texts) else "?"
            raise InputError(
                f"The embedding of {text!r} (row {row}) has norm {norms[row]}: "
                "leave that text out, or check the model's weights."
            )
        kept: NDArray[np.floating[Any]] = (embeddings / norms[:, None]).astype(dtype)
        mean = kept.mean(axis=0, dtype=np.float64).astype(np.float32)
        return cls(list(texts), kept, mean)

    def __len__(self) -> int:
        """Return how many texts there are."""
        return len(self.texts)

    def atoms(self) -> NDArray[np.float32]:
        """Return centred embeddings at unit norm: the atoms of a sparse description.

        Returns [text, embed] float32, computed once: all who ask share the array, and must not
        write to it. A text whose embedding is the mean itself (nothing left but rounding) gets a
        zero row, which the pursuit never chooses.
        """
        return self._atoms

    def centre(self, embeddings: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return unit-norm text embeddings [..., embed] without the mean; see `centre_texts`."""
        rounding = 1e-3 if self.embeddings.dtype == np.float16 else 1e-6
        return centre_texts(embeddings, self.mean, rounding)

    def row(self, text: str) -> int | None:
        """Return a text's row or None; an exact match goes before one that differs in case."""
        wanted = text.strip()
        return self._rows.get(wanted, self._folded_rows.get(wanted.casefold()))

    def index_of(self, text: str) -> int:
        """Return a text's row as `row` finds it.

        Raises:
            InputError: when there is none; it names the closest texts.
        """
        wanted = text.strip()
        row = self.row(wanted)
        if row is None:
            close = self._spelt_like(wanted)
            names = ", ".join(repr(self.texts[row]) for row in close)
            remedy = f"did you mean {names}?" if names else "search for part of the word instead."
            raise InputError(f"No text {text!r} among the {len(self)} of the dictionary: {remedy}")
        return row

    def _spelt_like(self, text: str) -> list[int]:
        from rapidfuzz.distance import OSA
        from rapidfuzz.process import extract

        found = extract(
            text.casefold(),
            self._folded_rows.keys(),
            scorer=OSA.normalized_similarity,
            score_cutoff=CLOSE,
            limit=5,
        )
        return [self._folded_rows[name] for name, _, _ in found]

    def find(self, part: str, limit: int = 20) -> list[int]:
        """Return rows of texts with `part`, any case: whole text, beginning, word, anywhere.

        Within each of the four the order is the dictionary's. At most `limit` rows.
        """
        wanted = part.strip().casefold()
        ranked = []
        for row, text in enumerate(self._folded):
            at = text.find(wanted)
            if at >= 0:
                inner = f" {wanted}" in text
                ranked.append((0 if text == wanted else 1 if at == 0 else 2 if inner else 3, row))
        return [row for _, row in sorted(ranked)[:limit]]

    @cached_property
    def _atoms(self) -> NDArray[np.float32]:
        return self.centre(self.embeddings)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {text: row for row, text in enumerate(self.texts)}

    @cached_property
    def _folded(self) -> list[str]:
        return [text.casefold() for text in self.texts]

    @cached_property
    def _folded_rows(self) -> dict[str, int]:
        rows: dict[str, int] = {}
        for row, text in enumerate(self._folded):
            rows.setdefault(text, row)
        return rows


def centre_texts(
    embeddings: NDArray[np.floating[Any]], mean: NDArray[np.float32], rounding: float = 1e-6
) -> NDArray[np.float32]:
    """Subtract the mean from unit-norm text embeddings [..., embed] and normalise: float32.

    `mean` is [embed], what all texts share. A vector nearer to it than the embeddings' rounding
    (1e-3 for float16, 1e-6 for float32) becomes zero.
    """
    centred = embeddings.astype(np.float32) - mean
    norms = _norms(centred).astype(np.float32)[..., None]
    unit: NDArray[np.float32] = np.zeros_like(centred)
    np.divide(centred, norms, out=unit, where=norms > rounding)
    return unit


def build_index(embeddings: NDArray[np.floating[Any]], exact_below: int = EXACT_BELOW) -> Any:
    """Build a FAISS index by inner product over [row, embed]: the cosine of unit-norm rows.

    Fewer rows than `exact_below`: every row is compared (exact). From there on an HNSW graph with
    32 links; recall@10 above 0.99 on 5,000 text-like vectors, see the tests. float16 rows are
    stored as float16 and all others as float32, so storage rounds nothing that a model of either
    precision gave. Building a graph on several threads may link rows in a different order from
    run to run; an exact index is always the same.

    Returns a `faiss.Index`.

    Raises:
        InputError: when the table is empty or holds a number that is not finite.
    """
    faiss = _faiss()

    if embeddings.ndim != 2 or 0 in embeddings.shape or embeddings.dtype.kind != "f":
        raise InputError(
            f"Cannot index an array {list(embeddings.shape)} of {embeddings.dtype}: "
            "give floating-point rows, one vector a row."
        )
    rows = np.ascontiguousarray(embeddings, dtype=np.float32)
    if not np.isfinite(rows).all():
        raise InputError("Cannot index NaN or infinite numbers: remove those rows first.")
    half = embeddings.dtype == np.float16
    embed, metric = rows.shape[1], faiss.METRIC_INNER_PRODUCT
    index: Any
    if len(rows) < exact_below:
        fp16 = faiss.ScalarQuantizer.QT_fp16
        index = (
            faiss.IndexScalarQuantizer(embed, fp16, metric) if half else faiss.IndexFlatIP(embed)
        )
    else:
        if half:
            index = faiss.IndexHNSWSQ(embed, faiss.ScalarQuantizer.QT_fp16, HNSW_LINKS, metric)
        else:
            index = faiss.IndexHNSWFlat(embed, HNSW_LINKS, metric)
        index.hnsw.efConstruction = HNSW_BUILD
    index.train(rows)
    index.add(rows)
    return index


def save_index(index: Any, path: str | Path) -> None:
    """Write a FAISS index; the file appears under its name only when complete.

    Raises:
        BundleError: when it cannot be written.
    """
    faiss = _faiss()

    path = Path(path)
    unfinished = path.with_name(path.name + ".part")
    try:
        faiss.write_index(index, str(unfinished))
        unfinished.replace(path)
    except (RuntimeError, OSError) as error:
        unfinished.unlink(missing_ok=True)
        raise BundleError(
            f"Cannot write the search index {path}: {_first_line(error)}. Check that its folder "
            "exists, is writable and has room."
        ) from error


def load_index(path: str | Path, rows: int | None = None, embed: int | None = None) -> Any:
    """Read a FAISS index, and check it against the `rows` and `embed` sizes expected.

    Raises:
        BundleError: when the file is missing, unreadable, of other sizes, or no index by inner
            product of a kind that `build_index` makes.
    """
    faiss = _faiss()

    path = Path(path)
    remedy = "Restore the file, or build the bundle again."
    if not path.is_file():
        raise BundleError(f"The search index {path} is missing. {remedy}")
    try:
        index = faiss.read_index(str(path))
    except (RuntimeError, MemoryError) as error:
        raise BundleError(
            f"The search index {path} cannot be read: {_first_line(error)}. {remedy}"
        ) from error
    if problem := _foreign(index):
        raise BundleError(
            f"The search index {path} {problem}: its answers would be wrong. {remedy}"
        )
    for name, expected, found in (("rows", rows, index.ntotal), ("dimensions", embed, index.d)):
        if expected is not None and found != expected:
            raise BundleError(
                f"The search index {path} has {found} {name} instead of {expected}: it belongs to "
                f"other texts. {remedy}"
            )
    return index


def _foreign(index: Any) -> str:
    """Return what makes an index none that `build_index` makes; nothing if it is one."""
    faiss = _faiss()

    parts: list[tuple[Any, tuple[str, ...]]] = [(index, KINDS)]
    if hasattr(index, "hnsw") and index.storage is not None:
        parts.append((faiss.downcast_index(index.storage), FLAT_KINDS))
    for part, kinds in parts:
        kind = type(part).__name__
        if kind not in kinds:
            return f"is or holds an {kind} instead of one of {', '.join(kinds)}"
        if part.metric_type != faiss.METRIC_INNER_PRODUCT:
            return "compares by another measure than the inner product"
        if (part.ntotal, part.d) != (index.ntotal, index.d):
            return f"holds {part.ntotal} rows of {part.d} dimensions for a graph of other sizes"
    return ""


def search(
    index: Any, queries: NDArray[np.floating[Any]], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return ids and scores of the largest inner products with [query, embed] or [embed].

    Both results are [query, k], best first; `k` is cut to the index's size. Scores are inner
    products with the queries as given: normalise them for cosines. A graph may find fewer than
    `k` rows; its id is then -1 and its score -inf.

    Raises:
        InputError: when sizes do not fit.
    """
    faiss = _faiss()

    table = np.atleast_2d(np.asarray(queries, dtype=np.float32))
    if table.ndim != 2 or table.shape[1] != index.d:
        raise InputError(
            f"Queries {list(np.shape(queries))} do not fit an index of {index.d} dimensions: "
            "embed them with the model that the index was built with."
        )
    if k < 1:
        raise InputError(f"Cannot return the best {k} rows: ask for at least one.")
    if not np.isfinite(table).all():
        raise InputError("Cannot search for NaN or infinite numbers: check the query's embedding.")
    k = min(k, index.ntotal)
    options: dict[str, Any] = {}
    if hasattr(index, "hnsw"):
        options["params"] = faiss.SearchParametersHNSW(efSearch=max(HNSW_SEARCH, 2 * k))
    scores, ids = index.search(np.ascontiguousarray(table), k, **options)
    scores[ids < 0] = -np.inf
    return ids, scores


def _faiss() -> Any:
    """Import the module; untyped, for its type stubs differ from what each release holds."""
    import faiss

    return faiss


def _norms(rows: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return lengths along the last axis, in float32 or better."""
    exact = rows if rows.dtype.itemsize >= 4 else rows.astype(np.float32)
    lengths: NDArray[np.floating[Any]] = np.linalg.norm(exact, axis=-1)
    return lengths


def _first_line(error: BaseException) -> str:
    """Return an error's first line, of a FAISS error the part after its source position."""
    message = str(error).splitlines()[0] if str(error) else type(error).__name__
    return message.rpartition("failed: ")[2].rstrip(". ")
